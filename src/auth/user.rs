//! Who may log in.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::password::{PasswordHash, PasswordHashError};
use super::scram::ScramKeys;
use crate::config::{Secret, UserSettings};

/// The tag of users that may do everything in the management API.
pub const ADMINISTRATOR: &str = "administrator";

/// Name of the user that is made when there is none.
const FIRST_USER: &str = "admin";

/// Length of a generated password: 24 letters and digits are 142 bits.
const GENERATED_PASSWORD_CHARS: usize = 24;

/// A user, its password hash and its tags. What it may do is the core's to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "StoredUser", into = "StoredUser")]
pub struct UserRecord {
    pub name: String,
    /// Without one, no password opens.
    pub password_hash: Option<PasswordHash>,
    /// RabbitMQ's tags: `administrator`, `monitoring`, `policymaker`, `management`, or any other word.
    pub tags: Vec<String>,
}

/// A user as it is kept: hash and keys as their texts.
#[derive(Serialize, Deserialize)]
struct StoredUser {
    name: String,
    password_hash: Option<String>,
    /// Absent for users of earlier versions, and where the password was never known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scram: Option<String>,
    tags: Vec<String>,
}

impl From<UserRecord> for StoredUser {
    fn from(user: UserRecord) -> Self {
        let hash = user.password_hash.as_ref();
        Self {
            name: user.name,
            password_hash: hash.map(|hash| hash.expose().to_owned()),
            scram: hash.and_then(PasswordHash::scram).map(ScramKeys::expose),
            tags: user.tags,
        }
    }
}

impl TryFrom<StoredUser> for UserRecord {
    type Error = PasswordHashError;

    fn try_from(user: StoredUser) -> Result<Self, Self::Error> {
        let hash = user.password_hash.as_deref().map(PasswordHash::parse).transpose()?;
        // Keys that cannot be read are none: the password itself still opens.
        let keys = user.scram.as_deref().and_then(ScramKeys::parse);
        let password_hash = match (hash, keys) {
            (Some(hash), Some(keys)) => Some(hash.with_scram(keys)),
            (hash, _) => hash,
        };
        Ok(Self { name: user.name, password_hash, tags: user.tags })
    }
}

/// All users by name.
#[derive(Clone, Debug, Default)]
pub struct Users {
    all: BTreeMap<String, UserRecord>,
    /// Those of them who come through MQTT only.
    for_mqtt: BTreeSet<String>,
}

impl Users {
    /// The users of the configuration. Passwords in clear are hashed, some 20 ms each.
    ///
    /// # Errors
    /// [`PasswordHashError`] for a hash or password that cannot be used; a checked configuration has none.
    pub fn from_settings(settings: &[UserSettings]) -> Result<Self, PasswordHashError> {
        let mut users = Self::default();
        for user in settings {
            users.insert(UserRecord::from_settings(user)?);
        }
        Ok(users)
    }

    /// The user of that name.
    pub fn get(&self, name: &str) -> Option<&UserRecord> {
        self.all.get(name)
    }

    /// Adds a user, or replaces the one of that name.
    pub fn insert(&mut self, user: UserRecord) {
        self.for_mqtt.remove(&user.name);
        self.all.insert(user.name.clone(), user);
    }

    /// Adds a user who may log in through MQTT only, or replaces the one of that name.
    pub fn insert_for_mqtt(&mut self, user: UserRecord) {
        self.for_mqtt.insert(user.name.clone());
        self.all.insert(user.name.clone(), user);
    }

    /// Whether the user may log in through MQTT only.
    pub fn is_for_mqtt(&self, name: &str) -> bool {
        self.for_mqtt.contains(name)
    }

    /// Takes a user away.
    pub fn remove(&mut self, name: &str) -> Option<UserRecord> {
        self.all.remove(name)
    }

    /// Whether there is no user at all.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All users, by name.
    pub fn iter(&self) -> impl Iterator<Item = &UserRecord> {
        self.all.values()
    }
}

impl UserRecord {
    fn from_settings(settings: &UserSettings) -> Result<Self, PasswordHashError> {
        let password_hash = match (&settings.password_hash, &settings.password) {
            (Some(hash), _) => PasswordHash::parse(hash.expose())?,
            (None, Some(password)) => PasswordHash::create(password.expose().as_bytes())?,
            (None, None) => return Err(PasswordHashError::Unknown),
        };
        Ok(Self { name: settings.name.clone(), password_hash: Some(password_hash), tags: settings.tags.clone() })
    }
}

/// The password of a user that was just made. It is stored nowhere: show it once.
#[derive(Debug)]
pub struct GeneratedPassword {
    pub user: String,
    pub password: Secret,
}

/// An administrator with a random password, for a broker that nobody could log in to.
///
/// # Errors
/// [`PasswordHashError::Hashing`] when the system has no randomness or no memory.
pub fn first_user() -> Result<(UserRecord, GeneratedPassword), PasswordHashError> {
    let password =
        random_password().map_err(|_| PasswordHashError::Hashing(argon2::password_hash::Error::RngFailure))?;
    let record = UserRecord {
        name: FIRST_USER.into(),
        password_hash: Some(PasswordHash::create(password.expose().as_bytes())?),
        tags: vec![ADMINISTRATOR.into()],
    };
    Ok((record, GeneratedPassword { user: FIRST_USER.into(), password }))
}

fn random_password() -> Result<Secret, getrandom::Error> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut password = String::with_capacity(GENERATED_PASSWORD_CHARS);
    while password.len() < GENERATED_PASSWORD_CHARS {
        let mut bytes = [0; GENERATED_PASSWORD_CHARS];
        getrandom::fill(&mut bytes)?;
        // Six bits index the alphabet; the two values beyond it are dropped, so that all characters are equally likely.
        let chars = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 0x3f)).copied().map(char::from));
        password.extend(chars.take(GENERATED_PASSWORD_CHARS - password.len()));
    }
    Ok(Secret::new(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_user_is_an_administrator_with_a_random_password() {
        let (admin, generated) = first_user().unwrap();
        assert_eq!((generated.user.as_str(), generated.password.expose().len()), ("admin", 24));
        assert!(admin.password_hash.as_ref().unwrap().verify(generated.password.expose().as_bytes()));
        assert_eq!((admin.name.as_str(), admin.tags.as_slice()), ("admin", &[ADMINISTRATOR.into()][..]));
        assert!(!format!("{generated:?}").contains(generated.password.expose()));
    }

    #[test]
    fn a_record_is_kept_with_its_hash_and_shown_without() {
        let (admin, _) = first_user().unwrap();
        let kept = serde_json::to_string(&admin).unwrap();
        assert!(kept.contains("$argon2id$") && !format!("{admin:?}").contains("argon2id"));
        assert_eq!(serde_json::from_str::<UserRecord>(&kept).unwrap(), admin);
        let nobody = UserRecord { password_hash: None, ..admin };
        assert_eq!(serde_json::from_str::<UserRecord>(&serde_json::to_string(&nobody).unwrap()).unwrap(), nobody);
    }

    #[test]
    fn generated_passwords_differ() {
        assert_ne!(random_password().unwrap().expose(), random_password().unwrap().expose());
    }

    #[test]
    fn users_come_from_the_configuration_with_either_kind_of_password() {
        let hash = PasswordHash::create(b"two").unwrap();
        let settings = [
            UserSettings { name: "a".into(), password: Some(Secret::new("one")), ..Default::default() },
            UserSettings { name: "b".into(), password_hash: Some(Secret::new(hash.expose())), ..Default::default() },
        ];
        let users = Users::from_settings(&settings).unwrap();
        let opens = |user: &str, password| users.get(user).unwrap().password_hash.as_ref().unwrap().verify(password);
        assert!(opens("a", b"one") && opens("b", b"two"));
    }
}

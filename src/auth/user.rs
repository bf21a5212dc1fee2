//! Who may log in.

use std::collections::BTreeMap;

use super::password::{PasswordHash, PasswordHashError};
use crate::config::{PermissionSettings, Secret, UserSettings, Vhosts};

/// The tag of users that may do everything in the management API.
pub const ADMINISTRATOR: &str = "administrator";

/// Name of the user that is made when there is none.
const FIRST_USER: &str = "admin";

/// Length of a generated password: 24 letters and digits are 142 bits.
const GENERATED_PASSWORD_CHARS: usize = 24;

/// A user, its password hash and what it may do.
#[derive(Clone, Debug)]
pub struct UserRecord {
    pub name: String,
    pub password_hash: PasswordHash,
    /// RabbitMQ's tags: `administrator`, `monitoring`, `policymaker`, `management`, or any other word.
    pub tags: Vec<String>,
    /// At most one entry per virtual host; without an entry nothing is allowed there.
    pub permissions: Vec<Permission>,
}

/// Regular expressions over names of queues and exchanges in one virtual host. An empty one allows nothing (COM-10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    pub vhost: String,
    /// Names that may be declared and deleted.
    pub configure: String,
    /// Names that may be published to.
    pub write: String,
    /// Names that may be consumed from.
    pub read: String,
}

/// All users by name.
#[derive(Clone, Debug, Default)]
pub struct Users(BTreeMap<String, UserRecord>);

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
        self.0.get(name)
    }

    /// Adds a user, or replaces the one of that name.
    pub fn insert(&mut self, user: UserRecord) {
        self.0.insert(user.name.clone(), user);
    }

    /// Takes a user away.
    pub fn remove(&mut self, name: &str) -> Option<UserRecord> {
        self.0.remove(name)
    }

    /// Whether there is no user at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All users, by name.
    pub fn iter(&self) -> impl Iterator<Item = &UserRecord> {
        self.0.values()
    }
}

impl UserRecord {
    fn from_settings(settings: &UserSettings) -> Result<Self, PasswordHashError> {
        let password_hash = match (&settings.password_hash, &settings.password) {
            (Some(hash), _) => PasswordHash::parse(hash.expose())?,
            (None, Some(password)) => PasswordHash::create(password.expose().as_bytes())?,
            (None, None) => return Err(PasswordHashError::Unknown),
        };
        let permissions = settings.permissions.iter().map(Permission::from_settings).collect();
        Ok(Self { name: settings.name.clone(), password_hash, tags: settings.tags.clone(), permissions })
    }
}

impl Permission {
    /// Everything in `vhost`.
    pub fn all(vhost: &str) -> Self {
        let everything = || ".*".to_owned();
        Self { vhost: vhost.into(), configure: everything(), write: everything(), read: everything() }
    }

    fn from_settings(settings: &PermissionSettings) -> Self {
        let PermissionSettings { vhost, configure, write, read } = settings.clone();
        Self { vhost, configure, write, read }
    }
}

/// The password of a user that was just made. It is stored nowhere: show it once.
#[derive(Debug)]
pub struct GeneratedPassword {
    pub user: String,
    pub password: Secret,
}

/// Makes the user `admin` with a random password and all permissions on `vhosts`, if there is no user at all.
///
/// # Errors
/// [`PasswordHashError::Hashing`] when the system has no randomness or no memory.
pub fn ensure_admin(users: &mut Users, vhosts: &Vhosts) -> Result<Option<GeneratedPassword>, PasswordHashError> {
    if !users.is_empty() {
        return Ok(None);
    }
    let password =
        random_password().map_err(|_| PasswordHashError::Hashing(argon2::password_hash::Error::RngFailure))?;
    users.insert(UserRecord {
        name: FIRST_USER.into(),
        password_hash: PasswordHash::create(password.expose().as_bytes())?,
        tags: vec![ADMINISTRATOR.into()],
        permissions: vhosts.names().map(Permission::all).collect(),
    });
    Ok(Some(GeneratedPassword { user: FIRST_USER.into(), password }))
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
        let mut users = Users::default();
        let generated = ensure_admin(&mut users, &Vhosts::default()).unwrap().expect("a first user");
        assert_eq!((generated.user.as_str(), generated.password.expose().len()), ("admin", 24));
        let admin = users.get("admin").unwrap();
        assert!(admin.password_hash.verify(generated.password.expose().as_bytes()));
        assert_eq!(
            (admin.tags.as_slice(), admin.permissions.as_slice()),
            (&[ADMINISTRATOR.into()][..], &[Permission::all("/")][..])
        );
        assert!(!format!("{generated:?}").contains(generated.password.expose()));
        assert!(ensure_admin(&mut users, &Vhosts::default()).unwrap().is_none());
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
        assert!(users.get("a").unwrap().password_hash.verify(b"one"));
        assert!(users.get("b").unwrap().password_hash.verify(b"two"));
        assert!(users.get("b").unwrap().permissions.is_empty());
    }
}

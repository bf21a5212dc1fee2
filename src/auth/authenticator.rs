//! Checks names and passwords.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::password::{PASSWORD_BYTES_MAX, PasswordHash, PasswordHashError};
use super::user::{ADMINISTRATOR, Users};
use super::verified::{Fingerprint, Fingerprinter, VerifiedCredentials};

/// Longest user name, in bytes.
pub const USER_NAME_BYTES_MAX: usize = 255;

/// Someone who has proved to be that user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub name: Arc<str>,
    pub tags: Arc<[String]>,
    /// True in development mode: everything is permitted, as there may be no user record to look permissions up in.
    pub unrestricted: bool,
}

/// Why someone is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// Deliberately one answer for an unknown name and a wrong password.
    #[error("the name or the password is wrong")]
    Refused,
    /// Nobody's fault at the other end; trying again later may help.
    #[error("the password could not be checked")]
    Unavailable,
}

/// How an [`Authenticator`] behaves.
#[derive(Clone, Copy, Debug)]
pub struct AuthenticatorOptions {
    /// Passwords checked at the same time, 19 MiB each; further ones wait.
    pub verifications_concurrent_max: usize,
    /// Development mode: every name and password is accepted from loopback addresses, and from nowhere else.
    pub accept_all_from_loopback: bool,
}

/// Checks names and passwords against a set of users that can be replaced at any time.
///
/// - At most `verifications_concurrent_max` checks run at a time, on blocking threads, whoever gives up waiting.
/// - Credentials that were right once are remembered until the user's hash changes, and then cost microseconds.
/// - An unknown name takes as long as a wrong password.
pub struct Authenticator {
    users: ArcSwap<Users>,
    fingerprinter: Fingerprinter,
    verified: Mutex<VerifiedCredentials>,
    permits: Arc<Semaphore>,
    /// Hash of a random password, checked in place of one that is missing or cheap.
    decoy: PasswordHash,
    accept_all_from_loopback: bool,
}

impl Authenticator {
    /// Takes some 20 ms, for the decoy hash.
    ///
    /// # Errors
    /// [`PasswordHashError::Hashing`] when the system has no randomness or memory.
    pub fn new(users: Users, options: AuthenticatorOptions) -> Result<Self, PasswordHashError> {
        let no_randomness = |_| PasswordHashError::Hashing(argon2::password_hash::Error::RngFailure);
        let mut decoy_password = [0; 32];
        getrandom::fill(&mut decoy_password).map_err(no_randomness)?;
        Ok(Self {
            users: ArcSwap::from_pointee(users),
            fingerprinter: Fingerprinter::new().map_err(no_randomness)?,
            verified: Mutex::default(),
            permits: Arc::new(Semaphore::new(options.verifications_concurrent_max.max(1))),
            decoy: PasswordHash::create(&decoy_password)?,
            accept_all_from_loopback: options.accept_all_from_loopback,
        })
    }

    /// The users as they are now.
    pub fn users(&self) -> Arc<Users> {
        self.users.load_full()
    }

    /// Replaces all users; takes effect for the next login.
    pub fn replace_users(&self, users: Users) {
        self.users.store(Arc::new(users));
    }

    /// Checks the name and password that `peer` gave.
    ///
    /// Dropping the future stops the waiting, not a check that has begun; that one still counts against the bound.
    ///
    /// # Errors
    /// See [`AuthenticationError`].
    pub async fn authenticate(
        &self,
        peer: IpAddr,
        name: &str,
        password: &[u8],
    ) -> Result<Principal, AuthenticationError> {
        if self.accept_all_from_loopback && peer.to_canonical().is_loopback() {
            return Ok(self.unrestricted(name));
        }
        if name.len() > USER_NAME_BYTES_MAX || password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
            return Err(AuthenticationError::Refused);
        }
        let users = self.users.load_full();
        let stored_hash = users.get(name).map(|user| user.password_hash.clone());
        self.check_password(name, password, stored_hash).await?;
        let user = users.get(name).ok_or(AuthenticationError::Refused)?;
        Ok(Principal { name: name.into(), tags: user.tags.as_slice().into(), unrestricted: false })
    }

    fn unrestricted(&self, name: &str) -> Principal {
        Principal { name: name.into(), tags: [ADMINISTRATOR.to_owned()].into(), unrestricted: true }
    }

    async fn check_password(
        &self,
        name: &str,
        password: &[u8],
        stored_hash: Option<PasswordHash>,
    ) -> Result<(), AuthenticationError> {
        let fingerprint = stored_hash.as_ref().map(|hash| self.fingerprinter.of(name, password, hash.expose()));
        if self.was_verified(fingerprint) {
            return Ok(());
        }
        let permits = Arc::clone(&self.permits);
        let permit = permits.acquire_owned().await.map_err(|_| AuthenticationError::Unavailable)?;
        // While we waited, someone else may have checked the same credentials: a thousand clients of one service restart together.
        if self.was_verified(fingerprint) {
            return Ok(());
        }
        let (password, decoy) = (Zeroizing::new(password.to_vec()), self.decoy.clone());
        let check = move || {
            let matches = verify_at_one_price(stored_hash.as_ref(), &decoy, &password);
            drop(permit);
            matches
        };
        let matches = tokio::task::spawn_blocking(check).await.map_err(|_| AuthenticationError::Unavailable)?;
        let fingerprint = fingerprint.filter(|_| matches).ok_or(AuthenticationError::Refused)?;
        self.lock_verified().insert(fingerprint);
        Ok(())
    }

    fn was_verified(&self, fingerprint: Option<Fingerprint>) -> bool {
        fingerprint.is_some_and(|fingerprint| self.lock_verified().contains(fingerprint))
    }

    fn lock_verified(&self) -> std::sync::MutexGuard<'_, VerifiedCredentials> {
        // The set is valid after every step, so a panic elsewhere does not spoil it.
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A refusal always costs one argon2id, so that its time tells nothing about who exists.
fn verify_at_one_price(stored_hash: Option<&PasswordHash>, decoy: &PasswordHash, password: &[u8]) -> bool {
    let matches = stored_hash.is_some_and(|hash| hash.verify(password));
    if !matches && stored_hash.is_none_or(PasswordHash::is_cheap) {
        decoy.verify(password);
    }
    matches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::UserRecord;

    const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn users(password: &[u8]) -> Users {
        let mut users = Users::default();
        let password_hash = PasswordHash::create(password).unwrap();
        users.insert(UserRecord {
            name: "a".into(),
            password_hash,
            tags: vec!["monitoring".into()],
            permissions: vec![],
        });
        users
    }

    fn authenticator(users: Users, accept_all_from_loopback: bool) -> Authenticator {
        let options = AuthenticatorOptions { verifications_concurrent_max: 1, accept_all_from_loopback };
        Authenticator::new(users, options).unwrap()
    }

    fn remembered(authenticator: &Authenticator, password: &[u8]) -> bool {
        let hash = authenticator.users().get("a").unwrap().password_hash.clone();
        authenticator.was_verified(Some(authenticator.fingerprinter.of("a", password, hash.expose())))
    }

    #[tokio::test]
    async fn the_right_password_gives_name_and_tags() {
        let authenticator = authenticator(users(b"right"), false);
        let principal = authenticator.authenticate(LOOPBACK, "a", b"right").await.unwrap();
        assert_eq!(
            (&*principal.name, &*principal.tags, principal.unrestricted),
            ("a", &["monitoring".to_owned()][..], false)
        );
    }

    #[tokio::test]
    async fn wrong_password_and_unknown_name_get_the_same_answer() {
        let authenticator = authenticator(users(b"right"), false);
        let long = [b'x'; PASSWORD_BYTES_MAX + 1];
        for (name, password) in [("a", &b"wrong"[..]), ("b", b"right"), ("a", b""), ("", b"right"), ("a", &long)] {
            let answer = authenticator.authenticate(LOOPBACK, name, password).await;
            assert_eq!(answer, Err(AuthenticationError::Refused), "{name}");
        }
        assert!(!remembered(&authenticator, b"wrong"));
    }

    #[tokio::test]
    async fn right_credentials_are_remembered_until_the_password_changes() {
        let authenticator = authenticator(users(b"old"), false);
        authenticator.authenticate(LOOPBACK, "a", b"old").await.unwrap();
        assert!(remembered(&authenticator, b"old"));
        // Without permits only what is remembered gets in.
        authenticator.permits.close();
        assert!(authenticator.authenticate(LOOPBACK, "a", b"old").await.is_ok());
        authenticator.replace_users(users(b"new"));
        assert!(!remembered(&authenticator, b"old"));
        let answer = authenticator.authenticate(LOOPBACK, "a", b"old").await;
        assert_eq!(answer, Err(AuthenticationError::Unavailable));
    }

    #[tokio::test]
    async fn a_removed_user_is_refused_although_remembered() {
        let authenticator = authenticator(users(b"right"), false);
        authenticator.authenticate(LOOPBACK, "a", b"right").await.unwrap();
        authenticator.replace_users(Users::default());
        let answer = authenticator.authenticate(LOOPBACK, "a", b"right").await;
        assert_eq!(answer, Err(AuthenticationError::Refused));
    }

    #[tokio::test]
    async fn development_mode_accepts_everyone_from_loopback_only() {
        let authenticator = authenticator(Users::default(), true);
        assert!(authenticator.authenticate(LOOPBACK, "anyone", b"").await.unwrap().unrestricted);
        assert!(authenticator.authenticate("::ffff:127.0.0.1".parse().unwrap(), "anyone", b"").await.is_ok());
        let answer = authenticator.authenticate(ELSEWHERE, "anyone", b"any").await;
        assert_eq!(answer, Err(AuthenticationError::Refused));
    }

    #[test]
    fn a_cheap_hash_verifies_like_any_other() {
        let cheap = PasswordHash::parse("kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR").unwrap();
        let decoy = PasswordHash::create(b"decoy").unwrap();
        assert!(cheap.is_cheap() && !decoy.is_cheap());
        assert!(verify_at_one_price(Some(&cheap), &decoy, b"test12"));
        assert!(!verify_at_one_price(Some(&cheap), &decoy, b"decoy"), "the decoy's password opens nothing");
        assert!(!verify_at_one_price(None, &decoy, b"decoy"));
    }
}

//! Checks names and passwords.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::password::{PASSWORD_BYTES_MAX, PasswordHash, PasswordHashError};
use super::scram::{ClientFirst, ScramExchange, ScramKeys, ScramSecret};
use super::user::{ADMINISTRATOR, Users};
use super::verified::{Fingerprint, Fingerprinter, VerifiedCredentials};
use crate::config::Settings;

/// Longest user name, in bytes.
pub const USER_NAME_BYTES_MAX: usize = 255;

/// Someone who has proved to be that user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub name: Arc<str>,
    pub tags: Arc<[String]>,
    /// Only MQTT lets this user in.
    pub for_mqtt: bool,
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
#[derive(Clone, Debug, Default)]
pub struct AuthenticatorOptions {
    /// Passwords checked at the same time, 19 MiB each; further ones wait.
    pub verifications_concurrent_max: usize,
    /// Development mode: every name and password is accepted from loopback addresses, and from nowhere else.
    pub accept_all_from_loopback: bool,
    /// Users who may log in from loopback addresses only.
    pub loopback_users: Vec<String>,
    /// The user that clients are who show nothing; `None` refuses them.
    pub anonymous_user: Option<String>,
}

/// Is told of the user, the hash that a right password was checked against, and a better one of the same password.
pub type Rehashed = Box<dyn Fn(&str, &PasswordHash, PasswordHash) + Send + Sync>;

impl From<&Settings> for AuthenticatorOptions {
    fn from(settings: &Settings) -> Self {
        Self {
            verifications_concurrent_max: settings.limits.password_verifications_concurrent_max.into(),
            accept_all_from_loopback: settings.dev,
            loopback_users: settings.loopback_users.clone(),
            anonymous_user: settings.anonymous_user.clone(),
        }
    }
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
    /// What unknown users' salts are made of, in SCRAM.
    scram_secret: ArcSwap<ScramSecret>,
    accept_all_from_loopback: bool,
    loopback_users: Vec<String>,
    anonymous_user: Option<String>,
    rehashed: OnceLock<Rehashed>,
    /// Checks that were not answered from memory, for metrics and tests.
    checks_begun: AtomicU64,
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
            scram_secret: ArcSwap::from_pointee(ScramSecret::create().map_err(no_randomness)?),
            accept_all_from_loopback: options.accept_all_from_loopback,
            loopback_users: options.loopback_users,
            anonymous_user: options.anonymous_user,
            rehashed: OnceLock::new(),
            checks_begun: AtomicU64::new(0),
        })
    }

    /// Takes the secret of former runs, so that unknown users look the same after a restart, as known ones do.
    pub fn keep_scram_secret(&self, secret: ScramSecret) {
        self.scram_secret.store(Arc::new(secret));
    }

    /// The users as they are now.
    pub fn users(&self) -> Arc<Users> {
        self.users.load_full()
    }

    /// Replaces all users; takes effect for the next login.
    pub fn replace_users(&self, users: Users) {
        self.users.store(Arc::new(users));
    }

    /// Has somebody told when a hash can be replaced: one that RabbitMQ made, or one without keys for SCRAM. The first one stays.
    pub fn when_rehashed(&self, rehashed: Rehashed) {
        let _ = self.rehashed.set(rehashed);
    }

    /// Somebody who shows nothing, if the configuration has a user for that.
    ///
    /// # Errors
    /// It has none, or there is no such user, or not from that address.
    pub fn admit_anonymous(&self, peer: IpAddr) -> Result<Principal, AuthenticationError> {
        let name = self.anonymous_user.as_deref().ok_or(AuthenticationError::Refused)?;
        self.admit(peer, name)
    }

    /// Somebody whose name is proved otherwise, by a certificate.
    ///
    /// # Errors
    /// There is no such user, or not from that address.
    pub fn admit(&self, peer: IpAddr, name: &str) -> Result<Principal, AuthenticationError> {
        if self.accept_all_from_loopback && peer.to_canonical().is_loopback() {
            return Ok(self.unrestricted(name));
        }
        self.expect_address(peer, name)?;
        self.principal(&self.users.load(), name)
    }

    /// Password hashes computed since the start; logins that were remembered are not among them.
    pub fn checks_begun(&self) -> u64 {
        self.checks_begun.load(Ordering::Relaxed)
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
        self.expect_address(peer, name)?;
        let stored_hash = self.users.load().get(name).and_then(|user| user.password_hash.clone());
        self.check_password(name, password, stored_hash).await?;
        // Not as they were before the check: it took a while, and the user may be deleted.
        self.principal(&self.users.load(), name)
    }

    /// Answers the first message of a SCRAM-SHA-256 exchange. Users without keys for it, and unknown ones, get an answer like any other.
    ///
    /// # Errors
    /// It is no such message, or the user may not come from that address.
    pub fn begin_scram(&self, peer: IpAddr, message: &[u8]) -> Result<(ScramExchange, Vec<u8>), AuthenticationError> {
        let first = ClientFirst::parse(message).map_err(|_| AuthenticationError::Refused)?;
        if first.user.len() > USER_NAME_BYTES_MAX {
            return Err(AuthenticationError::Refused);
        }
        self.expect_address(peer, &first.user)?;
        let keys = self.scram_keys(&first.user).unwrap_or_else(|| self.scram_secret.load().decoy(&first.user));
        let mut nonce = [0; 18];
        getrandom::fill(&mut nonce).map_err(|_| AuthenticationError::Unavailable)?;
        Ok(ScramExchange::begin(first, keys, &STANDARD.encode(nonce)))
    }

    /// Takes the last message of an exchange: who it is, and what proves to the peer that we are who we say.
    ///
    /// # Errors
    /// It does not prove the password, or that is not the password any more.
    pub fn finish_scram(
        &self,
        exchange: &ScramExchange,
        message: &[u8],
    ) -> Result<(Principal, Vec<u8>), AuthenticationError> {
        let proof = exchange.finish(message).map_err(|_| AuthenticationError::Refused)?;
        if !self.scram_keys(exchange.user()).is_some_and(|keys| exchange.is_of(&keys)) {
            return Err(AuthenticationError::Refused);
        }
        Ok((self.principal(&self.users.load(), exchange.user())?, proof))
    }

    fn scram_keys(&self, user: &str) -> Option<ScramKeys> {
        self.users.load().get(user)?.password_hash.as_ref()?.scram().cloned()
    }

    fn principal(&self, users: &Users, name: &str) -> Result<Principal, AuthenticationError> {
        let user = users.get(name).ok_or(AuthenticationError::Refused)?;
        let (tags, for_mqtt) = (user.tags.as_slice().into(), users.is_for_mqtt(name));
        Ok(Principal { name: name.into(), tags, for_mqtt, unrestricted: false })
    }

    fn expect_address(&self, peer: IpAddr, name: &str) -> Result<(), AuthenticationError> {
        if peer.to_canonical().is_loopback() || !self.loopback_users.iter().any(|user| user == name) {
            return Ok(());
        }
        tracing::warn!(user = name, %peer, "refused: the user can only connect via localhost (loopback_users)");
        Err(AuthenticationError::Refused)
    }

    fn unrestricted(&self, name: &str) -> Principal {
        Principal { name: name.into(), tags: [ADMINISTRATOR.to_owned()].into(), for_mqtt: false, unrestricted: true }
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
        self.checks_begun.fetch_add(1, Ordering::Relaxed);
        let (password, decoy) = (Zeroizing::new(password.to_vec()), self.decoy.clone());
        let known = stored_hash.clone();
        // The permit travels with the check, and stays taken until a right password is remembered.
        let check = move || {
            let matches = verify_at_one_price(stored_hash.as_ref(), &decoy, &password);
            let is_replaced = matches && stored_hash.is_some_and(|hash| hash.is_cheap() || hash.scram().is_none());
            (matches, is_replaced.then(|| PasswordHash::create(&password)), permit)
        };
        let (matches, better, _permit) =
            tokio::task::spawn_blocking(check).await.map_err(|_| AuthenticationError::Unavailable)?;
        let fingerprint = fingerprint.filter(|_| matches).ok_or(AuthenticationError::Refused)?;
        self.lock_verified().insert(fingerprint);
        if let (Some(rehashed), Some(known), Some(Ok(better))) = (self.rehashed.get(), known, better) {
            rehashed(name, &known, better);
        }
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
        let password_hash = Some(PasswordHash::create(password).unwrap());
        users.insert(UserRecord { name: "a".into(), password_hash, tags: vec!["monitoring".into()] });
        users
    }

    fn authenticator(users: Users, accept_all_from_loopback: bool) -> Authenticator {
        let loopback_users = vec!["local".to_owned()];
        let options = AuthenticatorOptions {
            verifications_concurrent_max: 1,
            accept_all_from_loopback,
            loopback_users,
            anonymous_user: Some("local".to_owned()),
        };
        Authenticator::new(users, options).unwrap()
    }

    fn remembered(authenticator: &Authenticator, password: &[u8]) -> bool {
        let hash = authenticator.users().get("a").unwrap().password_hash.clone().unwrap();
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
    async fn who_is_deleted_while_the_password_is_checked_is_refused() {
        let authenticator = authenticator(users(b"right"), false);
        let permit = authenticator.permits.acquire().await.unwrap();
        let mut login = std::pin::pin!(authenticator.authenticate(LOOPBACK, "a", b"right"));
        tokio::select! {
            biased;
            _ = &mut login => unreachable!("it waits for the permit"),
            () = std::future::ready(()) => {}
        }
        authenticator.replace_users(Users::default());
        drop(permit);
        assert_eq!(login.await, Err(AuthenticationError::Refused));
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

    /// One permit and a current-thread runtime: all thousand wait, the first checks, the others find it remembered.
    #[tokio::test]
    async fn a_thousand_clients_with_the_same_credentials_cost_one_check() {
        let authenticator = Arc::new(authenticator(users(b"right"), false));
        let logins: Vec<_> = (0..1000)
            .map(|_| {
                let authenticator = Arc::clone(&authenticator);
                tokio::spawn(async move { authenticator.authenticate(LOOPBACK, "a", b"right").await })
            })
            .collect();
        for login in logins {
            assert!(login.await.unwrap().is_ok());
        }
        assert_eq!(authenticator.checks_begun(), 1);
    }

    /// The only blocking thread is kept busy, so the check cannot have finished while we look.
    #[test]
    fn a_check_whose_caller_gave_up_still_holds_its_permit() {
        let authenticator = authenticator(users(b"right"), false);
        let runtime =
            tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_time().build().unwrap();
        runtime.block_on(async {
            let (release, released) = std::sync::mpsc::channel::<()>();
            tokio::task::spawn_blocking(move || released.recv());
            let login = authenticator.authenticate(LOOPBACK, "a", b"wrong");
            assert!(tokio::time::timeout(std::time::Duration::ZERO, login).await.is_err());
            assert_eq!(authenticator.permits.available_permits(), 0);
            release.send(()).unwrap();
            assert!(authenticator.permits.acquire().await.is_ok());
        });
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

    #[tokio::test]
    async fn some_users_come_from_loopback_only() {
        let mut users = Users::default();
        let password_hash = Some(PasswordHash::create(b"right").unwrap());
        users.insert(UserRecord { name: "local".into(), password_hash, tags: vec![] });
        let authenticator = authenticator(users, false);
        for (peer, is_let_in) in [(LOOPBACK, true), ("::1".parse().unwrap(), true), (ELSEWHERE, false)] {
            assert_eq!(authenticator.authenticate(peer, "local", b"right").await.is_ok(), is_let_in, "{peer}");
            assert_eq!(authenticator.admit(peer, "local").is_ok(), is_let_in, "{peer}");
            assert_eq!(authenticator.admit_anonymous(peer).is_ok(), is_let_in, "{peer}");
        }
        assert_eq!(authenticator.admit(LOOPBACK, "nobody"), Err(AuthenticationError::Refused));
    }

    #[tokio::test]
    async fn a_right_password_gives_a_better_hash_in_place_of_rabbitmqs() {
        let mut users = Users::default();
        let rabbitmqs = PasswordHash::parse("kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR").unwrap();
        users.insert(UserRecord { name: "a".into(), password_hash: Some(rabbitmqs.clone()), tags: vec![] });
        let authenticator = authenticator(users, false);
        let (sender, heard) = std::sync::mpsc::channel();
        authenticator.when_rehashed(Box::new(move |name, known, better| {
            sender.send((name.to_owned(), known.clone(), better)).unwrap();
        }));
        assert!(authenticator.authenticate(LOOPBACK, "a", b"wrong").await.is_err());
        assert!(heard.try_recv().is_err());
        authenticator.authenticate(LOOPBACK, "a", b"test12").await.unwrap();
        let (name, known, better) = heard.try_recv().unwrap();
        assert_eq!((name.as_str(), known), ("a", rabbitmqs));
        assert!(better.verify(b"test12") && !better.is_cheap());
    }
}

//! Password hashes: argon2id for our own, RabbitMQ's and Mosquitto's for those that were brought along.

mod mosquitto;

use std::fmt;

use argon2::password_hash::phc;
use argon2::{Argon2, Params, PasswordHasher, PasswordVerifier};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::scram::ScramKeys;
use crate::config::Secret;
use mosquitto::MosquittoHash;

/// Longest password, in bytes. Longer ones are refused unseen, so that nobody makes us hash megabytes.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Most memory a stored hash may ask for, in KiB: with the bound on concurrent checks this bounds all of them.
const ARGON2_MEMORY_KIB_MAX: u32 = 64 * 1024;

/// Most passes over that memory a stored hash may ask for.
const ARGON2_PASSES_MAX: u32 = 16;

/// RabbitMQ puts this many bytes of salt before the digest.
const RABBITMQ_SALT_BYTES: usize = 4;

/// A stored password hash. `Debug` does not show it.
#[derive(Clone)]
pub struct PasswordHash {
    text: Secret,
    scheme: Scheme,
    /// Where the password was known in clear.
    scram: Option<Box<ScramKeys>>,
}

#[derive(Clone)]
enum Scheme {
    Argon2id,
    RabbitMqMd5(Vec<u8>),
    RabbitMqSha256(Vec<u8>),
    RabbitMqSha512(Vec<u8>),
    Mosquitto(MosquittoHash),
}

/// Why a text is not a usable password hash. It never quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordHashError {
    #[error(
        "expected the output of `crossdock hash-password` or `mosquitto_passwd`, or a RabbitMQ SHA-256, SHA-512 or MD5 hash in base64"
    )]
    Unknown,
    #[error(
        "this hash asks for more than {ARGON2_MEMORY_KIB_MAX} KiB of memory, {ARGON2_PASSES_MAX} passes, or a million rounds of PBKDF2"
    )]
    TooExpensive,
    #[error("expected a password of 1 to {PASSWORD_BYTES_MAX} bytes")]
    PasswordLength,
    #[error("could not hash: {0}")]
    Hashing(argon2::password_hash::Error),
}

impl PasswordHash {
    /// Reads an argon2id PHC string, a Mosquitto hash (`$6$`, `$7$`) or a RabbitMQ hash: base64 of 4 bytes of salt and the SHA-256,
    /// SHA-512 or MD5 of salt and password.
    ///
    /// # Errors
    /// [`PasswordHashError::Unknown`] and [`PasswordHashError::TooExpensive`].
    pub fn parse(text: &str) -> Result<Self, PasswordHashError> {
        let scheme = match text.as_bytes() {
            [b'$', b'6' | b'7', ..] => Scheme::Mosquitto(MosquittoHash::parse(text)?),
            [b'$', ..] => argon2_scheme(text)?,
            _ => rabbitmq_scheme(text)?,
        };
        Ok(Self { text: Secret::new(text), scheme, scram: None })
    }

    /// The same with keys for SCRAM-SHA-256, which were made of the same password.
    pub fn with_scram(mut self, keys: ScramKeys) -> Self {
        self.scram = Some(Box::new(keys));
        self
    }

    /// Keys for SCRAM-SHA-256; none for a hash that was brought along.
    pub fn scram(&self) -> Option<&ScramKeys> {
        self.scram.as_deref()
    }

    /// Hashes a new password with argon2id, 19 MiB, 2 passes (OWASP's minimum). Takes some 20 ms of a core.
    ///
    /// # Errors
    /// [`PasswordHashError::PasswordLength`], or [`PasswordHashError::Hashing`] when memory or randomness is missing.
    pub fn create(password: &[u8]) -> Result<Self, PasswordHashError> {
        if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
            return Err(PasswordHashError::PasswordLength);
        }
        let hash = Argon2::default().hash_password(password).map_err(PasswordHashError::Hashing)?;
        let no_randomness = |_| PasswordHashError::Hashing(argon2::password_hash::Error::RngFailure);
        let scram = ScramKeys::create(password).map_err(no_randomness)?;
        Ok(Self { text: Secret::new(hash.to_string()), scheme: Scheme::Argon2id, scram: Some(Box::new(scram)) })
    }

    /// Whether `password` is the one that was hashed. Blocks: argon2id takes 19 MiB and some 20 ms.
    pub fn verify(&self, password: &[u8]) -> bool {
        match &self.scheme {
            Scheme::Argon2id => Argon2::default().verify_password(password, self.text.expose()).is_ok(),
            Scheme::RabbitMqMd5(salted) => salted_digest_matches::<Md5>(salted, password),
            Scheme::RabbitMqSha256(salted) => salted_digest_matches::<Sha256>(salted, password),
            Scheme::RabbitMqSha512(salted) => salted_digest_matches::<Sha512>(salted, password),
            Scheme::Mosquitto(hash) => hash.verify(password),
        }
    }

    /// The hash as text, for storing; [`PasswordHash::parse`] reads it back.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// Whether checking it costs next to nothing, so that a refusal would come faster than for other users.
    ///
    /// It is one that RabbitMQ or Mosquitto made, then, and is worth replacing once the password is known.
    pub fn is_cheap(&self) -> bool {
        !matches!(self.scheme, Scheme::Argon2id)
    }
}

impl PartialEq for PasswordHash {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PasswordHash({})", self.text)
    }
}

fn argon2_scheme(text: &str) -> Result<Scheme, PasswordHashError> {
    let hash = phc::PasswordHash::new(text).map_err(|_| PasswordHashError::Unknown)?;
    let params = Params::try_from(&hash).map_err(|_| PasswordHashError::Unknown)?;
    if hash.algorithm.as_str() != "argon2id" || hash.hash.is_none() || hash.salt.is_none() {
        return Err(PasswordHashError::Unknown);
    }
    if params.m_cost() > ARGON2_MEMORY_KIB_MAX || params.t_cost() > ARGON2_PASSES_MAX {
        return Err(PasswordHashError::TooExpensive);
    }
    Ok(Scheme::Argon2id)
}

fn rabbitmq_scheme(text: &str) -> Result<Scheme, PasswordHashError> {
    const MD5_BYTES: usize = RABBITMQ_SALT_BYTES + 16;
    const SHA256_BYTES: usize = RABBITMQ_SALT_BYTES + 32;
    const SHA512_BYTES: usize = RABBITMQ_SALT_BYTES + 64;
    let salted = STANDARD.decode(text.trim()).map_err(|_| PasswordHashError::Unknown)?;
    match salted.len() {
        MD5_BYTES => Ok(Scheme::RabbitMqMd5(salted)),
        SHA256_BYTES => Ok(Scheme::RabbitMqSha256(salted)),
        SHA512_BYTES => Ok(Scheme::RabbitMqSha512(salted)),
        _ => Err(PasswordHashError::Unknown),
    }
}

fn salted_digest_matches<D: Digest>(salted: &[u8], password: &[u8]) -> bool {
    let (salt, expected) = salted.split_at(RABBITMQ_SALT_BYTES);
    let digest = D::new().chain_update(salt).chain_update(password).finalize();
    digest.as_slice().ct_eq(expected).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_created_hash_verifies_its_password_and_no_other_and_reads_back() {
        let hash = PasswordHash::create(b"canary").unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        let read_back = PasswordHash::parse(hash.expose()).unwrap();
        assert!(read_back.verify(b"canary") && !read_back.verify(b"canar") && !read_back.verify(b""));
        assert_eq!(format!("{hash:?}"), "PasswordHash(***)");
    }

    #[test]
    fn two_hashes_of_one_password_differ() {
        let hashes = [(); 2].map(|()| PasswordHash::create(b"same").unwrap());
        assert_ne!(hashes[0].expose(), hashes[1].expose());
    }

    /// The example of RabbitMQ's documentation, "Computing a password hash".
    #[test]
    fn rabbitmq_sha256_example_verifies() {
        let hash = PasswordHash::parse("kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR").unwrap();
        assert!(hash.verify(b"test12") && !hash.verify(b"test13"));
    }

    #[test]
    fn rabbitmq_sha512_verifies() {
        let digest = Sha512::digest(b"saltsecret");
        let text = STANDARD.encode([b"salt".as_slice(), digest.as_slice()].concat());
        let hash = PasswordHash::parse(&text).unwrap();
        assert!(hash.verify(b"secret") && !hash.verify(b"Secret"));
    }

    /// Made by mosquitto_passwd 2.0.11.
    #[test]
    fn mosquitto_hashes_verify() {
        let pbkdf2 = "$7$101$6FCtrJUPK7FpZRxv$cQl4JkM1aGpANebRGd7HZ3GtKtlJKEvBqyzjcm7FNE2SYUtSNbcvWPmZFefRvFLqOJI0J8pW0XGR26f9QKA9Kg==";
        let sha512 = "$6$655TGnKuhIBLF7QF$sopSH7mjy6z5Y5uuapCMtfM2N3YVAnuxNsxEkkhHAwOGtuOyawgcxsPTJ2r8R69zmatmUuzd3NzPxbouFjG4CA==";
        for text in [pbkdf2, sha512] {
            let hash = PasswordHash::parse(text).unwrap();
            assert!(hash.verify(b"secret") && !hash.verify(b"Secret") && hash.is_cheap(), "{text}");
        }
        let fields: Vec<&str> = pbkdf2.split('$').collect();
        let with = |iterations: &str| PasswordHash::parse(&pbkdf2.replacen("101", iterations, 1)).map(|_| ());
        assert_eq!(with("1000000"), Ok(()));
        assert_eq!(with("1000001"), Err(PasswordHashError::TooExpensive));
        let short = format!("$7$101${}$", fields[3]);
        for text in ["$7$", "$6$", "$7$101", &pbkdf2.replacen("101", "0", 1), &short, &format!("{sha512}$x")] {
            assert_eq!(PasswordHash::parse(text).unwrap_err(), PasswordHashError::Unknown, "{text}");
        }
    }

    #[test]
    fn rabbitmq_md5_verifies() {
        let digest = Md5::digest(b"saltsecret");
        let text = STANDARD.encode([b"salt".as_slice(), digest.as_slice()].concat());
        let hash = PasswordHash::parse(&text).unwrap();
        assert!(hash.verify(b"secret") && !hash.verify(b"Secret") && hash.is_cheap());
    }

    #[test]
    fn what_is_not_a_hash_is_refused() {
        let sha1 = STANDARD.encode([0; 24]);
        let argon2i = "$argon2i$v=19$m=16,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA";
        let no_digest = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ";
        for text in ["", "$", "canary", &sha1, argon2i, no_digest, "$argon2id$v=19$m=x$a$b"] {
            assert_eq!(PasswordHash::parse(text).unwrap_err(), PasswordHashError::Unknown, "{text}");
        }
    }

    #[test]
    fn a_hash_that_costs_too_much_is_refused() {
        let hash =
            |memory, passes| format!("$argon2id$v=19$m={memory},t={passes},p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA");
        assert!(PasswordHash::parse(&hash(65536, 16)).is_ok());
        assert_eq!(PasswordHash::parse(&hash(65537, 16)).unwrap_err(), PasswordHashError::TooExpensive);
        assert_eq!(PasswordHash::parse(&hash(65536, 17)).unwrap_err(), PasswordHashError::TooExpensive);
    }

    #[test]
    fn passwords_have_a_length() {
        assert_eq!(PasswordHash::create(b"").unwrap_err(), PasswordHashError::PasswordLength);
        assert!(PasswordHash::create(&[b'a'; PASSWORD_BYTES_MAX]).is_ok());
        let error = PasswordHash::create(&[b'a'; PASSWORD_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(error, PasswordHashError::PasswordLength);
    }
}

//! Hashes that `mosquitto_passwd` makes: `$6$salt$hash` and `$7$iterations$salt$hash`, salt and hash in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha512};
use subtle::ConstantTimeEq;

use super::PasswordHashError;

/// Most rounds that a stored hash may ask for; Mosquitto's own number is 101. A million take about a second.
const ITERATIONS_MAX: u32 = 1_000_000;
const HASH_BYTES: usize = 64;

/// What a line of a password file says of a password.
#[derive(Clone)]
pub(super) struct MosquittoHash {
    /// `None` for `$6$`, which hashes once.
    iterations: Option<u32>,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl MosquittoHash {
    /// Reads what follows the name and the colon.
    pub(super) fn parse(text: &str) -> Result<Self, PasswordHashError> {
        let mut fields = text.split('$').skip(1);
        let iterations = match fields.next() {
            Some("6") => None,
            Some("7") => Some(iterations(fields.next())?),
            _ => return Err(PasswordHashError::Unknown),
        };
        let mut decoded = || fields.next().and_then(|field| STANDARD.decode(field).ok());
        let (Some(salt), Some(hash)) = (decoded(), decoded()) else { return Err(PasswordHashError::Unknown) };
        if fields.next().is_some() || salt.is_empty() || hash.len() != HASH_BYTES {
            return Err(PasswordHashError::Unknown);
        }
        Ok(Self { iterations, salt, hash })
    }

    pub(super) fn verify(&self, password: &[u8]) -> bool {
        let mut computed = [0; HASH_BYTES];
        match self.iterations {
            None => {
                computed.copy_from_slice(&Sha512::new().chain_update(password).chain_update(&self.salt).finalize());
            }
            Some(iterations) => pbkdf2::pbkdf2_hmac::<Sha512>(password, &self.salt, iterations, &mut computed),
        }
        computed.as_slice().ct_eq(&self.hash).into()
    }
}

fn iterations(field: Option<&str>) -> Result<u32, PasswordHashError> {
    match field.and_then(|field| field.parse().ok()) {
        Some(0) | None => Err(PasswordHashError::Unknown),
        Some(iterations) if iterations > ITERATIONS_MAX => Err(PasswordHashError::TooExpensive),
        Some(iterations) => Ok(iterations),
    }
}

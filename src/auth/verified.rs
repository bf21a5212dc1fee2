//! Remembers which credentials were right, so that ten thousand reconnecting clients cost one argon2id, not ten thousand.

use std::collections::HashSet;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Credentials remembered at most, in two halves of this size; 32 bytes each.
const HALF_ENTRIES_MAX: usize = 8192;

/// The fingerprint of a name, a password and the stored hash they were checked against.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// Makes fingerprints with a key that this process drew at random, so that a memory dump reveals nothing that could be
/// tested against other passwords.
pub struct Fingerprinter(Hmac<Sha256>);

impl Fingerprinter {
    /// Draws the key.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut key = [0; 64];
        getrandom::fill(&mut key)?;
        Ok(Self(Hmac::new(&key.into())))
    }

    /// The fingerprint. It covers the stored hash: a changed password invalidates what was remembered, without any sweep.
    pub fn of(&self, name: &str, password: &[u8], stored_hash: &str) -> Fingerprint {
        let mut mac = self.0.clone();
        for part in [name.as_bytes(), password, stored_hash.as_bytes()] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        Fingerprint(mac.finalize().into_bytes().into())
    }
}

/// A bounded set that forgets the older half when full.
#[derive(Default)]
pub struct VerifiedCredentials {
    recent: HashSet<Fingerprint>,
    older: HashSet<Fingerprint>,
}

impl VerifiedCredentials {
    /// Whether these credentials were right before. A hit keeps them from being forgotten.
    pub fn contains(&mut self, fingerprint: Fingerprint) -> bool {
        if self.recent.contains(&fingerprint) {
            return true;
        }
        let found = self.older.contains(&fingerprint);
        if found {
            self.insert(fingerprint);
        }
        found
    }

    /// Remembers credentials that were just verified.
    pub fn insert(&mut self, fingerprint: Fingerprint) {
        if self.recent.len() >= HALF_ENTRIES_MAX {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(fingerprint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: usize) -> Fingerprint {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        Fingerprint(bytes)
    }

    #[test]
    fn a_fingerprint_depends_on_every_part_and_on_where_it_ends() {
        let fingerprinter = Fingerprinter::new().unwrap();
        let fingerprint = |name, password: &str, hash| fingerprinter.of(name, password.as_bytes(), hash).0;
        let all = [
            fingerprint("ab", "c", "h"),
            fingerprint("a", "bc", "h"),
            fingerprint("ab", "c", "i"),
            Fingerprinter::new().unwrap().of("ab", b"c", "h").0,
        ];
        assert_eq!(HashSet::from(all).len(), all.len());
        assert_eq!(fingerprint("ab", "c", "h"), all[0]);
    }

    #[test]
    fn the_set_is_bounded_and_keeps_what_is_used() {
        let mut verified = VerifiedCredentials::default();
        for number in 0..10 * HALF_ENTRIES_MAX {
            verified.insert(numbered(number));
            assert!(verified.contains(numbered(0)), "used entries stay, at {number}");
        }
        assert!(verified.recent.len() + verified.older.len() <= 2 * HALF_ENTRIES_MAX);
        assert!(!verified.contains(numbered(1)));
    }
}

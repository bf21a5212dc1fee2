//! Master keys.

use std::fmt;
use std::io;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::digest::{Context, SHA256};

/// Length of a master key and of a data key.
pub const KEY_BYTES: usize = 32;

/// Names a master key without telling anything of it: the start of a hash over it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(crate) [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// A key that seals the data keys of files. The library that holds it overwrites it when it is dropped.
#[derive(Clone)]
pub struct MasterKey {
    id: KeyId,
    key: Arc<LessSafeKey>,
}

impl MasterKey {
    /// Of these bytes, which should be random; the caller's copy stays the caller's care.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn new(bytes: &[u8; KEY_BYTES]) -> io::Result<MasterKey> {
        let mut hash = Context::new(&SHA256);
        hash.update(b"crossdock master key ");
        hash.update(bytes);
        let id = hash.finish().as_ref().first_chunk().copied().unwrap_or_default();
        Ok(MasterKey { id: KeyId(id), key: Arc::new(aes(bytes)?) })
    }

    /// Its name.
    pub fn id(&self) -> KeyId {
        self.id
    }

    pub(super) fn key(&self) -> &LessSafeKey {
        &self.key
    }
}

/// The key for AES-256-GCM. Who uses it sees to it that no nonce is used twice.
///
/// # Errors
/// The library has no memory for it.
pub(super) fn aes(bytes: &[u8; KEY_BYTES]) -> io::Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| io::Error::other("a key cannot be made"))?;
    Ok(LessSafeKey::new(key))
}

/// Fills a buffer with what nobody can guess.
pub(super) type Entropy = fn(&mut [u8]) -> io::Result<()>;

fn system_entropy(buffer: &mut [u8]) -> io::Result<()> {
    aws_lc_rs::rand::fill(buffer).map_err(|_| io::Error::other("the operating system gives no random numbers"))
}

/// The master keys of a journal. Without any, files are written as they are and sealed ones cannot be opened.
#[derive(Clone)]
pub struct Keyring {
    sealing: Option<MasterKey>,
    opening: Vec<MasterKey>,
    pub(super) entropy: Entropy,
}

impl Default for Keyring {
    fn default() -> Keyring {
        Keyring::new(None, Vec::new())
    }
}

impl Keyring {
    /// New files are sealed with `sealing`, or not at all; what it or one of `opening` sealed can be read.
    pub fn new(sealing: Option<MasterKey>, opening: Vec<MasterKey>) -> Keyring {
        Keyring { sealing, opening, entropy: system_entropy }
    }

    /// The same with randomness that is none, for bytes that are to be compared.
    #[cfg(test)]
    pub(crate) fn with_entropy(self, entropy: Entropy) -> Keyring {
        Keyring { entropy, ..self }
    }

    /// New files are sealed.
    pub fn seals(&self) -> bool {
        self.sealing.is_some()
    }

    /// There are no keys at all.
    pub fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// The names of all keys.
    pub fn ids(&self) -> Vec<KeyId> {
        self.all().map(MasterKey::id).collect()
    }

    pub(super) fn sealing(&self) -> Option<&MasterKey> {
        self.sealing.as_ref()
    }

    pub(super) fn find(&self, id: KeyId) -> Option<&MasterKey> {
        self.all().find(|key| key.id == id)
    }

    fn all(&self) -> impl Iterator<Item = &MasterKey> {
        self.sealing.iter().chain(&self.opening)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keyring").field("seals", &self.seals()).field("keys", &self.ids()).finish()
    }
}

//! The header of a sealed file: which master key, and the file's own key sealed with it. It stands there twice, in pages of their
//! own, because all that is in the file is lost with it.
//!
//! Its first bytes are those of a header of the journal in a format that earlier versions refuse: they leave such a folder alone
//! instead of taking what they cannot read for torn.

use std::io::{self, IoSlice};

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use thiserror::Error;
use zeroize::Zeroizing;

use super::keys::{KEY_BYTES, KeyId, Keyring, MasterKey, aes};
use crate::disk::{DiskFile, read_full, write_all_at};
use crate::format::{HEADER_BYTES, Header, Role};
use crate::types::{BatchSequence, Epoch};

/// The format that sealed files have been there since; the next format of anything is a higher one.
const SEALED_VERSION: u16 = 3;
/// Size of the sealed data key with its tag.
const SEALED_KEY_BYTES: usize = KEY_BYTES + 16;
const ID_AT: usize = HEADER_BYTES;
const NONCE_AT: usize = ID_AT + 8;
const KEY_AT: usize = NONCE_AT + NONCE_LEN;
const CRC_AT: usize = KEY_AT + SEALED_KEY_BYTES;
/// Size of the header.
pub(super) const SEALED_HEADER_BYTES: usize = CRC_AT + 4;
/// Where the header and its copy stand.
const PLACES: [u64; 2] = [0, 4096];
/// Where the blocks begin.
pub(super) const BLOCKS_AT: u64 = 8192;

/// Why a sealed file cannot be opened. It is never changed then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SealError {
    /// Its key is not there.
    #[error(
        "it is encrypted with key {key}, and {}: name the file of that key in store.encryption.key_file or \
         store.encryption.old_key_files; nothing has been changed",
        known_keys(.known)
    )]
    KeyMissing { key: KeyId, known: Vec<KeyId> },
    /// Its key is there, and its header is not what was written with it.
    #[error(
        "its header names key {key}, but was changed: that key does not open it; restore the file from a backup; \
         nothing has been changed"
    )]
    Changed { key: KeyId },
    /// There are no keys, and which is needed can't be told.
    #[error("it is encrypted, and its header is damaged: start with its key configured; nothing has been changed")]
    Damaged,
    /// The disk refuses to show whether it is sealed at all.
    #[error("whether it is encrypted cannot be read: {0}; nothing has been changed")]
    Unreadable(String),
}

fn known_keys(known: &[KeyId]) -> String {
    match known {
        [] => "no key is configured".to_owned(),
        [one] => format!("the only key configured is {one}"),
        several => format!("the keys configured are {several:?}"),
    }
}

/// The key of one file.
pub(super) struct DataKey {
    pub(super) key: LessSafeKey,
    pub(super) header: [u8; SEALED_HEADER_BYTES],
}

impl DataKey {
    /// A new one, sealed; `None` if there is nothing to seal with.
    pub(super) fn new(keys: &Keyring) -> Option<io::Result<DataKey>> {
        keys.sealing().map(|master| DataKey::sealed(master, keys))
    }

    fn sealed(master: &MasterKey, keys: &Keyring) -> io::Result<DataKey> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        let mut nonce = [0; NONCE_LEN];
        (keys.entropy)(bytes.as_mut())?;
        (keys.entropy)(&mut nonce)?;
        let key = aes(&bytes)?;
        let mut header = [0; SEALED_HEADER_BYTES];
        header[..HEADER_BYTES].copy_from_slice(&prefix());
        header[ID_AT..NONCE_AT].copy_from_slice(&master.id().0);
        header[NONCE_AT..KEY_AT].copy_from_slice(&nonce);
        let (said, sealed) = header.split_at_mut(KEY_AT);
        sealed[..KEY_BYTES].copy_from_slice(bytes.as_ref());
        let tag = master
            .key()
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(&said[..NONCE_AT]),
                &mut sealed[..KEY_BYTES],
            )
            .map_err(|_| io::Error::other("a key cannot be sealed"))?;
        sealed[KEY_BYTES..SEALED_KEY_BYTES].copy_from_slice(tag.as_ref());
        let crc = crc32c::crc32c(&header[..CRC_AT]);
        header[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        Ok(DataKey { key, header })
    }
}

/// Header and copy.
pub(super) fn write(file: &dyn DiskFile, header: &[u8]) -> io::Result<()> {
    PLACES.into_iter().try_for_each(|place| write_all_at(file, place, &mut [IoSlice::new(header)]))
}

/// The key of a sealed file and the name of its master key; `None` if the file is not sealed.
///
/// If header and copy are damaged, the file's key is lost: it comes with one that opens nothing.
pub(super) fn read(file: &dyn DiskFile, keys: &Keyring) -> Result<Option<(LessSafeKey, Option<KeyId>)>, SealError> {
    let mut refused = None;
    for header in PLACES.into_iter().filter_map(|place| header_at(file, place)) {
        match open(&header, keys) {
            Ok((key, id)) => return Ok(Some((key, Some(id)))),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match refused {
        Some(error) => Err(error),
        None => without_header(file, keys),
    }
}

fn without_header(file: &dyn DiskFile, keys: &Keyring) -> Result<Option<(LessSafeKey, Option<KeyId>)>, SealError> {
    let places = PLACES.map(|place| bytes_at(file, place));
    if places.iter().flatten().flatten().next().is_some() {
        return if keys.is_empty() { Err(SealError::Damaged) } else { Ok(Some((unknown_key(keys)?, None))) };
    }
    // One place that can be read and is no header is enough. Without keys nothing is expected to be sealed.
    match places {
        [Err(error), Err(_)] if !keys.is_empty() => Err(SealError::Unreadable(error.to_string())),
        _ => Ok(None),
    }
}

fn unknown_key(keys: &Keyring) -> Result<LessSafeKey, SealError> {
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    // Known bytes would open what somebody forges.
    (keys.entropy)(bytes.as_mut()).and_then(|()| aes(&bytes)).map_err(|_| SealError::Damaged)
}

/// The file is sealed.
pub(super) fn is_there(file: &dyn DiskFile) -> bool {
    PLACES.into_iter().any(|place| header_at(file, place).is_some())
}

/// What cannot be read is no header: there is the other one.
fn header_at(file: &dyn DiskFile, place: u64) -> Option<[u8; SEALED_HEADER_BYTES]> {
    let crc = |header: &[u8; SEALED_HEADER_BYTES]| crc32c::crc32c(&header[..CRC_AT]).to_le_bytes();
    bytes_at(file, place).ok()?.filter(|header| header[CRC_AT..] == crc(header))
}

/// What begins as a header does.
fn bytes_at(file: &dyn DiskFile, place: u64) -> io::Result<Option<[u8; SEALED_HEADER_BYTES]>> {
    let mut header = [0; SEALED_HEADER_BYTES];
    read_full(file, place, &mut header)?;
    Ok(header.starts_with(&prefix()).then_some(header))
}

fn open(header: &[u8; SEALED_HEADER_BYTES], keys: &Keyring) -> Result<(LessSafeKey, KeyId), SealError> {
    let id = KeyId(header[ID_AT..].first_chunk().copied().unwrap_or_default());
    let master = keys.find(id).ok_or_else(|| SealError::KeyMissing { key: id, known: keys.ids() })?;
    let nonce = header[NONCE_AT..].first_chunk().copied().unwrap_or_default();
    let mut sealed = Zeroizing::new([0; SEALED_KEY_BYTES]);
    sealed.copy_from_slice(&header[KEY_AT..CRC_AT]);
    let said = Aad::from(&header[..NONCE_AT]);
    let opened = master.key().open_in_place(Nonce::assume_unique_for_key(nonce), said, sealed.as_mut());
    let opened = opened.ok().and_then(|bytes| bytes.first_chunk()).ok_or(SealError::Changed { key: id })?;
    let key = aes(opened).map_err(|error| SealError::Unreadable(error.to_string()))?;
    Ok((key, id))
}

fn prefix() -> [u8; HEADER_BYTES] {
    let header = Header {
        version: SEALED_VERSION,
        role: Role::Sealed,
        identity: 0,
        epoch: Epoch(0),
        sequence: BatchSequence::NONE,
        durable: BatchSequence::NONE,
        offset: 0,
        length_bytes: SEALED_HEADER_BYTES as u32,
        records: 0,
        table_crc: 0,
        previous_crc: 0,
    };
    header.encode().0
}

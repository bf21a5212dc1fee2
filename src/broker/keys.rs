//! Reads the keys of the journal's files.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crossdock_store::{KEY_BYTES, Keyring, MasterKey};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::config::EncryptionSettings;

/// Largest key file, in bytes: hexadecimal with room for a line end.
const FILE_BYTES_MAX: u64 = 2 * KEY_BYTES as u64 + 2;

/// A key that cannot be used. Nothing of the file's contents is in it.
#[derive(Debug, Error)]
#[error("{setting}: {}: {why}", .path.display())]
pub struct KeyFileError {
    setting: &'static str,
    path: PathBuf,
    why: Why,
}

#[derive(Debug, Error)]
enum Why {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("others than its owner may read it (mode {0:04o}): chmod 600")]
    Open(u32),
    #[error(
        "expected a key of {KEY_BYTES} bytes, as they are, in hexadecimal or in base64; found {0} bytes that are none"
    )]
    Malformed(u64),
}

/// The keys that are configured.
///
/// # Errors
/// The first file that cannot be used, with its setting.
pub fn keyring(settings: &EncryptionSettings) -> Result<Keyring, KeyFileError> {
    let named = |setting, path: &Path| read(path).map_err(|why| KeyFileError { setting, path: path.to_owned(), why });
    let sealing = settings.key_file.as_deref().map(|path| named("store.encryption.key_file", path)).transpose()?;
    let old = settings.old_key_files.iter().map(|path| named("store.encryption.old_key_files", Path::new(path)));
    Ok(Keyring::new(sealing, old.collect::<Result<_, _>>()?))
}

fn read(path: &Path) -> Result<MasterKey, Why> {
    let facts = std::fs::metadata(path)?;
    let mode = facts.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(Why::Open(mode));
    }
    if !facts.is_file() || facts.len() > FILE_BYTES_MAX {
        return Err(Why::Malformed(facts.len()));
    }
    let bytes = Zeroizing::new(std::fs::read(path)?);
    let key = parse(&bytes).ok_or(Why::Malformed(bytes.len() as u64))?;
    Ok(MasterKey::new(&key)?)
}

fn parse(bytes: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    if bytes.len() == KEY_BYTES {
        key.copy_from_slice(bytes);
        return Some(key);
    }
    let text = bytes.trim_ascii();
    if text.len() == 2 * KEY_BYTES {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        for (byte, [high, low]) in key.iter_mut().zip(text.as_chunks().0) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        return Some(key);
    }
    let decoded = Zeroizing::new(STANDARD.decode(text).ok()?);
    key.copy_from_slice(decoded.first_chunk::<KEY_BYTES>().filter(|_| decoded.len() == KEY_BYTES)?);
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1E1F";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn written(contents: &[u8], mode: u32) -> (tempfile::TempDir, EncryptionSettings) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, contents).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        let settings = EncryptionSettings { key_file: Some(path), ..EncryptionSettings::default() };
        (folder, settings)
    }

    fn refused(contents: &[u8], mode: u32) -> String {
        let (folder, settings) = written(contents, mode);
        let text = keyring(&settings).unwrap_err().to_string();
        let named = format!("store.encryption.key_file: {}: ", folder.path().join("key").display());
        text.strip_prefix(&named).unwrap_or_else(|| panic!("{text}")).to_owned()
    }

    #[test]
    fn a_key_is_raw_hexadecimal_or_base64() {
        let raw: Vec<u8> = (0..32).collect();
        let id = MasterKey::new(&raw.as_slice().try_into().unwrap()).unwrap().id();
        let texts = [raw, HEX.into(), format!("{HEX}\n").into(), BASE64.into(), format!("{BASE64}\r\n").into()];
        for contents in texts {
            let (_folder, settings) = written(&contents, 0o400);
            let keys = keyring(&settings).unwrap();
            assert_eq!((keys.seals(), keys.ids()), (true, vec![id]), "{contents:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_quoted() {
        let none = "expected a key of 32 bytes, as they are, in hexadecimal or in base64; found";
        let short = &HEX[..62];
        let wrong = HEX.replace('a', "g");
        for contents in [b"".as_slice(), &[7; 31], &[7; 33], short.as_bytes(), wrong.as_bytes(), &[b'A'; 500]] {
            let expected = format!("{none} {} bytes that are none", contents.len());
            assert_eq!(refused(contents, 0o600), expected);
        }
        assert_eq!(refused(&[7; 32], 0o640), "others than its owner may read it (mode 0640): chmod 600");
        assert_eq!(refused(&[7; 32], 0o604), "others than its owner may read it (mode 0604): chmod 600");
    }

    #[test]
    fn old_keys_only_open() {
        let (folder, settings) = written(&[7; 32], 0o600);
        let path = folder.path().join("key").display().to_string();
        let old = EncryptionSettings { key_file: None, old_key_files: vec![path] };
        let keys = keyring(&old).unwrap();
        assert_eq!((keys.seals(), keys.ids()), (false, keyring(&settings).unwrap().ids()));
        let gone = EncryptionSettings { key_file: None, old_key_files: vec!["/nonexistent".to_owned()] };
        let text = keyring(&gone).unwrap_err().to_string();
        assert!(text.starts_with("store.encryption.old_key_files: /nonexistent: cannot be read: "), "{text}");
        assert!(keyring(&EncryptionSettings::default()).unwrap().is_empty());
    }
}

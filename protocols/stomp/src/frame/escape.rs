//! The escapes of header names and values, and the percent-encoding of names in destinations.

use std::borrow::Cow;

use super::Version;

/// Which escapes a frame may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escaping {
    /// 1.0, and CONNECT of every version: a backslash is a backslash.
    None,
    /// 1.1.
    V1_1,
    /// 1.2.
    V1_2,
}

impl From<Version> for Escaping {
    fn from(version: Version) -> Self {
        match version {
            Version::V1_0 => Self::None,
            Version::V1_1 => Self::V1_1,
            Version::V1_2 => Self::V1_2,
        }
    }
}

impl Escaping {
    /// Whether `raw` uses escapes; the first undefined one otherwise.
    pub fn check(self, raw: &str) -> Result<bool, String> {
        if self == Self::None {
            return Ok(false);
        }
        let mut rest = raw;
        let mut escaped = false;
        while let Some((_, tail)) = rest.split_once('\\') {
            let mut after = tail.chars();
            match after.next() {
                Some('n' | 'c' | '\\') => {}
                Some('r') if self == Self::V1_2 => {}
                Some(other) => return Err(format!("\\{}", other.escape_default())),
                None => return Err("\\".to_owned()),
            }
            escaped = true;
            rest = after.as_str();
        }
        Ok(escaped)
    }
}

/// Resolves checked escapes; what is not an escape stays as it is.
pub fn unescape(raw: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\\', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut plain = String::with_capacity(raw.len());
    let mut characters = raw.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('c') => plain.push(':'),
            Some('\\') | None => plain.push('\\'),
            Some(other) => plain.extend(['\\', other]),
        }
    }
    Cow::Owned(plain)
}

/// Whether the text reads the same with all escapes of 1.2 applied.
pub fn is_canonical(plain: &str) -> bool {
    !plain.bytes().any(|byte| matches!(byte, b'\\' | b'\n' | b'\r' | b':'))
}

/// The text with all escapes of 1.2: the form in which headers are stored.
pub fn canonical(plain: &str) -> Cow<'_, str> {
    if is_canonical(plain) {
        return Cow::Borrowed(plain);
    }
    let mut escaped = String::with_capacity(plain.len() + 8);
    for character in plain.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            ':' => escaped.push_str("\\c"),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

/// Resolves `%XX`; a `%` without two hex digits stands for itself.
pub fn percent_decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let hex = tail.first_chunk::<2>().filter(|_| *first == b'%').and_then(|[high, low]| hex_pair(*high, *low));
        match hex {
            Some(byte) => {
                decoded.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => decoded.push(*first),
        }
    }
    decoded
}

/// Writes every byte for which `keep` is false as `%XX`. `%` itself must not be kept.
pub fn percent_encode(bytes: &[u8], keep: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii() && keep(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

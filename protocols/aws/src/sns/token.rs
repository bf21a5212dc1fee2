//! The token of a confirmation: it says itself what it confirms, and is signed, so that nothing has to be kept for it.

use crossdock_common::{Name, UnixMillis};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::digest::hex;

const VERSION: u8 = 1;
const MAC_BYTES: usize = 32;
/// What tells it from other texts that are signed with the same key.
const PURPOSE: &[u8] = b"sns confirmation";
/// How long a token is good, in milliseconds; then a subscription that waits for it goes.
pub const TOKEN_MS_MAX: u64 = 2 * 24 * 60 * 60 * 1_000;

/// What a token confirms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub issued_at: UnixMillis,
    pub region: String,
    /// The subscription's id.
    pub id: String,
    /// On whose behalf it is confirmed if nobody signs for it.
    pub subscriber: Name,
}

impl Token {
    /// Hexadecimal digits.
    pub(crate) fn issue(&self, key: &[u8]) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.issued_at.0.to_be_bytes());
        for text in [self.region.as_str(), self.id.as_str(), self.subscriber.as_str()] {
            let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
            bytes.push(length);
            bytes.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
        }
        let sum = mac(key, &bytes).finalize().into_bytes();
        bytes.extend_from_slice(&sum);
        hex(&bytes)
    }

    /// A token that this broker made and that is not too old.
    pub(crate) fn read(key: &[u8], token: &str, now: UnixMillis) -> Option<Self> {
        let bytes = unhex(token)?;
        let (said, sum) = bytes.split_at_checked(bytes.len().checked_sub(MAC_BYTES)?)?;
        mac(key, said).verify_slice(sum).ok()?;
        let (version, mut rest) = said.split_first()?;
        let issued_at = UnixMillis(u64::from_be_bytes(*rest.split_off(..8)?.first_chunk()?));
        let mut text = || {
            let length = usize::from(*rest.split_off_first()?);
            String::from_utf8(rest.split_off(..length)?.to_vec()).ok()
        };
        let (region, id, subscriber) = (text()?, text()?, Name::from(text()?));
        let is_good = *version == VERSION && now.0 < issued_at.0.saturating_add(TOKEN_MS_MAX);
        is_good.then_some(Self { issued_at, region, id, subscriber })
    }
}

fn mac(key: &[u8], said: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of every length.
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::<Sha256>::new(&Default::default()));
    mac.chain_update(PURPOSE).chain_update(said)
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_and_young_tokens_are_read() {
        let token = Token {
            issued_at: UnixMillis(1_000),
            region: "us-east-1".to_owned(),
            id: "00000000-0000-4000-8000-000000000000".to_owned(),
            subscriber: Name::from("orders"),
        };
        let text = token.issue(b"key");
        let at = |ms: u64| Token::read(b"key", &text, UnixMillis(ms));
        assert_eq!(at(1_000), Some(token.clone()));
        assert_eq!(at(1_000 + TOKEN_MS_MAX - 1), Some(token));
        assert_eq!(at(1_000 + TOKEN_MS_MAX), None);
        assert_eq!(Token::read(b"other", &text, UnixMillis(0)), None);
        for index in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[index] = if changed[index] == b'0' { b'1' } else { b'0' };
            assert_eq!(Token::read(b"key", std::str::from_utf8(&changed).unwrap(), UnixMillis(0)), None);
            assert_eq!(Token::read(b"key", &text[..index], UnixMillis(0)), None);
        }
        assert_eq!(Token::read(b"key", "token", UnixMillis(0)), None);
    }
}

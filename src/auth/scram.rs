//! SCRAM-SHA-256 (RFC 5802, RFC 7677): a password is proved by both sides and sent by neither. Channel binding is not offered.
//!
//! Keys are made where a password is known in clear, and kept beside its hash: nobody can log in with them, but whoever has them can try
//! passwords, at the price of so many rounds of PBKDF2 each.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use stringprep::saslprep;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Rounds of PBKDF2 for new keys. The client pays for them at each login, and may be a small device; RFC 7677 wants 4,096 at least.
const ITERATIONS: u32 = 10_000;
const ITERATIONS_MAX: u32 = 1_000_000;
const SALT_BYTES: usize = 16;
/// What kept keys begin with.
const PREFIX: &str = "SCRAM-SHA-256";
/// Longest message of a client.
const MESSAGE_BYTES_MAX: usize = 4096;

type Key = [u8; 32];

/// What a server knows of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramKeys {
    salt: Vec<u8>,
    iterations: u32,
    stored_key: Key,
    server_key: Key,
}

/// Deliberately one for everything: a client is told nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the SCRAM exchange failed")]
pub struct ScramError;

impl ScramKeys {
    /// # Errors
    /// The system has no randomness.
    pub fn create(password: &[u8]) -> Result<Self, getrandom::Error> {
        let mut salt = vec![0; SALT_BYTES];
        getrandom::fill(&mut salt)?;
        let prepared = std::str::from_utf8(password).ok().and_then(|text| saslprep(text).ok());
        // Clients prepare theirs likewise; what cannot be prepared, they may send as it is.
        Ok(Self::derive(prepared.as_deref().map_or(password, str::as_bytes), salt, ITERATIONS))
    }

    fn derive(password: &[u8], salt: Vec<u8>, iterations: u32) -> Self {
        let mut salted: Key = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, iterations, &mut salted);
        let stored_key = Sha256::digest(hmac(&salted, b"Client Key")).into();
        let server_key = hmac(&salted, b"Server Key");
        salted.zeroize();
        Self { salt, iterations, stored_key, server_key }
    }

    /// As text, for storing.
    pub fn expose(&self) -> String {
        let Self { salt, iterations, stored_key, server_key } = self;
        let [salt, stored, server] = [&salt[..], stored_key, server_key].map(|bytes| STANDARD.encode(bytes));
        format!("{PREFIX}${iterations}:{salt}${stored}:{server}")
    }

    /// Reads what [`expose`](Self::expose) wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (head, keys) = text.strip_prefix(PREFIX)?.strip_prefix('$')?.split_once('$')?;
        let ((iterations, salt), (stored, server)) = (head.split_once(':')?, keys.split_once(':')?);
        let key = |text: &str| STANDARD.decode(text).ok()?.try_into().ok();
        let iterations = iterations.parse().ok().filter(|rounds| (1..=ITERATIONS_MAX).contains(rounds))?;
        Some(Self { salt: STANDARD.decode(salt).ok()?, iterations, stored_key: key(stored)?, server_key: key(server)? })
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ScramKeys(***)")
    }
}

/// What unknown users' salts are made of. Kept with the users: their salts stay over a restart, too.
#[derive(Clone)]
pub struct ScramSecret(Key);

impl ScramSecret {
    /// # Errors
    /// The system has no randomness.
    pub fn create() -> Result<Self, getrandom::Error> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        Ok(Self(secret))
    }

    /// Reads what [`expose`](Self::expose) gave.
    pub fn parse(kept: &[u8]) -> Option<Self> {
        kept.try_into().ok().map(Self)
    }

    /// For storing.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Keys that nobody can prove, always the same for a name: an unknown user looks like any other.
    pub(super) fn decoy(&self, user: &str) -> ScramKeys {
        let part = |label: &str| hmac(&self.0, format!("{label}\0{user}").as_bytes());
        let salt = part("salt")[..SALT_BYTES].to_vec();
        ScramKeys { salt, iterations: ITERATIONS, stored_key: part("stored"), server_key: part("server") }
    }
}

/// A client's first message.
#[derive(Debug)]
pub struct ClientFirst {
    /// Who it says it is.
    pub user: String,
    nonce: String,
    /// Without its GS2 header.
    bare: String,
    /// The GS2 header, which the client repeats in its last message.
    header: String,
}

impl ClientFirst {
    /// # Errors
    /// It is none, wants channel binding or to act for somebody else, or has a name that SASLprep (RFC 4013) prohibits.
    pub fn parse(message: &[u8]) -> Result<Self, ScramError> {
        let text = text_of(message)?;
        let mut parts = text.splitn(3, ',');
        let (flag, authzid, bare) = (next(&mut parts)?, next(&mut parts)?, next(&mut parts)?);
        // `y`: the client could bind to a channel, and thinks that we can not, which is true.
        if !matches!(flag, "n" | "y") || !authzid.is_empty() {
            return Err(ScramError);
        }
        let mut attributes = bare.split(',');
        let user = name(attribute(next(&mut attributes)?, "n=")?)?;
        let nonce = attribute(next(&mut attributes)?, "r=")?;
        if !is_nonce(nonce) {
            return Err(ScramError);
        }
        Ok(Self { user, nonce: nonce.to_owned(), bare: bare.to_owned(), header: format!("{flag},,") })
    }
}

/// An exchange that waits for the client's last message.
#[derive(Debug)]
pub struct ScramExchange {
    first: ClientFirst,
    keys: ScramKeys,
    nonce: String,
    server_first: String,
}

impl ScramExchange {
    /// Answers the client's first message. `own_nonce` is random text without commas.
    pub fn begin(first: ClientFirst, keys: ScramKeys, own_nonce: &str) -> (Self, Vec<u8>) {
        let nonce = format!("{}{own_nonce}", first.nonce);
        let server_first = format!("r={nonce},s={},i={}", STANDARD.encode(&keys.salt), keys.iterations);
        let message = server_first.clone().into_bytes();
        (Self { first, keys, nonce, server_first }, message)
    }

    /// Whether these are the keys that it began with.
    pub fn is_of(&self, keys: &ScramKeys) -> bool {
        self.keys == *keys
    }

    /// The user who is being proved.
    pub fn user(&self) -> &str {
        &self.first.user
    }

    /// Takes the client's last message; if it proves the password, gives the server's proof.
    ///
    /// # Errors
    /// It does not.
    pub fn finish(&self, message: &[u8]) -> Result<Vec<u8>, ScramError> {
        let text = text_of(message)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(ScramError)?;
        let mut attributes = without_proof.split(',');
        let header = STANDARD.decode(attribute(next(&mut attributes)?, "c=")?).map_err(|_| ScramError)?;
        let nonce = attribute(next(&mut attributes)?, "r=")?;
        let proof: Key = STANDARD.decode(proof).ok().and_then(|proof| proof.try_into().ok()).ok_or(ScramError)?;
        if header != self.first.header.as_bytes() || nonce != self.nonce {
            return Err(ScramError);
        }
        let spoken = format!("{},{},{without_proof}", self.first.bare, self.server_first);
        let signature = hmac(&self.keys.stored_key, spoken.as_bytes());
        let mut client_key = proof;
        client_key.iter_mut().zip(signature).for_each(|(byte, other)| *byte ^= other);
        let stored_key: Key = Sha256::digest(client_key).into();
        if !bool::from(stored_key.ct_eq(&self.keys.stored_key)) {
            return Err(ScramError);
        }
        let proof = hmac(&self.keys.server_key, spoken.as_bytes());
        Ok(format!("v={}", STANDARD.encode(proof)).into_bytes())
    }
}

fn hmac(key: &[u8; 32], text: &[u8]) -> Key {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&[0; 64].into()));
    mac.update(text);
    mac.finalize().into_bytes().into()
}

fn text_of(message: &[u8]) -> Result<&str, ScramError> {
    let text = std::str::from_utf8(message).map_err(|_| ScramError)?;
    if text.len() > MESSAGE_BYTES_MAX || text.contains('\0') { Err(ScramError) } else { Ok(text) }
}

fn next<'a>(parts: &mut impl Iterator<Item = &'a str>) -> Result<&'a str, ScramError> {
    parts.next().ok_or(ScramError)
}

/// Mandatory extensions (`m=`) come first, so that they are no `n=` and refused, as they must be.
fn attribute<'a>(text: &'a str, name: &str) -> Result<&'a str, ScramError> {
    text.strip_prefix(name).ok_or(ScramError)
}

fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x21..=0x7e))
}

/// `=2C` is a comma and `=3D` an equals sign; no other equals sign may be there. Users are known by their prepared names.
fn name(saslname: &str) -> Result<String, ScramError> {
    let mut parts = saslname.split('=');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (character, rest) = match part.as_bytes() {
            [b'2', b'C', ..] => (',', &part[2..]),
            [b'3', b'D', ..] => ('=', &part[2..]),
            _ => return Err(ScramError),
        };
        name.push(character);
        name.push_str(rest);
    }
    let prepared = saslprep(&name).map_err(|_| ScramError)?;
    if prepared.is_empty() { Err(ScramError) } else { Ok(prepared.into_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const OWN_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    const LAST: &[u8] =
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    /// Section 3 of RFC 7677.
    fn of_the_rfc() -> (ScramExchange, Vec<u8>) {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let keys = ScramKeys::derive(b"pencil", salt, 4096);
        let keys = ScramKeys::parse(&keys.expose()).unwrap();
        ScramExchange::begin(ClientFirst::parse(FIRST).unwrap(), keys, OWN_NONCE)
    }

    #[test]
    fn the_exchange_of_rfc_7677() {
        let (exchange, challenge) = of_the_rfc();
        let expected = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        assert_eq!(std::str::from_utf8(&challenge), Ok(expected));
        let proof = exchange.finish(LAST).unwrap();
        assert_eq!(std::str::from_utf8(&proof), Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
    }

    #[test]
    fn every_byte_of_the_last_message_counts() {
        let (exchange, _) = of_the_rfc();
        for place in 0..LAST.len() {
            let mut other = LAST.to_vec();
            other[place] ^= 1;
            assert_eq!(exchange.finish(&other), Err(ScramError), "{place}");
            assert_eq!(exchange.finish(&LAST[..place]), Err(ScramError), "{place}");
        }
        assert_eq!(exchange.finish(&[LAST, b"x"].concat()), Err(ScramError));
    }

    #[test]
    fn first_messages_are_read_strictly() {
        let user = |message: &[u8]| ClientFirst::parse(message).map(|first| first.user);
        assert_eq!(user(b"y,,n=a=2Cb=3Dc,r=x,ext=1"), Ok("a,b=c".to_owned()));
        assert_eq!(user("n,,n=Zoë,r=x".as_bytes()), Ok("Zoë".to_owned()));
        for wrong in [
            &b""[..],
            b"n,,",
            b"n,,n=user",
            b"n,,n=user,r=",
            b"n,,n=,r=x",
            b"n,,n=a=2c,r=x",
            b"n,,n=a=,r=x",
            b"n,,m=1,n=a,r=x",
            b"n,a=admin,n=a,r=x",
            b"p=tls-exporter,,n=a,r=x",
            b"n,,r=x,n=a",
            b"n,,n=a,r=x y",
            b"n,,n=a\0,r=x",
            b"n,,n=\xff,r=x",
        ] {
            assert_eq!(user(wrong), Err(ScramError), "{wrong:?}");
        }
    }

    #[test]
    fn names_and_passwords_are_prepared() {
        let user = |message: &str| ClientFirst::parse(message.as_bytes()).map(|first| first.user);
        // The examples of RFC 4013, section 3.
        for (sent, prepared) in [
            ("I\u{ad}X", "IX"),
            ("user", "user"),
            ("USER", "USER"),
            ("\u{aa}", "a"),
            ("\u{2168}", "IX"),
            ("a\u{a0}b", "a b"),
        ] {
            assert_eq!(user(&format!("n,,n={sent},r=x")), Ok(prepared.to_owned()), "{sent:?}");
        }
        for wrong in ["\u{7}", "\u{627}1", "\u{ad}", "\u{e000}"] {
            assert_eq!(user(&format!("n,,n={wrong},r=x")), Err(ScramError), "{wrong:?}");
        }
        let keys = ScramKeys::create("pass\u{2168}word\u{ad}".as_bytes()).unwrap();
        assert!(keys == ScramKeys::derive(b"passIXword", keys.salt.clone(), ITERATIONS));
        let control = ScramKeys::create(b"a\x07").unwrap();
        assert!(control == ScramKeys::derive(b"a\x07", control.salt.clone(), ITERATIONS));
    }

    #[test]
    fn a_decoy_is_always_the_same_and_like_any_other() {
        let secret = ScramSecret([7; 32]);
        let (one, other) = (secret.decoy("a"), secret.decoy("b"));
        assert_eq!(one, ScramSecret::parse(secret.expose()).unwrap().decoy("a"));
        assert_ne!(one.salt, other.salt);
        let real = ScramKeys::create(b"x").unwrap();
        assert_eq!((real.salt.len(), real.iterations), (one.salt.len(), one.iterations));
        assert!(!format!("{real:?}").contains(&STANDARD.encode(real.stored_key)));
        assert!(ScramKeys::parse("SCRAM-SHA-256$0:$:").is_none());
    }
}

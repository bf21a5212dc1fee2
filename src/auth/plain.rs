//! SASL PLAIN (RFC 4616): `[authzid] NUL authcid NUL passwd`, used by AMQP.

use std::fmt;

use super::authenticator::USER_NAME_BYTES_MAX;
use super::password::PASSWORD_BYTES_MAX;

/// What a SASL PLAIN response says. `Debug` does not show the password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PlainCredentials<'a> {
    pub name: &'a str,
    pub password: &'a [u8],
}

/// Why a SASL PLAIN response is malformed. It never quotes the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlainError {
    #[error("SASL PLAIN needs exactly two NUL bytes: NUL, name, NUL, password")]
    Separators,
    #[error("the name must be 1 to {USER_NAME_BYTES_MAX} bytes of UTF-8")]
    Name,
    #[error("the password must be at most {PASSWORD_BYTES_MAX} bytes")]
    Password,
    #[error("acting for another user (authorization identity) is not supported")]
    OtherIdentity,
}

impl<'a> PlainCredentials<'a> {
    /// Reads the response a client sent. An authorization identity is accepted only if it is the name itself.
    ///
    /// # Errors
    /// See [`PlainError`]; all of them are the client's fault.
    pub fn parse(response: &'a [u8]) -> Result<Self, PlainError> {
        let mut parts = response.split(|byte| *byte == 0);
        let (Some(identity), Some(name), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(PlainError::Separators);
        };
        if !identity.is_empty() && identity != name {
            return Err(PlainError::OtherIdentity);
        }
        if password.len() > PASSWORD_BYTES_MAX {
            return Err(PlainError::Password);
        }
        Ok(Self { name: user_name(name)?, password })
    }
}

fn user_name(bytes: &[u8]) -> Result<&str, PlainError> {
    let name = std::str::from_utf8(bytes).map_err(|_| PlainError::Name)?;
    let valid = !name.is_empty() && name.len() <= USER_NAME_BYTES_MAX;
    valid.then_some(name).ok_or(PlainError::Name)
}

impl fmt::Debug for PlainCredentials<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PlainCredentials").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_password_are_read() {
        let credentials = PlainCredentials { name: "a", password: b"b" };
        assert_eq!(PlainCredentials::parse(b"\0a\0b"), Ok(credentials));
        assert_eq!(PlainCredentials::parse(b"a\0a\0b"), Ok(credentials));
        assert_eq!(PlainCredentials::parse(b"\0a\0").unwrap().password, b"");
        assert!(!format!("{:?}", PlainCredentials::parse(b"\0a\0canary")).contains("canary"));
    }

    #[test]
    fn malformed_responses_are_refused() {
        for (response, error) in [
            (&b""[..], PlainError::Separators),
            (b"\0a", PlainError::Separators),
            (b"\0a\0b\0", PlainError::Separators),
            (b"\0\0b", PlainError::Name),
            (b"\0\xff\0b", PlainError::Name),
            (b"root\0a\0b", PlainError::OtherIdentity),
        ] {
            assert_eq!(PlainCredentials::parse(response), Err(error), "{response:?}");
        }
    }

    #[test]
    fn lengths_hold_at_their_edges() {
        let response =
            |name: usize, password: usize| [&[0][..], &vec![b'a'; name], &[0], &vec![b'b'; password]].concat();
        assert!(PlainCredentials::parse(&response(255, 1024)).is_ok());
        assert_eq!(PlainCredentials::parse(&response(256, 1)), Err(PlainError::Name));
        assert_eq!(PlainCredentials::parse(&response(1, 1025)), Err(PlainError::Password));
    }
}

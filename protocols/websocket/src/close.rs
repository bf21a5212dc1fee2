//! Closing (section 7.4): why, and the frame that says so.

use crate::header::{CONTROL_BYTES_MAX, Opcode, header};

/// Why a connection is closed (section 7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// It has served its purpose.
    pub const NORMAL: Self = Self(1000);
    /// The server goes down.
    pub const GOING_AWAY: Self = Self(1001);
    /// A rule of WebSocket, or of the protocol inside, is broken.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// Text where bytes belong.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// A text that is none.
    pub const INVALID_DATA: Self = Self(1007);
    /// Something else than the protocol forbids it.
    pub const POLICY: Self = Self(1008);
    /// A frame or a message beyond the limits.
    pub const TOO_BIG: Self = Self(1009);

    /// Whether a peer may send it: others are never on the wire, or mean nothing yet.
    fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// A rule that a client broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    Unmasked,
    /// Also: compressed, which was not agreed on.
    ReservedBits,
    ReservedOpcode,
    FragmentedControl,
    LongControl,
    /// A length of more than 63 bits, or longer than it has to be.
    Length,
    /// A frame that continues no message.
    NothingToContinue,
    /// A message within another one.
    Interrupted,
    /// A close frame that says nothing that can be said.
    BadClose,
    /// A text, or the reason of a close frame, that is no UTF-8.
    NotUtf8,
    /// Text, where the protocol inside is bytes.
    Text,
    /// A frame or a message beyond the limits.
    TooBig,
}

impl Violation {
    /// What the client is told.
    pub fn code(self) -> CloseCode {
        match self {
            Self::NotUtf8 => CloseCode::INVALID_DATA,
            Self::Text => CloseCode::UNSUPPORTED_DATA,
            Self::TooBig => CloseCode::TOO_BIG,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// In words.
    pub fn detail(self) -> &'static str {
        match self {
            Self::Unmasked => "a frame without a mask",
            Self::ReservedBits => "a frame with reserved bits: no extension was agreed on",
            Self::ReservedOpcode => "a frame of an unknown kind",
            Self::FragmentedControl => "a control frame in fragments",
            Self::LongControl => "a control frame of more than 125 bytes",
            Self::Length => "a length that is not written as it has to be",
            Self::NothingToContinue => "a frame that continues no message",
            Self::Interrupted => "a message within another one",
            Self::BadClose => "a close frame with a code that cannot be sent",
            Self::NotUtf8 => "a text that is no UTF-8",
            Self::Text => "a text message, where binary ones are spoken",
            Self::TooBig => "a message beyond the limits",
        }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.detail())
    }
}

impl std::error::Error for Violation {}

/// What a client's close frame says; `None` if it says no code.
pub(crate) fn close_code(payload: &[u8]) -> Result<Option<CloseCode>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(None) } else { Err(Violation::BadClose) };
    };
    let code = CloseCode(u16::from_be_bytes(*code));
    if !code.is_sendable() {
        return Err(Violation::BadClose);
    }
    std::str::from_utf8(reason).map_err(|_| Violation::NotUtf8)?;
    Ok(Some(code))
}

/// A server's close frame: the bytes, and how many of them. Without a code it answers one without.
pub fn close_frame(code: Option<CloseCode>) -> ([u8; CONTROL_BYTES_MAX + 2], usize) {
    let mut bytes = [0; CONTROL_BYTES_MAX + 2];
    let payload = code.map(|code| code.0.to_be_bytes());
    let (head, head_bytes) = header(Opcode::Close, payload.map_or(0, |payload| payload.len()));
    bytes[..head_bytes].copy_from_slice(&head[..head_bytes]);
    let Some(payload) = payload else { return (bytes, head_bytes) };
    bytes[head_bytes..head_bytes + payload.len()].copy_from_slice(&payload);
    (bytes, head_bytes + payload.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_are_sent_and_codes_that_are_not() {
        for code in [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999] {
            assert_eq!(close_code(&u16::to_be_bytes(code)), Ok(Some(CloseCode(code))));
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            assert_eq!(close_code(&u16::to_be_bytes(code)), Err(Violation::BadClose), "{code}");
        }
        assert_eq!(close_code(b""), Ok(None));
        assert_eq!(close_code(b"\x03"), Err(Violation::BadClose));
        assert_eq!(close_code(b"\x03\xe8bye"), Ok(Some(CloseCode::NORMAL)));
        assert_eq!(close_code(b"\x03\xe8\xff"), Err(Violation::NotUtf8));
    }

    #[test]
    fn close_frames() {
        let frame = |code| {
            let (bytes, length) = close_frame(code);
            bytes[..length].to_vec()
        };
        assert_eq!(frame(None), [0x88, 0]);
        assert_eq!(frame(Some(CloseCode::TOO_BIG)), [0x88, 2, 0x03, 0xf1]);
    }
}

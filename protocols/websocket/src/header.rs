//! What stands before a frame's payload (section 5.2).

use crate::close::Violation;

/// Longest header that a server writes: no mask.
pub const HEADER_BYTES_MAX: usize = 10;
/// Longest header that a client writes.
pub(crate) const MASKED_HEADER_BYTES_MAX: usize = 14;
/// Longest payload of a control frame (section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn parse(bits: u8) -> Result<Self, Violation> {
        Ok(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return Err(Violation::ReservedOpcode),
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    /// Its frames are about the connection, and are never fragmented.
    pub(crate) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The header of a client's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// No further frame of its message follows.
    pub is_final: bool,
    pub opcode: Opcode,
    pub payload_bytes: u64,
    pub mask: [u8; 4],
}

impl Header {
    /// Reads a header from the beginning of `bytes`, and tells how long it is; `None` if there is more of it to come. What is wrong is
    /// said as soon as it can be seen.
    ///
    /// # Errors
    /// The frame breaks a rule that its header shows.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Violation> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        if first & RESERVED != 0 {
            return Err(Violation::ReservedBits);
        }
        let (is_final, opcode) = (first & FINAL != 0, Opcode::parse(first & 0x0f)?);
        if opcode.is_control() && !is_final {
            return Err(Violation::FragmentedControl);
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        if second & MASKED == 0 {
            return Err(Violation::Unmasked);
        }
        let short = second & !MASKED;
        if opcode.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
            return Err(Violation::LongControl);
        }
        let Some((payload_bytes, rest)) = payload_bytes(short, &bytes[2..])? else { return Ok(None) };
        let Some(mask) = rest.first_chunk() else { return Ok(None) };
        let length = bytes.len() - rest.len() + mask.len();
        Ok(Some((Self { is_final, opcode, payload_bytes, mask: *mask }, length)))
    }
}

/// The length, and what stands behind it. It has to be written as short as it can be.
fn payload_bytes(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    let (length, rest, least) = match short {
        126 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest, 126),
            None => return Ok(None),
        },
        127 => match rest.split_first_chunk() {
            Some((length, rest)) => (u64::from_be_bytes(*length), rest, 1 << 16),
            None => return Ok(None),
        },
        _ => (u64::from(short), rest, 0),
    };
    if length < least || length > i64::MAX as u64 {
        return Err(Violation::Length);
    }
    Ok(Some((length, rest)))
}

/// The header of a server's frame, which is its message's only one: the bytes, and how many of them.
pub fn header(opcode: Opcode, payload_bytes: usize) -> ([u8; HEADER_BYTES_MAX], usize) {
    let mut bytes = [0; HEADER_BYTES_MAX];
    bytes[0] = FINAL | opcode.bits();
    let wide = (payload_bytes as u64).to_be_bytes();
    let length = match payload_bytes {
        0..=125 => {
            bytes[1] = wide[7];
            2
        }
        126..=0xffff => {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&wide[6..]);
            4
        }
        _ => {
            bytes[1] = 127;
            bytes[2..].copy_from_slice(&wide);
            HEADER_BYTES_MAX
        }
    };
    (bytes, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    fn masked(first: u8, length: &[u8]) -> Vec<u8> {
        let mut bytes = vec![first, length[0] | MASKED];
        bytes.extend(&length[1..]);
        bytes.extend(MASK);
        bytes
    }

    #[test]
    fn lengths_have_three_forms_and_one_is_right() {
        for (length, payload_bytes) in [
            (&[0][..], 0),
            (&[125], 125),
            (&[126, 0, 126], 126),
            (&[126, 0xff, 0xff], 0xffff),
            (&[127, 0, 0, 0, 0, 0, 1, 0, 0], 0x1_0000),
            (&[127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], i64::MAX as u64),
        ] {
            let bytes = masked(0x82, length);
            let header = Header { is_final: true, opcode: Opcode::Binary, payload_bytes, mask: MASK };
            assert_eq!(Header::parse(&bytes), Ok(Some((header, bytes.len()))));
            for cut in 0..bytes.len() {
                assert_eq!(Header::parse(&bytes[..cut]), Ok(None), "{cut}");
            }
        }
        for length in [&[126, 0, 125][..], &[127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], &[127, 0x80, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(Header::parse(&masked(0x82, length)), Err(Violation::Length), "{length:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_seen_at_once() {
        for (bytes, violation) in [
            (&[0xc2][..], Violation::ReservedBits),
            (&[0xa1], Violation::ReservedBits),
            (&[0x92], Violation::ReservedBits),
            (&[0x83], Violation::ReservedOpcode),
            (&[0x8b], Violation::ReservedOpcode),
            (&[0x09], Violation::FragmentedControl),
            (&[0x82, 0x05], Violation::Unmasked),
            (&[0x89, 0xfe], Violation::LongControl),
        ] {
            assert_eq!(Header::parse(bytes), Err(violation), "{bytes:x?}");
        }
    }

    #[test]
    fn headers_of_a_server() {
        for (opcode, payload_bytes, expected) in [
            (Opcode::Text, 5, &[0x81, 5][..]),
            (Opcode::Binary, 126, &[0x82, 126, 0, 126]),
            (Opcode::Pong, 0, &[0x8a, 0]),
            (Opcode::Binary, 0xffff, &[0x82, 126, 0xff, 0xff]),
            (Opcode::Binary, 0x1_0000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let (bytes, length) = header(opcode, payload_bytes);
            assert_eq!(&bytes[..length], expected);
        }
    }
}

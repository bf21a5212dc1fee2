//! Packets: the fixed header here, each packet in a file of its own.
//!
//! Decoders borrow from the read buffer and allocate nothing; encoders are plain `BufMut` writers of exactly
//! `encoded_len` bytes.

pub mod ack;
pub mod auth;
pub mod connack;
pub mod connect;
pub mod disconnect;
pub mod primitives;
pub mod properties;
pub mod publish;
pub mod subscribe;
pub mod unsubscribe;

use nom::Parser as _;
use nom::bytes::streaming::take_while_m_n;
use nom::combinator::opt;
use nom::number::streaming::be_u8;

use crate::reason::Fault;

/// The versions that are spoken, with their protocol levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Level 3, `MQIsdp`.
    V31,
    /// Level 4.
    V311,
    /// Level 5.
    V5,
}

impl Version {
    /// Whether packets have properties and reason codes.
    pub fn is_v5(self) -> bool {
        self == Self::V5
    }
}

/// How surely a message arrives: at most once, at least once, exactly once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Qos {
    #[default]
    AtMostOnce = 0,
    AtLeastOnce = 1,
    ExactlyOnce = 2,
}

impl Qos {
    /// From the two bits on the wire; 3 is reserved.
    pub fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::AtMostOnce,
            1 => Self::AtLeastOnce,
            2 => Self::ExactlyOnce,
            _ => return None,
        })
    }
}

/// Packet types (section 2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl Kind {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The flags that every packet of this type has; PUBLISH has its own.
    fn reserved_flags(self) -> Option<u8> {
        match self {
            Self::Publish => None,
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => Some(0b0010),
            _ => Some(0),
        }
    }

    /// The first byte of a packet of this type; for PUBLISH without its flags.
    pub fn first_byte(self) -> u8 {
        ((self as u8) << 4) | self.reserved_flags().unwrap_or(0)
    }
}

/// A fixed header (section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedHeader {
    /// The type.
    pub kind: Kind,
    /// The low four bits of the first byte.
    pub flags: u8,
    /// Bytes of the header itself.
    pub header_bytes: usize,
    /// Bytes after it.
    pub remaining_bytes: usize,
    /// The length was written with as few bytes as possible ([MQTT-1.5.5-1], asked for since 5.0).
    pub is_minimal: bool,
}

impl FixedHeader {
    /// Bytes of the whole packet.
    pub fn packet_bytes(&self) -> usize {
        self.header_bytes + self.remaining_bytes
    }

    /// Version 3.1 reserves no flags, and its clients repeat packets with DUP.
    pub fn check_flags(&self, version: Version) -> Result<(), Fault> {
        let is_wrong = self.kind.reserved_flags().is_some_and(|reserved| reserved != self.flags);
        if is_wrong && version != Version::V31 {
            return Err(Fault::malformed("reserved flags are wrong [MQTT-2.1.3-1]"));
        }
        Ok(())
    }
}

/// The fixed header at the start of `input`; `None` while it is not whole.
pub fn fixed_header(input: &[u8]) -> Result<Option<FixedHeader>, Fault> {
    let Some(&first) = input.first() else { return Ok(None) };
    let kind = Kind::from_bits(first >> 4).ok_or(Fault::malformed("packet type 0 is reserved"))?;
    let flags = first & 0x0F;
    // Up to three bytes with the continuation bit, then one without.
    let mut length = (be_u8::<_, nom::error::Error<&[u8]>>, take_while_m_n(0, 3, |byte| byte >= 0x80), opt(be_u8));
    match length.parse(input) {
        Ok((_, (_, head, Some(last)))) if last < 0x80 => Ok(Some(with_length(kind, flags, head, last))),
        Ok((_, (_, head, _))) if head.len() == 3 => Err(Fault::malformed("remaining length has more than 4 bytes")),
        _ => Ok(None),
    }
}

fn with_length(kind: Kind, flags: u8, head: &[u8], last: u8) -> FixedHeader {
    let digits = head.iter().chain([&last]).enumerate();
    let remaining_bytes = digits.map(|(place, byte)| usize::from(byte & 0x7F) << (7 * place)).sum();
    let is_minimal = last != 0 || head.is_empty();
    FixedHeader { kind, flags, header_bytes: 2 + head.len(), remaining_bytes, is_minimal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remaining_length_at_its_limits() {
        for (bytes, expected) in [
            (&[0xC0, 0x00][..], 0),
            (&[0xE0, 0x7F], 127),
            (&[0xE0, 0x80, 0x01], 128),
            (&[0xE0, 0xFF, 0x7F], 16_383),
            (&[0xE0, 0x80, 0x80, 0x01], 16_384),
            (&[0xE0, 0xFF, 0xFF, 0xFF, 0x7F], 268_435_455),
        ] {
            let header = fixed_header(bytes).expect("valid").expect("whole");
            assert_eq!((header.remaining_bytes, header.header_bytes), (expected, bytes.len()));
            assert!(header.is_minimal);
            for cut in 0..bytes.len() {
                assert_eq!(fixed_header(&bytes[..cut]), Ok(None));
            }
        }
        assert!(!fixed_header(&[0xC0, 0x80, 0x00]).expect("valid").expect("whole").is_minimal);
        fixed_header(&[0xC0, 0x80, 0x80, 0x80, 0x80]).expect_err("five bytes (MQ-1)");
        fixed_header(&[0xC0, 0x80, 0x80, 0x80, 0x80, 0x01]).expect_err("five bytes (MQ-1)");
    }

    #[test]
    fn reserved_flags_and_types() {
        let check = |first, version| fixed_header(&[first, 0])?.expect("whole").check_flags(version);
        for first in [0x00, 0x11, 0x60, 0x63, 0x80, 0xA0, 0xC1, 0xE2] {
            check(first, Version::V5).expect_err("reserved");
            check(first, Version::V311).expect_err("reserved");
        }
        for first in [0x10, 0x3F, 0x40, 0x62, 0x82, 0xA2, 0xC0, 0xE0, 0xF0] {
            check(first, Version::V5).expect("valid");
        }
        check(0x8A, Version::V31).expect("SUBSCRIBE once more");
    }
}

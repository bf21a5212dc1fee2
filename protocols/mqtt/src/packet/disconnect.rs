//! DISCONNECT (section 3.14), and the two packets without content.

use bytes::BufMut;

use super::primitives::{Parsed, byte, variable_len, whole};
use super::properties::{Allowed, Bounds, Property, id, list_len, properties, put_reason};
use super::{Kind, Version};
use crate::reason::{Fault, Reason};

/// A whole PINGRESP packet.
pub const PINGRESP: [u8; 2] = [0xD0, 0];

/// A DISCONNECT packet from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Disconnect {
    pub reason: Reason,
    pub session_expiry_s: Option<u32>,
}

const ALLOWED: Allowed = Allowed::these(&[id::SESSION_EXPIRY, id::REASON_STRING, id::USER, id::SERVER_REFERENCE]);

/// Decodes what follows the fixed header.
pub fn decode(body: &[u8], version: Version, bounds: Bounds) -> Result<Disconnect, Fault> {
    let packet = whole(disconnect(body, version, bounds))?;
    if packet.reason.is_of_goodbye() {
        return Ok(packet);
    }
    Err(Fault::protocol("reason code that clients do not give [MQTT-3.14.2-1]"))
}

fn disconnect(body: &[u8], version: Version, bounds: Bounds) -> Parsed<'_, Disconnect> {
    if body.is_empty() || !version.is_v5() {
        return Ok((body, Disconnect { reason: Reason::SUCCESS, session_expiry_s: None }));
    }
    let (rest, reason) = byte(body)?;
    let reason = Reason(reason);
    if rest.is_empty() {
        return Ok((rest, Disconnect { reason, session_expiry_s: None }));
    }
    let (rest, properties) = properties(rest, ALLOWED, bounds)?;
    let session_expiry_s = properties.iter().find_map(|property| match property {
        Property::SessionExpiry(seconds) => Some(seconds),
        _ => None,
    });
    Ok((rest, Disconnect { reason, session_expiry_s }))
}

/// A packet without content.
pub fn decode_empty(body: &[u8]) -> Result<(), Fault> {
    whole(Ok((body, ())))
}

/// Bytes of a DISCONNECT of version 5 with properties.
pub fn encoded_len(list: &[Property<'_>]) -> usize {
    let properties = list_len(list);
    let remaining = 1 + variable_len(properties) + properties;
    1 + variable_len(remaining) + remaining
}

/// Writes a DISCONNECT of version 5.
pub fn put(out: &mut impl BufMut, reason: Reason, list: &[Property<'_>]) {
    if list.is_empty() {
        return out.put_slice(&[Kind::Disconnect.first_byte(), 1, reason.0]);
    }
    put_reason(out, Kind::Disconnect, reason, list);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let bounds = Bounds { bytes_max: 100, user_max: 2 };
        let mut out = Vec::new();
        let list = [Property::ReasonString("no")];
        put(&mut out, Reason::PROTOCOL_ERROR, &list);
        assert_eq!(out, [0xE0, 7, 0x82, 5, 0x1F, 0, 2, b'n', b'o']);
        assert_eq!(out.len(), encoded_len(&list));
        out.clear();
        put(&mut out, Reason::SERVER_SHUTTING_DOWN, &[]);
        assert_eq!(out, [0xE0, 1, 0x8B]);
        let plain = Disconnect { reason: Reason::SUCCESS, session_expiry_s: None };
        assert_eq!(decode(&[], Version::V311, bounds), Ok(plain));
        assert_eq!(decode(&[], Version::V5, bounds), Ok(plain));
        let with_will = Disconnect { reason: Reason::DISCONNECT_WITH_WILL, session_expiry_s: Some(7) };
        assert_eq!(decode(&[4, 5, 0x11, 0, 0, 0, 7], Version::V5, bounds), Ok(with_will));
        decode(&[0], Version::V311, bounds).expect_err("too long");
    }
}

//! AUTH (section 3.15).

use bytes::BufMut;

use super::Kind;
use super::primitives::{Parsed, byte, whole};
use super::properties::{Allowed, Bounds, Property, id, properties, put_reason};
use crate::reason::{Fault, Reason};

/// An AUTH packet from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Auth<'a> {
    pub reason: Reason,
    pub method: Option<&'a str>,
    pub data: Option<&'a [u8]>,
}

const ALLOWED: Allowed =
    Allowed::these(&[id::AUTHENTICATION_METHOD, id::AUTHENTICATION_DATA, id::REASON_STRING, id::USER]);

/// Decodes what follows the fixed header.
pub fn decode(body: &[u8], bounds: Bounds) -> Result<Auth<'_>, Fault> {
    let packet = whole(auth(body, bounds))?;
    // Success is only for the server to say.
    if matches!(packet.reason, Reason::CONTINUE_AUTHENTICATION | Reason::REAUTHENTICATE) {
        return Ok(packet);
    }
    Err(Fault::protocol("reason code that clients do not give [MQTT-3.15.2-1]"))
}

fn auth(body: &[u8], bounds: Bounds) -> Parsed<'_, Auth<'_>> {
    let mut packet = Auth { reason: Reason::SUCCESS, method: None, data: None };
    if body.is_empty() {
        return Ok((body, packet));
    }
    let (rest, reason) = byte(body)?;
    packet.reason = Reason(reason);
    let (rest, properties) = properties(rest, ALLOWED, bounds)?;
    for property in properties.iter() {
        match property {
            Property::AuthenticationMethod(method) => packet.method = Some(method),
            Property::AuthenticationData(data) => packet.data = Some(data),
            _ => {}
        }
    }
    Ok((rest, packet))
}

/// Writes an AUTH packet.
pub fn put(out: &mut impl BufMut, reason: Reason, method: &str, data: &[u8]) {
    let list = [Property::AuthenticationMethod(method), Property::AuthenticationData(data)];
    put_reason(out, Kind::Auth, reason, &list);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let bounds = Bounds { bytes_max: 100, user_max: 2 };
        let mut out = Vec::new();
        put(&mut out, Reason::CONTINUE_AUTHENTICATION, "M", b"d");
        assert_eq!(out, [0xF0, 10, 0x18, 8, 0x15, 0, 1, b'M', 0x16, 0, 1, b'd']);
        let packet = Auth { reason: Reason::CONTINUE_AUTHENTICATION, method: Some("M"), data: Some(b"d") };
        assert_eq!(decode(&out[2..], bounds), Ok(packet));
        for wrong in [&[][..], &[0, 0], &[0x87, 0], &[0x18], &[0x18, 3, 0x21, 0, 1]] {
            decode(wrong, bounds).expect_err("a fault");
        }
    }
}

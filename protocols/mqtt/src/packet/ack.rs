//! PUBACK, PUBREC, PUBREL, PUBCOMP (sections 3.4 to 3.7): all alike.

use bytes::BufMut;

use super::primitives::{Parsed, byte, packet_id, whole};
use super::properties::{Allowed, Bounds, id, properties};
use super::{Kind, Version};
use crate::reason::{Fault, Reason};

/// One of the four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Ack {
    pub packet_id: u16,
    pub reason: Reason,
}

const ALLOWED: Allowed = Allowed::these(&[id::REASON_STRING, id::USER]);

/// Decodes what follows the fixed header.
pub fn decode(kind: Kind, body: &[u8], version: Version, bounds: Bounds) -> Result<Ack, Fault> {
    let ack = whole(ack(body, version, bounds))?;
    let is_known = match kind {
        Kind::PubAck | Kind::PubRec => ack.reason.is_of_receipt(),
        _ => ack.reason.is_of_release(),
    };
    if is_known { Ok(ack) } else { Err(Fault::protocol("reason code that this packet does not have")) }
}

fn ack(body: &[u8], version: Version, bounds: Bounds) -> Parsed<'_, Ack> {
    let (rest, packet_id) = packet_id(body)?;
    // Version 5 leaves out a reason of 0 and empty properties (section 3.4.2.1).
    if rest.is_empty() || !version.is_v5() {
        return Ok((rest, Ack { packet_id, reason: Reason::SUCCESS }));
    }
    let (rest, reason) = byte(rest)?;
    let ack = Ack { packet_id, reason: Reason(reason) };
    if rest.is_empty() {
        return Ok((rest, ack));
    }
    let (rest, _) = properties(rest, ALLOWED, bounds)?;
    Ok((rest, ack))
}

impl Ack {
    /// Writes it: 4 bytes, or 5 with a reason that is not 0, which only version 5 has.
    pub fn put(&self, out: &mut impl BufMut, kind: Kind, version: Version) {
        let has_reason = version.is_v5() && self.reason != Reason::SUCCESS;
        out.put_u8(kind.first_byte());
        out.put_u8(if has_reason { 3 } else { 2 });
        out.put_u16(self.packet_id);
        if has_reason {
            out.put_u8(self.reason.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes_max: 100, user_max: 2 };

    #[test]
    fn golden_bytes() {
        let ack = |reason| Ack { packet_id: 0x0102, reason };
        let written = |ack: Ack, kind, version| {
            let mut out = Vec::new();
            ack.put(&mut out, kind, version);
            out
        };
        assert_eq!(written(ack(Reason::SUCCESS), Kind::PubRel, Version::V5), [0x62, 2, 1, 2]);
        assert_eq!(written(ack(Reason::QUOTA_EXCEEDED), Kind::PubAck, Version::V5), [0x40, 3, 1, 2, 0x97]);
        assert_eq!(written(ack(Reason::QUOTA_EXCEEDED), Kind::PubAck, Version::V311), [0x40, 2, 1, 2]);
        assert_eq!(decode(Kind::PubAck, &[1, 2], Version::V311, BOUNDS), Ok(ack(Reason::SUCCESS)));
        assert_eq!(decode(Kind::PubAck, &[1, 2, 0x97], Version::V5, BOUNDS), Ok(ack(Reason::QUOTA_EXCEEDED)));
        assert_eq!(decode(Kind::PubAck, &[1, 2, 0x97, 0], Version::V5, BOUNDS), Ok(ack(Reason::QUOTA_EXCEEDED)));
        decode(Kind::PubAck, &[1, 2, 0x97], Version::V311, BOUNDS).expect_err("too long");
        decode(Kind::PubAck, &[0, 0], Version::V5, BOUNDS).expect_err("packet id 0");
        decode(Kind::PubAck, &[1], Version::V5, BOUNDS).expect_err("cut");
    }
}

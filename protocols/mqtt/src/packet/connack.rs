//! CONNACK (section 3.2).

use bytes::BufMut;

use super::primitives::{put_variable, variable_len};
use super::properties::{Property, list_len, put_list};
use super::{Kind, Version};
use crate::reason::Reason;

/// A CONNACK packet.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct ConnAck<'a> {
    pub session_present: bool,
    pub reason: Reason,
    /// Written for version 5 only.
    pub properties: &'a [Property<'a>],
}

impl ConnAck<'_> {
    fn remaining_len(&self, version: Version) -> usize {
        if !version.is_v5() {
            return 2;
        }
        let properties = list_len(self.properties);
        2 + variable_len(properties) + properties
    }

    /// Bytes on the wire.
    pub fn encoded_len(&self, version: Version) -> usize {
        let remaining = self.remaining_len(version);
        1 + variable_len(remaining) + remaining
    }

    /// Writes it; older versions get their return code, 3 where they have none for the reason.
    pub fn put(&self, out: &mut impl BufMut, version: Version) {
        out.put_u8(Kind::ConnAck.first_byte());
        put_variable(out, self.remaining_len(version));
        // Version 3.1 has no such flag.
        out.put_u8(u8::from(self.session_present && version != Version::V31));
        if version.is_v5() {
            out.put_u8(self.reason.0);
            put_list(out, self.properties);
        } else {
            out.put_u8(self.reason.connect_return_code().unwrap_or(3));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let written = |connack: ConnAck<'_>, version| {
            let mut out = Vec::new();
            connack.put(&mut out, version);
            assert_eq!(out.len(), connack.encoded_len(version));
            out
        };
        let good = ConnAck { session_present: true, reason: Reason::SUCCESS, properties: &[] };
        assert_eq!(written(good, Version::V311), [0x20, 2, 1, 0]);
        assert_eq!(written(good, Version::V5), [0x20, 3, 1, 0, 0]);
        let properties = [Property::ReceiveMaximum(10)];
        let bad = ConnAck { session_present: false, reason: Reason::NOT_AUTHORIZED, properties: &properties };
        assert_eq!(written(bad, Version::V31), [0x20, 2, 0, 5]);
        assert_eq!(written(bad, Version::V5), [0x20, 6, 0, 0x87, 3, 0x21, 0, 10]);
    }
}

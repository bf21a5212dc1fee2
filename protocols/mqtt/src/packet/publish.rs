//! PUBLISH (section 3.3).

use bytes::BufMut;

use super::primitives::{fault_of, packet_id, put_binary, put_variable, string, variable_len};
use super::properties::{Allowed, Bounds, Properties, Property, id, properties};
use super::{FixedHeader, Kind, Qos, Version};
use crate::reason::Fault;

const DUP: u8 = 0b1000;
pub(crate) const RETAIN: u8 = 0b0001;
/// Bytes of a topic alias: it saves something where a topic is longer.
pub const ALIAS_BYTES: usize = 3;

/// A PUBLISH packet from a client.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Publish<'a> {
    pub dup: bool,
    pub qos: Qos,
    pub retain: bool,
    pub topic: &'a str,
    /// 0 with QoS 0.
    pub packet_id: u16,
    pub properties: Properties<'a>,
    pub payload: &'a [u8],
}

/// What may be in a PUBLISH; a subscription identifier only in the broker's own.
const ALLOWED: Allowed = Allowed::these(&[
    id::PAYLOAD_FORMAT,
    id::MESSAGE_EXPIRY,
    id::TOPIC_ALIAS,
    id::RESPONSE_TOPIC,
    id::CORRELATION_DATA,
    id::USER,
    id::CONTENT_TYPE,
    id::SUBSCRIPTION_ID,
]);

/// Decodes what follows the fixed header.
pub fn decode<'a>(
    header: &FixedHeader,
    body: &'a [u8],
    version: Version,
    bounds: Bounds,
) -> Result<Publish<'a>, Fault> {
    let qos = Qos::from_bits((header.flags >> 1) & 3).ok_or(Fault::malformed("QoS 3 [MQTT-3.3.1-4]"))?;
    let dup = header.flags & DUP != 0;
    if dup && qos == Qos::AtMostOnce {
        return Err(Fault::malformed("DUP with QoS 0 [MQTT-3.3.1-2]"));
    }
    let (rest, topic) = string(body).map_err(fault_of)?;
    let (rest, packet_id) = if qos == Qos::AtMostOnce { (rest, 0) } else { packet_id(rest).map_err(fault_of)? };
    let (payload, properties) = if version.is_v5() {
        properties(rest, ALLOWED, bounds).map_err(fault_of)?
    } else {
        (rest, Properties::default())
    };
    if properties.iter().any(|property| matches!(property, Property::SubscriptionId(_))) {
        return Err(Fault::protocol("subscription identifier from a client [MQTT-3.3.4-6]"));
    }
    Ok(Publish { dup, qos, retain: header.flags & RETAIN != 0, topic, packet_id, properties, payload })
}

/// A PUBLISH packet to a client: everything before the payload.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct PublishHead<'a> {
    pub dup: bool,
    pub qos: Qos,
    pub retain: bool,
    pub topic: &'a [u8],
    /// Written with QoS 1 and 2 only.
    pub packet_id: u16,
    /// `None` before version 5.
    pub properties: Option<HeadProperties<'a>>,
    pub payload_bytes: usize,
}

/// The properties of a message on its way out.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs)]
pub struct HeadProperties<'a> {
    /// As the publisher wrote them.
    pub original: &'a [u8],
    pub expiry_s: Option<u32>,
    pub subscription_ids: &'a [u32],
    /// What stands for the topic, or will from now on.
    pub topic_alias: Option<u16>,
}

impl HeadProperties<'_> {
    fn encoded_len(&self) -> usize {
        let ids = self.subscription_ids.iter().map(|&id| Property::SubscriptionId(id).encoded_len());
        let alias_bytes = self.topic_alias.map_or(0, |_| ALIAS_BYTES);
        self.original.len() + self.expiry_s.map_or(0, |_| 5) + alias_bytes + ids.sum::<usize>()
    }

    fn put(&self, out: &mut impl BufMut) {
        put_variable(out, self.encoded_len());
        if let Some(seconds) = self.expiry_s {
            Property::MessageExpiry(seconds).put(out);
        }
        if let Some(alias) = self.topic_alias {
            Property::TopicAlias(alias).put(out);
        }
        self.subscription_ids.iter().for_each(|&id| Property::SubscriptionId(id).put(out));
        out.put_slice(self.original);
    }
}

impl PublishHead<'_> {
    /// Bytes after the fixed header.
    pub fn remaining_len(&self) -> usize {
        let id = if self.qos == Qos::AtMostOnce { 0 } else { 2 };
        let properties = self.properties.map_or(0, |properties| {
            let length = properties.encoded_len();
            variable_len(length) + length
        });
        2 + self.topic.len() + id + properties + self.payload_bytes
    }

    /// Bytes of the whole packet on the wire.
    pub fn packet_len(&self) -> usize {
        let remaining = self.remaining_len();
        1 + variable_len(remaining) + remaining
    }

    /// Writes everything but the payload, which follows.
    pub fn put(&self, out: &mut impl BufMut) {
        let flags = (u8::from(self.dup) << 3) | ((self.qos as u8) << 1) | u8::from(self.retain);
        out.put_u8(Kind::Publish.first_byte() | flags);
        put_variable(out, self.remaining_len());
        put_binary(out, self.topic);
        if self.qos != Qos::AtMostOnce {
            out.put_u16(self.packet_id);
        }
        if let Some(properties) = &self.properties {
            properties.put(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixed_header;
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes_max: 1_000, user_max: 10 };

    fn parse(bytes: &[u8], version: Version) -> Result<Publish<'_>, Fault> {
        let header = fixed_header(bytes)?.expect("whole");
        decode(&header, &bytes[header.header_bytes..], version, BOUNDS)
    }

    #[test]
    fn golden_bytes() {
        let bytes = b"\x3D\x0A\0\x03a/b\x01\x02pay";
        let publish = parse(bytes, Version::V311).expect("good");
        assert_eq!((publish.topic, publish.packet_id, publish.payload), ("a/b", 0x0102, &b"pay"[..]));
        assert_eq!((publish.dup, publish.qos, publish.retain), (true, Qos::ExactlyOnce, true));
        let head = PublishHead {
            dup: true,
            qos: Qos::ExactlyOnce,
            retain: true,
            topic: b"a/b",
            packet_id: 0x0102,
            properties: None,
            payload_bytes: 3,
        };
        let mut out = Vec::new();
        head.put(&mut out);
        assert_eq!(out, bytes[..bytes.len() - 3]);
        assert_eq!(head.packet_len(), bytes.len());
    }

    #[test]
    fn properties_on_the_way_out() {
        let subscription_ids = &[1, 200];
        let properties =
            HeadProperties { original: &[0x01, 1], expiry_s: Some(60), subscription_ids, topic_alias: Some(5) };
        let head = PublishHead {
            dup: false,
            qos: Qos::AtMostOnce,
            retain: false,
            topic: b"t",
            packet_id: 0,
            properties: Some(properties),
            payload_bytes: 0,
        };
        let mut out = Vec::new();
        head.put(&mut out);
        assert_eq!(out, [0x30, 19, 0, 1, b't', 15, 2, 0, 0, 0, 60, 0x23, 0, 5, 0x0B, 1, 0x0B, 0xC8, 0x01, 0x01, 1]);
        assert_eq!(head.packet_len(), out.len());
    }

    #[test]
    fn what_is_wrong_is_refused() {
        parse(b"\x36\x05\0\x01t\0\x01", Version::V311).expect_err("QoS 3");
        parse(b"\x38\x03\0\x01t", Version::V311).expect_err("DUP with QoS 0");
        parse(b"\x32\x03\0\x01t", Version::V311).expect_err("truncated before the packet id (MQ-8)");
        parse(b"\x32\x05\0\x01t\0\0", Version::V311).expect_err("packet id 0");
        let fault =
            parse(b"\x30\x06\0\x01t\x02\x0B\x01", Version::V5).expect_err("subscription id from a client (MQ-7)");
        assert_eq!(fault.reason.0, 0x82);
    }
}

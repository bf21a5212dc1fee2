//! SUBSCRIBE and SUBACK (sections 3.8 and 3.9).

use bytes::BufMut;

use super::primitives::{Parsed, byte, fail, fault_of, packet_id, put_variable, string, variable_len};
use super::properties::{Allowed, Bounds, Properties, Property, id, properties};
use super::{Kind, Qos, Version};
use crate::reason::{Fault, Reason};

/// When retained messages are sent for a subscription (section 3.8.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainHandling {
    /// 0: at every SUBSCRIBE; the only way before version 5.
    #[default]
    Always,
    /// 1: only if the subscription is new.
    IfNew,
    /// 2: not at all.
    Never,
}

/// The options of one subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SubscribeOptions {
    pub qos: Qos,
    pub no_local: bool,
    pub retain_as_published: bool,
    pub retain_handling: RetainHandling,
}

impl SubscribeOptions {
    /// From the byte on the wire; `None` if it says what is reserved.
    pub fn from_byte(byte: u8) -> Option<Self> {
        let retain_handling = match (byte >> 4) & 3 {
            0 => RetainHandling::Always,
            1 => RetainHandling::IfNew,
            2 => RetainHandling::Never,
            _ => return None,
        };
        let qos = Qos::from_bits(byte & 3).filter(|_| byte & 0xC0 == 0)?;
        let (no_local, retain_as_published) = (byte & 4 != 0, byte & 8 != 0);
        Some(Self { qos, no_local, retain_as_published, retain_handling })
    }

    /// The byte on the wire.
    pub fn to_byte(self) -> u8 {
        let flags = (u8::from(self.no_local) << 2) | (u8::from(self.retain_as_published) << 3);
        self.qos as u8 | flags | ((self.retain_handling as u8) << 4)
    }
}

/// A SUBSCRIBE packet whose list was checked.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Subscribe<'a> {
    pub packet_id: u16,
    pub subscription_id: Option<u32>,
    pub count: usize,
    list: &'a [u8],
}

const ALLOWED: Allowed = Allowed::these(&[id::SUBSCRIPTION_ID, id::USER]);

/// Decodes what follows the fixed header; at most `count_max` subscriptions.
pub fn decode(body: &[u8], version: Version, bounds: Bounds, count_max: usize) -> Result<Subscribe<'_>, Fault> {
    let (rest, packet_id) = packet_id(body).map_err(fault_of)?;
    let (list, properties) = if version.is_v5() {
        properties(rest, ALLOWED, bounds).map_err(fault_of)?
    } else {
        (rest, Properties::default())
    };
    let subscription_id = properties.iter().find_map(|property| match property {
        Property::SubscriptionId(id) => Some(id),
        _ => None,
    });
    let count = count(list, version, count_max)?;
    Ok(Subscribe { packet_id, subscription_id, count, list })
}

fn count(mut list: &[u8], version: Version, count_max: usize) -> Result<usize, Fault> {
    let mut count = 0;
    while !list.is_empty() {
        list = entry(list, version).map_err(fault_of)?.0;
        count += 1;
    }
    match count {
        0 => Err(Fault::protocol("SUBSCRIBE without a filter [MQTT-3.8.3-2]")),
        count if count > count_max => {
            Err(Fault::new(Reason::QUOTA_EXCEEDED, "filters in one SUBSCRIBE beyond limits.consumers_max"))
        }
        count => Ok(count),
    }
}

fn entry(input: &[u8], version: Version) -> Parsed<'_, (&str, SubscribeOptions)> {
    let (input, filter) = string(input)?;
    let (rest, byte) = byte(input)?;
    match SubscribeOptions::from_byte(byte) {
        Some(options) if version.is_v5() || byte <= 2 => Ok((rest, (filter, options))),
        _ => fail(Fault::malformed("reserved subscription options [MQTT-3.8.3-5]")),
    }
}

impl<'a> Subscribe<'a> {
    /// The filters with their options, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, SubscribeOptions)> + use<'a> {
        let mut list = self.list;
        std::iter::from_fn(move || {
            let (rest, found) = entry(list, Version::V5).ok()?;
            list = rest;
            Some(found)
        })
    }
}

/// Writes SUBACK or UNSUBACK with a code for each filter; UNSUBACK has none before version 5.
pub fn put_codes(out: &mut impl BufMut, kind: Kind, version: Version, packet_id: u16, codes: &[u8]) {
    let codes = if kind == Kind::UnsubAck && !version.is_v5() { &[] } else { codes };
    out.put_u8(kind.first_byte());
    put_variable(out, 2 + usize::from(version.is_v5()) + codes.len());
    out.put_u16(packet_id);
    if version.is_v5() {
        out.put_u8(0);
    }
    out.put_slice(codes);
}

/// Bytes of a SUBACK or UNSUBACK of version 5, which alone is bounded by the client.
pub fn codes_len(count: usize) -> usize {
    1 + variable_len(3 + count) + 3 + count
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes_max: 100, user_max: 2 };

    #[test]
    fn golden_bytes() {
        let subscribe = decode(b"\0\x0A\0\x03a/b\x01\0\x01#\x02", Version::V311, BOUNDS, 2).expect("good");
        let entries: Vec<_> = subscribe.entries().map(|(filter, options)| (filter, options.qos as u8)).collect();
        assert_eq!((subscribe.packet_id, subscribe.count), (10, 2));
        assert_eq!(entries, [("a/b", 1), ("#", 2)]);
        let subscribe = decode(b"\0\x0A\x02\x0B\x05\0\x01#\x2E", Version::V5, BOUNDS, 2).expect("good");
        assert_eq!(subscribe.subscription_id, Some(5));
        let (_, options) = subscribe.entries().next().expect("one");
        assert!(options.no_local && options.retain_as_published && options.retain_handling == RetainHandling::Never);
        assert_eq!(options.to_byte(), 0x2E);
        let mut out = Vec::new();
        put_codes(&mut out, Kind::SubAck, Version::V5, 10, &[1, 0x80]);
        assert_eq!(out, [0x90, 5, 0, 10, 0, 1, 0x80]);
        assert_eq!(out.len(), codes_len(2));
        out.clear();
        put_codes(&mut out, Kind::UnsubAck, Version::V311, 10, &[0]);
        assert_eq!(out, [0xB0, 2, 0, 10]);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let code = |body: &[u8], version| decode(body, version, BOUNDS, 2).expect_err("wrong").reason.0;
        assert_eq!(code(b"\0\x01", Version::V311), 0x82, "no filter (MQ-12)");
        assert_eq!(code(b"\0\0\0\x01a\0", Version::V311), 0x82, "packet id 0");
        assert_eq!(code(b"\0\x01\0\x01a", Version::V311), 0x81, "no options");
        assert_eq!(code(b"\0\x01\0\x01a\x03", Version::V311), 0x81, "QoS 3");
        assert_eq!(code(b"\0\x01\0\x01a\x04", Version::V311), 0x81, "no-local before version 5");
        assert_eq!(code(b"\0\x01\0\0\x01a\x30", Version::V5), 0x81, "retain handling 3");
        assert_eq!(code(b"\0\x01\x02\x0B\0\0\x01a\0", Version::V5), 0x82, "subscription id 0 (MQ-6)");
        assert_eq!(code(b"\0\x01\0\x01a\0\0\x01b\0\0\x01c\0", Version::V311), 0x97, "one too many");
    }
}

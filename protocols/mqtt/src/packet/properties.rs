//! Properties (section 2.2.2): checked once as a whole, then read as often as needed without allocating.

use bytes::BufMut;
use nom::bytes::complete::take;

use super::Kind;
use super::primitives::{
    Parsed, binary, byte, fail, four_bytes, put_binary, put_variable, string, two_bytes, variable, variable_len,
};
use crate::reason::{Fault, Reason};

/// One property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Property<'a> {
    PayloadFormat(u8),
    MessageExpiry(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    SubscriptionId(u32),
    SessionExpiry(u32),
    AssignedClientId(&'a str),
    ServerKeepAlive(u16),
    AuthenticationMethod(&'a str),
    AuthenticationData(&'a [u8]),
    RequestProblemInformation(u8),
    WillDelay(u32),
    RequestResponseInformation(u8),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonString(&'a str),
    ReceiveMaximum(u16),
    TopicAliasMaximum(u16),
    TopicAlias(u16),
    MaximumQos(u8),
    RetainAvailable(u8),
    User(&'a str, &'a str),
    MaximumPacketSize(u32),
    WildcardAvailable(u8),
    SubscriptionIdAvailable(u8),
    SharedAvailable(u8),
}

/// Identifiers on the wire.
pub mod id {
    #![allow(missing_docs)]
    pub const PAYLOAD_FORMAT: u8 = 0x01;
    pub const MESSAGE_EXPIRY: u8 = 0x02;
    pub const CONTENT_TYPE: u8 = 0x03;
    pub const RESPONSE_TOPIC: u8 = 0x08;
    pub const CORRELATION_DATA: u8 = 0x09;
    pub const SUBSCRIPTION_ID: u8 = 0x0B;
    pub const SESSION_EXPIRY: u8 = 0x11;
    pub const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub const AUTHENTICATION_METHOD: u8 = 0x15;
    pub const AUTHENTICATION_DATA: u8 = 0x16;
    pub const REQUEST_PROBLEM_INFORMATION: u8 = 0x17;
    pub const WILL_DELAY: u8 = 0x18;
    pub const REQUEST_RESPONSE_INFORMATION: u8 = 0x19;
    pub const RESPONSE_INFORMATION: u8 = 0x1A;
    pub const SERVER_REFERENCE: u8 = 0x1C;
    pub const REASON_STRING: u8 = 0x1F;
    pub const RECEIVE_MAXIMUM: u8 = 0x21;
    pub const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
    pub const TOPIC_ALIAS: u8 = 0x23;
    pub const MAXIMUM_QOS: u8 = 0x24;
    pub const RETAIN_AVAILABLE: u8 = 0x25;
    pub const USER: u8 = 0x26;
    pub const MAXIMUM_PACKET_SIZE: u8 = 0x27;
    pub const WILDCARD_AVAILABLE: u8 = 0x28;
    pub const SUBSCRIPTION_ID_AVAILABLE: u8 = 0x29;
    pub const SHARED_AVAILABLE: u8 = 0x2A;
}

/// Which properties a packet may have: one bit for each identifier.
#[derive(Clone, Copy, Debug)]
pub struct Allowed(u64);

impl Allowed {
    /// Exactly these.
    pub const fn these(ids: &[u8]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < ids.len() {
            bits |= 1 << ids[at];
            at += 1;
        }
        Self(bits)
    }

    fn contains(self, id: u8) -> bool {
        self.0 & (1 << id) != 0
    }
}

/// A property section that was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a>(&'a [u8]);

/// What bounds a property section.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Most bytes.
    pub bytes_max: usize,
    /// Most user properties.
    pub user_max: usize,
}

/// Length and properties of a packet that may have the `allowed` ones: each at most once, but for user properties.
pub fn properties(input: &[u8], allowed: Allowed, bounds: Bounds) -> Parsed<'_, Properties<'_>> {
    let (input, length) = variable(input)?;
    let (rest, section) = take(length)(input)?;
    if section.len() > bounds.bytes_max {
        return fail(Fault::new(Reason::QUOTA_EXCEEDED, "property bytes beyond limits.header_bytes_max"));
    }
    check(section, allowed, bounds.user_max)?;
    Ok((rest, Properties(section)))
}

fn check(mut section: &[u8], allowed: Allowed, user_max: usize) -> Parsed<'_, ()> {
    let (mut seen, mut users) = (0u64, 0);
    while let [id, ..] = *section {
        let (rest, property) = property(section)?;
        section = rest;
        if !allowed.contains(id) {
            return fail(Fault::malformed("property does not belong into this packet (section 2.2.2.2)"));
        }
        if id == id::USER {
            users += 1;
        } else if seen & (1 << id) != 0 {
            return fail(Fault::protocol("property is there twice"));
        }
        seen |= 1 << id;
        check_value(property)?;
    }
    if users > user_max {
        return fail(Fault::new(Reason::QUOTA_EXCEEDED, "user properties beyond limits.table_entries_max"));
    }
    Ok((&[], ()))
}

fn check_value(property: Property<'_>) -> Parsed<'static, ()> {
    match property {
        Property::PayloadFormat(value)
        | Property::RequestProblemInformation(value)
        | Property::RequestResponseInformation(value)
            if value > 1 =>
        {
            fail(Fault::protocol("property value is neither 0 nor 1"))
        }
        Property::ReceiveMaximum(0) => fail(Fault::protocol("receive maximum 0")),
        Property::MaximumPacketSize(0) => fail(Fault::protocol("maximum packet size 0")),
        Property::SubscriptionId(0) => fail(Fault::protocol("subscription identifier 0")),
        Property::TopicAlias(0) => fail(Fault::new(Reason::TOPIC_ALIAS_INVALID, "topic alias 0 [MQTT-3.3.2-8]")),
        _ => Ok((&[], ())),
    }
}

/// The property at the start of `input`.
pub fn property(input: &[u8]) -> Parsed<'_, Property<'_>> {
    let (input, id) = byte(input)?;
    macro_rules! with {
        ($reader:ident, $variant:ident) => {{
            let (rest, value) = $reader(input)?;
            Ok((rest, Property::$variant(value)))
        }};
    }
    match id {
        id::PAYLOAD_FORMAT => with!(byte, PayloadFormat),
        id::MESSAGE_EXPIRY => with!(four_bytes, MessageExpiry),
        id::CONTENT_TYPE => with!(string, ContentType),
        id::RESPONSE_TOPIC => with!(string, ResponseTopic),
        id::CORRELATION_DATA => with!(binary, CorrelationData),
        id::SUBSCRIPTION_ID => with!(variable, SubscriptionId),
        id::SESSION_EXPIRY => with!(four_bytes, SessionExpiry),
        id::ASSIGNED_CLIENT_ID => with!(string, AssignedClientId),
        id::SERVER_KEEP_ALIVE => with!(two_bytes, ServerKeepAlive),
        id::AUTHENTICATION_METHOD => with!(string, AuthenticationMethod),
        id::AUTHENTICATION_DATA => with!(binary, AuthenticationData),
        id::REQUEST_PROBLEM_INFORMATION => with!(byte, RequestProblemInformation),
        id::WILL_DELAY => with!(four_bytes, WillDelay),
        id::REQUEST_RESPONSE_INFORMATION => with!(byte, RequestResponseInformation),
        id::RESPONSE_INFORMATION => with!(string, ResponseInformation),
        id::SERVER_REFERENCE => with!(string, ServerReference),
        id::REASON_STRING => with!(string, ReasonString),
        id::RECEIVE_MAXIMUM => with!(two_bytes, ReceiveMaximum),
        id::TOPIC_ALIAS_MAXIMUM => with!(two_bytes, TopicAliasMaximum),
        id::TOPIC_ALIAS => with!(two_bytes, TopicAlias),
        id::MAXIMUM_QOS => with!(byte, MaximumQos),
        id::RETAIN_AVAILABLE => with!(byte, RetainAvailable),
        id::USER => {
            let (input, name) = string(input)?;
            let (rest, value) = string(input)?;
            Ok((rest, Property::User(name, value)))
        }
        id::MAXIMUM_PACKET_SIZE => with!(four_bytes, MaximumPacketSize),
        id::WILDCARD_AVAILABLE => with!(byte, WildcardAvailable),
        id::SUBSCRIPTION_ID_AVAILABLE => with!(byte, SubscriptionIdAvailable),
        id::SHARED_AVAILABLE => with!(byte, SharedAvailable),
        _ => fail(Fault::malformed("unknown property")),
    }
}

impl<'a> Properties<'a> {
    /// The bytes, without their length.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Stored bytes, which were checked when they came in; reading ends at what cannot be read.
    pub fn stored(section: &'a [u8]) -> Self {
        Self(section)
    }

    /// All properties in order.
    pub fn iter(self) -> impl Iterator<Item = Property<'a>> {
        self.with_bytes().map(|(_, property)| property)
    }

    /// All properties in order, each with its own bytes.
    pub fn with_bytes(self) -> impl Iterator<Item = (&'a [u8], Property<'a>)> {
        let mut section = self.0;
        std::iter::from_fn(move || {
            let (rest, found) = property(section).ok()?;
            let bytes = section.get(..section.len() - rest.len())?;
            section = rest;
            Some((bytes, found))
        })
    }
}

impl Property<'_> {
    /// The identifier on the wire.
    pub fn id(&self) -> u8 {
        match self {
            Self::PayloadFormat(_) => id::PAYLOAD_FORMAT,
            Self::MessageExpiry(_) => id::MESSAGE_EXPIRY,
            Self::ContentType(_) => id::CONTENT_TYPE,
            Self::ResponseTopic(_) => id::RESPONSE_TOPIC,
            Self::CorrelationData(_) => id::CORRELATION_DATA,
            Self::SubscriptionId(_) => id::SUBSCRIPTION_ID,
            Self::SessionExpiry(_) => id::SESSION_EXPIRY,
            Self::AssignedClientId(_) => id::ASSIGNED_CLIENT_ID,
            Self::ServerKeepAlive(_) => id::SERVER_KEEP_ALIVE,
            Self::AuthenticationMethod(_) => id::AUTHENTICATION_METHOD,
            Self::AuthenticationData(_) => id::AUTHENTICATION_DATA,
            Self::RequestProblemInformation(_) => id::REQUEST_PROBLEM_INFORMATION,
            Self::WillDelay(_) => id::WILL_DELAY,
            Self::RequestResponseInformation(_) => id::REQUEST_RESPONSE_INFORMATION,
            Self::ResponseInformation(_) => id::RESPONSE_INFORMATION,
            Self::ServerReference(_) => id::SERVER_REFERENCE,
            Self::ReasonString(_) => id::REASON_STRING,
            Self::ReceiveMaximum(_) => id::RECEIVE_MAXIMUM,
            Self::TopicAliasMaximum(_) => id::TOPIC_ALIAS_MAXIMUM,
            Self::TopicAlias(_) => id::TOPIC_ALIAS,
            Self::MaximumQos(_) => id::MAXIMUM_QOS,
            Self::RetainAvailable(_) => id::RETAIN_AVAILABLE,
            Self::User(..) => id::USER,
            Self::MaximumPacketSize(_) => id::MAXIMUM_PACKET_SIZE,
            Self::WildcardAvailable(_) => id::WILDCARD_AVAILABLE,
            Self::SubscriptionIdAvailable(_) => id::SUBSCRIPTION_ID_AVAILABLE,
            Self::SharedAvailable(_) => id::SHARED_AVAILABLE,
        }
    }

    /// Bytes on the wire, identifier included.
    pub fn encoded_len(&self) -> usize {
        1 + match self {
            Self::PayloadFormat(_)
            | Self::RequestProblemInformation(_)
            | Self::RequestResponseInformation(_)
            | Self::MaximumQos(_)
            | Self::RetainAvailable(_)
            | Self::WildcardAvailable(_)
            | Self::SubscriptionIdAvailable(_)
            | Self::SharedAvailable(_) => 1,
            Self::ServerKeepAlive(_) | Self::ReceiveMaximum(_) | Self::TopicAliasMaximum(_) | Self::TopicAlias(_) => 2,
            Self::MessageExpiry(_) | Self::SessionExpiry(_) | Self::WillDelay(_) | Self::MaximumPacketSize(_) => 4,
            Self::SubscriptionId(value) => variable_len(*value as usize),
            Self::CorrelationData(bytes) | Self::AuthenticationData(bytes) => 2 + bytes.len(),
            Self::User(name, value) => 4 + name.len() + value.len(),
            Self::ContentType(text)
            | Self::ResponseTopic(text)
            | Self::AssignedClientId(text)
            | Self::AuthenticationMethod(text)
            | Self::ResponseInformation(text)
            | Self::ServerReference(text)
            | Self::ReasonString(text) => 2 + text.len(),
        }
    }

    /// Writes it.
    pub fn put(&self, out: &mut impl BufMut) {
        out.put_u8(self.id());
        match self {
            Self::PayloadFormat(value)
            | Self::RequestProblemInformation(value)
            | Self::RequestResponseInformation(value)
            | Self::MaximumQos(value)
            | Self::RetainAvailable(value)
            | Self::WildcardAvailable(value)
            | Self::SubscriptionIdAvailable(value)
            | Self::SharedAvailable(value) => out.put_u8(*value),
            Self::ServerKeepAlive(value)
            | Self::ReceiveMaximum(value)
            | Self::TopicAliasMaximum(value)
            | Self::TopicAlias(value) => out.put_u16(*value),
            Self::MessageExpiry(value)
            | Self::SessionExpiry(value)
            | Self::WillDelay(value)
            | Self::MaximumPacketSize(value) => out.put_u32(*value),
            Self::SubscriptionId(value) => put_variable(out, *value as usize),
            Self::CorrelationData(bytes) | Self::AuthenticationData(bytes) => put_binary(out, bytes),
            Self::User(name, value) => {
                put_binary(out, name.as_bytes());
                put_binary(out, value.as_bytes());
            }
            Self::ContentType(text)
            | Self::ResponseTopic(text)
            | Self::AssignedClientId(text)
            | Self::AuthenticationMethod(text)
            | Self::ResponseInformation(text)
            | Self::ServerReference(text)
            | Self::ReasonString(text) => put_binary(out, text.as_bytes()),
        }
    }
}

/// Bytes of a list of properties, without the length before it.
pub fn list_len(list: &[Property<'_>]) -> usize {
    list.iter().map(Property::encoded_len).sum()
}

/// Writes a packet that is a reason code and properties (AUTH and DISCONNECT of version 5).
pub fn put_reason(out: &mut impl BufMut, kind: Kind, reason: Reason, list: &[Property<'_>]) {
    let properties = list_len(list);
    out.put_u8(kind.first_byte());
    put_variable(out, 1 + variable_len(properties) + properties);
    out.put_u8(reason.0);
    put_list(out, list);
}

/// Writes a list of properties with the length before it.
pub fn put_list(out: &mut impl BufMut, list: &[Property<'_>]) {
    put_variable(out, list_len(list));
    list.iter().for_each(|property| property.put(out));
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes_max: 100, user_max: 2 };

    #[test]
    fn every_property_comes_back() {
        let all = [
            Property::PayloadFormat(1),
            Property::MessageExpiry(7),
            Property::ContentType("text/plain"),
            Property::ResponseTopic("a/b"),
            Property::CorrelationData(b"\0\xFF"),
            Property::SubscriptionId(300),
            Property::SessionExpiry(u32::MAX),
            Property::AssignedClientId("x"),
            Property::ServerKeepAlive(9),
            Property::AuthenticationMethod("m"),
            Property::AuthenticationData(b"d"),
            Property::RequestProblemInformation(0),
            Property::WillDelay(5),
            Property::RequestResponseInformation(1),
            Property::ResponseInformation("r"),
            Property::ServerReference("s"),
            Property::ReasonString("why"),
            Property::ReceiveMaximum(1),
            Property::TopicAliasMaximum(2),
            Property::TopicAlias(3),
            Property::MaximumQos(1),
            Property::RetainAvailable(0),
            Property::User("k", "v"),
            Property::MaximumPacketSize(4),
            Property::WildcardAvailable(1),
            Property::SubscriptionIdAvailable(1),
            Property::SharedAvailable(1),
        ];
        for one in all {
            let mut bytes = Vec::new();
            one.put(&mut bytes);
            assert_eq!(bytes.len(), one.encoded_len());
            assert_eq!(property(&bytes), Ok((&[][..], one)));
        }
    }

    #[test]
    fn what_is_wrong_has_its_code() {
        let allowed = Allowed::these(&[id::RECEIVE_MAXIMUM, id::USER, id::TOPIC_ALIAS]);
        let reason = |section: &[u8]| {
            let mut bytes = vec![section.len() as u8];
            bytes.extend_from_slice(section);
            let error = properties(&bytes, allowed, BOUNDS).expect_err("wrong");
            super::super::primitives::fault_of(error).reason.0
        };
        assert_eq!(reason(&[0x21, 0, 0]), 0x82, "receive maximum 0");
        assert_eq!(reason(&[0x21, 0, 1, 0x21, 0, 1]), 0x82, "twice");
        assert_eq!(reason(&[0x24, 1]), 0x81, "not in this packet");
        assert_eq!(reason(&[0x7E, 1]), 0x81, "unknown");
        assert_eq!(reason(&[0x21, 0]), 0x81, "cut");
        assert_eq!(reason(&[0x23, 0, 0]), 0x94, "alias 0");
        assert_eq!(reason(&[0x26, 0, 0, 0, 0].repeat(3)), 0x97, "one user property too many");
        assert_eq!(reason(&[&[0x26, 0, 97][..], &[b'x'; 97], &[0, 0]].concat()), 0x97, "too many bytes");
    }

    #[test]
    fn user_properties_may_repeat() {
        let bytes = [10, 0x26, 0, 0, 0, 0, 0x26, 0, 0, 0, 0];
        let (rest, section) = properties(&bytes, Allowed::these(&[id::USER]), BOUNDS).expect("good");
        assert!(rest.is_empty());
        assert_eq!(section.iter().count(), 2);
    }
}

//! CONNECT (section 3.1).

use super::primitives::{Parsed, binary, byte, fail, fault_of, string, two_bytes, whole};
use super::properties::{Allowed, Bounds, Properties, Property, id, properties};
use super::{Qos, Version};
use crate::reason::{Fault, Reason};

/// A CONNECT packet.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Connect<'a> {
    pub version: Version,
    /// Clean Session before version 5, Clean Start since.
    pub clean: bool,
    pub keep_alive_s: u16,
    pub properties: Properties<'a>,
    pub client_id: &'a str,
    pub will: Option<Will<'a>>,
    pub user: Option<&'a str>,
    pub password: Option<&'a [u8]>,
}

/// The will in a CONNECT packet.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Will<'a> {
    pub qos: Qos,
    pub retain: bool,
    pub properties: Properties<'a>,
    pub topic: &'a str,
    pub payload: &'a [u8],
}

const ALLOWED: Allowed = Allowed::these(&[
    id::SESSION_EXPIRY,
    id::RECEIVE_MAXIMUM,
    id::MAXIMUM_PACKET_SIZE,
    id::TOPIC_ALIAS_MAXIMUM,
    id::REQUEST_RESPONSE_INFORMATION,
    id::REQUEST_PROBLEM_INFORMATION,
    id::USER,
    id::AUTHENTICATION_METHOD,
    id::AUTHENTICATION_DATA,
]);
const ALLOWED_IN_WILL: Allowed = Allowed::these(&[
    id::WILL_DELAY,
    id::PAYLOAD_FORMAT,
    id::MESSAGE_EXPIRY,
    id::CONTENT_TYPE,
    id::RESPONSE_TOPIC,
    id::CORRELATION_DATA,
    id::USER,
]);

/// Whose words the answer to a CONNECT should be in, as far as that can be known.
pub fn version(body: &[u8]) -> Result<Version, Fault> {
    name_and_level(body).map(|(_, version)| version).map_err(fault_of)
}

fn name_and_level(body: &[u8]) -> Parsed<'_, Version> {
    let (rest, name) = binary(body)?;
    let (rest, level) = byte(rest)?;
    // The highest bit is how bridges of some brokers mark themselves; 3.1.1 and 5.0 know no such level.
    match (name, level) {
        (b"MQTT", 5) => Ok((rest, Version::V5)),
        (b"MQTT", 4) => Ok((rest, Version::V311)),
        (b"MQIsdp", 3) => Ok((rest, Version::V31)),
        (b"MQTT" | b"MQIsdp", _) => fail(Fault::new(Reason::UNSUPPORTED_VERSION, "protocol level [MQTT-3.1.2-2]")),
        _ => fail(Fault::malformed("protocol name [MQTT-3.1.2-1]")),
    }
}

/// The largest packet that the client takes, as far as that can be known of a CONNECT that may be wrong.
pub fn packet_bytes_max(body: &[u8], bounds: Bounds) -> usize {
    let section = name_and_level(body).ok().filter(|(_, version)| version.is_v5());
    let section = section.and_then(|(rest, _)| properties(rest.get(3..)?, ALLOWED, bounds).ok());
    let wished = section.and_then(|(_, properties)| {
        properties.iter().find_map(|property| match property {
            Property::MaximumPacketSize(bytes) => usize::try_from(bytes).ok(),
            _ => None,
        })
    });
    wished.unwrap_or(usize::MAX)
}

/// Decodes what follows the fixed header.
pub fn decode(body: &[u8], bounds: Bounds) -> Result<Connect<'_>, Fault> {
    let (rest, version) = name_and_level(body).map_err(fault_of)?;
    let (rest, flags) = flags(rest, version).map_err(fault_of)?;
    whole(payload(rest, version, flags, bounds))
}

/// The connect flags (section 3.1.2.3).
#[derive(Clone, Copy)]
struct Flags(u8);

impl Flags {
    fn has(self, bit: u8) -> bool {
        self.0 & (1 << bit) != 0
    }
}

fn flags(input: &[u8], version: Version) -> Parsed<'_, Flags> {
    let (rest, bits) = byte(input)?;
    let flags = Flags(bits);
    if flags.has(0) {
        return fail(Fault::malformed("reserved connect flag [MQTT-3.1.2-3]"));
    }
    if !flags.has(2) && bits & 0b0011_1000 != 0 {
        return fail(Fault::malformed("will QoS or retain without a will [MQTT-3.1.2-11]"));
    }
    if flags.has(6) && !flags.has(7) && !version.is_v5() {
        return fail(Fault::malformed("password without a user name [MQTT-3.1.2-22]"));
    }
    Ok((rest, flags))
}

fn payload(input: &[u8], version: Version, flags: Flags, bounds: Bounds) -> Parsed<'_, Connect<'_>> {
    let (input, keep_alive_s) = two_bytes(input)?;
    let (input, properties) = section(input, version, ALLOWED, bounds)?;
    let (input, client_id) = string(input)?;
    let (input, will) = optional(input, flags.has(2), |input| will(input, version, flags, bounds))?;
    // Version 3.1 lets clients that announce a user name or a password leave them out.
    let may_end = |input: &[u8]| version == Version::V31 && input.is_empty();
    let (input, user) = optional(input, flags.has(7) && !may_end(input), string)?;
    let (input, password) = optional(input, flags.has(6) && !may_end(input), binary)?;
    let clean = flags.has(1);
    Ok((input, Connect { version, clean, keep_alive_s, properties, client_id, will, user, password }))
}

fn will(input: &[u8], version: Version, flags: Flags, bounds: Bounds) -> Parsed<'_, Will<'_>> {
    let Some(qos) = Qos::from_bits((flags.0 >> 3) & 3) else {
        return fail(Fault::malformed("will QoS 3 [MQTT-3.1.2-12]"));
    };
    let (input, properties) = section(input, version, ALLOWED_IN_WILL, bounds)?;
    let (input, topic) = string(input)?;
    let (input, payload) = binary(input)?;
    Ok((input, Will { qos, retain: flags.has(5), properties, topic, payload }))
}

fn section(input: &[u8], version: Version, allowed: Allowed, bounds: Bounds) -> Parsed<'_, Properties<'_>> {
    if version.is_v5() { properties(input, allowed, bounds) } else { Ok((input, Properties::default())) }
}

fn optional<'a, T>(input: &'a [u8], is_there: bool, read: impl Fn(&'a [u8]) -> Parsed<'a, T>) -> Parsed<'a, Option<T>> {
    if !is_there {
        return Ok((input, None));
    }
    read(input).map(|(rest, value)| (rest, Some(value)))
}

/// What a version 5 client says of itself in the properties; older ones say the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Wishes {
    /// In seconds; `u32::MAX` is for ever.
    pub session_expiry_s: u32,
    pub receive_maximum: u16,
    pub packet_bytes_max: u32,
    pub topic_alias_maximum: u16,
    pub wants_response_information: bool,
}

impl<'a> Connect<'a> {
    /// Method and data of enhanced authentication.
    pub fn authentication(&self) -> (Option<&'a str>, Option<&'a [u8]>) {
        let (mut method, mut data) = (None, None);
        for property in self.properties.iter() {
            match property {
                Property::AuthenticationMethod(text) => method = Some(text),
                Property::AuthenticationData(bytes) => data = Some(bytes),
                _ => {}
            }
        }
        (method, data)
    }

    /// The wishes, with the defaults of section 3.1.2.11 for what is not said.
    pub fn wishes(&self) -> Wishes {
        let forgets = self.clean || self.version.is_v5();
        let mut wishes = Wishes {
            session_expiry_s: if forgets { 0 } else { u32::MAX },
            receive_maximum: u16::MAX,
            packet_bytes_max: u32::MAX,
            topic_alias_maximum: 0,
            wants_response_information: false,
        };
        for property in self.properties.iter() {
            match property {
                Property::SessionExpiry(seconds) => wishes.session_expiry_s = seconds,
                Property::ReceiveMaximum(maximum) => wishes.receive_maximum = maximum,
                Property::MaximumPacketSize(bytes) => wishes.packet_bytes_max = bytes,
                Property::TopicAliasMaximum(maximum) => wishes.topic_alias_maximum = maximum,
                Property::RequestResponseInformation(value) => wishes.wants_response_information = value == 1,
                _ => {}
            }
        }
        wishes
    }
}

//! From `connection.start` to `connection.tune-ok`: who we are, who the client is, and what both agree on.

use bytes::Bytes;
use crossdock_common::command::Credentials;
use crossdock_common::{Limits, Name, Table, Text, Value};

use crate::error::{Fault, ReplyCode};
use crate::frame::FRAME_BYTES_MIN;
use crate::frame::connection::{Start, Tune};
use crate::frame::table::{self, Budget, Entries, Raw};
use crate::options::{ConnectionOptions, Mechanism};

/// What RabbitMQ says it can, in its order, and whether we can. Clients branch on these, so none says more than is there.
const SERVER_CAPABILITIES: [(&str, bool); 9] = [
    ("publisher_confirms", true),
    ("exchange_exchange_bindings", true),
    ("basic.nack", true),
    ("consumer_cancel_notify", true),
    ("connection.blocked", true),
    ("consumer_priorities", true),
    ("authentication_failure_close", true),
    ("per_consumer_qos", true),
    ("direct_reply_to", true),
];

/// `connection.start` with RabbitMQ's server properties.
pub(crate) fn start(options: &ConnectionOptions) -> Start {
    let text = |name: &'static str, value: Text| (Text::from_static(name), Value::String(value));
    let capabilities = SERVER_CAPABILITIES.map(|(name, can)| (Text::from_static(name), Value::Bool(can)));
    let properties: Table = vec![
        (Text::from_static("capabilities"), Value::Map(capabilities.into())),
        text("cluster_name", options.node.clone()),
        text("copyright", Text::from_static("The Crossdock authors")),
        text("information", Text::from_static("Licensed under the Apache License 2.0")),
        text("platform", Text::from_static("Rust")),
        text("product", options.product.clone()),
        text("version", options.version.clone()),
    ];
    let mechanisms: Vec<&str> = options.offered().map(Mechanism::name).collect();
    Start { properties, mechanisms: mechanisms.join(" ") }
}

/// What the client says it can, as far as it matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    pub authentication_failure_close: bool,
    pub consumer_cancel_notify: bool,
    pub connection_blocked: bool,
}

impl Capabilities {
    /// Reads the client properties without keeping them: nobody knows yet who the client is.
    pub(crate) fn of(properties: &[u8], limits: &Limits) -> Result<Self, Fault> {
        table::check(properties, &mut Budget::new(limits))?;
        let mut found = Self::default();
        let tables = Entries(properties).flatten().filter(|entry| entry.name == b"capabilities");
        for entry in tables.filter_map(|entry| entry.value.entries()).flatten().flatten() {
            let truth = entry.value.as_bool() == Some(true);
            match entry.name {
                b"authentication_failure_close" => found.authentication_failure_close = truth,
                b"consumer_cancel_notify" => found.consumer_cancel_notify = truth,
                b"connection.blocked" => found.connection_blocked = truth,
                _ => {}
            }
        }
        Ok(found)
    }
}

/// The offered mechanism of that name.
pub(crate) fn mechanism(options: &ConnectionOptions, name: &[u8]) -> Result<Mechanism, Fault> {
    options.offered().find(|mechanism| mechanism.name().as_bytes() == name).ok_or_else(|| {
        let text = format!("unknown authentication mechanism '{}'", String::from_utf8_lossy(name));
        Fault::new(ReplyCode::CommandInvalid, text)
    })
}

/// What the response proves. Errors don't repeat it: it holds a password.
pub(crate) fn credentials(mechanism: Mechanism, response: &[u8], limits: &Limits) -> Result<Credentials, Fault> {
    let parsed = match mechanism {
        Mechanism::Plain => plain(response),
        Mechanism::AmqPlain => amqplain(response, limits),
        Mechanism::External => Some(Credentials::Certificate),
        Mechanism::Anonymous => Some(Credentials::Anonymous),
    };
    parsed.ok_or_else(|| Fault::new(ReplyCode::SyntaxError, format!("{} response is invalid", mechanism.name())))
}

/// RFC 4616: authorization identity, NUL, name, NUL, password. The first is ignored, as RabbitMQ does.
fn plain(response: &[u8]) -> Option<Credentials> {
    let mut parts = response.splitn(3, |octet| *octet == 0);
    let (_, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    password_credentials(user, password)
}

/// A field table's content with `LOGIN` and `PASSWORD`.
fn amqplain(response: &[u8], limits: &Limits) -> Option<Credentials> {
    table::check(response, &mut Budget::new(limits)).ok()?;
    let find = |name: &[u8]| {
        let text = Entries(response).flatten().find(|entry| entry.name == name)?.value;
        matches!(text, Raw { letter: b'S', .. }).then_some(text.bytes)
    };
    password_credentials(find(b"LOGIN")?, find(b"PASSWORD")?)
}

fn password_credentials(user: &[u8], password: &[u8]) -> Option<Credentials> {
    let user = Name::from(std::str::from_utf8(user).ok()?);
    Some(Credentials::Password { user, password: Bytes::copy_from_slice(password) })
}

/// RabbitMQ's text for a wrong name or password.
pub(crate) fn login_refused(mechanism: Mechanism) -> Fault {
    let text = format!(
        "Login was refused using authentication mechanism {}. For details see the broker logfile.",
        mechanism.name()
    );
    Fault::new(ReplyCode::AccessRefused, text)
}

/// What we propose.
pub(crate) fn tune(limits: &Limits) -> Tune {
    Tune {
        channel_max: limits.channels_max,
        frame_max: u32::try_from(limits.frame_bytes_max).unwrap_or(u32::MAX),
        heartbeat: u16::try_from(limits.heartbeat_ms.div_ceil(1000)).unwrap_or(u16::MAX),
    }
}

/// What both agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    pub channel_max: u16,
    pub frame_max: usize,
    pub heartbeat_seconds: u16,
}

/// The client's answer to our proposal: it may only lower it, and 0 leaves it to us.
pub(crate) fn agree(ours: Tune, channel_max: u16, frame_max: u32, heartbeat: u16) -> Result<Agreed, Fault> {
    let refused = |field: &str, theirs: u32, word: &str, bound: &str, limit: usize| {
        let text = format!("negotiated {field} = {theirs} is {word} than the {bound} allowed value ({limit})");
        Fault::not_allowed(text)
    };
    let frame_bytes = usize::try_from(frame_max).unwrap_or(usize::MAX);
    let frame_bytes_max = usize::try_from(ours.frame_max).unwrap_or(usize::MAX);
    if frame_max != 0 && frame_bytes < FRAME_BYTES_MIN {
        return Err(refused("frame_max", frame_max, "lower", "minimum", FRAME_BYTES_MIN));
    }
    if frame_bytes > frame_bytes_max {
        return Err(refused("frame_max", frame_max, "higher", "maximum", frame_bytes_max));
    }
    if channel_max > ours.channel_max {
        return Err(refused("channel_max", channel_max.into(), "higher", "maximum", ours.channel_max.into()));
    }
    Ok(Agreed {
        channel_max: if channel_max == 0 { ours.channel_max } else { channel_max },
        frame_max: if frame_max == 0 { frame_bytes_max } else { frame_bytes },
        heartbeat_seconds: heartbeat,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Tune = Tune { channel_max: 2047, frame_max: 131_072, heartbeat: 60 };

    #[test]
    fn the_client_may_lower_what_we_propose() {
        let agreed = |channel_max, frame_max| agree(OURS, channel_max, frame_max, 30);
        let both = |channel_max, frame_max| Ok(Agreed { channel_max, frame_max, heartbeat_seconds: 30 });
        assert_eq!(agreed(0, 0), both(2047, 131_072));
        assert_eq!(agreed(2047, 131_072), both(2047, 131_072));
        assert_eq!(agreed(1, 4096), both(1, 4096));
        let text = |result: Result<Agreed, Fault>| result.unwrap_err().to_string();
        assert_eq!(
            text(agreed(1, 4095)),
            "NOT_ALLOWED - negotiated frame_max = 4095 is lower than the minimum allowed value (4096)"
        );
        assert_eq!(
            text(agreed(1, 131_073)),
            "NOT_ALLOWED - negotiated frame_max = 131073 is higher than the maximum allowed value (131072)"
        );
        assert_eq!(
            text(agreed(2048, 0)),
            "NOT_ALLOWED - negotiated channel_max = 2048 is higher than the maximum allowed value (2047)"
        );
    }

    #[test]
    fn plain_and_amqplain_give_the_same() {
        let expected = Credentials::Password { user: Name::from("guest"), password: Bytes::from_static(b"gu\0st") };
        let limits = Limits::default();
        assert!(credentials(Mechanism::Plain, b"\0guest\0gu\0st", &limits) == Ok(expected.clone()));
        let table = b"\x05LOGINS\x00\x00\x00\x05guest\x08PASSWORDS\x00\x00\x00\x05gu\0st";
        assert!(credentials(Mechanism::AmqPlain, table, &limits) == Ok(expected));
        for broken in [&b""[..], b"\0guest", b"guest", b"\0\xFF\0x"] {
            assert!(credentials(Mechanism::Plain, broken, &limits).is_err());
        }
        for broken in [&b""[..], b"\x05LOGINS\x00\x00\x00\x05guest", b"\x05LOGINI\x00\x00\x00\x05", b"\x05LOGINS\xFF"] {
            let fault = credentials(Mechanism::AmqPlain, broken, &limits).unwrap_err();
            assert_eq!(fault.to_string(), "SYNTAX_ERROR - AMQPLAIN response is invalid");
        }
    }

    #[test]
    fn external_is_offered_with_a_certificate_only() {
        let mut options = ConnectionOptions::default();
        assert_eq!(start(&options).mechanisms, "PLAIN AMQPLAIN");
        assert!(mechanism(&options, b"EXTERNAL").is_err());
        options.certificate_name = Some(Name::from("device-1"));
        assert_eq!(start(&options).mechanisms, "PLAIN AMQPLAIN EXTERNAL");
        assert_eq!(mechanism(&options, b"EXTERNAL"), Ok(Mechanism::External));
        let fault = mechanism(&options, b"SCRAM").unwrap_err();
        assert_eq!(fault.to_string(), "COMMAND_INVALID - unknown authentication mechanism 'SCRAM'");
    }
}

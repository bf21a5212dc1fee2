//! What the broker needs to know of a message's properties when it is published.

use bytes::Bytes;
use crossdock_common::{Limits, Message, Name};

use super::{FORMAT, milliseconds, outgoing};
use crate::error::{Fault, ReplyCode};
use crate::frame::properties::Properties;
use crate::frame::table::{self, Budget, Entries, Raw};

/// The header whose keys are used for routing and seen by nobody.
pub(crate) const BCC: &str = "BCC";
/// The name that stands for the channel's own address in `reply-to` and in `basic.consume`.
pub(crate) const REPLY_TO: &str = "amq.rabbitmq.reply-to";
const CC: &[u8] = b"CC";

/// Facts beside the properties that the message keeps.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub durable: bool,
    pub priority: u8,
    pub ttl_ms: Option<u64>,
    pub extra_keys: Vec<Bytes>,
    /// The last of them that nobody shall see.
    pub blind_keys: usize,
    pub has_bcc: bool,
    /// Answers shall go to the channel itself.
    pub wants_replies: bool,
}

impl Facts {
    /// Reads and checks property flags and list. Allocates only for CC and BCC.
    pub(crate) fn of(source: &[u8], user: &Publisher<'_>, limits: &Limits) -> Result<Self, Fault> {
        let properties = Properties::parse(source)?;
        user.check(properties.user_id)?;
        let mut facts = Self {
            durable: properties.delivery_mode == Some(2),
            priority: properties.priority.unwrap_or(0),
            ttl_ms: properties.expiration.map(expiration).transpose()?,
            wants_replies: properties.reply_to == Some(REPLY_TO.as_bytes()),
            ..Self::default()
        };
        if let Some(headers) = properties.headers {
            table::check(headers, &mut Budget::new(limits))?;
            facts.read_headers(headers)?;
        }
        Ok(facts)
    }

    /// The message with these facts; who published it and when is the caller's to say.
    pub(crate) fn message(self, exchange: Name, routing_key: Bytes, properties: Bytes, body: Bytes) -> Message {
        let properties = if self.has_bcc { outgoing::without_header(&properties, BCC) } else { properties };
        let mut message = Message::new(&FORMAT, exchange, routing_key, properties, body);
        message.durable = self.durable;
        message.priority = self.priority;
        message.ttl_ms = self.ttl_ms;
        if !self.extra_keys.is_empty() {
            let rare = message.rare_mut();
            (rare.extra_keys, rare.blind_keys) = (self.extra_keys, self.blind_keys);
        }
        message
    }

    /// The message is published as it arrived, with one routing key.
    pub(crate) fn are_plain(&self) -> bool {
        !self.has_bcc && !self.wants_replies && self.extra_keys.is_empty()
    }

    fn read_headers(&mut self, headers: &[u8]) -> Result<(), Fault> {
        let mut blind = None;
        for entry in Entries(headers) {
            let entry = entry?;
            match entry.name {
                CC => self.add_keys("CC", entry.value)?,
                name if name == BCC.as_bytes() => blind = Some(entry.value),
                _ => {}
            }
        }
        if let Some(blind) = blind {
            self.has_bcc = true;
            let seen = self.extra_keys.len();
            self.add_keys(BCC, blind)?;
            self.blind_keys = self.extra_keys.len() - seen;
        }
        Ok(())
    }

    /// Items that are no text are passed over, as by RabbitMQ.
    fn add_keys(&mut self, name: &str, value: Raw<'_>) -> Result<(), Fault> {
        let unacceptable = || {
            let kind = table::type_name(value.letter);
            Fault::precondition(format!("invalid message: {{unacceptable_type_in_header,\"{name}\",{kind}}}"))
        };
        for item in value.items().ok_or_else(unacceptable)? {
            if let Raw { letter: b'S', bytes } = item? {
                self.extra_keys.push(Bytes::copy_from_slice(bytes));
            }
        }
        Ok(())
    }
}

/// Longest `expiration` in milliseconds, as RabbitMQ.
const EXPIRATION_MS_MAX: u64 = 4_294_967_295;

fn expiration(text: &[u8]) -> Result<u64, Fault> {
    milliseconds(text).filter(|ms| *ms <= EXPIRATION_MS_MAX).ok_or_else(|| {
        let text = text.escape_ascii().to_string();
        Fault::precondition(format!("invalid expiration '{text}': {}", why_no_expiration(&text)))
    })
}

/// RabbitMQ's words for what is wrong with an `expiration`.
fn why_no_expiration(text: &str) -> String {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = unsigned.len() - unsigned.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = text.split_at(text.len() - unsigned.len() + digits);
    match rest {
        _ if digits == 0 => "no_integer".to_owned(),
        "" if number.starts_with('-') => format!("{{value_negative,{number}}}"),
        "" => format!("{{value_too_large,{number}}}"),
        rest => format!("{{leftover_string,\"{rest}\"}}"),
    }
}

/// Who publishes, for the check of the `user-id` property.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publisher<'a> {
    pub name: &'a str,
    /// May claim to be anybody.
    pub is_impersonator: bool,
}

impl Publisher<'_> {
    fn check(&self, user_id: Option<&[u8]>) -> Result<(), Fault> {
        match user_id {
            Some(claimed) if claimed != self.name.as_bytes() && !self.is_impersonator => {
                Err(Fault::precondition(format!(
                    "user_id property set to '{}' but authenticated user was '{}'",
                    String::from_utf8_lossy(claimed),
                    self.name
                )))
            }
            _ => Ok(()),
        }
    }
}

/// A header section or body beyond its limit.
pub(crate) fn check_sizes(body_size: u64, property_bytes: usize, limits: &Limits) -> Result<(), Fault> {
    if property_bytes > limits.header_bytes_max {
        let max = limits.header_bytes_max;
        let text = format!("header size {property_bytes} is larger than configured max size {max}");
        return Err(Fault::new(ReplyCode::ContentTooLarge, text));
    }
    if body_size > limits.message_bytes_max as u64 {
        let max = limits.message_bytes_max;
        return Err(Fault::precondition(format!("message size {body_size} is larger than configured max size {max}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crossdock_common::{Table, Value};

    use super::*;

    fn facts(headers: Table) -> Result<Facts, Fault> {
        let mut content = Vec::new();
        table::put_content(&mut content, &headers);
        let properties = Properties { headers: Some(&content), ..Properties::default() };
        Facts::of(&properties.to_vec(), &ANYBODY, &Limits::default())
    }

    const ANYBODY: Publisher<'static> = Publisher { name: "guest", is_impersonator: false };

    fn keys(keys: &[&'static str]) -> Value {
        Value::List(keys.iter().copied().map(Value::string).collect())
    }

    #[test]
    fn carbon_copies_are_extra_keys() {
        let found = facts(vec![("CC".into(), keys(&["a", "b"])), ("BCC".into(), keys(&["c"]))]).unwrap();
        assert_eq!(found.extra_keys, ["a", "b", "c"]);
        assert!(found.has_bcc);
        assert_eq!(facts(vec![("CC".into(), keys(&[]))]).unwrap(), Facts::default());
        let fault = facts(vec![("CC".into(), Value::string("a"))]).unwrap_err();
        let text = "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"CC\",longstr}";
        assert_eq!(fault.to_string(), text);
        let mixed = Value::List(vec![Value::I32(1), Value::string("a")]);
        assert_eq!(facts(vec![("BCC".into(), mixed)]).unwrap().extra_keys, ["a"]);
        let blind = facts(vec![("BCC".into(), keys(&["c", "d"])), ("CC".into(), keys(&["a"]))]).unwrap();
        assert_eq!((blind.extra_keys, blind.blind_keys), (vec!["a".into(), "c".into(), "d".into()], 2));
    }

    #[test]
    fn expirations_must_be_numbers() {
        let of = |text: &str| {
            let properties = Properties { expiration: Some(text.as_bytes()), ..Properties::default() };
            Facts::of(&properties.to_vec(), &ANYBODY, &Limits::default()).map(|facts| facts.ttl_ms)
        };
        for (text, ms) in [("0", 0), ("60000", 60_000), ("4294967295", 4_294_967_295)] {
            assert_eq!(of(text), Ok(Some(ms)));
        }
        for (text, reason) in [
            ("", "no_integer"),
            ("soon", "no_integer"),
            ("-1", "{value_negative,-1}"),
            ("4294967296", "{value_too_large,4294967296}"),
            ("1s", "{leftover_string,\"s\"}"),
            ("1.5", "{leftover_string,\".5\"}"),
        ] {
            let expected = format!("PRECONDITION_FAILED - invalid expiration '{text}': {reason}");
            assert_eq!(of(text).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn nobody_publishes_in_another_name() {
        let properties = Properties { user_id: Some(b"root"), ..Properties::default() };
        let check = |user: Publisher<'_>| Facts::of(&properties.to_vec(), &user, &Limits::default());
        let text = "PRECONDITION_FAILED - user_id property set to 'root' but authenticated user was 'guest'";
        assert_eq!(check(ANYBODY).unwrap_err().to_string(), text);
        assert!(check(Publisher { name: "root", is_impersonator: false }).is_ok());
        assert!(check(Publisher { name: "guest", is_impersonator: true }).is_ok());
    }

    #[test]
    fn sizes_at_their_limits_and_beyond() {
        let limits = Limits { message_bytes_max: 100, header_bytes_max: 50, ..Limits::default() };
        for (size, fits) in [(99, true), (100, true), (101, false), (1 << 63, false)] {
            assert_eq!(check_sizes(size, 0, &limits).is_ok(), fits);
        }
        for (size, fits) in [(49, true), (50, true), (51, false)] {
            assert_eq!(check_sizes(0, size, &limits).is_ok(), fits);
        }
        let text = "PRECONDITION_FAILED - message size 101 is larger than configured max size 100";
        assert_eq!(check_sizes(101, 0, &limits).unwrap_err().to_string(), text);
    }
}

//! The names of destinations: `/queue/q`, `/topic/t`, `/exchange/e/k`, `/amq/queue/q`, `/temp-queue/x`, `/reply-queue/q`.

use bytes::Bytes;
use crossdock_common::Name;
use smallvec::SmallVec;

use crate::error::{Fault, quote};
use crate::frame::{percent_decode, percent_encode};

/// Every kind, in the order in which RabbitMQ lists them.
const PREFIXES: [&str; 6] = ["/temp-queue/", "/exchange/", "/topic/", "/queue/", "/amq/queue/", "/reply-queue/"];
/// Where `/topic/…` leads.
const TOPIC_EXCHANGE: &str = "amq.topic";
/// Most destinations in one header.
const COMPOSITE_MAX: usize = 32;

/// Where a SEND goes or a SUBSCRIBE comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// `/queue/NAME`: a queue that is declared on first use.
    Queue(Name),
    /// `/amq/queue/NAME`: a queue that exists.
    AmqQueue(Name),
    /// `/reply-queue/NAME`: the queue behind another client's `/temp-queue/…`. The name may contain slashes.
    ReplyQueue(Name),
    /// `/temp-queue/NAME`: only in `reply-to`.
    TempQueue(Name),
    /// `/topic/KEY`.
    Topic(Bytes),
    /// `/exchange/EXCHANGE[/KEY]`.
    Exchange(Name, Bytes),
}

impl Destination {
    /// Reads a destination header.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let Some(prefix) = PREFIXES.into_iter().find(|prefix| text.starts_with(prefix)) else {
            return bare(text).ok_or_else(|| unknown(text));
        };
        let rest = text.get(prefix.len()..).unwrap_or_default();
        let kind = prefix.trim_matches('/');
        let parsed = match prefix {
            "/exchange/" => exchange(rest),
            "/topic/" => segment(rest).map(|key| Self::Topic(percent_decode(key).into())),
            "/queue/" => segment(rest).and_then(name).map(Self::Queue),
            "/amq/queue/" => segment(rest).and_then(name).map(Self::AmqQueue),
            "/temp-queue/" => segment(rest).and_then(name).map(Self::TempQueue),
            _ => name(rest).filter(|name| !name.is_empty()).map(Self::ReplyQueue),
        };
        parsed.ok_or_else(|| invalid(kind, rest))
    }

    /// All that a destination header names, in order: ActiveMQ's composites are joined by `,`, each with its kind. A comma that no kind
    /// follows is part of a name, as it is with RabbitMQ.
    pub fn parse_all(text: &str) -> Result<SmallVec<[Self; 1]>, Fault> {
        let mut parsed = SmallVec::new();
        let mut start = 0;
        for (comma, _) in text.match_indices(',') {
            if has_prefix(text.get(comma + 1..).unwrap_or_default()) {
                parsed.push(Self::parse(text.get(start..comma).unwrap_or_default())?);
                start = comma + 1;
            }
            if parsed.len() >= COMPOSITE_MAX {
                let detail = format!("a destination may have {COMPOSITE_MAX} parts");
                return Err(Fault::violation("Invalid destination", detail));
            }
        }
        parsed.push(Self::parse(text.get(start..).unwrap_or_default())?);
        Ok(parsed)
    }

    /// The exchange and pattern of a subscription: ActiveMQ's last word `>` is `#`.
    pub fn pattern(&self) -> (Name, Bytes) {
        let (exchange, key) = self.route();
        match (self, all_below(&key)) {
            (Self::Topic(_), Some(rest)) => (exchange, [rest, b"#"].concat().into()),
            _ => (exchange, key),
        }
    }

    /// The exchange and key that a message for it is published with.
    pub fn route(&self) -> (Name, Bytes) {
        let key = |name: &Name| Bytes::copy_from_slice(name.as_bytes());
        match self {
            Self::Queue(name) | Self::AmqQueue(name) | Self::ReplyQueue(name) | Self::TempQueue(name) => {
                (Name::default(), key(name))
            }
            Self::Topic(key) => (Name::from(TOPIC_EXCHANGE), key.clone()),
            Self::Exchange(exchange, key) => (exchange.clone(), key.clone()),
        }
    }
}

/// What comes before a last word `>`.
fn all_below(key: &[u8]) -> Option<&[u8]> {
    key.strip_suffix(b">").filter(|rest| rest.is_empty() || rest.ends_with(b"."))
}

/// The topic pattern that ActiveMQ takes a queue's name for: a word is `*`, or the last one is `>`. A word `#` would be a wildcard only
/// here: with one, it is a name.
pub(crate) fn queue_pattern(queue: &str) -> Option<Bytes> {
    if queue.split('.').any(|word| word == "#") {
        return None;
    }
    match all_below(queue.as_bytes()) {
        Some(rest) => Some([rest, b"#"].concat().into()),
        None if queue.split('.').any(|word| word == "*") => Some(Bytes::copy_from_slice(queue.as_bytes())),
        None => None,
    }
}

/// The destination that a message was published to.
pub(crate) fn format_route(exchange: &str, key: &[u8]) -> String {
    let escape = |bytes: &[u8]| percent_encode(bytes, |byte| byte >= 0x20 && byte != b'/' && byte != b'%');
    match exchange {
        "" => format!("/queue/{}", escape(key)),
        TOPIC_EXCHANGE => format!("/topic/{}", escape(key)),
        _ if key.is_empty() => format!("/exchange/{}", escape(exchange.as_bytes())),
        _ => format!("/exchange/{}/{}", escape(exchange.as_bytes()), escape(key)),
    }
}

/// Whether a `reply-to` is a destination already; else it is the bare name of a queue.
pub(crate) fn has_prefix(text: &str) -> bool {
    PREFIXES.into_iter().any(|prefix| text.starts_with(prefix))
}

/// A text that is one non-empty segment of a path.
fn segment(rest: &str) -> Option<&str> {
    (!rest.is_empty() && !rest.contains('/')).then_some(rest)
}

fn name(escaped: &str) -> Option<Name> {
    String::from_utf8(percent_decode(escaped)).ok().map(Name::from)
}

/// A bare name is that of a queue that exists, as with RabbitMQ.
fn bare(text: &str) -> Option<Destination> {
    let is_bare = !text.is_empty() && !text.contains('/');
    is_bare.then(|| name(text).map(Destination::AmqQueue)).flatten()
}

fn exchange(rest: &str) -> Option<Destination> {
    let (exchange, key) = rest.split_once('/').unwrap_or((rest, ""));
    if key.contains('/') {
        return None;
    }
    // The default exchange means different things to SEND and SUBSCRIBE, so it cannot be named this way.
    let exchange = segment(exchange).and_then(name)?;
    Some(Destination::Exchange(exchange, percent_decode(key).into()))
}

fn unknown(text: &str) -> Fault {
    let kinds = PREFIXES.join(", ").replace("/, ", ", ");
    let detail = format!("'{}' is not a valid destination.\nValid destination types are: {kinds}.", quote(text));
    Fault::violation("Unknown destination", detail)
}

fn invalid(kind: &str, rest: &str) -> Fault {
    Fault::violation("Invalid destination", format!("'/{}' is not a valid {kind} destination", quote(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_lead_where_rabbitmq_leads_them() {
        for (text, exchange, key) in [
            ("/queue/orders", "", "orders"),
            ("/queue/a%2Fb", "", "a/b"),
            ("/amq/queue/orders", "", "orders"),
            ("orders", "", "orders"),
            ("/reply-queue/amq.gen/x", "", "amq.gen/x"),
            ("/topic/a.b", "amq.topic", "a.b"),
            ("/exchange/e", "e", ""),
            ("/exchange/e/k%25", "e", "k%"),
        ] {
            let (found, found_key) = Destination::parse(text).unwrap().route();
            assert_eq!((&*found, &found_key[..]), (exchange, key.as_bytes()), "{text}");
        }
    }

    #[test]
    fn composites_are_split_where_another_kind_begins() {
        let names = |text: &str| {
            let all = Destination::parse_all(text).unwrap();
            all.iter().map(|one| format!("{:?}", one.route())).collect::<Vec<_>>().join(" ")
        };
        let one = |exchange: &str, key: &'static str| {
            format!("{:?}", (Name::from(exchange), Bytes::from_static(key.as_bytes())))
        };
        assert_eq!(names("/queue/a,b"), one("", "a,b"), "a comma may be part of a name");
        assert_eq!(names("/queue/a,/topic/b.c"), [one("", "a"), one("amq.topic", "b.c")].join(" "));
        assert!(Destination::parse_all("/queue/a,/topic/").is_err());
        let many = |count: usize| vec!["/queue/a"; count].join(",");
        for count in [COMPOSITE_MAX - 1, COMPOSITE_MAX] {
            assert_eq!(Destination::parse_all(&many(count)).unwrap().len(), count);
        }
        assert!(Destination::parse_all(&many(COMPOSITE_MAX + 1)).is_err());
    }

    #[test]
    fn the_wildcards_of_activemq_are_patterns() {
        for (text, pattern) in [
            ("/topic/a.>", "a.#"),
            ("/topic/>", "#"),
            ("/topic/a.*.b", "a.*.b"),
            ("/topic/a>", "a>"),
            ("/exchange/e/a.>", "a.>"),
        ] {
            assert_eq!(Destination::parse(text).unwrap().pattern().1, pattern.as_bytes(), "{text}");
        }
    }

    #[test]
    fn a_queue_with_wildcards_is_a_pattern() {
        for (name, pattern) in [
            ("a.*", Some("a.*")),
            ("*", Some("*")),
            ("a.>", Some("a.#")),
            (">", Some("#")),
            ("*.b.>", Some("*.b.#")),
            ("a.b", None),
            ("a*.b", None),
            ("a>", None),
            (">.a", None),
            ("a.#", None),
            ("#.*", None),
        ] {
            assert_eq!(queue_pattern(name).as_deref(), pattern.map(str::as_bytes), "{name}");
        }
    }

    #[test]
    fn what_is_not_a_destination_is_told_apart() {
        for text in ["/queue/", "/queue/a/b", "/topic/a/b", "/exchange//k", "/exchange/e/a/b", "/temp-queue/"] {
            assert_eq!(Destination::parse(text).unwrap_err().message, "Invalid destination", "{text}");
        }
        for text in ["", "queue/orders", "/queueorders", "/a,b", "/queue"] {
            assert_eq!(Destination::parse(text).unwrap_err().message, "Unknown destination", "{text}");
        }
        let detail = Destination::parse("/x").unwrap_err().detail;
        assert!(
            detail.starts_with("'/x' is not a valid destination.\nValid destination types are: /temp-queue, /exch")
        );
    }

    #[test]
    fn a_route_is_written_as_it_is_read() {
        for text in ["/queue/a%2Fb%25", "/topic/a.b", "/exchange/e", "/exchange/e%C3%A9/%00%FF"] {
            let (exchange, key) = Destination::parse(text).unwrap().route();
            assert_eq!(format_route(&exchange, &key), text);
        }
    }
}

//! Topic names and filters (section 4.7), and what they are called in the core.
//!
//! A topic `a/b.c` has the routing key `a.b/c`: `/` and `.` change places, so nothing is lost. A filter's `+` is `*`.

use bytes::Bytes;
use crossdock_common::Text;

use crate::reason::{Fault, Reason};

/// What a shared subscription's filter begins with.
const SHARED_PREFIX: &str = "$share/";

/// What a topic begins with that is a queue, for answers to other protocols: `$queue/NAME`.
pub(crate) const QUEUE_PREFIX: &str = "$queue/";

/// The queue of a routing key that was such a topic.
pub(crate) fn queue_of_key(key: &[u8]) -> Option<Bytes> {
    key.strip_prefix(b"$queue.").map(|name| Bytes::from(swap(name)))
}

/// The routing key of a topic, or the topic of a routing key.
pub fn swap(text: &[u8]) -> Vec<u8> {
    text.iter()
        .map(|&byte| match byte {
            b'/' => b'.',
            b'.' => b'/',
            other => other,
        })
        .collect()
}

/// The topic of a routing key; `None` if MQTT has no such topic (which other protocols can bring about).
pub fn from_key(key: &[u8]) -> Option<Text> {
    String::from_utf8(swap(key)).ok().filter(|topic| is_name(topic)).map(Text::from)
}

/// The filter without literal `*` levels that has this key ([`Filter::key`]).
pub(crate) fn filter_of_key(key: &[u8]) -> Option<String> {
    let levels = key.split(|&byte| byte == b'.').map(|word| if word == b"*" { b"+".to_vec() } else { swap(word) });
    String::from_utf8(levels.collect::<Vec<_>>().join(&b'/')).ok()
}

/// Whether a text is a topic name, wherever it leads.
pub fn is_name(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= usize::from(u16::MAX) && !topic.contains(['+', '#', '\0'])
}

/// Checks the topic of a PUBLISH or will. Names beginning with `$` are the broker's own ([MQTT-4.7.2-1]).
pub fn check_name(topic: &str, levels_max: usize) -> Result<(), Fault> {
    let invalid = |rule| Err(Fault::new(Reason::TOPIC_NAME_INVALID, rule));
    if topic.is_empty() {
        return invalid("empty topic name [MQTT-4.7.3-1]");
    }
    if topic.contains(['+', '#']) {
        return invalid("wildcard in a topic name [MQTT-3.3.2-2]");
    }
    if topic.starts_with('$') {
        return invalid("topic names beginning with $ are not for clients");
    }
    if has_strange_characters(topic) {
        return invalid("control or non-character in a topic name (section 1.5.4)");
    }
    if levels(topic) > levels_max {
        return invalid("topic levels beyond limits.topic_levels_max");
    }
    Ok(())
}

/// Control characters and non-characters, which section 1.5.4 allows to refuse.
pub(crate) fn has_strange_characters(text: &str) -> bool {
    let is_strange =
        |c: char| c.is_control() || u32::from(c) & 0xFFFE == 0xFFFE || ('\u{FDD0}'..='\u{FDEF}').contains(&c);
    // Plain ASCII, the usual case, needs no decoding.
    if text.is_ascii() { text.bytes().any(|b| b.is_ascii_control()) } else { text.chars().any(is_strange) }
}

fn levels(topic: &str) -> usize {
    topic.bytes().filter(|&byte| byte == b'/').count() + 1
}

/// A subscription's filter, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter<'a> {
    /// As the client wrote it.
    pub text: &'a str,
    /// The group of a shared subscription (section 4.8.2).
    pub group: Option<&'a str>,
    /// What topics are matched with: `text` without the shared prefix.
    pub pattern: &'a str,
}

impl<'a> Filter<'a> {
    /// Checks a filter; `None` if it is none ([MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.8.2-1]).
    pub fn parse(text: &'a str, levels_max: usize) -> Option<Self> {
        let (group, pattern) = match text.strip_prefix(SHARED_PREFIX) {
            Some(shared) => shared.split_once('/').map(|(group, pattern)| (Some(group), pattern))?,
            None if text == "$share" => return None,
            None => (None, text),
        };
        let group_is_good = group.is_none_or(|group| !group.is_empty() && !group.contains(['+', '#']));
        let is_good = group_is_good && is_pattern(pattern) && levels(pattern) <= levels_max;
        is_good.then_some(Self { text, group, pattern })
    }

    /// The key of the binding. A level that is literally `*` binds more than it should, which
    /// [`matches`](Self::matches) makes good.
    pub fn key(&self) -> Bytes {
        let level = |level: &str| match level {
            "+" => b"*".to_vec(),
            other => swap(other.as_bytes()),
        };
        Bytes::from(self.pattern.split('/').map(level).collect::<Vec<_>>().join(&b'.'))
    }

    /// Whether two filters can have the same [`key`](Self::key).
    pub fn has_literal_star(&self) -> bool {
        self.pattern.split('/').any(|level| level == "*")
    }

    /// Whether the filter has wildcards.
    pub fn has_wildcards(&self) -> bool {
        self.pattern.contains(['+', '#'])
    }

    /// Whether a topic is meant. A wildcard at the start means no topic that begins with `$` ([MQTT-4.7.2-1]).
    pub fn matches(&self, topic: &str) -> bool {
        if topic.starts_with('$') && self.pattern.starts_with(['+', '#']) {
            return false;
        }
        let mut topic = topic.split('/');
        for wanted in self.pattern.split('/') {
            match (wanted, topic.next()) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (wanted, Some(level)) if wanted == level => {}
                _ => return false,
            }
        }
        topic.next().is_none()
    }
}

fn is_pattern(pattern: &str) -> bool {
    let mut levels = pattern.split('/').peekable();
    if pattern.is_empty() || has_strange_characters(pattern) {
        return false;
    }
    while let Some(level) = levels.next() {
        let is_good = match level {
            "#" => levels.peek().is_none(),
            "+" => true,
            other => !other.contains(['+', '#']),
        };
        if !is_good {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(text: &str) -> Filter<'_> {
        Filter::parse(text, 128).expect("a filter")
    }

    #[test]
    fn names() {
        for good in ["a", "/", "a//b", "a b", "ü", "a.b", "*", "a/$x"] {
            check_name(good, 3).expect("good");
        }
        for bad in ["", "+", "a/#", "a+b", "$SYS/x", "a\u{1}", "\u{FFFF}", "\u{FFFE}", "a\r\nb"] {
            check_name(bad, 3).expect_err("bad (MQ-2)");
        }
        check_name("1/2", 3).expect("limit - 1");
        check_name("1/2/3", 3).expect("limit");
        check_name("1/2/3/4", 3).expect_err("limit + 1");
    }

    #[test]
    fn filters() {
        for good in ["#", "+", "a/+/#", "/+", "a//b", "$SYS/#", "$share/g/a/#", "*"] {
            filter(good);
        }
        for bad in [
            "",
            "a#",
            "#/a",
            "a/+b",
            "a/#/b",
            "$share",
            "$share/",
            "$share//x",
            "$share/g",
            "$share/g/",
            "$share/+/x",
            "$share/g/a#",
        ] {
            assert_eq!(Filter::parse(bad, 128), None, "{bad}");
        }
        assert_eq!(filter("$share/g/a/+"), Filter { text: "$share/g/a/+", group: Some("g"), pattern: "a/+" });
        assert!(Filter::parse("a/b/c", 3).is_some() && Filter::parse("a/b/c/d", 3).is_none());
    }

    #[test]
    fn matching_examples_of_the_specification() {
        for (pattern, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/uptime", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/uptime", true),
            ("a/*/b", "a/x/b", false),
            ("a/*/b", "a/*/b", true),
        ] {
            assert_eq!(filter(pattern).matches(topic), expected, "{pattern} {topic}");
        }
    }

    #[test]
    fn keys() {
        assert_eq!(&filter("a/b.c/+/#").key()[..], b"a.b/c.*.#");
        assert_eq!(swap(b"a/b.c"), b"a.b/c");
        assert_eq!(from_key(b"a.b"), Some("a/b".into()));
        for no_topic in [&b""[..], b"a.#", b"+", b"\0", b"\xFF"] {
            assert_eq!(from_key(no_topic), None);
        }
    }

    proptest! {
        #[test]
        fn swapping_twice_changes_nothing(text in "[a/.*]{0,20}") {
            prop_assert_eq!(swap(&swap(text.as_bytes())), text.as_bytes());
        }
    }
}

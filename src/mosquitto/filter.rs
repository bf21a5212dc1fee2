//! Topic filters with variables: what the lines of an access control list are about.

use crossdock_mqtt::topic;

/// The filter of a binding's pattern; `None` if MQTT has no such filter.
pub(super) fn filter_of(pattern: &[u8]) -> Option<String> {
    let text = String::from_utf8(topic::swap(pattern)).ok()?;
    Some(text.split('/').map(|level| if level == "*" { "+" } else { level }).collect::<Vec<_>>().join("/"))
}

/// Who a rule is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub user: &'a str,
    pub client_id: Option<&'a str>,
}

/// A filter, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AclFilter(Vec<Level>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Level {
    /// `#`
    Rest,
    /// `+`
    Any,
    Text(Vec<Part>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// `%u`
    User,
    /// `%c`
    ClientId,
}

impl AclFilter {
    /// `None` for what is no filter. `%u` and `%c` are variables only if that is said.
    pub(super) fn parse(text: &str, with_variables: bool) -> Option<Self> {
        if text.is_empty() || text.contains('\0') {
            return None;
        }
        let texts: Vec<&str> = text.split('/').collect();
        let is_rest_last = texts.iter().rev().skip(1).all(|level| *level != "#");
        let levels: Option<Vec<Level>> = texts.iter().map(|level| Level::parse(level, with_variables)).collect();
        levels.filter(|_| is_rest_last).map(Self)
    }

    /// Whether a topic is meant. One that begins with `$` is meant by a filter that says so only.
    pub(super) fn matches(&self, asker: Asker<'_>, topic: &str) -> bool {
        if topic.starts_with('$') && !matches!(self.0.first(), Some(Level::Text(_))) {
            return false;
        }
        let mut topics = topic.split('/');
        for level in &self.0 {
            match (level, topics.next()) {
                (Level::Rest, _) => return true,
                (Level::Any, Some(_)) => {}
                (Level::Text(parts), Some(text)) if is_filled_in(parts, asker, text) => {}
                _ => return false,
            }
        }
        topics.next().is_none()
    }

    /// Whether there is a topic that both this filter and that of a subscription mean.
    pub(super) fn overlaps(&self, asker: Asker<'_>, subscription: &str) -> bool {
        let hides = match self.0.first() {
            Some(Level::Text(_)) => self.begins_with_dollar() && subscription.starts_with(['+', '#']),
            _ => subscription.starts_with('$'),
        };
        if hides {
            return false;
        }
        let mut wanted = subscription.split('/');
        for level in &self.0 {
            match (level, wanted.next()) {
                (Level::Rest, _) | (_, Some("#")) => return true,
                (Level::Any, Some(_)) | (Level::Text(_), Some("+")) => {}
                (Level::Text(parts), Some(text)) if is_filled_in(parts, asker, text) => {}
                _ => return false,
            }
        }
        matches!(wanted.next(), None | Some("#"))
    }

    fn begins_with_dollar(&self) -> bool {
        let Some(Level::Text(parts)) = self.0.first() else { return false };
        matches!(parts.first(), Some(Part::Literal(text)) if text.starts_with('$'))
    }
}

impl Level {
    fn parse(text: &str, with_variables: bool) -> Option<Self> {
        match text {
            "#" => Some(Self::Rest),
            "+" => Some(Self::Any),
            _ if text.contains(['#', '+']) => None,
            _ => Some(Self::Text(if with_variables { parts(text) } else { vec![Part::Literal(text.to_owned())] })),
        }
    }
}

fn parts(text: &str) -> Vec<Part> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find("%u").into_iter().chain(rest.find("%c")).min() {
        let (before, variable) = rest.split_at(at);
        if !before.is_empty() {
            parts.push(Part::Literal(before.to_owned()));
        }
        parts.push(if variable.starts_with("%u") { Part::User } else { Part::ClientId });
        rest = &variable[2..];
    }
    if !rest.is_empty() || parts.is_empty() {
        parts.push(Part::Literal(rest.to_owned()));
    }
    parts
}

/// Whether the text is what the parts make of whoever asks. A client without an identifier meets no `%c`.
fn is_filled_in(parts: &[Part], asker: Asker<'_>, text: &str) -> bool {
    let mut rest = text;
    for part in parts {
        let value = match part {
            Part::Literal(value) => Some(value.as_str()),
            Part::User => Some(asker.user),
            Part::ClientId => asker.client_id,
        };
        match value.and_then(|value| rest.strip_prefix(value)) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Asker<'_> = Asker { user: "alice", client_id: Some("device.1") };

    fn filter(text: &str) -> AclFilter {
        AclFilter::parse(text, true).unwrap_or_else(|| panic!("{text} is a filter"))
    }

    #[test]
    fn filters_match_as_in_mqtt() {
        for (text, topic, matches) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/+", "a/", true),
            ("a/+", "a", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("#", "a/b", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("/a", "a", false),
            ("users/%u/#", "users/alice/x", true),
            ("users/%u/#", "users/bob/x", false),
            ("d/%c", "d/device.1", true),
            ("d/x-%u-%c", "d/x-alice-device.1", true),
            ("d/x-%u-%c", "d/x-alice-device.1-", false),
        ] {
            assert_eq!(filter(text).matches(ALICE, topic), matches, "{text} {topic}");
        }
        let unknown = Asker { client_id: None, ..ALICE };
        assert!(!filter("d/%c").matches(unknown, "d/") && !filter("d/%c").matches(unknown, "d/%c"));
    }

    #[test]
    fn what_is_filled_in_is_literal() {
        let star = Asker { user: "+", client_id: Some("#") };
        assert!(!filter("users/%u").matches(star, "users/bob") && filter("users/%u").matches(star, "users/+"));
        assert!(!filter("users/%c").matches(star, "users/bob/x"));
    }

    #[test]
    fn variables_are_text_where_they_are_none() {
        let plain = AclFilter::parse("users/%u", false).unwrap();
        assert!(plain.matches(ALICE, "users/%u") && !plain.matches(ALICE, "users/alice"));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in ["", "a/#/b", "a#", "a/b+", "#a", "a\0"] {
            assert_eq!(AclFilter::parse(text, true), None, "{text:?}");
        }
    }

    #[test]
    fn subscriptions_overlap_where_a_topic_may_be_meant_by_both() {
        for (text, subscription, overlaps) in [
            ("a/b", "a/b", true),
            ("a/b", "a/+", true),
            ("a/b", "#", true),
            ("a/b", "a/b/#", true),
            ("a/b", "a", false),
            ("a/b", "b/#", false),
            ("a/#", "a/x/y", true),
            ("a/#", "+", true),
            ("+/b", "a/+", true),
            ("+/b", "a/c", false),
            ("users/%u/#", "users/bob/#", false),
            ("users/%u/#", "users/+/x", true),
            ("$SYS/#", "#", false),
            ("$SYS/#", "$SYS/x", true),
            ("#", "$SYS/x", false),
        ] {
            assert_eq!(filter(text).overlaps(ALICE, subscription), overlaps, "{text} {subscription}");
        }
    }
}

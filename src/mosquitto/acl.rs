//! `acl_file`: which topics users may publish to and read.
//!
//! As in Mosquitto: of a user's own lines those that deny are asked first, then those that allow; then the patterns of all users, in
//! the same way. What no line allows is denied. A subscription is allowed if some topic that it means may be read; what is
//! delivered is asked for again.

use std::collections::HashMap;

use crossdock_common::refusal::Access;
use crossdock_core::{TopicRules, Who};
use crossdock_mqtt::topic;

use super::Complaint;
use super::filter::{AclFilter, Asker, filter_of};

/// What the file says.
#[derive(Clone, Debug, Default)]
pub struct AccessControlList {
    /// For clients without a name: what stands before the first `user` line.
    anonymous: Rules,
    users: HashMap<String, Rules>,
    patterns: Rules,
    /// A line was not understood that may have been about anybody.
    deny_everybody: bool,
}

/// The lines of one user, or the patterns.
#[derive(Clone, Debug, Default)]
struct Rules {
    denied: Vec<AclFilter>,
    allowed: Vec<(Rights, AclFilter)>,
    /// A line was not understood: it may have been meant to deny.
    deny_all: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rights {
    read: bool,
    write: bool,
}

const READ_WRITE: Rights = Rights { read: true, write: true };

/// Whose lines follow.
#[derive(Clone)]
enum Section {
    Anonymous,
    User(String),
    /// The line that should have said so was not understood.
    Nobody,
}

/// Reads the file.
pub(super) fn parse(text: &str, complaints: &mut Vec<Complaint>) -> AccessControlList {
    let (mut list, mut section) = (AccessControlList::default(), Section::Anonymous);
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut complain = |text: String| complaints.push(Complaint { line: index + 1, text });
        match (word, rest.trim()) {
            ("user", "") => {
                complain("expected a name; the lines that follow are nobody's".to_owned());
                section = Section::Nobody;
            }
            ("user", name) => {
                list.users.entry(name.to_owned()).or_default();
                section = Section::User(name.to_owned());
            }
            ("topic", rest) => {
                let mut nobodys = Rules::default();
                if let Err(why) = list.rules_of(&section).unwrap_or(&mut nobodys).add(rest, false) {
                    complain(format!("{why}; {} may use no topic at all", section.says()));
                }
            }
            ("pattern", rest) => {
                if let Err(why) = list.patterns.add(rest, true) {
                    complain(format!("{why}; nobody may use a topic that the user's own lines do not allow"));
                }
            }
            (word, _) => {
                complain(format!("expected user, topic or pattern, not '{word}'; nobody may use any topic"));
                list.deny_everybody = true;
            }
        }
    }
    list
}

impl Section {
    fn says(&self) -> String {
        match self {
            Self::Anonymous => "whoever has no name".to_owned(),
            Self::User(name) => format!("user '{name}'"),
            Self::Nobody => "nobody".to_owned(),
        }
    }
}

impl AccessControlList {
    /// Those that have lines of their own.
    pub(super) fn users(&self) -> impl Iterator<Item = &str> {
        self.users.keys().map(String::as_str)
    }

    /// Clients without a name are this user.
    pub(super) fn with_anonymous(mut self, name: Option<&str>) -> Self {
        if let Some(name) = name {
            self.users.entry(name.to_owned()).or_insert_with(|| self.anonymous.clone());
        }
        self
    }

    fn rules_of(&mut self, section: &Section) -> Option<&mut Rules> {
        match section {
            Section::Anonymous => Some(&mut self.anonymous),
            Section::User(name) => self.users.get_mut(name),
            Section::Nobody => None,
        }
    }

    /// The rules in the order in which they are asked.
    fn rules_for(&self, user: &str) -> impl Iterator<Item = &Rules> {
        self.users.get(user).into_iter().chain([&self.patterns])
    }

    fn decide(&self, who: &Who, access: Access, is_meant: impl Fn(&AclFilter, Asker<'_>) -> bool) -> bool {
        if self.deny_everybody {
            return false;
        }
        let asker = asker(who);
        for rules in self.rules_for(&who.user) {
            if rules.deny_all || rules.denied.iter().any(|filter| is_meant(filter, asker)) {
                return false;
            }
            if rules.allow(access).any(|filter| is_meant(filter, asker)) {
                return true;
            }
        }
        false
    }
}

impl Rules {
    /// Adds `[read|write|readwrite|deny] filter`. The word is one only if something follows it.
    fn add(&mut self, rest: &str, is_pattern: bool) -> Result<(), String> {
        let (word, filter) = match rest.split_once(' ') {
            Some((word, filter)) => (word, filter.trim()),
            None => ("readwrite", rest),
        };
        let parsed = self.parse(word, filter, is_pattern);
        self.deny_all |= parsed.is_err();
        parsed
    }

    fn parse(&mut self, word: &str, filter: &str, is_pattern: bool) -> Result<(), String> {
        let filter = AclFilter::parse(filter, is_pattern).ok_or_else(|| format!("'{filter}' is no topic filter"))?;
        let rights = match word {
            "read" => Rights { write: false, ..READ_WRITE },
            "write" => Rights { read: false, ..READ_WRITE },
            "readwrite" => READ_WRITE,
            "deny" => {
                self.denied.push(filter);
                return Ok(());
            }
            word => return Err(format!("expected read, write, readwrite or deny, not '{word}'")),
        };
        self.allowed.push((rights, filter));
        Ok(())
    }

    fn allow(&self, access: Access) -> impl Iterator<Item = &AclFilter> {
        let has = move |rights: &Rights| match access {
            Access::Read => rights.read,
            Access::Write => rights.write,
            Access::Configure => false,
        };
        self.allowed.iter().filter(move |(rights, _)| has(rights)).map(|(_, filter)| filter)
    }
}

fn asker(who: &Who) -> Asker<'_> {
    Asker { user: &who.user, client_id: who.client_id.as_deref() }
}

impl TopicRules for AccessControlList {
    fn allow_key(&self, who: &Who, access: Access, key: &[u8]) -> bool {
        let topic = topic::from_key(key);
        topic.is_some_and(|topic| self.decide(who, access, |filter, asker| filter.matches(asker, &topic)))
    }

    /// What denies is asked of each message; a subscription may well mean more than that.
    fn allow_binding(&self, who: &Who, pattern: &[u8]) -> bool {
        let Some(subscription) = filter_of(pattern).filter(|_| !self.deny_everybody) else { return false };
        let mut rules = self.rules_for(&who.user).take_while(|rules| !rules.deny_all);
        rules.any(|rules| rules.allow(Access::Read).any(|filter| filter.overlaps(asker(who), &subscription)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# before the first user: clients without a name
topic read public/#
topic $SYS/broker/uptime

user alice
topic read sensors/+/temperature
topic readwrite rooms/my room
topic deny rooms/secret
topic rooms/#

user bob
topic deny #

user carol
topic raed x/#
topic read y

pattern write devices/%c/up
pattern read users/%u/#
";

    fn who(user: &str) -> Who {
        Who { user: user.into(), vhost: "/".into(), client_id: Some("c1".into()), ..Who::default() }
    }

    fn parsed(text: &str) -> (AccessControlList, Vec<usize>) {
        let mut complaints = Vec::new();
        let list = parse(text, &mut complaints).with_anonymous(Some("anonymous"));
        (list, complaints.iter().map(|complaint| complaint.line).collect())
    }

    fn may(list: &AccessControlList, user: &str, access: Access, topic: &str) -> bool {
        list.allow_key(&who(user), access, &topic::swap(topic.as_bytes()))
    }

    #[test]
    fn lines_allow_what_they_say_and_nothing_else() {
        let (list, complaints) = parsed(FILE);
        assert_eq!(complaints, [15]);
        for (user, access, topic, allowed) in [
            ("alice", Access::Read, "sensors/1/temperature", true),
            ("alice", Access::Write, "sensors/1/temperature", false),
            ("alice", Access::Write, "rooms/my room", true),
            ("alice", Access::Write, "rooms/other", true),
            ("alice", Access::Read, "rooms/secret", false),
            ("alice", Access::Read, "public/x", false),
            ("alice", Access::Write, "devices/c1/up", true),
            ("alice", Access::Write, "devices/c2/up", false),
            ("alice", Access::Read, "users/alice/a/b", true),
            ("alice", Access::Read, "users/bob/a", false),
            ("bob", Access::Read, "users/bob/a", false),
            ("carol", Access::Read, "y", false),
            ("carol", Access::Write, "devices/c1/up", false),
            ("dave", Access::Write, "devices/c1/up", true),
            ("dave", Access::Read, "anything", false),
            ("anonymous", Access::Read, "public/a.b", true),
            ("anonymous", Access::Write, "public/x", false),
            ("anonymous", Access::Read, "$SYS/broker/uptime", true),
            ("", Access::Read, "public/x", false),
        ] {
            assert_eq!(may(&list, user, access, topic), allowed, "{user} {access:?} {topic}");
        }
    }

    #[test]
    fn subscriptions_are_allowed_where_something_may_be_read() {
        let (list, _) = parsed(FILE);
        let may = |user: &str, pattern: &str| list.allow_binding(&who(user), pattern.as_bytes());
        assert!(may("alice", "#") && may("alice", "sensors.*.temperature") && may("alice", "rooms.secret"));
        assert!(!may("alice", "public.#") && !may("alice", "devices.c1.up"), "that may be written only");
        assert!(may("bob", "users.bob.#"), "each message is denied");
        assert!(!may("carol", "users.carol.#") && !may("carol", "y"));
    }

    #[test]
    fn lines_that_are_not_understood_deny() {
        let (list, complaints) = parsed("user\ntopic read a\nuser alice\ntopic read a\n");
        assert_eq!(complaints, [1]);
        assert!(may(&list, "alice", Access::Read, "a") && !may(&list, "", Access::Read, "a"));
        let (list, complaints) = parsed("user alice\ntopic read a\npattern deny b#\n");
        assert_eq!(complaints, [3]);
        assert!(may(&list, "alice", Access::Read, "a") && !may(&list, "alice", Access::Read, "b"));
        let (list, complaints) = parsed("user alice\ntopic read a\ntopci deny a\n");
        assert_eq!(complaints, [3]);
        assert!(!may(&list, "alice", Access::Read, "a") && !list.allow_binding(&who("alice"), b"a"));
        for text in ["topic", "topic read a/#/b", "topic readonly a", "topic deny"] {
            let (list, complaints) = parsed(&format!("user alice\ntopic a\n{text}\n"));
            let expected: &[usize] = if text == "topic deny" { &[] } else { &[3] };
            assert_eq!(complaints, expected, "{text}");
            assert_eq!(may(&list, "alice", Access::Read, "a"), text == "topic deny", "{text}: a topic called so");
        }
    }
}

//! Who may do what: the one place that decides. Every path that reads or writes a resource asks here.

mod topic;
mod warrants;

use std::sync::Arc;

use crossdock_common::refusal::{Access, Resource};
use crossdock_common::{Name, Refusal};
use hashbrown::HashMap;
use regex::bytes::Regex;

pub use topic::{TopicGrant, TopicRules};
pub(crate) use warrants::Warrants;

/// What a user may do in one vhost: a name is allowed when the expression matches it from end to end or in part, as
/// RabbitMQ does; an empty expression allows nothing.
#[derive(Clone, Debug)]
pub struct Grant {
    configure: Option<Regex>,
    write: Option<Regex>,
    read: Option<Regex>,
}

impl Grant {
    /// # Errors
    /// The text of the first expression that is not one.
    pub fn new(configure: &str, write: &str, read: &str) -> Result<Self, regex::Error> {
        let parse = |text: &str| if text.is_empty() { Ok(None) } else { Regex::new(text).map(Some) };
        Ok(Self { configure: parse(configure)?, write: parse(write)?, read: parse(read)? })
    }

    fn allows(&self, access: Access, name: &[u8]) -> bool {
        let expression = match access {
            Access::Configure => &self.configure,
            Access::Write => &self.write,
            Access::Read => &self.read,
        };
        expression.as_ref().is_some_and(|expression| expression.is_match(name))
    }
}

/// What a user may do with the topic exchanges of a vhost, by their names.
type OfExchanges = Vec<(Name, Arc<TopicGrant>)>;

/// All grants, replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct Permissions {
    grants: HashMap<(Name, Name), Arc<Grant>>,
    topic_grants: HashMap<(Name, Name), OfExchanges>,
    everything: bool,
}

impl Permissions {
    /// Everybody may do everything: development mode, and tests that are about something else.
    pub fn everything() -> Self {
        Self { everything: true, ..Self::default() }
    }

    /// Gives a user a grant in a vhost, in place of an earlier one.
    pub fn grant(&mut self, user: Name, vhost: Name, grant: Grant) {
        self.grants.insert((user, vhost), Arc::new(grant));
    }

    /// Whoever may do something in `parent` may do it in `vhost`, unless something else was granted there.
    pub fn inherit(&mut self, vhost: &Name, parent: &Name) {
        add_inherited(&mut self.grants, vhost, parent);
        add_inherited(&mut self.topic_grants, vhost, parent);
    }

    /// Restricts the routing keys that a user publishes to and binds from a topic exchange of a vhost.
    pub fn grant_topics(&mut self, user: Name, vhost: Name, exchange: Name, grant: TopicGrant) {
        self.topic_grants.entry((user, vhost)).or_default().push((exchange, Arc::new(grant)));
    }

    /// Whether the user may publish a message with that routing key to the topic exchange, or have one delivered. Where nobody has
    /// said anything of the user and the exchange, every key will do.
    ///
    /// # Errors
    /// [`Refusal::TopicRefused`].
    pub fn check_topic(&self, who: &Who, access: Access, exchange: &Name, key: &[u8]) -> Result<(), Refusal> {
        let allows = |grant: &TopicGrant| grant.allows(who, access, key);
        self.check_topic_grant(who, exchange, allows).map_err(|()| topic_refused(who, access, exchange, key))
    }

    /// Whether the user may bind from the topic exchange with that pattern.
    ///
    /// # Errors
    /// [`Refusal::TopicRefused`].
    pub fn check_topic_binding(&self, who: &Who, exchange: &Name, pattern: &[u8]) -> Result<(), Refusal> {
        let allows = |grant: &TopicGrant| grant.allows_binding(who, pattern);
        self.check_topic_grant(who, exchange, allows).map_err(|()| topic_refused(who, Access::Read, exchange, pattern))
    }

    fn check_topic_grant(&self, who: &Who, exchange: &Name, allows: impl Fn(&TopicGrant) -> bool) -> Result<(), ()> {
        if self.everything || self.topic_grants.is_empty() {
            return Ok(());
        }
        let of_user = self.topic_grants.get(&(who.user.clone(), who.vhost.clone()));
        let grant = of_user.and_then(|grants| grants.iter().find(|(known, _)| known == exchange));
        if grant.is_none_or(|(_, grant)| allows(grant)) { Ok(()) } else { Err(()) }
    }

    /// Whether somebody has said which keys of the exchange the user may use.
    pub fn has_topics_of(&self, who: &Who, exchange: &Name) -> bool {
        let of_user = || self.topic_grants.get(&(who.user.clone(), who.vhost.clone()));
        let is_about = |grants: &OfExchanges| grants.iter().any(|(known, _)| known == exchange);
        !self.everything && !self.topic_grants.is_empty() && of_user().is_some_and(is_about)
    }

    /// Whether the user may enter the vhost at all.
    pub fn may_enter(&self, user: &Name, vhost: &Name) -> bool {
        self.everything || self.grants.contains_key(&(user.clone(), vhost.clone()))
    }

    /// Whether the user may do that to the resource of that name. The default exchange is called `amq.default` here, as in
    /// RabbitMQ.
    ///
    /// # Errors
    /// [`Refusal::AccessRefused`].
    pub fn check(&self, who: &Who, access: Access, resource: Resource, name: &Name) -> Result<(), Refusal> {
        if self.everything || who.is_broker {
            return Ok(());
        }
        let asked = if name.is_empty() { "amq.default" } else { name.as_str() };
        let grant = self.grants.get(&(who.user.clone(), who.vhost.clone()));
        if grant.is_some_and(|grant| grant.allows(access, asked.as_bytes())) {
            return Ok(());
        }
        Err(Refusal::AccessRefused {
            access,
            resource,
            name: Name::from(asked),
            vhost: who.vhost.clone(),
            user: who.user.clone(),
        })
    }
}

fn add_inherited<T: Clone>(grants: &mut HashMap<(Name, Name), T>, vhost: &Name, parent: &Name) {
    let of_parent = grants.iter().filter(|((_, of), _)| of == parent);
    let inherited: Vec<_> =
        of_parent.map(|((user, _), grant)| ((user.clone(), vhost.clone()), grant.clone())).collect();
    for (place, grant) in inherited {
        grants.entry(place).or_insert(grant);
    }
}

fn topic_refused(who: &Who, access: Access, exchange: &Name, key: &[u8]) -> Refusal {
    let key = String::from_utf8_lossy(key).into_owned().into();
    Refusal::TopicRefused { access, key, exchange: exchange.clone(), vhost: who.vhost.clone(), user: who.user.clone() }
}

/// A user in a vhost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Who {
    /// The user.
    pub user: Name,
    /// The vhost.
    pub vhost: Name,
    /// What its client calls itself, where the protocol has such a name.
    pub client_id: Option<Name>,
    /// It is the broker itself, which may do everything ([`Client::trust`](crate::Client::trust)).
    pub is_broker: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(user: &str) -> Who {
        Who { user: user.into(), vhost: "/".into(), client_id: Some("device.1".into()), is_broker: false }
    }

    #[test]
    fn a_grant_allows_what_it_names_and_nothing_else() {
        let mut permissions = Permissions::default();
        permissions.grant("alice".into(), "/".into(), Grant::new("^a-", "", ".*").expect("valid"));
        let check =
            |access, name: &str| permissions.check(&who("alice"), access, Resource::Queue, &name.into()).is_ok();
        assert!(check(Access::Configure, "a-1") && !check(Access::Configure, "b-1"));
        assert!(!check(Access::Write, "a-1") && !check(Access::Write, ""));
        assert!(check(Access::Read, "anything"));
        assert!(permissions.may_enter(&"alice".into(), &"/".into()));
        assert!(!permissions.may_enter(&"bob".into(), &"/".into()));
        assert!(permissions.check(&who("bob"), Access::Read, Resource::Queue, &"a-1".into()).is_err());
    }

    #[test]
    fn topics_are_free_until_somebody_says_something_of_the_exchange() {
        let mut permissions = Permissions::default();
        let check = |permissions: &Permissions, access, exchange: &str, key: &str| {
            permissions.check_topic(&who("alice"), access, &exchange.into(), key.as_bytes())
        };
        assert_eq!(check(&permissions, Access::Write, "t", "any"), Ok(()));
        let grant = TopicGrant::new("^{username}\\.{client_id}$", "").expect("valid");
        permissions.grant_topics("alice".into(), "/".into(), "t".into(), grant);
        assert_eq!(check(&permissions, Access::Write, "t", "alice.device.1"), Ok(()));
        assert!(check(&permissions, Access::Write, "t", "alice.device-1").is_err(), "a name is no expression");
        assert_eq!(check(&permissions, Access::Write, "other", "any"), Ok(()));
        let refusal = check(&permissions, Access::Read, "t", "a.b").expect_err("refused");
        let text = "read access to topic 'a.b' in exchange 't' in vhost '/' refused for user 'alice'";
        assert_eq!(refusal.to_string(), text);
    }
}

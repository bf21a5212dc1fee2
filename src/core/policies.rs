//! What the operator sets for queues and exchanges, where their declarations say nothing, and the bounds of what they may say.

use crossdock_common::Name;
use crossdock_common::Value;
use crossdock_common::definition::{
    DeadLetter, DeadLetterStrategy, Durability, Overflow, QueueSettings, QueueSpec, Stream,
};
use crossdock_common::value::lookup;
use hashbrown::HashMap;
use regex::Regex;

use crate::settings::delivery_limit_default;

/// The operator's rules: for all queues, for those of a vhost, and for those of certain names.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    durability: Durability,
    vhosts: HashMap<Name, Durability>,
    /// Highest priority first; of equals, the one that was added first.
    policies: Vec<Policy>,
    /// The same of operator policies, which bound what declarations and policies say.
    operator: Vec<Policy>,
}

/// What holds for the queues and exchanges of a vhost whose names match.
#[derive(Clone, Debug)]
pub struct Policy {
    pub name: Name,
    pub vhost: Name,
    /// Matched from end to end or in part, as RabbitMQ does.
    pub pattern: Regex,
    pub applies_to: AppliesTo,
    pub priority: i64,
    pub definition: PolicyDefinition,
}

/// To what a policy applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppliesTo {
    pub exchanges: bool,
    pub classic_queues: bool,
    pub quorum_queues: bool,
    pub streams: bool,
}

impl AppliesTo {
    /// Exchanges and queues of every kind.
    pub const ALL: Self = Self { exchanges: true, classic_queues: true, quorum_queues: true, streams: true };

    /// Queues of every kind.
    pub const QUEUES: Self = Self { exchanges: false, ..Self::ALL };

    fn includes(self, kind: QueueKind) -> bool {
        match kind {
            QueueKind::Classic => self.classic_queues,
            QueueKind::Quorum => self.quorum_queues,
            QueueKind::Stream => self.streams,
        }
    }
}

/// RabbitMQ's kinds of queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueKind {
    #[default]
    Classic,
    Quorum,
    Stream,
}

impl QueueKind {
    /// The kind that a declaration asks for.
    pub fn of(spec: &QueueSpec) -> Self {
        match lookup(&spec.arguments, "x-queue-type").and_then(Value::as_str) {
            Some("quorum") => Self::Quorum,
            Some("stream") => Self::Stream,
            _ => Self::Classic,
        }
    }
}

/// What a policy says. `None` says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyDefinition {
    pub message_ttl_ms: Option<u64>,
    pub expires_ms: Option<u64>,
    pub length_max: Option<u64>,
    pub bytes_max: Option<u64>,
    pub overflow: Option<Overflow>,
    pub dead_letter_exchange: Option<Name>,
    pub dead_letter_routing_key: Option<bytes::Bytes>,
    pub dead_letter_strategy: Option<DeadLetterStrategy>,
    /// Returns, as RabbitMQ counts: one less than how often a message is handed out.
    pub delivery_limit: Option<u32>,
    /// How long a consumer may take to settle a delivery; 0 is for ever.
    pub consumer_timeout_ms: Option<u64>,
    /// Where an exchange sends what no binding takes.
    pub alternate_exchange: Option<Name>,
    /// When a publish is confirmed.
    pub durability: Option<Durability>,
    /// How old a stream's messages become.
    pub max_age_ms: Option<u64>,
}

/// The two policies that apply to something: as in RabbitMQ, policies do not add up.
#[derive(Clone, Copy, Debug)]
pub struct Applied<'a> {
    pub policy: Option<&'a Policy>,
    pub operator_policy: Option<&'a Policy>,
}

impl Policies {
    /// No policy; `durability` where nothing else is said.
    pub fn new(durability: Durability) -> Self {
        Self { durability, ..Self::default() }
    }

    /// Sets what holds in a vhost where no policy and no queue says otherwise.
    pub fn set_vhost(&mut self, vhost: Name, durability: Durability) {
        self.vhosts.insert(vhost, durability);
    }

    /// Adds a policy.
    pub fn add(&mut self, policy: Policy) {
        insert(&mut self.policies, policy);
    }

    /// Adds an operator policy.
    pub fn add_operator(&mut self, policy: Policy) {
        insert(&mut self.operator, policy);
    }

    /// What applies to a queue.
    pub fn of_queue(&self, vhost: &Name, queue: &Name, kind: QueueKind) -> Applied<'_> {
        let applies = |policy: &&Policy| policy.applies_to.includes(kind) && policy.concerns(vhost, queue);
        Applied { policy: self.policies.iter().find(applies), operator_policy: self.operator.iter().find(applies) }
    }

    /// What applies to an exchange.
    pub fn of_exchange(&self, vhost: &Name, exchange: &Name) -> Applied<'_> {
        let applies = |policy: &&Policy| policy.applies_to.exchanges && policy.concerns(vhost, exchange);
        Applied { policy: self.policies.iter().find(applies), operator_policy: self.operator.iter().find(applies) }
    }

    /// Queues that the broker has for itself follow no policy.
    fn of_spec(&self, vhost: &Name, spec: &QueueSpec) -> Applied<'_> {
        match spec.settings.inner {
            Some(_) => Applied { policy: None, operator_policy: None },
            None => self.of_queue(vhost, &spec.name, QueueKind::of(spec)),
        }
    }

    /// The rules that a queue follows: those of its declaration, with what policies add and bound.
    pub(crate) fn settings(&self, vhost: &Name, spec: &QueueSpec, declared: QueueSettings) -> QueueSettings {
        let settings = self.of_spec(vhost, spec).settings(declared);
        let delivery_limit = settings.delivery_limit.or_else(|| delivery_limit_default(spec));
        QueueSettings { delivery_limit, ..settings }
    }

    /// The exchange that a policy makes another's alternate.
    pub(crate) fn alternate_exchange(&self, vhost: &Name, exchange: &Name) -> Option<Name> {
        self.of_exchange(vhost, exchange).first(|definition| definition.alternate_exchange.clone())
    }

    /// The durability of a queue's messages: what the queue says itself, else the policy, the vhost, the broker. A queue that does
    /// not survive a restart keeps its messages in memory, whatever anybody says.
    pub(crate) fn durability(&self, vhost: &Name, spec: &QueueSpec, settings: &QueueSettings) -> Durability {
        if !spec.durable {
            return Durability::Memory;
        }
        let applied = self.of_spec(vhost, spec);
        let of_policy = || applied.first(|definition| definition.durability);
        let of_vhost = || self.vhosts.get(vhost).copied();
        settings.durability.or_else(of_policy).or_else(of_vhost).unwrap_or(self.durability)
    }
}

fn insert(policies: &mut Vec<Policy>, policy: Policy) {
    let place = policies.partition_point(|known| known.priority >= policy.priority);
    policies.insert(place, policy);
}

impl Policy {
    fn concerns(&self, vhost: &Name, name: &Name) -> bool {
        self.vhost == *vhost && self.pattern.is_match(name)
    }
}

impl Applied<'_> {
    /// What the policy says, else what the operator policy says.
    fn first<T>(&self, value: impl Fn(&PolicyDefinition) -> Option<T>) -> Option<T> {
        let of = |policy: Option<&Policy>| policy.and_then(|policy| value(&policy.definition));
        of(self.policy).or_else(|| of(self.operator_policy))
    }

    /// The smallest of what anybody says.
    fn least<T: Ord + Copy>(&self, declared: Option<T>, value: impl Fn(&PolicyDefinition) -> Option<T>) -> Option<T> {
        let said = [self.policy, self.operator_policy].into_iter().flatten();
        said.filter_map(|policy| value(&policy.definition)).chain(declared).min()
    }

    /// RabbitMQ's rule: of numbers the smallest holds, of everything else the declaration goes before the policy.
    fn settings(&self, declared: QueueSettings) -> QueueSettings {
        let limit = |definition: &PolicyDefinition| definition.delivery_limit.map(|limit| limit.saturating_add(1));
        QueueSettings {
            message_ttl_ms: self.least(declared.message_ttl_ms, |definition| definition.message_ttl_ms),
            expires_ms: self.least(declared.expires_ms, |definition| definition.expires_ms),
            length_max: self.least(declared.length_max, |definition| definition.length_max),
            bytes_max: self.least(declared.bytes_max, |definition| definition.bytes_max),
            delivery_limit: self.least(declared.delivery_limit, limit),
            consumer_timeout_ms: self.consumer_timeout_ms(declared.consumer_timeout_ms),
            overflow: declared.overflow.or_else(|| self.first(|definition| definition.overflow)),
            dead_letter: self.dead_letter(declared.dead_letter.clone()),
            dead_letter_strategy: declared
                .dead_letter_strategy
                .or_else(|| self.first(|definition| definition.dead_letter_strategy)),
            stream: declared.stream.map(|stream| self.stream(stream)),
            ..declared
        }
    }

    /// The shortest of what anybody says; 0, which is for ever, is longer than all others.
    fn consumer_timeout_ms(&self, declared: Option<u64>) -> Option<u64> {
        let shortest = |timeout: Option<u64>| timeout.map(|timeout_ms| timeout_ms.wrapping_sub(1));
        let least = self.least(shortest(declared), |definition| shortest(definition.consumer_timeout_ms));
        least.map(|timeout_ms| timeout_ms.wrapping_add(1))
    }

    /// The declaration goes first, as for everything that is no number to RabbitMQ.
    fn stream(&self, declared: Stream) -> Stream {
        let of_policy = || self.first(|definition| definition.max_age_ms);
        Stream { max_age_ms: declared.max_age_ms.or_else(of_policy).filter(|age_ms| *age_ms > 0) }
    }

    fn dead_letter(&self, declared: Option<DeadLetter>) -> Option<DeadLetter> {
        let routing_key = || self.first(|definition| definition.dead_letter_routing_key.clone());
        match declared {
            Some(declared) => {
                Some(DeadLetter { routing_key: declared.routing_key.or_else(routing_key), exchange: declared.exchange })
            }
            None => {
                let exchange = self.first(|definition| definition.dead_letter_exchange.clone())?;
                Some(DeadLetter { exchange, routing_key: routing_key() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, priority: i64, definition: PolicyDefinition) -> Policy {
        let pattern = Regex::new("^a").expect("a pattern");
        Policy { name: name.into(), vhost: "/".into(), pattern, applies_to: AppliesTo::ALL, priority, definition }
    }

    fn settings(policies: &Policies, declared: QueueSettings) -> QueueSettings {
        let spec = QueueSpec { name: "a".into(), ..QueueSpec::default() };
        policies.settings(&"/".into(), &spec, declared)
    }

    #[test]
    fn of_numbers_the_smallest_holds() {
        let mut policies = Policies::default();
        policies.add(policy("p", 0, PolicyDefinition { length_max: Some(5), ..PolicyDefinition::default() }));
        let declared = |length_max| QueueSettings { length_max, ..QueueSettings::default() };
        assert_eq!(settings(&policies, declared(None)).length_max, Some(5));
        assert_eq!(settings(&policies, declared(Some(3))).length_max, Some(3));
        assert_eq!(settings(&policies, declared(Some(9))).length_max, Some(5));
        policies.add_operator(policy("o", 0, PolicyDefinition { length_max: Some(2), ..PolicyDefinition::default() }));
        assert_eq!(settings(&policies, declared(Some(3))).length_max, Some(2));
    }

    #[test]
    fn a_kinds_own_delivery_limit_is_no_bound_and_a_timeout_for_ever_is_the_longest() {
        let mut policies = Policies::default();
        let definition = PolicyDefinition {
            delivery_limit: Some(100),
            consumer_timeout_ms: Some(5_000),
            ..PolicyDefinition::default()
        };
        policies.add(policy("p", 0, definition));
        let arguments = vec![("x-queue-type".into(), Value::string("quorum"))];
        let quorum = QueueSpec { name: "a".into(), durable: true, arguments, ..QueueSpec::default() };
        let limit =
            |policies: &Policies| policies.settings(&"/".into(), &quorum, QueueSettings::default()).delivery_limit;
        assert_eq!((limit(&policies), limit(&Policies::default())), (Some(101), Some(21)));
        let timeout = |declared| {
            let declared = QueueSettings { consumer_timeout_ms: declared, ..QueueSettings::default() };
            settings(&policies, declared).consumer_timeout_ms
        };
        assert_eq!([None, Some(0), Some(1), Some(9_000)].map(timeout), [5_000, 5_000, 1, 5_000].map(Some));
    }

    #[test]
    fn of_everything_else_the_declaration_goes_before_the_policy() {
        let mut policies = Policies::default();
        let definition = PolicyDefinition {
            overflow: Some(Overflow::RejectPublish),
            dead_letter_exchange: Some("of-policy".into()),
            dead_letter_routing_key: Some("key"[..].into()),
            ..PolicyDefinition::default()
        };
        policies.add(policy("p", 0, definition));
        let own = DeadLetter { exchange: "own".into(), routing_key: None };
        let declared = QueueSettings { dead_letter: Some(own), ..QueueSettings::default() };
        let found = settings(&policies, declared);
        assert_eq!(found.overflow, Some(Overflow::RejectPublish));
        assert_eq!(found.dead_letter, Some(DeadLetter { exchange: "own".into(), routing_key: Some("key"[..].into()) }));
        let of_policy = settings(&policies, QueueSettings::default()).dead_letter.expect("the policy's");
        assert_eq!(of_policy.exchange.as_str(), "of-policy");
    }

    #[test]
    fn a_stream_says_itself_how_old_its_messages_become_or_a_policy_does() {
        let mut policies = Policies::default();
        policies.add(policy("p", 0, PolicyDefinition { max_age_ms: Some(5), ..PolicyDefinition::default() }));
        let of = |max_age_ms: Option<u64>| {
            let declared = QueueSettings { stream: Some(Stream { max_age_ms }), ..QueueSettings::default() };
            settings(&policies, declared).stream.expect("a stream").max_age_ms
        };
        assert_eq!((of(None), of(Some(9))), (Some(5), Some(9)));
        assert_eq!(settings(&policies, QueueSettings::default()).stream, None);
    }

    #[test]
    fn one_policy_applies_and_only_to_its_kinds() {
        let mut policies = Policies::default();
        let streams = AppliesTo { exchanges: false, classic_queues: false, quorum_queues: false, streams: true };
        policies.add(Policy { applies_to: streams, ..policy("streams", 9, PolicyDefinition::default()) });
        policies.add(policy("low", 1, PolicyDefinition::default()));
        policies.add(policy("high", 2, PolicyDefinition::default()));
        let name = |applied: Applied<'_>| applied.policy.map(|policy| policy.name.to_string());
        assert_eq!(name(policies.of_queue(&"/".into(), &"a".into(), QueueKind::Classic)).as_deref(), Some("high"));
        assert_eq!(name(policies.of_queue(&"/".into(), &"a".into(), QueueKind::Stream)).as_deref(), Some("streams"));
        assert_eq!(name(policies.of_exchange(&"/".into(), &"a".into())).as_deref(), Some("high"));
        assert_eq!(name(policies.of_exchange(&"/".into(), &"b".into())), None);
        assert_eq!(name(policies.of_queue(&"other".into(), &"a".into(), QueueKind::Classic)), None);
    }
}

//! What stands in the definitions of policies: which keys there are, what they may be, and what they mean to the core.

use crossdock_common::definition::{DeadLetterStrategy, Durability, Overflow};
use crossdock_core::{AppliesTo, Policy, PolicyDefinition, parse_age_ms};
use serde_json::{Map, Value};

use super::PolicyKind;
use super::policies::check_pattern;
use super::records::PolicyRecord;
use super::term::{pairs, term};

/// A key, the words with which RabbitMQ says that its value is wrong, and what a right value is.
struct PolicyKey {
    name: &'static str,
    wrong: &'static str,
    accepts: fn(&Value) -> bool,
    /// It is kept and shown, and has no effect here.
    is_ignored: bool,
}

const fn key(name: &'static str, wrong: &'static str, accepts: fn(&Value) -> bool) -> PolicyKey {
    PolicyKey { name, wrong, accepts, is_ignored: false }
}

const fn ignored(name: &'static str, wrong: &'static str, accepts: fn(&Value) -> bool) -> PolicyKey {
    PolicyKey { name, wrong, accepts, is_ignored: true }
}

const KEYS: &[PolicyKey] = &[
    key("alternate-exchange", "is not a valid alternate exchange name", Value::is_string),
    key("dead-letter-exchange", "is not a valid dead letter exchange name", Value::is_string),
    key("dead-letter-routing-key", "is not a valid dead letter routing key", Value::is_string),
    key("message-ttl", "is not a valid message TTL", Value::is_u64),
    key("expires", "is not a valid queue expiry", |value| value.as_u64().is_some_and(|expires| expires > 0)),
    key("max-length", "is not a valid maximum length", Value::is_u64),
    key("max-length-bytes", "is not a valid maximum length in bytes", Value::is_u64),
    key("overflow", "is not a valid overflow value", |value| overflow(value).is_some()),
    key("delivery-limit", "is not a valid delivery limit", Value::is_u64),
    key("consumer-timeout", "is not a valid consumer timeout", Value::is_u64),
    key("durability", "is not a valid durability", |value| durability(value).is_some()),
    key("dead-letter-strategy", "is not a valid dead letter strategy", |value| strategy(value).is_some()),
    key("max-age", "is not a valid max age", is_age),
    ignored("max-in-memory-length", "is not a valid maximum memory in bytes", Value::is_u64),
    ignored("max-in-memory-bytes", "is not a valid maximum memory in bytes", Value::is_u64),
    ignored("max-segment-size", "is not a valid segment size", Value::is_u64),
    ignored("stream-max-segment-size-bytes", "is not a valid segment size", Value::is_u64),
    ignored("stream-filter-size-bytes", "is not a valid filter size", Value::is_u64),
    ignored("queue-mode", "is not a valid queue-mode value", |value| one_of(value, &["default", "lazy"])),
    ignored("queue-version", "is not a valid queue version", |value| matches!(value.as_u64(), Some(1 | 2))),
    ignored("queue-leader-locator", "is not a valid queue leader locator value", |value| {
        one_of(value, &["client-local", "balanced", "random", "least-leaders"])
    }),
    ignored("queue-master-locator", "is not a valid master locator", Value::is_string),
    ignored("initial-cluster-size", "is not a valid cluster size", Value::is_u64),
    ignored("target-group-size", "is not a valid target group size", Value::is_u64),
    ignored("ha-mode", "is not a valid ha-mode value", |value| one_of(value, &["all", "exactly", "nodes"])),
    ignored("ha-params", "is not a valid ha-params value", |value| value.is_u64() || value.is_array()),
    ignored("ha-sync-mode", "is not a valid ha-sync-mode value", |value| one_of(value, &["manual", "automatic"])),
    ignored("ha-sync-batch-size", "is not a valid batch size", Value::is_u64),
    ignored("ha-promote-on-shutdown", "is not a valid ha-promote-on-shutdown value", is_promotion),
    ignored("ha-promote-on-failure", "is not a valid ha-promote-on-failure value", is_promotion),
    ignored("federation-upstream", "is not a valid federation upstream", Value::is_string),
    ignored("federation-upstream-set", "is not a valid federation upstream set", Value::is_string),
    ignored("federation-upstream-pattern", "is not a valid federation upstream pattern", Value::is_string),
];

/// What an operator policy may bound. Of what both kinds say, the smaller number holds.
const OPERATOR_KEYS: [&str; 8] = [
    "expires",
    "message-ttl",
    "max-length",
    "max-length-bytes",
    "max-in-memory-length",
    "max-in-memory-bytes",
    "delivery-limit",
    "target-group-size",
];

/// A policy with one of these keys passes classic queues over, as in RabbitMQ.
const NOT_OF_CLASSIC_QUEUES: [&str; 7] = [
    "delivery-limit",
    "dead-letter-strategy",
    "max-age",
    "max-segment-size",
    "stream-max-segment-size-bytes",
    "stream-filter-size-bytes",
    "initial-cluster-size",
];

/// The same for quorum queues, beside everything of mirrors.
const NOT_OF_QUORUM_QUEUES: [&str; 6] = [
    "queue-mode",
    "queue-master-locator",
    "max-age",
    "max-segment-size",
    "stream-max-segment-size-bytes",
    "stream-filter-size-bytes",
];

/// The same for streams, beside everything of mirrors.
const NOT_OF_STREAMS: [&str; 12] = [
    "delivery-limit",
    "dead-letter-strategy",
    "dead-letter-exchange",
    "dead-letter-routing-key",
    "expires",
    "message-ttl",
    "max-length",
    "max-in-memory-length",
    "max-in-memory-bytes",
    "overflow",
    "queue-mode",
    "queue-master-locator",
];

/// Whether a key is kept and shown, and has no effect in this broker.
pub fn is_ignored_policy_key(name: &str) -> bool {
    KEYS.iter().any(|key| key.name == name && key.is_ignored)
}

/// Whether a policy can be used.
///
/// # Errors
/// RabbitMQ's text for it.
pub fn validate_policy(kind: PolicyKind, record: &PolicyRecord) -> Result<(), String> {
    let failed = |error: String| format!("Validation failed\n\n{error}\n");
    check_pattern(record).map_err(failed)?;
    if applies_to(record).is_none() {
        let text = format!(
            "apply-to '{}' unrecognised; should be one of: 'queues', 'classic_queues',  'quorum_queues', 'streams', \
             'exchanges', or 'all'",
            record.apply_to
        );
        return Err(failed(text));
    }
    validate_definition(kind, &record.definition).map_err(failed)
}

fn validate_definition(kind: PolicyKind, definition: &Map<String, Value>) -> Result<(), String> {
    if definition.is_empty() {
        return Err("no policy provided".to_owned());
    }
    let is_known = |name: &str| match kind {
        PolicyKind::Policy => KEYS.iter().any(|key| key.name == name),
        PolicyKind::Operator => OPERATOR_KEYS.contains(&name),
    };
    for (name, value) in definition.iter().filter(|(name, _)| is_known(name)) {
        let wrong = KEYS.iter().find(|key| key.name == name && !(key.accepts)(value));
        if let Some(key) = wrong {
            return Err(format!("{} {}", term(value), key.wrong));
        }
    }
    let unknown: Vec<_> = definition.iter().filter(|(name, _)| !is_known(name)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(format!("{} are not recognised policy settings", pairs(unknown.into_iter())))
}

/// The policy as the core knows it.
///
/// # Errors
/// The pattern is no regular expression.
pub(super) fn to_core(record: &PolicyRecord) -> Result<Policy, regex::Error> {
    let definition = &record.definition;
    let number = |name: &str| definition.get(name).and_then(Value::as_u64);
    let text = |name: &str| definition.get(name).and_then(Value::as_str);
    Ok(Policy {
        name: record.name.as_str().into(),
        vhost: record.vhost.as_str().into(),
        pattern: regex::Regex::new(&record.pattern)?,
        applies_to: applies_to(record).unwrap_or(AppliesTo::ALL),
        priority: record.priority,
        definition: PolicyDefinition {
            message_ttl_ms: number("message-ttl"),
            expires_ms: number("expires"),
            length_max: number("max-length"),
            bytes_max: number("max-length-bytes"),
            overflow: definition.get("overflow").and_then(overflow),
            dead_letter_exchange: text("dead-letter-exchange").map(Into::into),
            dead_letter_routing_key: text("dead-letter-routing-key").map(|key| key.as_bytes().to_vec().into()),
            dead_letter_strategy: definition.get("dead-letter-strategy").and_then(strategy),
            delivery_limit: number("delivery-limit").map(|limit| u32::try_from(limit).unwrap_or(u32::MAX)),
            consumer_timeout_ms: number("consumer-timeout"),
            alternate_exchange: text("alternate-exchange").map(Into::into),
            durability: definition.get("durability").and_then(durability),
            max_age_ms: text("max-age").and_then(parse_age_ms),
        },
    })
}

/// Both definitions as one: of numbers that both have, the smaller one.
pub fn merge(policy: Option<&Map<String, Value>>, operator: Option<&Map<String, Value>>) -> Map<String, Value> {
    let mut merged = policy.cloned().unwrap_or_default();
    for (name, bound) in operator.into_iter().flatten() {
        let said = merged.get(name).and_then(Value::as_u64);
        if said.is_none_or(|said| bound.as_u64().is_some_and(|bound| bound < said)) {
            merged.insert(name.clone(), bound.clone());
        }
    }
    merged
}

fn applies_to(record: &PolicyRecord) -> Option<AppliesTo> {
    const NOTHING: AppliesTo =
        AppliesTo { exchanges: false, classic_queues: false, quorum_queues: false, streams: false };
    let asked = match record.apply_to.as_str() {
        "all" => AppliesTo::ALL,
        "queues" => AppliesTo::QUEUES,
        "exchanges" => AppliesTo { exchanges: true, ..NOTHING },
        "classic_queues" => AppliesTo { classic_queues: true, ..NOTHING },
        "quorum_queues" => AppliesTo { quorum_queues: true, ..NOTHING },
        "streams" => AppliesTo { streams: true, ..NOTHING },
        _ => return None,
    };
    let has = |names: &[&str]| record.definition.keys().any(|name| names.contains(&name.as_str()));
    let is_mirrored = record.definition.keys().any(|name| name.starts_with("ha-"));
    Some(AppliesTo {
        exchanges: asked.exchanges,
        classic_queues: asked.classic_queues && !has(&NOT_OF_CLASSIC_QUEUES),
        quorum_queues: asked.quorum_queues && !is_mirrored && !has(&NOT_OF_QUORUM_QUEUES),
        streams: asked.streams && !is_mirrored && !has(&NOT_OF_STREAMS),
    })
}

fn overflow(value: &Value) -> Option<Overflow> {
    match value.as_str()? {
        "drop-head" => Some(Overflow::DropHead),
        "reject-publish" => Some(Overflow::RejectPublish),
        "reject-publish-dlx" => Some(Overflow::RejectPublishDeadLetter),
        _ => None,
    }
}

fn strategy(value: &Value) -> Option<DeadLetterStrategy> {
    value.as_str().and_then(DeadLetterStrategy::from_word)
}

fn durability(value: &Value) -> Option<Durability> {
    Durability::from_word(value.as_str()?)
}

fn one_of(value: &Value, words: &[&str]) -> bool {
    value.as_str().is_some_and(|word| words.contains(&word))
}

fn is_promotion(value: &Value) -> bool {
    one_of(value, &["always", "when-synced"])
}

/// A number and one of RabbitMQ's units.
fn is_age(value: &Value) -> bool {
    value.as_str().and_then(parse_age_ms).is_some()
}

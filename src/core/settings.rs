//! What a queue's declaration arguments mean.

mod stream;

use crossdock_common::definition::{
    DeadLetter, DeadLetterStrategy, Durability, ExchangeSpec, HeaderDeduplication, Overflow, QueueSettings, QueueSpec,
    Stream,
};
use crossdock_common::value::lookup;
use crossdock_common::{Name, Refusal, UnixMillis, Value};

use crate::definitions::exchange::Exchange;
use crate::wording::{not_an_integer, type_name, unacceptable};

/// The argument that says which kind of queue it is.
pub(crate) const QUEUE_TYPE: &str = "x-queue-type";
/// Most priorities above 0, as RabbitMQ.
const PRIORITY_MAX: i64 = 255;
/// Longest times to live and until a queue expires in milliseconds, as RabbitMQ.
const TIME_MS_MAX: i64 = 4_294_967_295;
/// How often a quorum queue's messages may come back where nobody says how often, as RabbitMQ 4.
const QUORUM_DELIVERY_LIMIT: u32 = 20;
/// Values that a queue with deduplication remembers where its arguments do not say how many, as LavinMQ, and most of them.
const CACHE_SIZE: u64 = 128;
const CACHE_SIZE_MAX: u64 = 1 << 20;
/// Arguments that RabbitMQ's quorum queues do not have.
const NOT_OF_QUORUM_QUEUES: [&str; 2] = ["x-queue-mode", "x-queue-version"];

/// Whether a queue may be declared like this. What is there already is not asked again: earlier versions accepted more.
///
/// # Errors
/// [`Refusal::PreconditionFailed`] in RabbitMQ's wording.
pub(crate) fn check(spec: &QueueSpec, vhost: &Name) -> Result<(), Refusal> {
    let arguments = Arguments { spec, vhost };
    arguments.one_of(QUEUE_TYPE, "queue type", &["classic", "quorum", "stream"])?;
    arguments.one_of("x-queue-mode", "queue mode", &["default", "lazy"])?;
    arguments.check_version()?;
    arguments.at_most("x-message-ttl", TIME_MS_MAX)?;
    arguments.at_most("x-expires", TIME_MS_MAX)?;
    arguments.dead_letter_strategy()?;
    arguments.at_least("x-consumer-timeout", 0)?;
    arguments.deduplication()?;
    arguments.check_for_streams()?;
    if arguments.is_quorum() { arguments.check_quorum() } else { Ok(()) }
}

/// The rules that a queue of this specification follows: those of its arguments, overridden by those it was given directly.
///
/// # Errors
/// [`Refusal::PreconditionFailed`] in RabbitMQ's wording when an argument has a wrong type or value.
pub(crate) fn effective(spec: &QueueSpec, vhost: &Name) -> Result<QueueSettings, Refusal> {
    let arguments = Arguments { spec, vhost };
    let mut settings = QueueSettings {
        message_ttl_ms: arguments.at_least("x-message-ttl", 0)?,
        expires_ms: arguments.at_least("x-expires", 1)?,
        length_max: arguments.at_least("x-max-length", 0)?,
        bytes_max: arguments.at_least("x-max-length-bytes", 0)?,
        overflow: arguments.overflow()?,
        dead_letter: arguments.dead_letter()?,
        dead_letter_strategy: arguments.dead_letter_strategy()?,
        delivery_limit: arguments.delivery_limit()?,
        priority_max: arguments.priority_max()?,
        single_active_consumer: arguments.flag("x-single-active-consumer")?,
        durability: arguments.durability()?,
        // Earlier versions passed these over, whatever they said.
        consumer_timeout_ms: arguments.at_least("x-consumer-timeout", 0).unwrap_or_default(),
        deduplication: arguments.deduplication().unwrap_or_default(),
        stream: arguments.stream().map(|stream| with_age_of(stream, spec.settings.stream)),
        ..(*spec.settings).clone()
    };
    let direct = &spec.settings;
    settings.message_ttl_ms = direct.message_ttl_ms.or(settings.message_ttl_ms);
    settings.expires_ms = direct.expires_ms.or(settings.expires_ms);
    settings.length_max = direct.length_max.or(settings.length_max);
    settings.bytes_max = direct.bytes_max.or(settings.bytes_max);
    settings.overflow = direct.overflow.or(settings.overflow);
    settings.dead_letter = direct.dead_letter.clone().or(settings.dead_letter);
    settings.delivery_limit = direct.delivery_limit.or(settings.delivery_limit);
    settings.priority_max = direct.priority_max.or(settings.priority_max);
    settings.consumer_timeout_ms = direct.consumer_timeout_ms.or(settings.consumer_timeout_ms);
    settings.durability = direct.durability.or(settings.durability);
    settings.single_active_consumer |= direct.single_active_consumer;
    Ok(settings)
}

/// A stream's own age is overridden by the one that it was given directly.
fn with_age_of(declared: Stream, direct: Option<Stream>) -> Stream {
    Stream { max_age_ms: direct.and_then(|direct| direct.max_age_ms).or(declared.max_age_ms) }
}

/// Whether a queue of this specification is a stream.
pub(crate) fn is_stream(spec: &QueueSpec, vhost: &Name) -> bool {
    Arguments { spec, vhost }.stream().is_some()
}

/// How often a message may be handed out where neither the queue nor a policy says it.
pub(crate) fn delivery_limit_default(spec: &QueueSpec) -> Option<u32> {
    let is_quorum = lookup(&spec.arguments, QUEUE_TYPE).and_then(Value::as_str) == Some("quorum");
    is_quorum.then_some(QUORUM_DELIVERY_LIMIT + 1)
}

/// Whether a queue could be declared so.
///
/// # Errors
/// The refusal that the declaration would get.
pub fn validate_queue(spec: &QueueSpec, vhost: &Name) -> Result<(), Refusal> {
    check(spec, vhost)?;
    effective(spec, vhost).map(drop)
}

/// Whether there are exchanges of that kind.
///
/// # Errors
/// The refusal that the declaration would get.
pub fn validate_exchange(spec: &ExchangeSpec) -> Result<(), Refusal> {
    Exchange::new(spec.clone(), UnixMillis(0), 0).map(drop)
}

struct Arguments<'a> {
    spec: &'a QueueSpec,
    vhost: &'a Name,
}

impl Arguments<'_> {
    fn value(&self, name: &str) -> Option<&Value> {
        lookup(&self.spec.arguments, name)
    }

    fn invalid(&self, name: &str, reason: &str) -> Refusal {
        let (queue, vhost) = (&self.spec.name, self.vhost);
        Refusal::PreconditionFailed(format!("invalid arg '{name}' for queue '{queue}' in vhost '{vhost}': {reason}"))
    }

    fn at_least(&self, name: &str, least: i64) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number = value.as_i64().ok_or_else(|| self.invalid(name, &not_an_integer(value)))?;
        if number < least {
            let reason = if number == 0 { "{value_zero,0}".to_owned() } else { format!("{{value_negative,{number}}}") };
            return Err(self.invalid(name, &reason));
        }
        Ok(u64::try_from(number).ok())
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.invalid(name, &unacceptable(other))),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.value(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.invalid(name, &unacceptable(other))),
        }
    }

    fn overflow(&self) -> Result<Option<Overflow>, Refusal> {
        Ok(match self.text("x-overflow")? {
            None => None,
            Some("drop-head") => Some(Overflow::DropHead),
            Some("reject-publish") => Some(Overflow::RejectPublish),
            Some("reject-publish-dlx") => Some(Overflow::RejectPublishDeadLetter),
            Some(_) => return Err(self.invalid("x-overflow", "invalid_overflow")),
        })
    }

    fn durability(&self) -> Result<Option<Durability>, Refusal> {
        let invalid = || self.invalid("x-durability", "invalid_durability");
        self.text("x-durability")?.map(|word| Durability::from_word(word).ok_or_else(invalid)).transpose()
    }

    fn dead_letter(&self) -> Result<Option<DeadLetter>, Refusal> {
        self.check_dead_letter_exchange()?;
        let routing_key = self.text("x-dead-letter-routing-key")?;
        match self.text("x-dead-letter-exchange")? {
            Some(exchange) => Ok(Some(DeadLetter {
                exchange: Name::from(exchange),
                routing_key: routing_key.map(|key| bytes::Bytes::copy_from_slice(key.as_bytes())),
            })),
            None if routing_key.is_some() => {
                Err(self.invalid("x-dead-letter-routing-key", "routing_key_but_no_dlx_defined"))
            }
            None => Ok(None),
        }
    }

    /// RabbitMQ counts returns: a message handed out once more than the limit is dead-lettered when it comes back again.
    fn delivery_limit(&self) -> Result<Option<u32>, Refusal> {
        if self.value("x-delivery-limit").and_then(Value::as_i64) == Some(-1) {
            // Any number; they are counted all the same.
            return Ok(Some(u32::MAX));
        }
        let limit = self.at_least("x-delivery-limit", 0)?;
        Ok(limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1)))
    }

    fn deduplication(&self) -> Result<Option<HeaderDeduplication>, Refusal> {
        if !self.flag("x-message-deduplication")? {
            return Ok(None);
        }
        let size_max = self.at_least("x-cache-size", 1)?.unwrap_or(CACHE_SIZE).min(CACHE_SIZE_MAX);
        Ok(Some(HeaderDeduplication {
            header: self.text("x-deduplication-header")?.unwrap_or("x-deduplication-header").into(),
            size_max: u32::try_from(size_max).unwrap_or(u32::MAX),
            ttl_ms: self.at_least("x-cache-ttl", 1)?,
        }))
    }

    fn is_quorum(&self) -> bool {
        self.value(QUEUE_TYPE).and_then(Value::as_str) == Some("quorum")
    }

    fn check_quorum(&self) -> Result<(), Refusal> {
        self.check_durable_and_shared()?;
        self.has_none_of(&NOT_OF_QUORUM_QUEUES, "rabbit_quorum_queue")
    }

    /// What RabbitMQ asks of queues that it would replicate.
    fn check_durable_and_shared(&self) -> Result<(), Refusal> {
        let (queue, vhost, spec) = (&self.spec.name, self.vhost, self.spec);
        let properties =
            [("auto-delete", spec.auto_delete), ("exclusive-owner", spec.exclusive), ("non-durable", !spec.durable)];
        let Some((property, _)) = properties.iter().find(|(_, is_set)| *is_set) else { return Ok(()) };
        let text = format!("invalid property '{property}' for queue '{queue}' in vhost '{vhost}'");
        Err(Refusal::PreconditionFailed(text))
    }

    fn has_none_of(&self, names: &[&str], kind: &str) -> Result<(), Refusal> {
        let (queue, vhost) = (&self.spec.name, self.vhost);
        let unknown = names.iter().find(|name| self.value(name).is_some());
        unknown.map_or(Ok(()), |name| {
            Err(Refusal::PreconditionFailed(format!(
                "invalid arg '{name}' for queue '{queue}' in vhost '{vhost}' of queue type {kind}"
            )))
        })
    }

    fn one_of(&self, name: &str, what: &str, words: &[&str]) -> Result<(), Refusal> {
        match self.text(name)? {
            Some(word) if !words.contains(&word) => {
                Err(self.invalid(name, &format!("\"unsupported {what} '{word}'\"")))
            }
            _ => Ok(()),
        }
    }

    fn check_version(&self) -> Result<(), Refusal> {
        match self.at_least("x-queue-version", 0)? {
            None | Some(1 | 2) => Ok(()),
            Some(version) => {
                Err(self.invalid("x-queue-version", &format!("\"unsupported queue version '{version}'\"")))
            }
        }
    }

    fn dead_letter_strategy(&self) -> Result<Option<DeadLetterStrategy>, Refusal> {
        let invalid = || self.invalid("x-dead-letter-strategy", "invalid_dlx_strategy");
        let said = self.text("x-dead-letter-strategy")?;
        said.map(|word| DeadLetterStrategy::from_word(word).ok_or_else(invalid)).transpose()
    }

    fn check_dead_letter_exchange(&self) -> Result<(), Refusal> {
        let (name, queue, vhost) = ("x-dead-letter-exchange", &self.spec.name, self.vhost);
        match self.value(name) {
            None | Some(Value::String(_)) => Ok(()),
            Some(other) => Err(Refusal::PreconditionFailed(format!(
                "invalid type '{}' for arg '{name}' in queue '{queue}' in vhost '{vhost}'",
                type_name(other)
            ))),
        }
    }

    fn at_most(&self, name: &str, most: i64) -> Result<(), Refusal> {
        match self.value(name).and_then(Value::as_i64) {
            Some(number) if number > most => Err(self.invalid(name, &format!("{{value_too_large,{number}}}"))),
            _ => Ok(()),
        }
    }

    fn priority_max(&self) -> Result<Option<u8>, Refusal> {
        let Some(value) = self.value("x-max-priority") else { return Ok(None) };
        let number = value.as_i64().ok_or_else(|| self.invalid("x-max-priority", &not_an_integer(value)))?;
        if !(0..=PRIORITY_MAX).contains(&number) {
            let reason = if number < 0 { "value_negative" } else { "max_value_exceeded" };
            return Err(self.invalid("x-max-priority", &format!("{{{reason},{number}}}")));
        }
        Ok(u8::try_from(number).ok().filter(|&number| number > 0))
    }
}

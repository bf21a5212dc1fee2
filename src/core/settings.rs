//! What a queue's declaration arguments mean.

use crossdock_common::definition::{DeadLetter, Durability, ExchangeSpec, Overflow, QueueSettings, QueueSpec};
use crossdock_common::value::lookup;
use crossdock_common::{Name, Refusal, UnixMillis, Value};

use crate::definitions::exchange::Exchange;

/// Most priorities above 0, as RabbitMQ.
const PRIORITY_MAX: i64 = 255;

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
        delivery_limit: arguments.delivery_limit()?,
        priority_max: arguments.priority_max()?,
        single_active_consumer: arguments.flag("x-single-active-consumer")?,
        durability: arguments.durability()?,
        ..spec.settings.clone()
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
    settings.durability = direct.durability.or(settings.durability);
    settings.single_active_consumer |= direct.single_active_consumer;
    Ok(settings)
}

/// Whether a queue could be declared so.
///
/// # Errors
/// The refusal that the declaration would get.
pub fn validate_queue(spec: &QueueSpec, vhost: &Name) -> Result<(), Refusal> {
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
        let number = value.as_i64().ok_or_else(|| self.invalid(name, "unacceptable_type"))?;
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
            Some(_) => Err(self.invalid(name, "unacceptable_type")),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.value(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.invalid(name, "unacceptable_type")),
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
        let limit = self.at_least("x-delivery-limit", 0)?;
        Ok(limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1)))
    }

    fn priority_max(&self) -> Result<Option<u8>, Refusal> {
        let Some(value) = self.value("x-max-priority") else { return Ok(None) };
        let number = value.as_i64().ok_or_else(|| self.invalid("x-max-priority", "unacceptable_type"))?;
        if !(0..=PRIORITY_MAX).contains(&number) {
            return Err(self.invalid("x-max-priority", &format!("{{value_out_of_range,{number},255}}")));
        }
        Ok(u8::try_from(number).ok().filter(|&number| number > 0))
    }
}

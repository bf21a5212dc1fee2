//! Declarations: making something, or checking that what is there is the same.

use std::sync::Arc;

use crossdock_common::definition::{ExchangeSpec, Inner, QueueSettings, QueueSpec, REPLY_ADDRESS};
use crossdock_common::event::Reply;
use crossdock_common::names::{ConnectionId, QueueId};
use crossdock_common::value::lookup;
use crossdock_common::value_text::to_text;
use crossdock_common::{Name, Now, Refusal, Table, Text, Value};

use super::Broker;
use super::define::{Caller, accessible, forbid_default};
use crate::definitions::{Definitions, QueueEntry, delay_queue_name, shard_of};
use crate::policies::{Policies, QueueKind};
use crate::settings::QUEUE_TYPE;
use crate::shard::command::NewQueue;
use crate::wording::type_name;

/// Longest name of a queue or exchange in bytes, as AMQP 0-9-1's short strings.
const NAME_BYTES_MAX: usize = 255;

/// Arguments that RabbitMQ compares when a queue is declared again.
const QUEUE_ARGUMENTS: [&str; 23] = [
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-single-active-consumer",
    "x-delivery-limit",
    "x-consumer-timeout",
    "x-durability",
    "x-message-deduplication",
    "x-deduplication-header",
    "x-cache-size",
    "x-cache-ttl",
    "x-queue-mode",
    "x-queue-version",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-initial-cluster-size",
    QUEUE_TYPE,
];

impl Broker {
    pub(super) fn declare_exchange(
        self: &Arc<Self>,
        now: Now,
        definitions: &mut Definitions,
        vhost: &Name,
        spec: ExchangeSpec,
    ) -> Result<Reply, Refusal> {
        forbid_default(&spec.name)?;
        check_length("exchange", &spec.name)?;
        if let Some(known) = definitions.vhost(vhost)?.exchanges.get(&spec.name) {
            return same_exchange(&known.spec, &spec, vhost).map(|()| Reply::Done);
        }
        if spec.name.starts_with("amq.") {
            let name = &spec.name;
            return Err(Refusal::Forbidden(format!("exchange name '{name}' contains reserved prefix 'amq.*'")));
        }
        check_alternate(&spec, vhost)?;
        let (name, durable) = (spec.name.clone(), spec.durable);
        definitions.add_exchange(vhost, spec, now.unix)?;
        if definitions.vhost(vhost)?.exchange(vhost, &name)?.is_delayed() {
            let spec = QueueSpec {
                name: delay_queue_name(&name),
                durable,
                settings: QueueSettings { inner: Some(Inner::Delays { exchange: name }), ..QueueSettings::default() }
                    .into(),
                ..QueueSpec::default()
            };
            self.create_queue(definitions, vhost, spec, None, now)?;
        }
        Ok(Reply::Done)
    }

    pub(super) fn declare_queue(
        self: &Arc<Self>,
        now: Now,
        definitions: &mut Definitions,
        caller: &Caller<'_>,
        mut spec: QueueSpec,
    ) -> Result<Reply, Refusal> {
        let vhost = &caller.who.vhost;
        check_length("queue", &spec.name)?;
        let is_reply_address = spec.settings.inner == Some(Inner::Replies) && spec.name.starts_with(REPLY_ADDRESS);
        if !is_reply_address && spec.name.starts_with(REPLY_ADDRESS) {
            return reply_address(definitions, vhost, &spec.name);
        }
        self.apply_default_type(vhost, &mut spec);
        if spec.name.is_empty() {
            if QueueKind::of(&spec) == QueueKind::Stream {
                let text = "Cannot declare a server-named queue for type rabbit_stream_queue";
                return Err(Refusal::PreconditionFailed(text.to_owned()));
            }
            spec.name = definitions.generate_queue_name();
        } else if definitions.vhost(vhost)?.queues.contains_key(&spec.name) {
            let known = accessible(definitions, caller, &spec.name)?;
            same_queue(known, &spec, vhost)?;
            return Ok(self.queue_reply(known));
        } else if spec.name.starts_with("amq.") && !is_reply_address {
            let name = &spec.name;
            return Err(Refusal::Forbidden(format!("queue name '{name}' contains reserved prefix 'amq.*'")));
        }
        crate::settings::check(&spec, vhost)?;
        let name = spec.name.clone();
        let owner = spec.exclusive.then_some(caller.connection);
        // An exclusive queue goes with its connection: writing it down would be for nothing.
        spec.durable &= !spec.exclusive;
        self.create_queue(definitions, vhost, spec, owner, now)?;
        self.tell_followers(definitions, vhost, &name);
        Ok(Reply::Queue { name, ready: 0, consumers: 0 })
    }

    /// The vhost's kind of queue, for declarations that name none and could be of that kind, as in RabbitMQ.
    fn apply_default_type(&self, vhost: &Name, spec: &mut QueueSpec) {
        if spec.settings.inner.is_some() || lookup(&spec.arguments, QUEUE_TYPE).is_some() {
            return;
        }
        let rules = self.rules();
        let Some(kind) = rules.vhost(vhost).and_then(|rules| rules.default_queue_type.as_ref()) else { return };
        let is_replicated_kind = matches!(kind.as_str(), "quorum" | "stream");
        if !is_replicated_kind || (spec.durable && !spec.exclusive && !spec.auto_delete) {
            spec.arguments.push((Text::from_static(QUEUE_TYPE), Value::string(kind.as_str())));
        }
    }

    /// Makes a queue in the definitions and in its shard.
    pub(super) fn create_queue(
        &self,
        definitions: &mut Definitions,
        vhost: &Name,
        spec: QueueSpec,
        owner: Option<ConnectionId>,
        now: Now,
    ) -> Result<QueueId, Refusal> {
        let name = spec.name.clone();
        let known = definitions.vhost(vhost)?.queues.values().map(|queue| &queue.spec);
        self.rules().may_have_queue(vhost, &spec, known)?;
        let id = definitions.add_queue(vhost, spec, owner, now.unix)?;
        let new = definitions.vhost(vhost)?.queue(vhost, &name)?.for_shard(vhost, &definitions.policies);
        self.with_shard(shard_of(id), |shard| shard.add_queue(new, now));
        Ok(id)
    }
}

impl QueueEntry {
    /// What the shard needs to know of the queue.
    pub(crate) fn for_shard(&self, vhost: &Name, policies: &Policies) -> NewQueue {
        NewQueue {
            id: self.id,
            vhost: vhost.clone(),
            name: self.spec.name.clone(),
            durable: self.spec.durable,
            auto_delete: self.spec.auto_delete,
            durability: self.durability,
            settings: self.settings(vhost, policies),
        }
    }
}

/// Whoever has the name of a queue for replies may ask whether anybody still waits there. Every declaration is such a question.
pub(super) fn reply_address(definitions: &Definitions, vhost: &Name, name: &Name) -> Result<Reply, Refusal> {
    let queue = definitions.vhost(vhost)?.queue(vhost, name)?;
    Ok(Reply::Queue { name: queue.spec.name.clone(), ready: 0, consumers: 1 })
}

fn check_length(what: &str, name: &Name) -> Result<(), Refusal> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Refusal::PreconditionFailed(format!("{what} name is longer than {NAME_BYTES_MAX} bytes")));
    }
    Ok(())
}

fn check_alternate(spec: &ExchangeSpec, vhost: &Name) -> Result<(), Refusal> {
    match lookup(&spec.arguments, "alternate-exchange") {
        None | Some(Value::String(_)) => Ok(()),
        Some(other) => Err(Refusal::PreconditionFailed(format!(
            "invalid type '{}' for arg 'alternate-exchange' in exchange '{}' in vhost '{vhost}'",
            type_name(other),
            spec.name
        ))),
    }
}

fn same_exchange(known: &ExchangeSpec, asked: &ExchangeSpec, vhost: &Name) -> Result<(), Refusal> {
    let thing = Thing { word: "exchange", name: &asked.name, vhost };
    thing.same("type", &asked.kind, &known.kind)?;
    thing.same("durable", asked.durable, known.durable)?;
    thing.same("auto_delete", asked.auto_delete, known.auto_delete)?;
    thing.same("internal", asked.internal, known.internal)?;
    thing.same_argument("alternate-exchange", &asked.arguments, &known.arguments)
}

fn same_queue(known: &QueueEntry, asked: &QueueSpec, vhost: &Name) -> Result<(), Refusal> {
    let thing = Thing { word: "queue", name: &asked.name, vhost };
    let exclusive = known.owner.is_some();
    // What an exclusive queue's declaration says of durability is not kept.
    if !exclusive {
        thing.same("durable", asked.durable, known.spec.durable)?;
    }
    if asked.exclusive != exclusive {
        return Err(Refusal::ResourceLocked { name: asked.name.clone(), vhost: vhost.clone() });
    }
    thing.same("auto_delete", asked.auto_delete, known.spec.auto_delete)?;
    QUEUE_ARGUMENTS.iter().try_for_each(|name| thing.same_argument(name, &asked.arguments, &known.spec.arguments))
}

/// Something that is declared again, for RabbitMQ's wording of how it differs.
struct Thing<'a> {
    word: &'static str,
    name: &'a Name,
    vhost: &'a Name,
}

impl Thing<'_> {
    fn same<T: PartialEq + std::fmt::Display>(&self, property: &str, asked: T, known: T) -> Result<(), Refusal> {
        if asked == known {
            return Ok(());
        }
        Err(self.differs(property, &format!("received '{asked}' but current is '{known}'")))
    }

    fn same_argument(&self, argument: &str, asked: &Table, known: &Table) -> Result<(), Refusal> {
        let (asked, known) = (lookup(asked, argument), lookup(known, argument));
        let equal = match (asked, known) {
            (Some(asked), Some(known)) => match (asked.as_i64(), known.as_i64()) {
                (Some(asked), Some(known)) => asked == known,
                _ => asked == known,
            },
            (None, None) => true,
            // A queue without a type is a classic one.
            (None, Some(kind)) | (Some(kind), None) => argument == QUEUE_TYPE && kind.as_str() == Some("classic"),
        };
        if equal {
            return Ok(());
        }
        let (received, current) = match (asked, known) {
            (Some(asked), Some(known)) => (format!("'{}'", to_text(asked)), format!("'{}'", to_text(known))),
            _ => (described(asked), described(known)),
        };
        Err(self.differs(argument, &format!("received {received} but current is {current}")))
    }

    fn differs(&self, what: &str, how: &str) -> Refusal {
        let Self { word, name, vhost } = self;
        Refusal::PreconditionFailed(format!("inequivalent arg '{what}' for {word} '{name}' in vhost '{vhost}': {how}"))
    }
}

/// A value with RabbitMQ's name of its type.
fn described(value: Option<&Value>) -> String {
    value.map_or_else(
        || "none".to_owned(),
        |value| format!("the value '{}' of type '{}'", to_text(value), type_name(value)),
    )
}

//! Questions about and changes of definitions, after permission was asked.

use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::definition::{
    BindingSpec, Definition, Destination, ExchangeInfo, Inner, Kept, QueueInfo, REPLY_ADDRESS,
};
use crossdock_common::event::Reply;
use crossdock_common::names::{ConnectionId, QueueId};
use crossdock_common::refusal::{Access, Resource};
use crossdock_common::value::lookup;
use crossdock_common::{Name, Now, Refusal, Table, Value};

use super::Broker;
use super::declare::reply_address;
use crate::definitions::exchange::Exchange;
use crate::definitions::{Definitions, QueueEntry, Vhost, not_found, shard_of};
use crate::log::{Sequence, Urgency};
use crate::permissions::{Permissions, Warrants, Who};
use crate::record::can_be_kept;
use crate::settings::is_stream;
use crate::shard::Shard;
use crate::shard::command::Effects;

/// Largest document of a protocol.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;

/// On whose behalf a definition is asked about or changed.
pub(crate) struct Caller<'a> {
    pub who: &'a Who,
    /// What it may do beyond that user's permissions.
    pub warrants: &'a Warrants,
    pub connection: ConnectionId,
    /// The queue of the connection's own session, which needs no permission.
    pub session_queue: Option<&'a Name>,
}

impl Broker {
    /// Carries out a definition command. With a number, the answer has to wait until the definitions' log is durable up to it.
    pub(crate) fn define(
        self: &Arc<Self>,
        now: Now,
        caller: &Caller<'_>,
        definition: Definition,
    ) -> (Result<Reply, Refusal>, Option<Sequence>) {
        if let Err(refusal) = self.authorise(caller, &definition) {
            return (Err(refusal), None);
        }
        self.define_authorised(now, caller, definition)
    }

    /// The same without asking whether the caller may.
    pub(super) fn define_authorised(
        self: &Arc<Self>,
        now: Now,
        caller: &Caller<'_>,
        definition: Definition,
    ) -> (Result<Reply, Refusal>, Option<Sequence>) {
        if is_question(&definition) {
            return (self.answer(now, &self.definitions.read(), caller, definition), None);
        }
        let mut effects = Effects::default();
        let mut definitions = self.definitions.write();
        let before = definitions.log.next_sequence();
        let result = self.change(now, &mut definitions, caller, definition, &mut effects);
        self.remove_orphans(&mut definitions, &mut effects);
        definitions.log.commit(Urgency::Sync);
        let changed = definitions.log.next_sequence() != before;
        // What is there already may be another connection's, and not durable yet.
        let last = definitions.last_sequence();
        let known = result.is_ok() && last > self.definitions_are_durable_to();
        drop(definitions);
        self.follow_up(now, effects);
        (result, (changed || known).then_some(last))
    }

    fn authorise(&self, caller: &Caller<'_>, definition: &Definition) -> Result<(), Refusal> {
        let permissions = self.permissions();
        authorise(&permissions, caller, definition).or_else(|refusal| warranted(caller, definition, refusal))?;
        let definition = match definition {
            Definition::IfKept { change: Some(change), .. } => change,
            other => other,
        };
        let (Definition::Bind(spec) | Definition::Unbind(spec)) = definition else { return Ok(()) };
        if self.is_topic_exchange(&caller.who.vhost, &spec.source) {
            permissions.check_topic_binding(caller.who, &spec.source, &spec.key)?;
        }
        if let Definition::Bind(spec) = definition
            && let Some(otherwise) = self.definitions.read().standing(spec).and_then(|standing| standing.otherwise)
        {
            permissions.check(caller.who, Access::Write, Resource::Queue, &otherwise)?;
        }
        Ok(())
    }

    fn is_topic_exchange(&self, vhost: &Name, name: &Name) -> bool {
        let definitions = self.definitions.read();
        let exchange = definitions.vhosts.get(vhost).and_then(|vhost| vhost.exchanges.get(name));
        exchange.is_some_and(Exchange::is_topic)
    }

    fn change(
        self: &Arc<Self>,
        now: Now,
        definitions: &mut Definitions,
        caller: &Caller<'_>,
        definition: Definition,
        effects: &mut Effects,
    ) -> Result<Reply, Refusal> {
        let vhost = &caller.who.vhost;
        if !arguments(&definition).is_none_or(can_be_kept) {
            return Err(Refusal::PreconditionFailed("arguments are nested too deeply".to_owned()));
        }
        match definition {
            Definition::DeclareExchange { spec, .. } => self.declare_exchange(now, definitions, vhost, spec),
            Definition::DeleteExchange { name, if_unused } => delete_exchange(definitions, vhost, &name, if_unused),
            Definition::UpdateExchange { name, attributes } => {
                definitions.set_exchange_attributes(vhost, &name, attributes).map(|()| Reply::Done)
            }
            Definition::DeclareQueue { spec, .. } => self.declare_queue(now, definitions, caller, spec),
            Definition::DeleteQueue { name, if_unused, if_empty } => {
                self.delete_queue(definitions, caller, &name, if_unused, if_empty, effects)
            }
            Definition::UpdateQueue { name, settings, attributes } => {
                accessible(definitions, caller, &name)?;
                let (id, settings) = definitions.update_queue(vhost, &name, settings, attributes, now.unix)?;
                self.with_shard(shard_of(id), |shard| shard.configure_queue(id, settings));
                Ok(Reply::Done)
            }
            Definition::Bind(spec) => bind(definitions, caller, spec),
            Definition::Unbind(spec) => unbind(definitions, caller, &spec),
            Definition::SetDocument { name, document } => {
                if document.as_ref().is_some_and(|document| document.len() > DOCUMENT_BYTES_MAX) {
                    let text = format!("a document of more than {DOCUMENT_BYTES_MAX} bytes");
                    return Err(Refusal::PreconditionFailed(text));
                }
                definitions.vhost(vhost)?;
                definitions.set_protocol_document(
                    vhost,
                    name,
                    document.map(|document| Bytes::copy_from_slice(&document)),
                );
                Ok(Reply::Done)
            }
            Definition::IfKept { kept, change } => {
                check_kept(definitions, vhost, &kept)?;
                match change {
                    Some(change) => self.change(now, definitions, caller, *change, effects),
                    None => Ok(Reply::Done),
                }
            }
            Definition::StartMove(spec) => self.start_move(now, definitions, caller, spec),
            Definition::CancelMove { source, number } => self.cancel_move(now, definitions, caller, &source, number),
            _ => Err(Refusal::Invalid("a question is not a change".to_owned())),
        }
    }

    fn answer(
        &self,
        now: Now,
        definitions: &Definitions,
        caller: &Caller<'_>,
        definition: Definition,
    ) -> Result<Reply, Refusal> {
        let vhost = definitions.vhost(&caller.who.vhost)?;
        match definition {
            Definition::DeclareExchange { spec, .. } => {
                vhost.exchange(&caller.who.vhost, &spec.name).map(|_| Reply::Done)
            }
            Definition::DeclareQueue { spec, .. } if spec.name.starts_with(REPLY_ADDRESS) => {
                reply_address(definitions, &caller.who.vhost, &spec.name)
            }
            Definition::DeclareQueue { spec, .. } => {
                accessible(definitions, caller, &spec.name).map(|queue| self.queue_reply(queue))
            }
            Definition::InspectQueue { name } => {
                accessible(definitions, caller, &name).map(|queue| Reply::QueueInfo(Box::new(self.queue_info(queue))))
            }
            Definition::InspectExchange { name } => vhost
                .exchange(&caller.who.vhost, &name)
                .map(|exchange| Reply::ExchangeInfo(Box::new(exchange_info(exchange)))),
            Definition::ListQueues { prefix, after, count_max } => {
                let queues = range(&vhost.queues, &prefix, after.as_ref()).map(|(_, queue)| queue);
                let queues = queues.filter(|queue| queue.spec.settings.inner.is_none());
                Ok(Reply::Queues(queues.take(count_max).map(|queue| self.queue_info(queue)).collect()))
            }
            Definition::ListExchanges { prefix, after, count_max } => {
                let exchanges = range(&vhost.exchanges, &prefix, after.as_ref()).map(|(_, exchange)| exchange);
                Ok(Reply::Exchanges(exchanges.take(count_max).map(exchange_info).collect()))
            }
            Definition::ListDelayed { exchange, after, count_max } => {
                let queue = delays_of(vhost, &caller.who.vhost, &exchange)?;
                let list = |shard: &mut Shard| shard.delayed(now, queue, after, count_max);
                Ok(Reply::Delayed(self.with_shard(shard_of(queue), list).unwrap_or_default()))
            }
            Definition::ListDocuments { prefix, after, count_max } => {
                let found = definitions.protocol_documents(&caller.who.vhost, &prefix, after.as_ref()).take(count_max);
                Ok(Reply::Documents(found.map(|(name, document)| (name.clone(), document.clone())).collect()))
            }
            Definition::ListMoves { source } => self.list_moves(definitions, caller, &source),
            Definition::ListBindings { source } => {
                let exchanges: Vec<&Exchange> = match &source {
                    Some(name) => vec![vhost.exchange(&caller.who.vhost, name)?],
                    None => vhost.exchanges.values().collect(),
                };
                let bindings = exchanges.into_iter().flat_map(Exchange::bindings);
                Ok(Reply::Bindings(bindings.map(|binding| (*binding.spec).clone()).collect()))
            }
            _ => Err(Refusal::Invalid("a change is not a question".to_owned())),
        }
    }

    fn delete_queue(
        &self,
        definitions: &mut Definitions,
        caller: &Caller<'_>,
        name: &Name,
        if_unused: bool,
        if_empty: bool,
        effects: &mut Effects,
    ) -> Result<Reply, Refusal> {
        let vhost = &caller.who.vhost;
        // Deleting what is not there is fine (RabbitMQ since 3.2).
        if !definitions.vhost(vhost)?.queues.contains_key(name) {
            return Ok(Reply::Count(0));
        }
        let queue = accessible(definitions, caller, name)?;
        let (id, is_stream) = (queue.id, is_stream(&queue.spec, vhost));
        let counts = self.with_shard(shard_of(id), |shard| shard.counts(id)).unwrap_or_default();
        if if_unused && counts.consumers > 0 {
            return Err(Refusal::PreconditionFailed(format!("queue '{name}' in vhost '{vhost}' in use")));
        }
        if if_empty && !is_stream && counts.ready > 0 {
            return Err(Refusal::PreconditionFailed(format!("queue '{name}' in vhost '{vhost}' not empty")));
        }
        definitions.remove_queue(vhost, name)?;
        let count = self.with_shard(shard_of(id), |shard| shard.remove_queue(id, effects)).unwrap_or(0);
        // RabbitMQ does not count what was in a stream, nor care.
        Ok(Reply::Count(if is_stream { 0 } else { count }))
    }

    /// An auto-delete or expired queue goes.
    pub(super) fn delete_queue_by_id(&self, id: QueueId, effects: &mut Effects) {
        let mut definitions = self.definitions.write();
        let Some((vhost, name)) = definitions.queue_name(id).cloned() else { return };
        // Somebody may have come back between the shard's lock and this one.
        let counts = self.with_shard(shard_of(id), |shard| shard.counts(id)).unwrap_or_default();
        if counts.consumers > 0 {
            return;
        }
        if definitions.remove_queue(&vhost, &name).is_ok() {
            self.remove_orphans(&mut definitions, effects);
            definitions.log.commit(Urgency::Sync);
            self.with_shard(shard_of(id), |shard| shard.remove_queue(id, effects));
        }
    }

    /// The queues that were exclusive to a connection go with it.
    pub(crate) fn delete_exclusive(self: &Arc<Self>, now: Now, vhost: &Name, names: &[Name], owner: ConnectionId) {
        let mut effects = Effects::default();
        let mut definitions = self.definitions.write();
        for name in names {
            let entry = definitions.vhosts.get(vhost).and_then(|entry| entry.queues.get(name));
            let Some(id) = entry.filter(|queue| queue.owner == Some(owner)).map(|queue| queue.id) else { continue };
            if definitions.remove_queue(vhost, name).is_ok() {
                self.with_shard(shard_of(id), |shard| shard.remove_queue(id, &mut effects));
            }
        }
        self.remove_orphans(&mut definitions, &mut effects);
        definitions.log.commit(Urgency::Sync);
        drop(definitions);
        self.follow_up(now, effects);
    }

    /// The queues of exchanges that are gone go with their messages.
    pub(super) fn remove_orphans(&self, definitions: &mut Definitions, effects: &mut Effects) {
        for id in definitions.take_orphans() {
            self.with_shard(shard_of(id), |shard| shard.remove_queue(id, effects));
        }
    }

    /// The queue in which the messages of a delayed-message exchange wait, if whoever asks may change the exchange.
    pub(crate) fn delays_to_change(&self, who: &Who, exchange: &Name) -> Result<QueueId, Refusal> {
        self.permissions().check(who, Access::Configure, Resource::Exchange, exchange)?;
        delays_of(self.definitions.read().vhost(&who.vhost)?, &who.vhost, exchange)
    }

    pub(super) fn queue_reply(&self, queue: &QueueEntry) -> Reply {
        let counts = self.with_shard(shard_of(queue.id), |shard| shard.counts(queue.id)).unwrap_or_default();
        Reply::Queue { name: queue.spec.name.clone(), ready: counts.ready, consumers: counts.consumers }
    }

    fn queue_info(&self, queue: &QueueEntry) -> QueueInfo {
        let counts = self.with_shard(shard_of(queue.id), |shard| shard.counts(queue.id)).unwrap_or_default();
        QueueInfo {
            spec: queue.spec.clone(),
            ready: counts.ready,
            unsettled: counts.unsettled,
            delayed: counts.delayed,
            consumers: counts.consumers,
            durability: queue.durability,
            created_at: queue.created_at,
            changed_at: queue.changed_at,
        }
    }
}

fn delays_of(entry: &Vhost, vhost: &Name, exchange: &Name) -> Result<QueueId, Refusal> {
    let not_delayed =
        || Refusal::PreconditionFailed(format!("exchange '{exchange}' in vhost '{vhost}' does not delay"));
    entry.exchange(vhost, exchange)?.delays.ok_or_else(not_delayed)
}

/// The queue, if it is not the broker's own, nor exclusive to another connection.
pub(crate) fn accessible<'a>(
    definitions: &'a Definitions,
    caller: &Caller<'_>,
    name: &Name,
) -> Result<&'a QueueEntry, Refusal> {
    let vhost = &caller.who.vhost;
    let queue = definitions.vhost(vhost)?.queue(vhost, name)?;
    let is_reachable = match queue.spec.settings.inner {
        None => true,
        Some(Inner::Delays { .. }) => false,
        Some(Inner::Replies) => queue.owner == Some(caller.connection),
    };
    if !is_reachable {
        return Err(not_found(Resource::Queue, vhost, name));
    }
    if queue.owner.is_some_and(|owner| owner != caller.connection) {
        return Err(Refusal::ResourceLocked { name: name.clone(), vhost: vhost.clone() });
    }
    Ok(queue)
}

/// What a definition is declared with.
fn arguments(definition: &Definition) -> Option<&Table> {
    match definition {
        Definition::DeclareExchange { spec, .. } => Some(&spec.arguments),
        Definition::DeclareQueue { spec, .. } => Some(&spec.arguments),
        Definition::Bind(spec) => Some(&spec.arguments),
        Definition::IfKept { change: Some(change), .. } => arguments(change),
        _ => None,
    }
}

/// Refuses to change what is not kept as whoever changes it believes.
fn check_kept(definitions: &Definitions, vhost: &Name, kept: &Kept) -> Result<(), Refusal> {
    let entry = definitions.vhost(vhost)?;
    let is_so = match kept {
        Kept::Exchange { name, attributes } => entry.exchange(vhost, name)?.spec.attributes == *attributes,
        Kept::Binding { binding, attributes } => {
            let known = entry.exchange(vhost, &binding.source)?.find(binding);
            known.map(|known| &known.spec.attributes) == attributes.as_ref()
        }
        Kept::Queue { name, settings, attributes } => {
            let spec = &entry.queue(vhost, name)?.spec;
            spec.settings == *settings && spec.attributes == *attributes
        }
        Kept::Document { name, document } => {
            let known = definitions.protocol_documents(vhost, name, None).next().filter(|(known, _)| *known == name);
            known.map(|(_, document)| document) == document.as_ref()
        }
    };
    if is_so { Ok(()) } else { Err(Refusal::Changed) }
}

fn delete_exchange(
    definitions: &mut Definitions,
    vhost: &Name,
    name: &Name,
    if_unused: bool,
) -> Result<Reply, Refusal> {
    forbid_default(name)?;
    if name.starts_with("amq.") {
        let text = format!("deletion of system exchange '{name}' in vhost '{vhost}' not allowed");
        return Err(Refusal::Forbidden(text));
    }
    // Deleting what is not there is fine (RabbitMQ since 3.2).
    let Some(exchange) = definitions.vhost(vhost)?.exchanges.get(name) else { return Ok(Reply::Done) };
    if if_unused && exchange.has_bindings() {
        return Err(Refusal::PreconditionFailed(format!("exchange '{name}' in vhost '{vhost}' in use")));
    }
    definitions.remove_exchange(vhost, name).map(|()| Reply::Done)
}

fn bind(definitions: &mut Definitions, caller: &Caller<'_>, spec: BindingSpec) -> Result<Reply, Refusal> {
    check_ends(definitions, caller, &spec)?;
    let key = Bytes::copy_from_slice(&spec.key);
    definitions.bind(&caller.who.vhost, BindingSpec { key, ..spec }).map(|()| Reply::Done)
}

fn unbind(definitions: &mut Definitions, caller: &Caller<'_>, spec: &BindingSpec) -> Result<Reply, Refusal> {
    forbid_default(&spec.source)?;
    if let Destination::Queue(name) = &spec.destination
        && definitions.is_bound(&caller.who.vhost, spec)
        && !is_waited_for(definitions, caller, spec)
    {
        accessible(definitions, caller, name)?;
    }
    definitions.unbind(&caller.who.vhost, spec).map(|()| Reply::Done)
}

fn check_ends(definitions: &Definitions, caller: &Caller<'_>, spec: &BindingSpec) -> Result<(), Refusal> {
    forbid_default(&spec.source)?;
    let vhost = &caller.who.vhost;
    match &spec.destination {
        Destination::Queue(_) if is_waited_for(definitions, caller, spec) => {}
        Destination::Queue(name) => accessible(definitions, caller, name).map(drop)?,
        Destination::Exchange(name) => {
            forbid_default(name)?;
            definitions.vhost(vhost)?.exchange(vhost, name)?;
        }
    }
    definitions.vhost(vhost)?.exchange(vhost, &spec.source).map(drop)
}

/// It is a standing binding to a queue that is not there.
fn is_waited_for(definitions: &Definitions, caller: &Caller<'_>, spec: &BindingSpec) -> bool {
    let Destination::Queue(name) = &spec.destination else { return false };
    let has_queue = definitions.vhosts.get(&caller.who.vhost).is_some_and(|entry| entry.queues.contains_key(name));
    !has_queue && definitions.standing(spec).is_some()
}

pub(super) fn forbid_default(exchange: &Name) -> Result<(), Refusal> {
    if exchange.is_empty() {
        return Err(Refusal::Forbidden("operation not permitted on the default exchange".to_owned()));
    }
    Ok(())
}

/// Those of a sorted map whose names begin with `prefix`, after `after`.
fn range<'a, T>(
    map: &'a std::collections::BTreeMap<Name, T>,
    prefix: &'a Name,
    after: Option<&'a Name>,
) -> impl Iterator<Item = (&'a Name, &'a T)> {
    use std::ops::Bound;
    let start = match after {
        Some(after) if after >= prefix => Bound::Excluded(after.as_str()),
        _ => Bound::Included(prefix.as_str()),
    };
    map.range::<str, _>((start, Bound::Unbounded)).take_while(move |(name, _)| name.starts_with(prefix.as_str()))
}

fn exchange_info(exchange: &Exchange) -> ExchangeInfo {
    ExchangeInfo { spec: exchange.spec.clone(), created_at: exchange.created_at }
}

fn is_question(definition: &Definition) -> bool {
    match definition {
        Definition::DeclareExchange { passive, .. } | Definition::DeclareQueue { passive, .. } => *passive,
        Definition::InspectQueue { .. }
        | Definition::InspectExchange { .. }
        | Definition::ListQueues { .. }
        | Definition::ListExchanges { .. }
        | Definition::ListDelayed { .. }
        | Definition::ListMoves { .. }
        | Definition::ListDocuments { .. }
        | Definition::ListBindings { .. } => true,
        _ => false,
    }
}

/// What a definition command needs, asked of the one permission function (RabbitMQ's table of operations).
fn authorise(permissions: &Permissions, caller: &Caller<'_>, definition: &Definition) -> Result<(), Refusal> {
    let check = |access, resource, name: &Name| permissions.check(caller.who, access, resource, name);
    let queue = |access, name: &Name| {
        if caller.session_queue == Some(name) { Ok(()) } else { check(access, Resource::Queue, name) }
    };
    let exchange = |access, name: &Name| check(access, Resource::Exchange, name);
    let kept = |access, name: &Name| {
        let is_warranted = || caller.warrants.keep(&caller.who.vhost, name);
        queue(access, name).or_else(|refusal| if is_warranted() { Ok(()) } else { Err(refusal) })
    };
    match definition {
        // Its name is the permission.
        Definition::DeclareQueue { spec, .. } if spec.name.starts_with(REPLY_ADDRESS) => Ok(()),
        // A question tells that something exists: any right on it will do, none is not enough.
        Definition::DeclareExchange { spec, passive: true } => any_access(|access| exchange(access, &spec.name)),
        Definition::DeclareQueue { spec, passive: true } => any_access(|access| queue(access, &spec.name)),
        Definition::InspectQueue { name } => any_access(|access| queue(access, name)),
        Definition::InspectExchange { name } => any_access(|access| exchange(access, name)),
        Definition::ListDocuments { prefix, .. } => any_access(|access| exchange(access, prefix)),
        Definition::SetDocument { name, .. } => exchange(Access::Configure, name),
        Definition::IfKept { kept, change } => {
            match kept {
                Kept::Exchange { name, .. } | Kept::Document { name, .. } => {
                    any_access(|access| exchange(access, name))?;
                }
                Kept::Queue { name, .. } => any_access(|access| queue(access, name))?,
                // Who may enter the vhost may see its bindings.
                Kept::Binding { .. } => {}
            }
            change.as_ref().map_or(Ok(()), |change| authorise(permissions, caller, change))
        }
        Definition::DeclareExchange { spec, passive: false } => {
            exchange(Access::Configure, &spec.name)?;
            let Some(alternate) = named(&spec.arguments, "alternate-exchange") else { return Ok(()) };
            exchange(Access::Read, &spec.name)?;
            exchange(Access::Write, &alternate)
        }
        Definition::DeclareQueue { spec, passive: false } => {
            // A generated name begins with amq.gen, and that is what is asked for.
            let generated = Name::from("amq.gen");
            let name = if spec.name.is_empty() { &generated } else { &spec.name };
            kept(Access::Configure, name)?;
            let direct = spec.settings.dead_letter.as_ref().map(|dead_letter| dead_letter.exchange.clone());
            let Some(letters) = direct.or_else(|| named(&spec.arguments, "x-dead-letter-exchange")) else {
                return Ok(());
            };
            queue(Access::Read, name)?;
            exchange(Access::Write, &letters)
        }
        Definition::UpdateQueue { name, settings, .. } => {
            queue(Access::Configure, name)?;
            let Some(dead_letter) = &settings.dead_letter else { return Ok(()) };
            queue(Access::Read, name)?;
            exchange(Access::Write, &dead_letter.exchange)
        }
        Definition::DeleteExchange { name, .. } | Definition::UpdateExchange { name, .. } => {
            exchange(Access::Configure, name)
        }
        Definition::DeleteQueue { name, .. } => kept(Access::Configure, name),
        Definition::ListDelayed { exchange: name, .. } => exchange(Access::Read, name),
        Definition::ListMoves { source } | Definition::CancelMove { source, .. } => queue(Access::Read, source),
        Definition::StartMove(spec) => {
            queue(Access::Read, &spec.source)?;
            exchange(Access::Write, &Name::default())
        }
        Definition::Bind(spec) | Definition::Unbind(spec) => {
            match &spec.destination {
                Destination::Queue(name) => kept(Access::Write, name)?,
                Destination::Exchange(name) => exchange(Access::Write, name)?,
            }
            let source = exchange(Access::Read, &spec.source);
            let is_warranted = || caller.warrants.read(&caller.who.vhost, Resource::Exchange, &spec.source);
            source.or_else(|refusal| if is_warranted() { Ok(()) } else { Err(refusal) })
        }
        // Lists name what is there; whoever may enter the vhost may see its names, as in RabbitMQ's management.
        Definition::ListQueues { .. } | Definition::ListExchanges { .. } | Definition::ListBindings { .. } => {
            if caller.warrants.are_all() { Err(guest_refused(caller.who)) } else { Ok(()) }
        }
    }
}

fn guest_refused(who: &Who) -> Refusal {
    Refusal::VhostRefused { vhost: who.vhost.clone(), user: who.user.clone() }
}

/// What the user may not look at may be what the connection has a warrant for.
fn warranted(caller: &Caller<'_>, definition: &Definition, refusal: Refusal) -> Result<(), Refusal> {
    let Caller { who: Who { vhost, .. }, warrants, .. } = caller;
    let is_warranted = match definition {
        Definition::InspectQueue { name } => warrants.look(vhost, Resource::Queue, name),
        Definition::InspectExchange { name } | Definition::ListBindings { source: Some(name) } => {
            warrants.look(vhost, Resource::Exchange, name)
        }
        Definition::ListQueues { .. } => warrants.look(vhost, Resource::Vhost, vhost),
        _ => false,
    };
    if is_warranted { Ok(()) } else { Err(refusal) }
}

fn any_access(check: impl Fn(Access) -> Result<(), Refusal>) -> Result<(), Refusal> {
    check(Access::Configure)
        .or_else(|refusal| check(Access::Write).or_else(|_| check(Access::Read)).map_err(|_| refusal))
}

fn named(arguments: &Table, name: &str) -> Option<Name> {
    lookup(arguments, name).and_then(Value::as_str).map(Name::from)
}

//! What exists: vhosts with their exchanges, queues, bindings and sessions.
//!
//! One lock guards all of it. Changes are made in place (a declaration costs the same with 10 and with 100,000 queues). Those that
//! may change a route that somebody found move a version number; publishers keep the routes they found until it moves, so the
//! hot path reads one atomic and takes no lock. A new queue moves nothing: nobody keeps a route that found no queue of its name.

pub(crate) mod binding;
mod bindings;
mod choice;
pub(crate) mod exchange;
mod persist;
mod replay;
pub(crate) mod route;
pub(crate) mod session;
mod sessions;
pub(crate) mod standing;
pub(crate) mod traffic;
mod trie;
mod vhost;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use crossdock_common::definition::{BindingSpec, Durability, ExchangeSpec, Inner, QueueSettings, QueueSpec, Standing};
use crossdock_common::names::{ConnectionId, QueueId};
use crossdock_common::random::Random;
use crossdock_common::refusal::Resource;
use crossdock_common::{Name, Refusal, Shared, Table, UnixMillis};
use hashbrown::HashMap;

use crate::broker::administer::DocumentChange;
use crate::log::{Log, RecordKind, Urgency};
use crate::policies::Policies;
use crate::record::encode_table;
use crate::shard::Formats;
use binding::{Binding, Target};
use exchange::Exchange;
use session::{Deadlines, Session};
pub(crate) use trie::pattern_matches;
pub(crate) use vhost::Vhost;

/// Documents beyond this are written in several batches: one must fit into a segment of the journal.
const DOCUMENTS_BATCH_BYTES: u64 = 1 << 20;

/// Everything that exists.
pub(crate) struct Definitions {
    pub vhosts: BTreeMap<Name, Vhost>,
    documents: BTreeMap<(Name, Name), Bytes>,
    queue_names: HashMap<QueueId, (Name, Name)>,
    next_queue: u64,
    next_serial: u64,
    /// Protocols whose rules bindings may have.
    formats: Formats,
    shards: u8,
    pub policies: Policies,
    random: Random,
    /// Those of the queue that was made last: most are made as the one before.
    last_settings: Shared<QueueSettings>,
    deadlines: Deadlines,
    /// Moves with every change that may change a route.
    version: Arc<AtomicU64>,
    /// Records are read: what one change brought about stands in records of its own.
    replaying: bool,
    /// The queues of delayed-message exchanges that are gone: their shards have to be told.
    orphans: Vec<QueueId>,
    pub log: Box<dyn Log>,
}

/// A queue that exists.
pub(crate) struct QueueEntry {
    pub id: QueueId,
    pub spec: QueueSpec,
    /// When durable messages are confirmed, after everybody had their say.
    pub durability: Durability,
    /// The connection it is exclusive to.
    pub owner: Option<ConnectionId>,
    pub created_at: UnixMillis,
    pub changed_at: UnixMillis,
    /// Where it is bound.
    bindings: Vec<Arc<Binding>>,
    /// A route led to it through the default exchange, and somebody may keep that route.
    pub found_by_name: AtomicBool,
}

/// The exchanges that every vhost has. The default exchange has the empty name.
const PREDECLARED: [(&str, &str); 6] = [
    ("", "direct"),
    ("amq.direct", "direct"),
    ("amq.fanout", "fanout"),
    ("amq.headers", "headers"),
    ("amq.match", "headers"),
    ("amq.topic", "topic"),
];

/// The queue in which the messages of a delayed-message exchange wait.
pub(crate) fn delay_queue_name(exchange: &Name) -> Name {
    Name::from(format!("amq.delayed.{exchange}"))
}

/// The shard of a queue: the low byte of its number.
pub(crate) fn shard_of(queue: QueueId) -> usize {
    (queue.0 & 0xff) as usize
}

impl Definitions {
    pub(crate) fn new(shards: u8, formats: Formats, policies: Policies, seed: u64, log: Box<dyn Log>) -> Self {
        let random = Random::from_seed(seed);
        Self {
            vhosts: BTreeMap::new(),
            documents: BTreeMap::new(),
            queue_names: HashMap::default(),
            next_queue: 1,
            next_serial: 0,
            shards,
            formats,
            policies,
            random,
            last_settings: Shared::default(),
            deadlines: Deadlines::default(),
            version: Arc::new(AtomicU64::new(1)),
            replaying: false,
            orphans: Vec::new(),
            log,
        }
    }

    /// The number that moves with every change that may change a route. Whoever changes what routes depend on beside the
    /// definitions moves it, too.
    pub(crate) fn version(&self) -> Arc<AtomicU64> {
        self.version.clone()
    }

    /// Routes that were found before are looked up again, once the definitions' lock is free.
    fn routes_changed(&self) {
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Makes a vhost with its predeclared exchanges, unless it exists.
    pub(crate) fn add_vhost(&mut self, name: &Name) {
        if self.vhosts.contains_key(name) {
            return;
        }
        let mut vhost = Vhost::default();
        for (exchange, kind) in PREDECLARED {
            let spec = ExchangeSpec {
                name: exchange.into(),
                kind: kind.into(),
                durable: true,
                auto_delete: false,
                internal: false,
                arguments: Table::new(),
                attributes: Table::new(),
            };
            if let Ok(mut made) = Exchange::new(spec, UnixMillis(0), 0) {
                made.policy_alternate = self.policies.alternate_exchange(name, &made.spec.name);
                vhost.exchanges.insert(exchange.into(), made);
            }
        }
        self.vhosts.insert(name.clone(), vhost);
    }

    /// # Errors
    /// [`Refusal::VhostNotFound`].
    pub(crate) fn vhost(&self, name: &Name) -> Result<&Vhost, Refusal> {
        self.vhosts.get(name).ok_or_else(|| Refusal::VhostNotFound { vhost: name.clone() })
    }

    pub(crate) fn vhost_mut(&mut self, name: &Name) -> Result<&mut Vhost, Refusal> {
        self.vhosts.get_mut(name).ok_or_else(|| Refusal::VhostNotFound { vhost: name.clone() })
    }

    /// The vhost and name of a queue that exists.
    pub(crate) fn queue_name(&self, id: QueueId) -> Option<&(Name, Name)> {
        self.queue_names.get(&id)
    }

    /// A name nobody has, as RabbitMQ's: `amq.gen-` and 22 characters.
    pub(crate) fn generate_queue_name(&mut self) -> Name {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let random = &mut self.random;
        let tail: String = (0..22).map(|_| char::from(ALPHABET[(random.next_u64() & 63) as usize])).collect();
        Name::from(format!("amq.gen-{tail}"))
    }

    pub(crate) fn add_exchange(&mut self, vhost: &Name, spec: ExchangeSpec, now: UnixMillis) -> Result<(), Refusal> {
        let mut exchange = Exchange::new(spec, now, self.random.next_u64())?;
        exchange.policy_alternate = self.policies.alternate_exchange(vhost, &exchange.spec.name);
        self.record_exchange(vhost, &exchange);
        let name = exchange.spec.name.clone();
        self.vhost_mut(vhost)?.exchanges.insert(name, exchange);
        // It may be somebody's alternate that was missing.
        self.routes_changed();
        Ok(())
    }

    pub(crate) fn set_exchange_attributes(
        &mut self,
        vhost: &Name,
        name: &Name,
        attributes: Table,
    ) -> Result<(), Refusal> {
        let exchange = self.vhost_mut(vhost)?.exchange_mut(vhost, name)?;
        exchange.spec.attributes = attributes;
        let table = persist::exchange_to_table(vhost, exchange);
        if exchange.spec.durable {
            push_table(&mut *self.log, RecordKind::Exchange, 0, &table);
        }
        Ok(())
    }

    /// Removes an exchange and every binding from and to it, and auto-delete exchanges that this leaves unused.
    pub(crate) fn remove_exchange(&mut self, vhost: &Name, name: &Name) -> Result<(), Refusal> {
        let entry = self.vhost_mut(vhost)?;
        let Some(exchange) = entry.exchanges.remove(name) else { return Ok(()) };
        let mut doomed = Vec::new();
        entry.forget_source(name, &exchange.bindings());
        for source in exchange.sources.keys() {
            let bindings = entry.exchanges.get(source).map(Exchange::bindings).unwrap_or_default();
            let leads_here = |binding: &Arc<Binding>| matches!(&binding.target, Target::Exchange(to) if to == name);
            doomed.extend(bindings.into_iter().filter(leads_here).map(|binding| binding.spec.clone()));
        }
        if exchange.spec.durable {
            push_table(&mut *self.log, RecordKind::ExchangeDeleted, 0, &persist::key_table(vhost, name));
        }
        self.routes_changed();
        if exchange.delays.is_some() {
            let orphan = self.remove_queue(vhost, &delay_queue_name(name))?;
            self.orphans.extend(orphan);
        }
        for spec in doomed {
            self.unbind(vhost, &spec)?;
        }
        Ok(())
    }

    pub(crate) fn add_queue(
        &mut self,
        vhost: &Name,
        spec: QueueSpec,
        owner: Option<ConnectionId>,
        now: UnixMillis,
    ) -> Result<QueueId, Refusal> {
        let settings = crate::settings::effective(&spec, vhost)?;
        let durability = self.policies.durability(vhost, &spec, &settings);
        let id = self.next_queue_id(&spec.name);
        let (created_at, changed_at) = (now, now);
        let (bindings, found_by_name) = (Vec::new(), AtomicBool::new(false));
        let queue = QueueEntry { id, spec, durability, owner, created_at, changed_at, bindings, found_by_name };
        self.record_queue(vhost, &queue);
        self.insert_queue(vhost, queue)?;
        Ok(id)
    }

    fn insert_queue(&mut self, vhost: &Name, mut queue: QueueEntry) -> Result<(), Refusal> {
        queue.spec.settings.share(&mut self.last_settings);
        let name = queue.spec.name.clone();
        self.queue_names.insert(queue.id, (vhost.clone(), name.clone()));
        let formats = self.formats.clone();
        let entry = self.vhost_mut(vhost)?;
        if queue.bindings.is_empty() {
            queue.bindings = entry.bindings_that_wait_for(&name);
        }
        if let Some(Inner::Delays { exchange }) = &queue.spec.settings.inner
            && let Some(exchange) = entry.exchanges.get_mut(exchange)
        {
            exchange.delays = Some(queue.id);
        }
        entry.queues.insert(name.clone(), Box::new(queue));
        if entry.aim(&name, &formats) {
            self.routes_changed();
        }
        Ok(())
    }

    pub(crate) fn update_queue(
        &mut self,
        vhost: &Name,
        name: &Name,
        mut settings: Shared<QueueSettings>,
        attributes: Table,
        now: UnixMillis,
    ) -> Result<(QueueId, QueueSettings), Refusal> {
        let queue = self.vhost_mut(vhost)?.queue_mut(vhost, name)?;
        // Messages are on their way with the durability that the queue was made with.
        if settings.durability != queue.spec.settings.durability {
            settings.durability = queue.spec.settings.durability;
        }
        let spec = QueueSpec { settings, attributes, ..queue.spec.clone() };
        let declared = crate::settings::effective(&spec, vhost)?;
        queue.spec = spec;
        queue.changed_at = now;
        let id = queue.id;
        let table = queue.spec.durable.then(|| persist::queue_to_table(vhost, queue));
        let spec = queue.spec.clone();
        let settings = self.policies.settings(vhost, &spec, declared);
        if let Some(table) = table {
            push_table(&mut *self.log, RecordKind::Queue, id.0, &table);
        }
        let formats = self.formats.clone();
        if self.vhost_mut(vhost)?.aim(name, &formats) {
            self.routes_changed();
        }
        Ok((id, settings))
    }

    /// The queues that went with their exchanges since the last call.
    pub(crate) fn take_orphans(&mut self) -> Vec<QueueId> {
        std::mem::take(&mut self.orphans)
    }

    /// Removes a queue and its bindings but standing ones, and auto-delete exchanges that this leaves unused.
    pub(crate) fn remove_queue(&mut self, vhost: &Name, name: &Name) -> Result<Option<QueueId>, Refusal> {
        let (replaying, formats) = (self.replaying, self.formats.clone());
        let entry = self.vhost_mut(vhost)?;
        let Some(queue) = entry.queues.remove(name) else { return Ok(None) };
        let mut unused = Vec::new();
        let is_routed_to = queue.is_routed_to() | entry.aim(name, &formats);
        for binding in queue.bindings.iter().filter(|binding| binding.aim().is_none()) {
            let source = &binding.spec.source;
            let Some(exchange) = entry.exchanges.get_mut(source) else { continue };
            exchange.remove(&binding.spec);
            if exchange.is_unused() && !replaying {
                unused.push(source.clone());
            }
        }
        self.queue_names.remove(&queue.id);
        if is_routed_to {
            self.routes_changed();
        }
        if queue.spec.durable {
            push_table(&mut *self.log, RecordKind::QueueDeleted, queue.id.0, &persist::key_table(vhost, name));
        }
        for exchange in unused {
            self.remove_exchange(vhost, &exchange)?;
        }
        Ok(Some(queue.id))
    }

    pub(crate) fn bind(&mut self, vhost: &Name, spec: BindingSpec) -> Result<(), Refusal> {
        let serial = self.next_serial + 1;
        let formats = self.formats.clone();
        let (spec, durable) = self.vhost_mut(vhost)?.bind(vhost, spec, serial, &formats)?;
        self.next_serial = serial;
        self.routes_changed();
        if durable {
            let table = persist::binding_to_table(vhost, &spec, serial);
            push_table(&mut *self.log, RecordKind::Binding, 0, &table);
        }
        Ok(())
    }

    /// What makes it a standing binding, if it is one.
    pub(crate) fn standing(&self, spec: &BindingSpec) -> Option<Standing> {
        standing::standing(&self.formats, spec)
    }

    /// Whether there is such a binding.
    pub(crate) fn is_bound(&self, vhost: &Name, spec: &BindingSpec) -> bool {
        let source = self.vhosts.get(vhost).and_then(|entry| entry.exchanges.get(&spec.source));
        source.is_some_and(|exchange| exchange.find(spec).is_some())
    }

    /// Removes a binding if it is there, and its source if that is an auto-delete exchange and now unused.
    pub(crate) fn unbind(&mut self, vhost: &Name, spec: &BindingSpec) -> Result<(), Refusal> {
        let entry = self.vhost_mut(vhost)?;
        let Some(exchange) = entry.exchanges.get_mut(&spec.source) else { return Ok(()) };
        let Some(removed) = exchange.remove(spec) else { return Ok(()) };
        let (unused, is_durable) = (exchange.is_unused(), exchange.spec.durable);
        let durable = is_durable && entry.survives(&removed);
        entry.forget_target(&removed);
        self.routes_changed();
        if durable {
            let table = persist::binding_to_table(vhost, spec, removed.serial);
            push_table(&mut *self.log, RecordKind::BindingDeleted, 0, &table);
        }
        if unused && !self.replaying { self.remove_exchange(vhost, &spec.source) } else { Ok(()) }
    }

    /// Writes the session as it is now, if it is one that survives.
    pub(crate) fn record_session(&mut self, vhost: &Name, name: &Name) {
        let session = self.vhosts.get(vhost).and_then(|entry| entry.sessions.get(name));
        if let Some(session) = session.filter(|session| session.durable) {
            push_table(&mut *self.log, RecordKind::Session, 0, &persist::session_to_table(vhost, session));
        }
    }

    pub(crate) fn remove_session(&mut self, vhost: &Name, name: &Name) -> Option<Session> {
        let session = self.vhosts.get_mut(vhost)?.sessions.remove(name)?;
        self.deadlines.forget(vhost, &session);
        if session.durable {
            push_table(&mut *self.log, RecordKind::SessionDeleted, 0, &persist::key_table(vhost, name));
        }
        Some(session)
    }

    pub(crate) fn documents(&self, kind: &str) -> Vec<(Name, Bytes)> {
        let of_kind = self.documents.iter().filter(|((known, _), _)| known.as_str() == kind);
        of_kind.map(|((_, key), document)| (key.clone(), document.clone())).collect()
    }

    /// What protocols keep in a vhost: documents whose names begin so, after `after`.
    pub(crate) fn protocol_documents(
        &self,
        vhost: &Name,
        prefix: &Name,
        after: Option<&Name>,
    ) -> impl Iterator<Item = (&Name, &Bytes)> {
        let kind = protocol_kind(vhost);
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded((kind.clone(), after.clone())),
            _ => Bound::Included((kind.clone(), prefix.clone())),
        };
        let found =
            self.documents.range((start, Bound::Unbounded)).map(|((kind, name), document)| (kind, name, document));
        let those = found.take_while(move |(known, name, _)| **known == kind && name.starts_with(prefix.as_str()));
        those.map(|(_, name, document)| (name, document))
    }

    /// Keeps or forgets one of those; the caller commits.
    pub(crate) fn set_protocol_document(&mut self, vhost: &Name, name: Name, document: Option<Bytes>) {
        let kind = protocol_kind(vhost);
        let table = persist::document_to_table(&kind, &name, document.as_ref());
        push_table(&mut *self.log, RecordKind::Document, 0, &table);
        self.keep_document(kind, name, document);
    }

    pub(crate) fn set_document(&mut self, kind: &str, key: &Name, document: Option<Bytes>) {
        let table = persist::document_to_table(kind, key, document.as_ref());
        push_table(&mut *self.log, RecordKind::Document, 0, &table);
        self.log.commit(Urgency::Sync);
        self.keep_document(kind.into(), key.clone(), document);
    }

    /// Keeps or forgets documents; the caller commits. Many are written in several batches, in their order.
    pub(crate) fn change_documents(&mut self, changes: Vec<DocumentChange>) {
        for DocumentChange { kind, key, document } in changes {
            let table = persist::document_to_table(kind, &key, document.as_ref());
            push_table(&mut *self.log, RecordKind::Document, 0, &table);
            self.keep_document(kind.into(), key, document);
            if self.log.len_bytes() >= DOCUMENTS_BATCH_BYTES {
                self.log.commit(Urgency::Sync);
            }
        }
    }

    /// Writes a vhost down that is about to be made; the caller commits.
    pub(crate) fn record_vhost(&mut self, name: &Name) {
        if !self.vhosts.contains_key(name) {
            push_table(&mut *self.log, RecordKind::Vhost, 0, &persist::key_table(name, name));
        }
    }

    /// Removes a vhost with everything in it: gives its queues, which shards still have. One record says so; the caller commits.
    pub(crate) fn remove_vhost(&mut self, name: &Name) -> Vec<QueueId> {
        let protocols = protocol_kind(name);
        self.documents.retain(|(kind, _), _| *kind != protocols);
        let Some(vhost) = self.vhosts.remove(name) else { return Vec::new() };
        vhost.sessions.values().for_each(|session| self.deadlines.forget(name, session));
        let queues: Vec<QueueId> = vhost.queues.values().map(|queue| queue.id).collect();
        queues.iter().for_each(|id| drop(self.queue_names.remove(id)));
        push_table(&mut *self.log, RecordKind::VhostDeleted, 0, &persist::key_table(name, name));
        self.routes_changed();
        queues
    }

    /// Replaces the policies. Gives what all queues follow now, for their shards.
    pub(crate) fn set_policies(&mut self, policies: Policies) -> Vec<(QueueId, QueueSettings)> {
        self.policies = policies;
        let mut settings = Vec::new();
        for (name, vhost) in &mut self.vhosts {
            for exchange in vhost.exchanges.values_mut() {
                exchange.policy_alternate = self.policies.alternate_exchange(name, &exchange.spec.name);
            }
            let of_queue = |queue: &QueueEntry| (queue.id, queue.settings(name, &self.policies));
            settings.extend(vhost.queues.values().map(|queue| of_queue(queue)));
        }
        self.routes_changed();
        settings
    }

    /// Looks at every queue's durability again: no message is on its way yet.
    pub(crate) fn set_durability_of_all(&mut self) {
        for (name, vhost) in &mut self.vhosts {
            for queue in vhost.queues.values_mut() {
                let declared = crate::settings::effective(&queue.spec, name).unwrap_or_default();
                queue.durability = self.policies.durability(name, &queue.spec, &declared);
            }
        }
    }

    fn keep_document(&mut self, kind: Name, key: Name, document: Option<Bytes>) {
        match document {
            Some(document) => self.documents.insert((kind, key), document),
            None => self.documents.remove(&(kind, key)),
        };
    }

    /// Records name a queue of that number: no other queue ever gets it.
    pub(crate) fn reserve_queue_id(&mut self, id: QueueId) {
        self.next_queue = self.next_queue.max((id.0 >> 8) + 1);
    }

    /// The last batch that was handed to the log.
    pub(crate) fn last_sequence(&self) -> crate::log::Sequence {
        crate::log::Sequence(self.log.next_sequence().0.saturating_sub(1))
    }

    /// Spreads queues over shards by name, so that a queue made again lands where it was.
    fn next_queue_id(&mut self, name: &Name) -> QueueId {
        let hash = name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let shard = (hash ^ (hash >> 32)) % u64::from(self.shards.max(1));
        let id = QueueId((self.next_queue << 8) | shard);
        self.next_queue += 1;
        id
    }

    fn record_exchange(&mut self, vhost: &Name, exchange: &Exchange) {
        if exchange.spec.durable {
            push_table(&mut *self.log, RecordKind::Exchange, 0, &persist::exchange_to_table(vhost, exchange));
        }
    }

    fn record_queue(&mut self, vhost: &Name, queue: &QueueEntry) {
        if queue.spec.durable {
            push_table(&mut *self.log, RecordKind::Queue, queue.id.0, &persist::queue_to_table(vhost, queue));
        }
    }
}

impl QueueEntry {
    /// What the specification means. Not kept: only the shard needs it.
    pub(crate) fn settings(&self, vhost: &Name, policies: &Policies) -> QueueSettings {
        // It was looked at when the queue was made.
        let declared = crate::settings::effective(&self.spec, vhost).unwrap_or_default();
        policies.settings(vhost, &self.spec, declared)
    }

    /// The bindings that lead to it, in the order in which they were made.
    pub(crate) fn bindings(&self) -> Vec<Arc<Binding>> {
        let mut bindings = self.bindings.clone();
        bindings.sort_unstable_by_key(|binding| binding.serial);
        bindings
    }

    /// Whether a publisher may keep a route to it.
    fn is_routed_to(&self) -> bool {
        !self.bindings.is_empty() || self.found_by_name.load(Ordering::Relaxed)
    }
}

/// Under what the documents of a vhost's protocols are kept.
fn protocol_kind(vhost: &Name) -> Name {
    format!("protocol:{vhost}").into()
}

fn push_table(log: &mut dyn Log, kind: RecordKind, stream: u64, table: &Table) {
    let mut out = BytesMut::new();
    encode_table(table, &mut out);
    log.push(kind, stream, &[&out]);
}

pub(crate) fn not_found(resource: Resource, vhost: &Name, name: &Name) -> Refusal {
    Refusal::NotFound { resource, name: name.clone(), vhost: vhost.clone() }
}

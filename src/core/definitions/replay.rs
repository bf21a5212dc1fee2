//! Definitions from records, and records from definitions.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use crossdock_common::definition::BindingSpec;
use crossdock_common::names::QueueId;
use crossdock_common::{Name, Table};

use super::binding::Binding;
use super::exchange::Exchange;
use super::persist::{
    binding_from_table, binding_to_table, document_from_table, document_to_table, exchange_from_table,
    exchange_to_table, key_from_table, key_table, queue_from_table, queue_to_table, session_from_table,
    session_to_table,
};
use super::{Definitions, QueueEntry, push_table};
use crate::log::{Log, RecordKind};
use crate::record::{RecordError, TableReader, TableWriter, decode_table};

impl Definitions {
    /// Applies one record of the definitions' log.
    pub(crate) fn replay(&mut self, kind: RecordKind, payload: &[u8]) -> Result<(), RecordError> {
        let table = decode_table(&mut Bytes::copy_from_slice(payload))?;
        match kind {
            RecordKind::Vhost => self.add_vhost(&key_from_table(&table).1),
            RecordKind::Exchange => self.replay_exchange(&table)?,
            RecordKind::Queue => self.replay_queue(&table)?,
            RecordKind::Binding => self.replay_binding(&table)?,
            RecordKind::BindingDeleted => {
                let (vhost, spec, _) = binding_from_table(&table);
                self.quietly(|definitions| definitions.unbind(&vhost, &spec).ok());
            }
            RecordKind::ExchangeDeleted => {
                let (vhost, name) = key_from_table(&table);
                self.quietly(|definitions| definitions.remove_exchange(&vhost, &name).ok());
            }
            RecordKind::QueueDeleted => {
                let (vhost, name) = key_from_table(&table);
                self.quietly(|definitions| definitions.remove_queue(&vhost, &name).ok());
            }
            RecordKind::Session => {
                let (vhost, session) = session_from_table(&table);
                self.add_vhost(&vhost);
                if let Some(entry) = self.vhosts.get_mut(&vhost) {
                    entry.sessions.insert(session);
                }
            }
            RecordKind::SessionDeleted => {
                let (vhost, name) = key_from_table(&table);
                self.quietly(|definitions| definitions.remove_session(&vhost, &name));
            }
            RecordKind::VhostDeleted => {
                let name = key_from_table(&table).1;
                self.quietly(|definitions| definitions.remove_vhost(&name));
            }
            RecordKind::Document => {
                let (kind, key, document) = document_from_table(&table);
                self.keep_document(kind, key, document);
            }
            RecordKind::NextQueue => {
                let next = TableReader(&table).number("next").unwrap_or(0);
                self.next_queue = self.next_queue.max(next);
                let serial = TableReader(&table).number("serial").unwrap_or(0);
                self.next_serial = self.next_serial.max(serial);
            }
            _ => return Err(RecordError("not a definition")),
        }
        Ok(())
    }

    /// Everything that survives, as records: what a snapshot holds.
    pub(crate) fn snapshot(&self, log: &mut dyn Log) {
        let next = TableWriter::new().number("next", self.next_queue).number("serial", self.next_serial).finish();
        push_table(log, RecordKind::NextQueue, 0, &next);
        for ((kind, key), document) in &self.documents {
            push_table(log, RecordKind::Document, 0, &document_to_table(kind, key, Some(document)));
        }
        for (name, vhost) in &self.vhosts {
            push_table(log, RecordKind::Vhost, 0, &key_table(name, name));
            for exchange in vhost.exchanges.values().filter(|exchange| exchange.spec.durable) {
                push_table(log, RecordKind::Exchange, 0, &exchange_to_table(name, exchange));
            }
            for queue in vhost.queues.values().filter(|queue| queue.spec.durable) {
                push_table(log, RecordKind::Queue, queue.id.0, &queue_to_table(name, queue));
            }
            for binding in vhost.exchanges.values().filter(|e| e.spec.durable).flat_map(Exchange::bindings) {
                if vhost.survives(&binding) {
                    push_table(log, RecordKind::Binding, 0, &binding_to_table(name, &binding.spec, binding.serial));
                }
            }
            for session in vhost.sessions.values().filter(|session| session.durable) {
                push_table(log, RecordKind::Session, 0, &session_to_table(name, session));
            }
        }
    }

    /// Every queue, for telling the shards about them.
    pub(crate) fn queues(&self) -> impl Iterator<Item = (&Name, &QueueEntry)> {
        self.vhosts.iter().flat_map(|(name, vhost)| vhost.queues.values().map(move |queue| (name, &**queue)))
    }

    /// The announced bindings that lead to a queue, by number.
    pub(crate) fn announced_bindings_of(&self, queue: QueueId) -> hashbrown::HashMap<u64, Arc<BindingSpec>> {
        let find = |(vhost, name): &(Name, Name)| {
            let vhost = self.vhosts.get(vhost)?;
            Some((vhost, vhost.queues.get(name)?))
        };
        let Some((vhost, queue)) = self.queue_name(queue).and_then(find) else { return hashbrown::HashMap::default() };
        let standing = vhost.standing.of_queue(&queue.spec.name);
        let announced = queue.bindings.iter().chain(standing).filter(|binding| binding.spec.announced);
        announced.map(|binding| (binding.serial, binding.spec.clone())).collect()
    }

    /// The same, and the standing ones of these numbers that its messages came through before they came to this queue.
    pub(crate) fn announced_among(&self, queue: QueueId, serials: &[u64]) -> hashbrown::HashMap<u64, Arc<BindingSpec>> {
        let mut announced = self.announced_bindings_of(queue);
        let vhost = self.queue_name(queue).and_then(|(vhost, _)| self.vhosts.get(vhost));
        let standing = vhost.into_iter().flat_map(|vhost| {
            serials.iter().filter_map(|serial| Some((*serial, vhost.standing.spec(*serial)?.clone())))
        });
        announced.extend(standing);
        announced
    }

    fn replay_exchange(&mut self, table: &Table) -> Result<(), RecordError> {
        let (vhost, spec, created_at) = exchange_from_table(table);
        self.add_vhost(&vhost);
        let entry = self.vhosts.get_mut(&vhost).ok_or(RecordError("no vhost"))?;
        if let Some(known) = entry.exchanges.get_mut(&spec.name) {
            known.spec = spec;
            return Ok(());
        }
        let exchange = Exchange::new(spec, created_at, self.random.next_u64())
            .map_err(|_| RecordError("unknown exchange type"))?;
        entry.exchanges.insert(exchange.spec.name.clone(), exchange);
        Ok(())
    }

    fn replay_queue(&mut self, table: &Table) -> Result<(), RecordError> {
        let stored = queue_from_table(table)?;
        self.add_vhost(&stored.vhost);
        self.reserve_queue_id(QueueId(stored.id));
        let settings = crate::settings::effective(&stored.spec, &stored.vhost)
            .map_err(|_| RecordError("queue arguments are not understood"))?;
        let durability = self.policies.durability(&stored.vhost, &stored.spec, &settings);
        let entry = self.vhosts.get_mut(&stored.vhost).ok_or(RecordError("no vhost"))?;
        let bindings = entry.queues.remove(&stored.spec.name).map(|known| known.bindings).unwrap_or_default();
        let queue = QueueEntry {
            id: QueueId(stored.id),
            spec: stored.spec,
            durability,
            owner: None,
            created_at: stored.created_at,
            changed_at: stored.changed_at,
            bindings,
            found_by_name: AtomicBool::new(false),
        };
        self.insert_queue(&stored.vhost, queue).map_err(|_| RecordError("no vhost"))
    }

    fn replay_binding(&mut self, table: &Table) -> Result<(), RecordError> {
        let (vhost, spec, serial) = binding_from_table(table);
        self.next_serial = self.next_serial.max(serial);
        let formats = self.formats.clone();
        let entry = self.vhosts.get_mut(&vhost).ok_or(RecordError("no vhost"))?;
        let bound = entry.bind(&vhost, spec, serial, &formats);
        bound.map(drop).map_err(|_| RecordError("binding between things that do not exist"))
    }

    /// Does something without writing it to the log, where it stands already.
    fn quietly<T>(&mut self, change: impl FnOnce(&mut Self) -> T) -> T {
        let log = std::mem::replace(&mut self.log, Box::new(crate::broker::recovery::Closed));
        self.replaying = true;
        let result = change(self);
        self.replaying = false;
        self.log = log;
        result
    }
}

impl super::Vhost {
    pub(super) fn survives(&self, binding: &Binding) -> bool {
        use crossdock_common::definition::Destination;
        match &binding.spec.destination {
            _ if binding.aim().is_some() => true,
            Destination::Queue(name) => self.queues.get(name).is_some_and(|queue| queue.spec.durable),
            Destination::Exchange(name) => self.exchanges.get(name).is_some_and(|exchange| exchange.spec.durable),
        }
    }
}

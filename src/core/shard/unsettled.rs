//! The messages of a queue that somebody has.

use crossdock_common::names::{ConnectionId, DeliveryId, QueueId};
use hashbrown::HashMap;

use super::entry::{Entry, Holder, Unsettled};

/// Unsettled messages by place.
#[derive(Default)]
pub(crate) struct AllUnsettled {
    by_position: HashMap<u64, Unsettled, foldhash::fast::RandomState>,
    memory_bytes: u64,
}

impl AllUnsettled {
    pub(crate) fn len(&self) -> usize {
        self.by_position.len()
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    pub(crate) fn insert(&mut self, unsettled: Unsettled) {
        self.memory_bytes += unsettled.entry.memory_bytes();
        self.by_position.insert(unsettled.entry.position, unsettled);
    }

    /// The delivery, if its lease is the current one.
    pub(crate) fn get_mut(&mut self, id: &DeliveryId) -> Option<&mut Unsettled> {
        self.by_position.get_mut(&id.position).filter(|unsettled| unsettled.entry.attempts == id.lease)
    }

    /// Takes the delivery out, if its lease is the current one.
    pub(crate) fn remove(&mut self, id: &DeliveryId) -> Option<Unsettled> {
        self.get_mut(id)?;
        let unsettled = self.by_position.remove(&id.position)?;
        self.memory_bytes -= unsettled.entry.memory_bytes();
        Some(unsettled)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Unsettled> {
        self.by_position.values()
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.iter().map(|unsettled| &unsettled.entry)
    }

    /// The deliveries that a connection holds and loses when it goes, oldest first.
    pub(crate) fn held_by(&self, queue: QueueId, connection: ConnectionId) -> Vec<DeliveryId> {
        let holds = |holder: &Holder| match holder {
            Holder::Consumer { connection: holder, .. } | Holder::Connection(holder) => *holder == connection,
            Holder::Timed(_) => false,
        };
        let held = self.iter().filter(|unsettled| holds(&unsettled.holder));
        let id = |entry: &Entry| DeliveryId { queue, position: entry.position, lease: entry.attempts };
        let mut held: Vec<DeliveryId> = held.map(|unsettled| id(&unsettled.entry)).collect();
        held.sort_unstable_by_key(|id| id.position);
        held
    }
}

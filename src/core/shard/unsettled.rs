//! The messages of a queue that somebody has.

use std::collections::BTreeMap;

use crossdock_common::names::{ConnectionId, DeliveryId, QueueId};
use hashbrown::HashMap;

use super::entry::{Entry, Holder, Unsettled};
use super::part::{HeldPart, Part};

/// Unsettled messages by place.
#[derive(Default)]
pub(crate) struct AllUnsettled {
    by_position: HashMap<u64, Unsettled, foldhash::fast::RandomState>,
    /// Messages of runs, by the first place of each part.
    parts: BTreeMap<u64, HeldPart>,
    /// Messages in them.
    in_parts: usize,
    memory_bytes: u64,
}

impl AllUnsettled {
    pub(crate) fn len(&self) -> usize {
        self.by_position.len() + self.in_parts
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    pub(crate) fn insert(&mut self, unsettled: Unsettled) {
        self.memory_bytes += unsettled.entry.memory_bytes();
        self.by_position.insert(unsettled.entry.position, unsettled);
    }

    pub(crate) fn insert_part(&mut self, held: HeldPart) {
        // Any of them may come back alone, and all do that a lost connection held.
        self.memory_bytes += held.part.entries_bytes();
        self.in_parts += held.part.run.len();
        self.parts.insert(held.part.position, held);
    }

    /// Some are held as parts of runs.
    pub(crate) fn has_parts(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The delivery, if its lease is the current one.
    pub(crate) fn get_mut(&mut self, id: &DeliveryId) -> Option<&mut Unsettled> {
        if self.has_parts() {
            self.find(id.position);
        }
        self.by_position.get_mut(&id.position).filter(|unsettled| unsettled.entry.attempts == id.lease)
    }

    /// Takes the delivery out, if its lease is the current one.
    pub(crate) fn remove(&mut self, id: &DeliveryId) -> Option<Unsettled> {
        self.get_mut(id)?;
        let unsettled = self.by_position.remove(&id.position)?;
        self.memory_bytes -= unsettled.entry.memory_bytes();
        Some(unsettled)
    }

    /// By which lease somebody has the message of this place.
    pub(crate) fn lease_of(&self, position: u64) -> Option<u32> {
        let lease = self.by_position.get(&position).map(|unsettled| unsettled.entry.attempts);
        lease.or_else(|| self.held_from(position).map(|_| 1))
    }

    /// How many messages of a run are held together, from this place on.
    pub(crate) fn held_from(&self, position: u64) -> Option<u64> {
        let (_, held) = self.parts.range(..=position).next_back()?;
        held.part.end().checked_sub(position).filter(|count| *count > 0)
    }

    /// Takes out up to so many messages of a run, from this place on; `None` if the first of them is not held as part of one.
    pub(crate) fn take_part(&mut self, position: u64, count: u64) -> Option<HeldPart> {
        self.held_from(position)?;
        let (_, held) = self.parts.range(..=position).next_back()?;
        let mut held = self.remove_part(held.part.position)?;
        let before = held.part.split_to(position - held.part.position);
        let taken = held.part.split_to(count);
        for part in [before, std::mem::replace(&mut held.part, taken)] {
            if part.len() > 0 {
                self.insert_part(held.with(part));
            }
        }
        Some(held)
    }

    fn remove_part(&mut self, position: u64) -> Option<HeldPart> {
        let held = self.parts.remove(&position)?;
        self.memory_bytes -= held.part.entries_bytes();
        self.in_parts -= held.part.run.len();
        Some(held)
    }

    /// Makes an entry of a message that is held as part of a run.
    #[cold]
    fn find(&mut self, position: u64) {
        if let Some(held) = self.take_part(position, 1) {
            held.unsettled().for_each(|unsettled| self.insert(unsettled));
        }
    }

    /// Gives the room of shared windows back: nobody can settle the messages any more.
    pub(crate) fn release_lanes(&self) {
        let entries = self.by_position.values().map(|unsettled| (&unsettled.lane_window, 1));
        let parts = self.parts.values().map(|held| (&held.lane_window, held.part.len() as u32));
        entries.chain(parts).for_each(|(lane, count)| lane.iter().for_each(|lane| lane.release(count)));
    }

    /// Those that are not held as parts of runs.
    pub(crate) fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.by_position.values().map(|unsettled| &unsettled.entry)
    }

    /// Bodies of those that are.
    pub(crate) fn part_body_bytes(&self) -> u64 {
        self.parts.values().map(|held| held.part.body_bytes()).sum()
    }

    /// The deliveries that a connection holds and loses when it goes, oldest first.
    pub(crate) fn held_by(&self, queue: QueueId, connection: ConnectionId) -> Vec<DeliveryId> {
        self.those(queue, |holder| match holder {
            Holder::Consumer { connection: holder, .. } | Holder::Connection(holder) => *holder == connection,
            Holder::Timed(_) => false,
        })
    }

    /// All deliveries, oldest first.
    pub(crate) fn all(&self, queue: QueueId) -> Vec<DeliveryId> {
        self.those(queue, |_| true)
    }

    fn those(&self, queue: QueueId, holds: impl Fn(&Holder) -> bool) -> Vec<DeliveryId> {
        let entries = self.by_position.values().filter(|unsettled| holds(&unsettled.holder));
        let entries = entries.map(|unsettled| (unsettled.entry.position, unsettled.entry.attempts));
        let parts = self.parts.values().filter(|held| holds(&held.holder));
        let parts = parts.flat_map(|held| (held.part.position..held.part.end()).map(|position| (position, 1)));
        let mut held: Vec<DeliveryId> =
            entries.chain(parts).map(|(position, lease)| DeliveryId { queue, position, lease }).collect();
        held.sort_unstable_by_key(|id| id.position);
        held
    }
}

impl HeldPart {
    /// Other messages that are held in the same way.
    fn with(&self, part: Part) -> Self {
        Self {
            part,
            holder: self.holder.clone(),
            lane_window: self.lane_window.clone(),
            delivered_at: self.delivered_at,
        }
    }

    /// Each message as an entry of its own.
    fn unsettled(&self) -> impl Iterator<Item = Unsettled> {
        self.part.entries().map(|entry| Unsettled {
            entry: Entry { attempts: 1, first_delivered_at: self.delivered_at, ..entry },
            holder: self.holder.clone(),
            lane_window: self.lane_window.clone(),
        })
    }
}

//! Large bodies on their way to the log: a piece at a time, so that whoever else waits for the log waits for one piece at most.
//!
//! The pieces are records of their own. The message record comes last and says where they are; only then is the message in its
//! queues. What comes to those queues meanwhile stays behind it.

use std::collections::VecDeque;
use std::sync::Arc;

use crossdock_common::Message;
use crossdock_common::names::QueueId;

use super::Shard;
use super::awaiting::Awaiting;
use super::command::{Confirmee, Effects};
use super::entry::Entry;
use super::publish::{Entries, places_of};
use super::queue::Queue;
use crate::log::{Location, Placed, RecordKind, Sequence, Urgency};
use crate::record::encode_large_message;

/// Large bodies that are being written, first come first.
#[derive(Default)]
pub(super) struct LargeBodies {
    queue: VecDeque<LargeBody>,
    /// The piece that is under way.
    under_way: Option<(Sequence, Placed)>,
}

struct LargeBody {
    message: Arc<Message>,
    entries: Entries,
    confirm: Option<Confirmee>,
    until: Urgency,
    parts: Vec<Location>,
}

impl LargeBodies {
    /// The pieces that are written.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Location> {
        self.queue.iter().flat_map(|large| &large.parts)
    }

    /// Takes out the entries of a queue, and gives the pieces that nobody needs for them any more.
    pub(super) fn take_entries(&mut self, of: QueueId) -> (u64, Vec<Location>) {
        let mut taken = 0;
        let mut parts = Vec::new();
        for large in &mut self.queue {
            let before = large.entries.len();
            large.entries.retain(|(queue, _, _)| *queue != of);
            for _ in large.entries.len()..before {
                taken += 1;
                parts.extend(&large.parts);
            }
        }
        (taken, parts)
    }
}

impl Shard {
    /// Takes on a message with a large body. Its entries hold their places.
    pub(super) fn store_large(
        &mut self,
        message: Arc<Message>,
        entries: Entries,
        confirm: Option<Confirmee>,
        effects: &mut Effects,
    ) {
        let mut until = Urgency::Write;
        for (id, entry, storing) in &entries {
            let Some(queue) = self.queues.get_mut(id) else { continue };
            let own = storing.until(queue);
            if own == Urgency::Sync {
                until = own;
            }
            queue.awaiting.add(own, false);
            queue.special.behind.reserve(entry.position);
        }
        self.large.queue.push_back(LargeBody { message, entries, confirm, until, parts: Vec::new() });
        self.write_large(effects);
    }

    /// Writes the next piece, unless one is under way; after the last piece, the message.
    pub(super) fn write_large(&mut self, effects: &mut Effects) {
        let part_bytes = self.memory.paging.part_bytes;
        while self.large.under_way.is_none() {
            let Some(large) = self.large.queue.front() else { return };
            let rest = large.message.body.slice(large.parts.len() * part_bytes..);
            let until = large.until;
            if rest.len() > part_bytes && !large.entries.is_empty() {
                let sequence = self.log.next_sequence();
                let stream = if let [(queue, _, _)] = &large.entries[..] { queue.0 } else { 0 };
                let placed = self.log.push(RecordKind::Part, stream, &[&rest[..part_bytes]]);
                self.large.under_way = Some((sequence, placed));
                self.hurry(until);
            } else if let Some(large) = self.large.queue.pop_front() {
                self.write_last_part(large, &rest, effects);
            }
        }
    }

    /// The piece that is under way is where it should be, if the log has got so far.
    pub(super) fn part_written(&mut self, until: Urgency, sequence: Sequence, effects: &mut Effects) {
        let Some((at, placed)) = self.large.under_way.filter(|(at, _)| *at <= sequence) else { return };
        let Some(large) = self.large.queue.front_mut().filter(|large| large.until == until) else { return };
        let Some(place) = self.waiting.place(at) else { return };
        let location = placed.at(place);
        large.parts.push(location);
        for _ in &large.entries {
            self.segments.add(&location);
        }
        self.large.under_way = None;
        self.write_large(effects);
    }

    fn write_last_part(&mut self, large: LargeBody, rest: &[u8], effects: &mut Effects) {
        let LargeBody { message, entries, confirm, until, parts } = large;
        if !entries.is_empty() {
            let places = places_of(entries.iter());
            let next = self.log.next_sequence();
            let body = (&parts[..], rest);
            self.note_landing(&message, entries.iter());
            let placed = encode_large_message(self.log.as_mut(), &mut self.scratch, &message, body, &places);
            self.hurry(until);
            let parts: Arc<[Location]> = parts.into();
            for (id, entry, storing) in entries {
                self.segments.add_parts(id, entry.position, parts.clone());
                let Some(queue) = self.queues.get(&id) else { continue };
                let own = storing.until(queue);
                self.waiting.push(own, next, Awaiting::Entry(id, entry, Some(placed)));
            }
        }
        // Also if a purge took it meanwhile: it is over when that is safe.
        if let Some(confirmee) = confirm {
            self.wait(until, Awaiting::Confirm(confirmee), effects);
        }
    }
}

/// What waits in a queue behind large messages that are still being written, in the order of places.
#[derive(Default)]
pub(crate) struct Behind {
    waiting: VecDeque<Behindhand>,
    /// Those that are here and cannot be read back from the log.
    unstored: usize,
}

enum Behindhand {
    /// A large message will come to this place.
    Expected(u64),
    Here(Box<Entry>),
}

impl Behindhand {
    fn position(&self) -> u64 {
        match self {
            Self::Expected(position) => *position,
            Self::Here(entry) => entry.position,
        }
    }
}

impl Behind {
    pub(crate) const NONE: Self = Self { waiting: VecDeque::new(), unstored: 0 };

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn reserve(&mut self, position: u64) {
        self.waiting.push_back(Behindhand::Expected(position));
    }

    /// Puts an entry where it belongs: to the place that was held for it, or between its neighbours.
    pub(crate) fn put(&mut self, entry: Entry) {
        self.unstored += usize::from(entry.stored.is_none());
        let index = self.waiting.partition_point(|one| one.position() < entry.position);
        let here = Behindhand::Here(Box::new(entry));
        match self.waiting.get_mut(index).filter(|held| held.position() == here.position()) {
            Some(held) => *held = here,
            None => self.waiting.insert(index, here),
        }
    }

    /// The next entry, if nothing large comes before it.
    pub(crate) fn next(&mut self) -> Option<Entry> {
        match self.waiting.pop_front_if(|one| matches!(one, Behindhand::Here(_)))? {
            Behindhand::Here(entry) => {
                self.unstored -= usize::from(entry.stored.is_none());
                Some(*entry)
            }
            Behindhand::Expected(_) => None,
        }
    }

    pub(crate) fn has_unstored(&self) -> bool {
        self.unstored > 0
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.waiting.iter().filter_map(|one| match one {
            Behindhand::Here(entry) => Some(&**entry),
            Behindhand::Expected(_) => None,
        })
    }
}

impl Queue {
    /// Forgets everything that waits behind large messages, and those themselves; gives the entries.
    pub(crate) fn take_behind(&mut self) -> Vec<Entry> {
        let all = self.special.present().map(|special| std::mem::take(&mut special.behind).waiting);
        all.into_iter()
            .flatten()
            .filter_map(|one| match one {
                Behindhand::Here(entry) => Some(*entry),
                Behindhand::Expected(_) => None,
            })
            .collect()
    }
}

//! What waits for the log: entries before they become ready, and whoever is to be told.
//!
//! Two queues of it: what waits until a batch is written, and what waits until it is synced. Within each, sequences grow.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;

use crossdock_common::event::Reply;
use crossdock_common::names::QueueId;
use crossdock_common::{Now, RequestId};

use super::command::{Confirmee, Effects};
use super::entry::Entry;
use super::level::Sealing;
use super::{Shard, confirm, reply};
use crate::log::{Place, Placed, Sequence, Urgency};
use crate::outbox::Outbox;

/// What happens once the log has got so far.
pub(super) enum Awaiting {
    /// A message becomes ready; where its record was put, if it has one.
    Entry(QueueId, Entry, Option<Placed>),
    /// Somebody is told.
    Confirm(Confirmee),
    /// A request is answered.
    Reply(RequestId, Arc<Outbox>),
    /// The group of a message that is gone goes on.
    Release(QueueId, u64),
    /// What became of a publication is kept.
    Publication { session: QueueId, id: u16, number: u64 },
    /// A page of references may replace them.
    Page(QueueId, Sealing, Placed),
}

/// Everything that waits.
#[derive(Default)]
pub(super) struct Waiting {
    written: VecDeque<(Sequence, Awaiting)>,
    synced: VecDeque<(Sequence, Awaiting)>,
    /// Where batches are, for the records of what waits.
    places: VecDeque<Place>,
    written_to: Sequence,
    pub(super) synced_to: Sequence,
    /// The last batch that was handed over to be synced at once.
    urgent_to: Sequence,
}

impl Waiting {
    fn queue(&mut self, until: Urgency) -> &mut VecDeque<(Sequence, Awaiting)> {
        match until {
            Urgency::Write => &mut self.written,
            Urgency::Sync => &mut self.synced,
        }
    }

    pub(super) fn push(&mut self, until: Urgency, sequence: Sequence, awaiting: Awaiting) {
        self.queue(until).push_back((sequence, awaiting));
    }

    /// Behind everything that waits already.
    pub(super) fn push_last(&mut self, until: Urgency, least: Sequence, awaiting: Awaiting) {
        let queue = self.queue(until);
        let last = queue.back().map_or(least, |(last, _)| *last);
        queue.push_back((last, awaiting));
    }

    fn pop(&mut self, until: Urgency, sequence: Sequence) -> Option<(Sequence, Awaiting)> {
        self.queue(until).pop_front_if(|(at, _)| *at <= sequence)
    }

    /// Where a batch is, if it is known and not forgotten.
    pub(super) fn place(&self, sequence: Sequence) -> Option<&Place> {
        let index = self.places.binary_search_by_key(&sequence, |place| place.sequence).ok()?;
        self.places.get(index)
    }

    /// The oldest segment with something in it that is written, but not synced: what waits for that is not counted yet.
    pub(super) fn unsynced_segment(&self) -> Option<NonZeroU64> {
        self.places.front().map(|place| place.segment)
    }

    /// Starts after the last batch of a log.
    pub(super) fn start_after(&mut self, last: Sequence) {
        (self.written_to, self.synced_to, self.urgent_to) = (last, last, last);
    }

    pub(super) fn urgent_to(&self) -> Sequence {
        self.urgent_to
    }

    pub(super) fn handed_over(&mut self, sequence: Sequence, urgency: Urgency) {
        if urgency == Urgency::Sync {
            self.urgent_to = sequence;
        }
    }

    /// Takes the entries out that wait for their place in a queue.
    pub(super) fn take_entries(&mut self, of: QueueId) -> Vec<Entry> {
        let mut taken = Vec::new();
        for queue in [&mut self.written, &mut self.synced] {
            for (at, waiting) in std::mem::take(queue) {
                match waiting {
                    Awaiting::Entry(id, entry, _) if id == of => taken.push(entry),
                    other => queue.push_back((at, other)),
                }
            }
        }
        taken
    }
}

impl Shard {
    /// The log is written up to `sequence`: what waited for that happens.
    pub(crate) fn written(&mut self, now: Now, sequence: Sequence, effects: &mut Effects) {
        self.reach(now, Urgency::Write, sequence, effects);
        self.finish(now, effects);
    }

    /// The log is durable up to `sequence`: what waited for that happens.
    pub(crate) fn durable(&mut self, now: Now, sequence: Sequence, effects: &mut Effects) {
        self.reach(now, Urgency::Write, sequence, effects);
        self.reach(now, Urgency::Sync, sequence, effects);
        self.waiting.places.retain(|place| place.sequence > sequence);
        self.finish(now, effects);
        self.release_segments();
    }

    fn reach(&mut self, now: Now, until: Urgency, sequence: Sequence, effects: &mut Effects) {
        let reached = match until {
            Urgency::Write => &mut self.waiting.written_to,
            Urgency::Sync => &mut self.waiting.synced_to,
        };
        *reached = sequence.max(*reached);
        self.learn_places(sequence);
        while let Some((at, awaiting)) = self.waiting.pop(until, sequence) {
            self.happen(now, until, at, awaiting, effects);
        }
        self.part_written(until, sequence, effects);
    }

    fn learn_places(&mut self, up_to: Sequence) {
        let known = self.waiting.places.len();
        self.log.take_places(up_to, &mut self.waiting.places);
        for place in self.waiting.places.range(known..) {
            self.segments.saw(place.segment);
        }
    }

    fn happen(&mut self, now: Now, until: Urgency, at: Sequence, awaiting: Awaiting, effects: &mut Effects) {
        match awaiting {
            Awaiting::Entry(queue, mut entry, placed) => {
                let place = self.waiting.place(at);
                entry.stored = placed.zip(place).map(|(placed, place)| placed.at(place));
                self.admit_awaited(now, queue, entry, until, placed.is_none());
            }
            Awaiting::Page(queue, sealing, placed) => {
                if let Some(location) = self.waiting.place(at).map(|place| placed.at(place)) {
                    self.page_written(queue, sealing, location);
                }
            }
            other => self.tell(other, effects),
        }
    }

    /// What needs no place in the log.
    fn tell(&mut self, awaiting: Awaiting, effects: &mut Effects) {
        match awaiting {
            Awaiting::Confirm(confirmee) => confirm(confirmee, effects),
            Awaiting::Reply(request, outbox) => reply(request, &outbox, Ok(Reply::Done), effects),
            Awaiting::Release(queue, position) => self.release(queue, position),
            Awaiting::Publication { session, id, number } => self.publication_kept(session, id, number, effects),
            Awaiting::Entry(..) | Awaiting::Page(..) => debug_assert!(false, "these have a record to wait for"),
        }
    }

    /// Lets something wait until everything written so far is safe; if nothing is under way, it happens at once.
    pub(super) fn wait(&mut self, until: Urgency, awaiting: Awaiting, effects: &mut Effects) {
        match self.barrier(until) {
            Some(sequence) => self.waiting.push(until, sequence, awaiting),
            None => self.tell(awaiting, effects),
        }
    }

    /// The batch to wait for: the one being built, or the last one that is under way.
    fn barrier(&mut self, until: Urgency) -> Option<Sequence> {
        let next = self.log.next_sequence();
        if !self.log.is_empty() {
            self.hurry(until);
            return Some(next);
        }
        let last = Sequence(next.0.saturating_sub(1));
        let waiting = &mut self.waiting;
        match until {
            Urgency::Write => (last > waiting.written_to).then_some(last),
            Urgency::Sync if last <= waiting.synced_to => None,
            Urgency::Sync => {
                if last > waiting.urgent_to {
                    waiting.urgent_to = last;
                    self.log.sync();
                }
                Some(last)
            }
        }
    }

    /// Somebody waits for the batch that is being built.
    pub(super) fn hurry(&mut self, until: Urgency) {
        if until == Urgency::Sync {
            self.urgency = Urgency::Sync;
        }
    }
}

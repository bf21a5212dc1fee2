//! A message on its way into queues.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossdock_common::event::RejectReason;
use crossdock_common::message::DeathReason;
use crossdock_common::names::QueueId;
use crossdock_common::{Event, Message, Now};
use smallvec::SmallVec;

use super::awaiting::Awaiting;
use super::command::{Confirmee, Effects, Followup, Publishing, Targets};
use super::entry::Entry;
use super::queue::Queue;
use super::{REFUSED, Shard, confirm as tell};
use crate::log::{Placed, RecordKind, Urgency};
use crate::record::{StoredPlace, encode_message};
use crossdock_common::definition::Overflow;

/// New places of one message.
pub(super) type Entries = SmallVec<[(QueueId, Entry, Storing); 1]>;

/// How an entry goes to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storing {
    /// It must survive; ready when that is sure.
    Durable(Urgency),
    /// It need not survive, but there is no room in memory.
    Paged,
    /// Not at all.
    No,
}

impl Shard {
    /// Gives the message a place in each target. What is durable waits for the log, the rest is ready at once.
    pub(super) fn enqueue(
        &mut self,
        now: Now,
        message: Arc<Message>,
        targets: Targets,
        mut confirm: Option<Confirmee>,
        effects: &mut Effects,
    ) {
        let mut entries = Entries::new();
        let mut refused = false;
        for target in targets {
            let Self { queues, timers, memory, dirty, arrived, log, scratch, .. } = self;
            let Some(queue) = queues.get_mut(&target.queue) else {
                // Deleted a moment ago.
                refused |= matches!(confirm, Some(Confirmee::Letter(_)));
                continue;
            };
            if queue.knows(&message, &mut confirm, now) {
                continue;
            }
            if queue.refuses(&message) {
                refused = true;
                self.refuse(now, target.queue, &message, effects);
                continue;
            }
            let mut entry = queue.new_entry(message.clone(), target.binding, now);
            if let Some(stream) = &mut queue.stream {
                stream.take_on(&mut entry, &message, log.as_mut(), (target.queue, scratch));
            }
            if let Some(id) = queue.remember(&message, &entry, confirm.as_ref(), now) {
                id.write(target.queue, now, log.as_mut(), scratch);
            }
            let storing = if let (true, Some(urgency)) = (entry.logged, queue.urgency) {
                Storing::Durable(urgency)
            } else if queue.ready.is_storing(entry.level) || memory.crowds(queue) && !queue.has_unstored() {
                Storing::Paged
            } else {
                Storing::No
            };
            if storing == Storing::No && queue.awaiting.count() == 0 && queue.special.behind.is_empty() {
                // The way of most transient messages: nothing to write, nothing to wait for.
                arrived.extend(queue.arrived(entry.position));
                queue.admit(entry, true, now, timers);
                queue.mark(dirty);
                continue;
            }
            entries.push((target.queue, entry, storing));
        }
        // A queue of dead letters that is full drops the letter, as RabbitMQ does.
        let is_rejected = refused && !matches!(confirm, Some(Confirmee::DeadLetter { .. }));
        if entries.is_empty() {
            return answer(confirm, is_rejected, effects);
        }
        if message.body.len() > 2 * self.memory.paging.part_bytes && !refused {
            let is_durable = |storing: &Storing| matches!(storing, Storing::Durable(_));
            let (large, entries) = entries.into_iter().partition(|(_, _, storing)| is_durable(storing));
            let (large, entries): (Entries, Entries) = (large, entries);
            self.store(&message, entries);
            return self.store_large(message, large, confirm, effects);
        }
        match (self.store(&message, entries), confirm) {
            (Some(until), Some(confirmee)) if !is_rejected => self.wait(until, Awaiting::Confirm(confirmee), effects),
            (_, confirm) => answer(confirm, is_rejected, effects),
        }
    }

    /// Writes the message down where that is needed, and gives the entries their places, or lets them wait for it. Tells what a
    /// publisher has to wait for.
    fn store(&mut self, message: &Message, entries: Entries) -> Option<Urgency> {
        let is_durable = |storing| matches!(storing, Storing::Durable(_));
        let durable = self.write_message(RecordKind::Message, message, &entries, is_durable);
        if durable.is_some() {
            self.note_landing(message, entries.iter().filter(|(_, _, storing)| is_durable(*storing)));
        }
        let paged = self.write_message(RecordKind::Transient, message, &entries, |storing| storing == Storing::Paged);
        let mut until = None;
        for (queue, entry, storing) in entries {
            let placed = match storing {
                Storing::Durable(urgency) => {
                    self.hurry(urgency);
                    if until != Some(Urgency::Sync) {
                        until = Some(urgency);
                    }
                    durable
                }
                Storing::Paged => paged,
                Storing::No => None,
            };
            self.place(queue, entry, storing, placed);
        }
        until
    }

    /// Remembers that a publication's message, or one that was moved, is in these queues.
    pub(super) fn note_landing<'a>(
        &mut self,
        message: &Message,
        entries: impl Iterator<Item = &'a (QueueId, Entry, Storing)>,
    ) {
        let Some(rare) = &message.rare else { return };
        rare.moved.into_iter().for_each(|moved| self.arrivals.note(moved));
        if let Some(publication) = &rare.publication {
            self.landings.note(publication, entries.map(|(queue, _, _)| *queue));
        }
    }

    fn write_message(
        &mut self,
        kind: RecordKind,
        message: &Message,
        entries: &Entries,
        belongs: impl Fn(Storing) -> bool,
    ) -> Option<Placed> {
        let places = places_of(entries.iter().filter(|(_, _, storing)| belongs(*storing)));
        (!places.is_empty()).then(|| encode_message(self.log.as_mut(), kind, &mut self.scratch, message, &places))
    }

    /// Lets an entry wait for its record, or behind others that wait, or makes it ready.
    fn place(&mut self, id: QueueId, entry: Entry, storing: Storing, placed: Option<Placed>) {
        let next = self.log.next_sequence();
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let until = storing.until(queue);
        queue.awaiting.add(until, placed.is_none());
        let awaiting = Awaiting::Entry(id, entry, placed);
        if placed.is_some() {
            self.hurry(until);
            self.waiting.push(until, next, awaiting);
        } else {
            self.waiting.push_last(until, next, awaiting);
        }
    }

    /// Writes down a message that an old snapshot held whole, so that it can be read back.
    pub(super) fn write_again(&mut self, id: QueueId, entry: Entry) {
        let Some(message) = entry.message.clone() else { return };
        let binding = entry.binding.as_ref().map_or(0, |binding| binding.serial);
        let place = StoredPlace { queue: id, position: entry.position, binding, attempts: entry.attempts };
        let log = self.log.as_mut();
        let placed = encode_message(log, RecordKind::Message, &mut self.scratch, &message, &[place]);
        self.place(id, entry, Storing::Durable(Urgency::Sync), Some(placed));
        self.commit_if_large();
    }

    pub(super) fn admit_awaited(&mut self, now: Now, id: QueueId, entry: Entry, until: Urgency, unstored: bool) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        queue.awaiting.remove(until, unstored);
        if let Some(location) = &entry.stored {
            self.segments.add(location);
        }
        self.admit(now, id, entry);
    }

    fn admit(&mut self, now: Now, id: QueueId, entry: Entry) {
        let Self { queues, timers, memory, dirty, arrived, .. } = self;
        if let Some(queue) = queues.get_mut(&id) {
            arrived.extend(queue.arrived(entry.position));
            // Nothing goes to disk ahead of something that cannot.
            let mut admit = |queue: &mut Queue, entry| {
                if queue.stream.is_some() {
                    return queue.admit_to_stream(entry);
                }
                let keep = queue.has_unstored() || !memory.crowds(queue);
                queue.admit(entry, keep, now, timers);
            };
            if queue.special.behind.is_empty() {
                admit(queue, entry);
            } else {
                queue.special.behind.put(entry);
                while let Some(entry) = queue.special.behind.next() {
                    admit(queue, entry);
                }
            }
            queue.mark(dirty);
        }
    }

    /// The queue is full and refuses: with `reject-publish-dlx` the message is dead-lettered all the same.
    fn refuse(&mut self, now: Now, id: QueueId, message: &Arc<Message>, effects: &mut Effects) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        if queue.settings.overflow == Some(Overflow::RejectPublishDeadLetter) {
            let mut entry = queue.new_entry(message.clone(), None, now);
            entry.logged = false;
            self.bury(now, id, entry, DeathReason::MaxLength, effects);
        }
    }
}

impl Storing {
    /// What the entry has to wait for in its queue: its own record, and what came before it.
    pub(super) fn until(self, queue: &Queue) -> Urgency {
        if self == Self::Durable(Urgency::Sync) || queue.awaiting.sync > 0 { Urgency::Sync } else { Urgency::Write }
    }
}

/// The places of entries as records have them.
pub(super) fn places_of<'a>(
    entries: impl Iterator<Item = &'a (QueueId, Entry, Storing)>,
) -> SmallVec<[StoredPlace; 1]> {
    entries
        .map(|(queue, entry, _)| StoredPlace {
            queue: *queue,
            position: entry.position,
            binding: entry.binding.as_ref().map_or(0, |binding| binding.serial),
            attempts: entry.attempts,
        })
        .collect()
}

/// What the publisher hears of a message that waits for nothing.
fn answer(confirm: Option<Confirmee>, is_rejected: bool, effects: &mut Effects) {
    match confirm {
        Some(confirmee) if is_rejected => reject(confirmee, effects),
        Some(confirmee) => tell(confirmee, effects),
        None => {}
    }
}

fn reject(confirmee: Confirmee, effects: &mut Effects) {
    // Other shards may have refused it before, or confirm it after.
    let (outbox, lane, confirm, shares) = match confirmee {
        Confirmee::Publisher { outbox, lane, confirm, shares } => (outbox, lane, confirm, shares),
        Confirmee::Publication(publishing) => {
            let Publishing { session, id, number, .. } = *publishing;
            if publishing.shares.fetch_add(REFUSED, Ordering::AcqRel) < REFUSED {
                effects.followups.push_back(Followup::Publication { session, id, number, accepted: false });
            }
            return;
        }
        Confirmee::Letter(posted) => return posted.answered(false, effects),
        Confirmee::DeadLetter { .. } | Confirmee::Purge { .. } | Confirmee::Move { .. } => return,
    };
    if shares.is_some_and(|shares| shares.fetch_add(REFUSED, Ordering::AcqRel) >= REFUSED) {
        return;
    }
    outbox.push(Event::Rejected { lane, confirm, reason: RejectReason::QueueFull });
    effects.wake(&outbox);
}

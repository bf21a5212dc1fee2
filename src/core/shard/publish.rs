//! A message on its way into queues.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossdock_common::event::RejectReason;
use crossdock_common::message::DeathReason;
use crossdock_common::names::QueueId;
use crossdock_common::{Event, Message, Now};
use smallvec::SmallVec;

use super::command::{Confirmee, Effects, Targets};
use super::entry::Entry;
use super::{Awaiting, REFUSED, Shard, confirm as tell};
use crate::record::{StoredPlace, encode_message};
use crossdock_common::definition::Overflow;

impl Shard {
    /// Gives the message a place in each target. What is durable waits for the log, the rest is ready at once.
    pub(super) fn enqueue(
        &mut self,
        now: Now,
        message: Arc<Message>,
        targets: Targets,
        confirm: Option<Confirmee>,
        effects: &mut Effects,
    ) {
        let mut places: SmallVec<[StoredPlace; 1]> = SmallVec::new();
        let mut refused = false;
        let next = self.log.next_sequence();
        for target in targets {
            let behind = self.barrier().unwrap_or(next);
            let Some(queue) = self.queues.get_mut(&target.queue) else { continue };
            if queue.refuses(&message) {
                refused = true;
                self.refuse(now, target.queue, &message, effects);
                continue;
            }
            let binding = target.binding.as_ref().map_or(0, |binding| binding.serial);
            let entry = queue.new_entry(message.clone(), target.binding, now);
            let sequence = if entry.logged { next } else { behind };
            if entry.logged {
                places.push(StoredPlace { queue: target.queue, position: entry.position, binding, attempts: 0 });
            }
            if entry.logged || queue.awaiting > 0 {
                queue.awaiting += 1;
                self.awaiting.push_back((sequence, Awaiting::Entry(target.queue, entry)));
            } else {
                self.admit(now, target.queue, entry);
            }
        }
        if !places.is_empty() {
            encode_message(self.log.as_mut(), &mut self.scratch, &message, &places);
        }
        let Some(confirmee) = confirm else { return };
        let is_letter = matches!(confirmee, Confirmee::DeadLetter { .. });
        if refused && !is_letter {
            reject(confirmee, effects);
        } else if places.is_empty() {
            // A queue of dead letters that is full drops the letter, as RabbitMQ does.
            tell(confirmee, effects);
        } else {
            self.wait(Awaiting::Confirm(confirmee), effects);
        }
    }

    pub(super) fn admit_awaited(&mut self, now: Now, id: QueueId, entry: Entry) {
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.awaiting = queue.awaiting.saturating_sub(1);
            self.admit(now, id, entry);
        }
    }

    fn admit(&mut self, now: Now, id: QueueId, entry: Entry) {
        let Self { queues, timers, .. } = self;
        if let Some(queue) = queues.get_mut(&id) {
            queue.admit(entry, now, timers);
            self.mark(id);
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

fn reject(confirmee: Confirmee, effects: &mut Effects) {
    let Confirmee::Publisher { outbox, lane, confirm, shares } = confirmee else { return };
    // Other shards may have refused it before, or confirm it after.
    if shares.is_some_and(|shares| shares.fetch_add(REFUSED, Ordering::AcqRel) >= REFUSED) {
        return;
    }
    outbox.push(Event::Rejected { lane, confirm, reason: RejectReason::QueueFull });
    effects.wake(&outbox);
}

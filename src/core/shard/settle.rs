//! Settlement: what becomes of a delivery.

use std::sync::Arc;

use crossdock_common::command::Outcome;
use crossdock_common::event::Reply;
use crossdock_common::message::DeathReason;
use crossdock_common::names::{DeliveryId, QueueId};
use crossdock_common::{Now, Refusal, RequestId};

use super::awaiting::Awaiting;
use super::command::Effects;
use super::entry::{Entry, Holder};
use super::ledger::Ledger;
use super::{Shard, reply};
use crate::log::Urgency;
use crate::outbox::Outbox;

impl Shard {
    /// Settles deliveries. With a request, the answer comes after the settlement is durable.
    pub(super) fn settle(
        &mut self,
        now: Now,
        deliveries: &[DeliveryId],
        outcome: Outcome,
        request: Option<(RequestId, Arc<Outbox>)>,
        effects: &mut Effects,
    ) {
        let mut unknown = false;
        if outcome == Outcome::Released {
            // Newest first: then each goes before all others, and none has to be moved for it.
            let before = effects.followups.len();
            for id in deliveries.iter().rev() {
                unknown |= self.settle_first(now, id, &[], outcome, effects).is_none();
            }
            effects.followups.make_contiguous()[before..].reverse();
        } else {
            let mut left = deliveries;
            while let [id, rest @ ..] = left {
                let settled = self.settle_first(now, id, rest, outcome, effects);
                unknown |= settled.is_none();
                left = left.get(settled.unwrap_or(1)..).unwrap_or_default();
            }
        }
        let Some((request, outbox)) = request else { return };
        if unknown {
            let expired = Refusal::UnknownDelivery("the lease of the delivery is over".to_owned());
            return reply(request, &outbox, Err(expired), effects);
        }
        self.write_settled();
        let queue = deliveries.first().and_then(|id| self.queues.get(&id.queue));
        let until = queue.and_then(|queue| queue.urgency).unwrap_or(Urgency::Sync);
        self.wait(until, Awaiting::Reply(request, outbox), effects);
    }

    /// Settles a delivery, and those of `rest` that can be settled with it; says how many. `None` if nobody knows the delivery.
    #[inline]
    fn settle_first(
        &mut self,
        now: Now,
        id: &DeliveryId,
        rest: &[DeliveryId],
        outcome: Outcome,
        effects: &mut Effects,
    ) -> Option<usize> {
        let entry = match self.queues.get_mut(&id.queue) {
            Some(queue) if queue.unsettled.has_parts() && outcome == Outcome::Accepted => {
                if let Some(accepted) = queue.accept_part(id, rest) {
                    queue.mark(&mut self.dirty);
                    return Some(accepted);
                }
                queue.take_unsettled(id)
            }
            Some(queue) => queue.take_unsettled(id),
            None => None,
        };
        let is_known = match entry {
            Some(entry) => {
                self.settle_entry(now, id.queue, entry, outcome, effects);
                true
            }
            None => self.settle_in_stream(id),
        };
        self.mark(id.queue);
        is_known.then_some(1)
    }

    fn settle_entry(&mut self, now: Now, id: QueueId, entry: Entry, outcome: Outcome, effects: &mut Effects) {
        match outcome {
            Outcome::Accepted => self.forget(id, &entry, |ledger| &mut ledger.settled),
            Outcome::Rejected => self.bury(now, id, entry, DeathReason::Rejected, effects),
            Outcome::Released => self.give_back(now, id, entry, 0, effects),
            Outcome::Modified { delay_ms } => self.give_back(now, id, entry, delay_ms, effects),
        }
    }

    /// Back to its place, unless it was handed out too often.
    fn give_back(&mut self, now: Now, id: QueueId, entry: Entry, delay_ms: u64, effects: &mut Effects) {
        let Self { queues, timers, .. } = self;
        let Some(queue) = queues.get_mut(&id) else { return };
        if queue.settings.delivery_limit.is_some_and(|limit| entry.attempts >= limit) {
            self.bury(now, id, entry, DeathReason::DeliveryLimit, effects);
            return;
        }
        queue.traffic.returned += 1;
        if delay_ms > 0 {
            queue.delay(entry, now.instant.after_ms(delay_ms), timers);
        } else {
            queue.ready.put_back(entry);
            self.mark(id);
        }
    }

    /// The message is done with; `account` says how.
    pub(super) fn forget(&mut self, id: QueueId, entry: &Entry, account: impl FnOnce(&mut Ledger) -> &mut u64) {
        if let Some(queue) = self.queues.get_mut(&id) {
            *account(&mut queue.ledger) += 1;
            match queue.ready.holds(entry.position) {
                true if entry.logged => self.leaving.push((id, entry.position)),
                true => queue.ready.release(entry.position),
                false => {}
            }
        }
        if let Some(location) = &entry.stored {
            self.segments.remove_message(id, entry.position, location);
        }
        if entry.logged {
            self.settled.push((id, entry.position));
        }
    }

    /// Lets the groups of messages that are done with go on, once it is sure that those do not come back.
    pub(super) fn release_groups(&mut self, effects: &mut Effects) {
        for (id, position) in std::mem::take(&mut self.leaving) {
            let until = self.queues.get(&id).and_then(|queue| queue.urgency).unwrap_or(Urgency::Sync);
            self.wait(until, Awaiting::Release(id, position), effects);
        }
    }

    pub(super) fn release(&mut self, id: QueueId, position: u64) {
        self.with_queue(id, |queue| queue.ready.release(position));
    }

    pub(super) fn extend_lease(
        &mut self,
        now: Now,
        delivery: DeliveryId,
        lease_ms: u64,
        request: RequestId,
        outbox: &Arc<Outbox>,
        effects: &mut Effects,
    ) {
        let Self { queues, timers, .. } = self;
        let unsettled = queues.get_mut(&delivery.queue).and_then(|queue| {
            queue.unsettled.get_mut(&delivery)?;
            let lease = queue.timed_lease(&delivery, lease_ms, now, timers);
            Some((queue.unsettled.get_mut(&delivery)?, lease))
        });
        let result = match unsettled {
            Some((unsettled, lease)) => {
                unsettled.holder = lease;
                Ok(Reply::Done)
            }
            None => Err(Refusal::UnknownDelivery("the message is not in flight".to_owned())),
        };
        reply(request, outbox, result, effects);
    }

    /// A timed lease may have ended, unless it was extended or settled since.
    pub(super) fn lease_ended(&mut self, now: Now, id: QueueId, position: u64, lease: u32, effects: &mut Effects) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let delivery = DeliveryId { queue: id, position, lease };
        let ended = queue
            .unsettled
            .get_mut(&delivery)
            .is_some_and(|unsettled| matches!(unsettled.holder, Holder::Timed(until) if until <= now.instant));
        if ended {
            self.settle(now, &[delivery], Outcome::Released, None, effects);
        }
    }
}

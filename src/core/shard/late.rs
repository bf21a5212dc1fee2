//! Deliveries that are settled when their lease is over. Whoever was slow has done its work all the same, and nobody else need do it again.

use std::sync::Arc;

use crossdock_common::RequestId;
use crossdock_common::event::{Late, Reply};
use crossdock_common::names::DeliveryId;

use super::awaiting::Awaiting;
use super::command::Effects;
use super::entry::Entry;
use super::queue::Queue;
use super::{Shard, reply};
use crate::log::Urgency;
use crate::outbox::Outbox;

impl Queue {
    fn late(&self, delivery: DeliveryId) -> Late {
        let position = delivery.position;
        match self.unsettled.lease_of(position) {
            Some(lease) => Late::Leased(DeliveryId { lease, ..delivery }),
            None if self.ready.has(position) || self.is_delayed(position) => Late::Ready,
            None => Late::Gone,
        }
    }

    /// Takes out what nobody has. `None` as well if its reference is in a page, which would have to be read first.
    fn take_late(&mut self, position: u64) -> Option<Entry> {
        self.ready.take(position).or_else(|| self.take_delayed(position))
    }
}

impl Shard {
    pub(super) fn settle_late(
        &mut self,
        delivery: DeliveryId,
        removes: bool,
        request: RequestId,
        outbox: Arc<Outbox>,
        effects: &mut Effects,
    ) {
        let queue = self.queues.get_mut(&delivery.queue);
        let late = queue.as_ref().map_or(Late::Gone, |queue| queue.late(delivery));
        let taken =
            queue.filter(|_| removes && late == Late::Ready).and_then(|queue| queue.take_late(delivery.position));
        let Some(entry) = taken else { return reply(request, &outbox, Ok(Reply::Late(late)), effects) };
        self.forget(delivery.queue, &entry, |ledger| &mut ledger.settled);
        self.mark(delivery.queue);
        self.write_settled();
        let until = self.queues.get(&delivery.queue).and_then(|queue| queue.urgency).unwrap_or(Urgency::Sync);
        self.wait(until, Awaiting::Reply(request, outbox), effects);
    }
}

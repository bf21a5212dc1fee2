//! Messages that wait at a delayed-message exchange: they are delayed entries of a queue of the broker's own.
//!
//! When one is due it is sent on as a dead letter is: it stays in the records of the queue until its copies are durable.

use std::ops::Bound;
use std::sync::Arc;

use crossdock_common::definition::{DelayedInfo, Inner};
use crossdock_common::message::DeathReason;
use crossdock_common::names::QueueId;
use crossdock_common::{Instant, Now, Refusal, RequestId};

use super::awaiting::Awaiting;
use super::command::{DeadLetterOut, Effects};
use super::dead_letter::keys_of;
use super::entry::Entry;
use super::queue::Queue;
use super::snapshot::due_at;
use super::{Shard, reply};
use crate::log::Urgency;
use crate::outbox::Outbox;

/// Messages of a queue that are on their way at the same time: the others stay on disk meanwhile, where they can.
const SENDING_MAX: usize = 1_024;

impl Queue {
    /// It holds what waits at a delayed-message exchange.
    pub(crate) fn is_delaying(&self) -> bool {
        matches!(self.settings.inner, Some(Inner::Delays { .. }))
    }

    fn is_sending_enough(&self) -> bool {
        self.special.departing.len() + self.special.burying.len() >= SENDING_MAX
    }
}

impl Shard {
    pub(super) fn delay_ended(&mut self, now: Now, id: QueueId, effects: &mut Effects) {
        if self.queues.get(&id).is_some_and(|queue| queue.is_delaying()) {
            self.send_due(now, id, effects);
        } else {
            self.with_queue(id, |queue| queue.wake_delayed(now.instant));
        }
    }

    /// Sends messages on whose time has come, if they wait at a delayed-message exchange.
    pub(super) fn send_due(&mut self, now: Now, id: QueueId, effects: &mut Effects) {
        while let Some(queue) = self.queues.get_mut(&id).filter(|queue| queue.is_delaying()) {
            // What is in memory does not go past what has to be read first.
            let goes_past = |entry: &Entry| entry.message.is_some() && !queue.special.burying.is_empty();
            if queue.is_sending_enough() || queue.next_due(now.instant).is_some_and(goes_past) {
                return;
            }
            let Some(entry) = queue.take_due(now.instant) else { return };
            self.bury(now, id, entry, DeathReason::Expired, effects);
        }
    }

    /// The messages that wait there, by when they are due.
    pub(crate) fn delayed(
        &self,
        now: Now,
        id: QueueId,
        after: Option<(Instant, u64)>,
        count_max: usize,
    ) -> Vec<DelayedInfo> {
        let Some(queue) = self.queues.get(&id) else { return Vec::new() };
        let info = |((until, position), entry): (&(Instant, u64), &Entry)| DelayedInfo {
            due: *until,
            position: *position,
            due_at: due_at(now, until.0),
            body_bytes: entry.body_bytes.into(),
            message: entry.message.clone(),
        };
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        queue.special.delayed.range((start, Bound::Unbounded)).take(count_max).map(info).collect()
    }

    pub(super) fn cancel_delayed(
        &mut self,
        id: QueueId,
        position: u64,
        request: RequestId,
        outbox: Arc<Outbox>,
        effects: &mut Effects,
    ) {
        let entry = self.queues.get_mut(&id).and_then(|queue| queue.take_delayed(position));
        let Some(entry) = entry else {
            let gone = Refusal::UnknownDelivery("no such message waits".to_owned());
            return reply(request, &outbox, Err(gone), effects);
        };
        self.forget(id, &entry, |ledger| &mut ledger.purged);
        self.write_settled();
        let until = self.queues.get(&id).and_then(|queue| queue.urgency).unwrap_or(Urgency::Write);
        self.wait(until, Awaiting::Reply(request, outbox), effects);
    }
}

/// The message as it goes on when its delay is over; `None` if it is not here.
pub(super) fn due_letter(queue: &Queue, entry: &Entry, now: Now) -> Option<DeadLetterOut> {
    let Some(Inner::Delays { exchange }) = &queue.settings.inner else { return None };
    let mut message = entry.message.as_ref()?.to_mutable();
    // Times to live are counted from when it comes to a queue.
    message.received_at = now.unix;
    let rare = message.rare_mut();
    rare.exchange_delay_ms = rare.exchange_delay_ms.map(|delay_ms| -delay_ms.abs());
    Some(DeadLetterOut {
        vhost: queue.vhost.clone(),
        exchange: exchange.clone(),
        is_dead: false,
        keys: keys_of(&message),
        message: Arc::new(message),
        source: queue.id,
        binding: None,
        position: entry.logged.then_some(entry.position),
        kept: None,
    })
}

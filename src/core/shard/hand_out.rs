//! Handing out messages: to fetches that wait, and to consumers.

use std::collections::VecDeque;

use crossdock_common::command::Lease;
use crossdock_common::event::Delivery;
use crossdock_common::{ConsumerId, Event, Now};

use super::command::{Effects, ShardFetch};
use super::entry::{Entry, Holder, Unsettled};
use super::part::HeldPart;
use super::queue::{HandOut, Queue};
use super::timers::Timers;
use super::wishes::EVERYTHING;

/// The lease of a fetch where neither it nor the queue says how long (SQS's default).
const LEASE_MS_DEFAULT: u64 = 30_000;

impl Queue {
    /// Hands out what can be handed out: to waiting fetches, then to consumers. With `unload`, what is handed out does not stay
    /// in memory if it can be read back. `gone` hears what the log has to know.
    pub(crate) fn hand_out(
        &mut self,
        now: Now,
        unload: bool,
        timers: &mut Timers,
        effects: &mut Effects,
        mut gone: impl FnMut(HandOut),
    ) {
        if !self.special.fetches.is_empty() {
            self.ready.open_to(EVERYTHING);
        }
        // A run does not fall apart for nobody.
        while self.is_fetched_from() && self.ready.head(unload).is_some() {
            let Some(fetch) = self.special.present().and_then(|special| special.fetches.pop_front()) else { break };
            self.serve_fetch(fetch, (now, unload), timers, effects, &mut gone);
        }
        // What was published before is waited for: it becomes ready when it is durable.
        if self.ready.is_exhausted() && !self.is_awaiting() {
            self.answer_impatient(effects);
        }
        self.serve_consumers(now, unload, effects, &mut gone);
        self.consumers.flush(effects, &mut self.traffic);
        self.schedule_expiry(timers);
    }

    /// Somebody fetches, or there is no run to be kept together.
    fn is_fetched_from(&self) -> bool {
        !self.special.fetches.is_empty() || self.ready.next_part().is_none()
    }

    /// Fetches that waited only for messages to be read, and there are none after all.
    fn answer_impatient(&mut self, effects: &mut Effects) {
        let Some(special) = self.special.present() else { return };
        let (patient, impatient): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut special.fetches).into_iter().partition(|fetch| fetch.wait_ms > 0);
        special.fetches = patient;
        for fetch in impatient {
            fetch.outbox.push(Event::Fetched { request: fetch.request, deliveries: Vec::new(), ready: 0 });
            effects.wake(&fetch.outbox);
        }
    }

    fn serve_consumers(&mut self, now: Now, unload: bool, effects: &mut Effects, gone: &mut impl FnMut(HandOut)) {
        let single = self.settings.single_active_consumer;
        let counted = self.settings.delivery_limit.is_some();
        let is_sorted = self.ready.is_sorted_by_wishes();
        // Wishes of which nobody has room, although the consumer itself has.
        let mut closed = 0;
        loop {
            if is_sorted {
                self.ready.open_to(self.consumers.wishes_with_room(single) & !closed);
            } else if self.ready.next_part().is_some() {
                match self.serve_part(now, effects) {
                    Some(true) => continue,
                    Some(false) => return,
                    None => {}
                }
            }
            if self.ready.head(unload).is_none_or(|head| head.is_expired(now.instant)) {
                return;
            }
            let wanted_by = self.ready.next_wanted_by().unwrap_or(u64::MAX);
            let Some(consumer) = self.consumers.next(single, wanted_by) else {
                if !is_sorted {
                    return;
                }
                closed |= wanted_by;
                continue;
            };
            let Some(mut entry) = self.ready.pop_head() else { return };
            let Entry { position, logged, stored, .. } = entry;
            if consumer.presettled {
                let Some(delivery) = entry.hand_over((self.id, consumer.id), counted, now) else { return };
                consumer.send(delivery);
                self.ledger.settled += 1;
                gone(HandOut::Settled { position, logged, stored });
                continue;
            }
            let Some(delivery) = entry.hand_out((self.id, consumer.id), counted, now) else { return };
            consumer.send(delivery);
            entry.message.iter().for_each(|message| self.ready.hold(position, message));
            if unload {
                entry.unload();
            }
            if counted && logged {
                gone(HandOut::Attempt { position, attempts: entry.attempts });
            }
            let holder = Holder::Consumer { connection: consumer.outbox.connection, consumer: consumer.id };
            let lane_window = consumer.lane_window.clone();
            self.unsettled.insert(Unsettled { entry, holder, lane_window });
        }
    }

    /// Hands out messages of the run that is next, and tells whether there was room for any. `None` if no run is next, or it has to be
    /// handed out one by one: to several consumers in turn, or by a queue that counts.
    #[inline(never)]
    fn serve_part(&mut self, now: Now, effects: &mut Effects) -> Option<bool> {
        let next = self.ready.next_part().filter(|part| !part.is_expired(now.instant))?;
        if !self.consumers.has_room() {
            return Some(false);
        }
        let settings = &self.settings;
        let consumer =
            self.consumers.sole(settings.single_active_consumer).filter(|_| settings.delivery_limit.is_none())?;
        let count = consumer.acquire_up_to(next.len());
        if count == 0 {
            return Some(false);
        }
        let part = self.ready.take_part(count)?;
        consumer.send_run(part.delivery((self.id, consumer.id), now), effects, &mut self.traffic);
        if consumer.presettled {
            self.ledger.settled += part.len();
            return Some(true);
        }
        let holder = Holder::Consumer { connection: consumer.outbox.connection, consumer: consumer.id };
        let lane_window = consumer.lane_window.clone();
        self.unsettled.insert_part(HeldPart { part, holder, lane_window, delivered_at: now.unix });
        Some(true)
    }

    /// Answers a fetch with what is there.
    pub(crate) fn serve_fetch(
        &mut self,
        fetch: ShardFetch,
        (now, unload): (Now, bool),
        timers: &mut Timers,
        effects: &mut Effects,
        gone: &mut impl FnMut(HandOut),
    ) {
        let mut deliveries = Vec::new();
        while (deliveries.len() as u64) < u64::from(fetch.count_max)
            && self.ready.head(unload).is_some_and(|head| !head.is_expired(now.instant))
        {
            let Some(entry) = self.ready.pop_head() else { break };
            deliveries.extend(self.take_for(&fetch, entry, (now, unload), timers, gone));
        }
        if !fetch.presettled {
            deliveries.iter().for_each(|delivery| self.ready.hold(delivery.id.position, &delivery.message));
        }
        self.traffic.count_fetch(fetch.presettled, deliveries.len());
        let ready = self.ready.len();
        fetch.outbox.push(Event::Fetched { request: fetch.request, deliveries, ready });
        effects.wake(&fetch.outbox);
    }

    fn take_for(
        &mut self,
        fetch: &ShardFetch,
        mut entry: Entry,
        (now, unload): (Now, bool),
        timers: &mut Timers,
        gone: &mut impl FnMut(HandOut),
    ) -> Option<Delivery> {
        let delivery = entry.hand_out((self.id, ConsumerId(0)), self.settings.delivery_limit.is_some(), now)?;
        let Entry { position, logged, stored, .. } = entry;
        if fetch.presettled {
            self.ledger.settled += 1;
            gone(HandOut::Settled { position, logged, stored });
            return Some(delivery);
        }
        let lease_ms = match fetch.lease {
            Lease::Connection => None,
            Lease::Timed { lease_ms } => Some(lease_ms),
            Lease::QueueDefault => Some(self.settings.lease_ms.unwrap_or(LEASE_MS_DEFAULT)),
        };
        if logged && (lease_ms.is_some() || self.settings.delivery_limit.is_some()) {
            gone(HandOut::Attempt { position, attempts: entry.attempts });
        }
        let holder = match lease_ms {
            None => Holder::Connection(fetch.outbox.connection),
            Some(lease_ms) => self.timed_lease(&delivery.id, lease_ms, now, timers),
        };
        if unload {
            entry.unload();
        }
        self.unsettled.insert(Unsettled { entry, holder, lane_window: None });
        Some(delivery)
    }
}

//! What time does to a queue's messages: delays, leases, times to live.

use crossdock_common::message::Rare;
use crossdock_common::names::DeliveryId;
use crossdock_common::{Instant, Message, Now};

use super::Queue;
use crate::shard::entry::{Entry, Holder};
use crate::shard::timers::{Timer, Timers};

impl Queue {
    pub(crate) fn expires_at(&self, message: &Message, now: Now) -> Option<Instant> {
        let ttl_ms = [message.ttl_ms, self.settings.message_ttl_ms].into_iter().flatten().min();
        ttl_ms.map(|ttl_ms| {
            let age_ms = now.unix.0.saturating_sub(message.received_at.0);
            now.instant.after_ms(ttl_ms.saturating_sub(age_ms))
        })
    }

    /// How long a new message is not visible. In a FIFO queue, all have the same delay.
    pub(crate) fn delay_ms(&self, rare: Option<&Rare>) -> u64 {
        let own_delay_ms = rare.filter(|_| self.settings.fifo.is_none()).and_then(|rare| rare.delay_ms);
        own_delay_ms.or(self.settings.delay_ms).unwrap_or(0)
    }

    /// When a new message becomes visible, if that is not now. In a FIFO queue, nothing overtakes what came before.
    pub(crate) fn visible_at(&self, message: Option<&Message>, now: Instant) -> Option<Instant> {
        let delay_ms = self.delay_ms(message.and_then(|message| message.rare.as_deref()));
        let own = (delay_ms > 0).then(|| now.after_ms(delay_ms));
        if self.settings.fifo.is_none() {
            return own;
        }
        let last = self.delayed.keys().rev().find(|(_, position)| !self.ready.holds(*position)).map(|(at, _)| *at);
        own.max(last)
    }

    pub(crate) fn delay(&mut self, entry: Entry, until: Instant, timers: &mut Timers) {
        timers.add(until, Timer::Delay { queue: self.id });
        self.delayed_bytes += entry.memory_bytes();
        self.delayed.insert((until, entry.position), entry);
    }

    /// Makes delayed entries ready whose time has come.
    pub(crate) fn wake_delayed(&mut self, now: Instant) {
        while let Some(first) = self.delayed.first_entry() {
            if first.key().0 > now {
                return;
            }
            let entry = first.remove();
            self.delayed_bytes -= entry.memory_bytes();
            self.ready.wake(entry);
        }
    }

    /// A lease that ends in `lease_ms`, and the timer for it.
    pub(crate) fn timed_lease(&self, id: &DeliveryId, lease_ms: u64, now: Now, timers: &mut Timers) -> Holder {
        let until = now.instant.after_ms(lease_ms);
        timers.add(until, Timer::Lease { queue: self.id, position: id.position, lease: id.lease });
        Holder::Timed(until)
    }

    pub(crate) fn schedule_expiry(&mut self, timers: &mut Timers) {
        let Some(at) = self.ready.next_expiry() else { return };
        if self.expiry_timer.is_none_or(|scheduled| at < scheduled) {
            self.expiry_timer = Some(at);
            timers.add(at, Timer::Expiry { queue: self.id });
        }
    }

    pub(crate) fn expiry_timer_fired(&mut self) {
        self.expiry_timer = None;
    }
}

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
        let own_delay_ms = rare
            .filter(|_| self.settings.fifo.is_none() && self.stream.is_none())
            .and_then(|rare| self.own_delay_ms(rare));
        own_delay_ms.or(self.settings.delay_ms).unwrap_or(0)
    }

    fn own_delay_ms(&self, rare: &Rare) -> Option<u64> {
        if self.is_delaying() {
            return rare.exchange_delay_ms.and_then(|delay_ms| u64::try_from(delay_ms).ok());
        }
        rare.delay_ms
    }

    /// When a new message becomes visible, if that is not now. In a FIFO queue, nothing overtakes what came before.
    pub(crate) fn visible_at(&self, message: Option<&Message>, now: Instant) -> Option<Instant> {
        let delay_ms = self.delay_ms(message.and_then(|message| message.rare.as_deref()));
        let own = (delay_ms > 0).then(|| now.after_ms(delay_ms));
        if self.settings.fifo.is_none() {
            return own;
        }
        let last =
            self.special.delayed.keys().rev().find(|(_, position)| !self.ready.holds(*position)).map(|(at, _)| *at);
        own.max(last)
    }

    pub(crate) fn delay(&mut self, entry: Entry, until: Instant, timers: &mut Timers) {
        timers.add(until, Timer::Delay { queue: self.id });
        self.special.delayed_bytes += entry.memory_bytes();
        self.special.delayed.insert((until, entry.position), entry);
    }

    /// The next delayed entry whose time has come.
    pub(crate) fn next_due(&self, now: Instant) -> Option<&Entry> {
        self.special.delayed.first_key_value().filter(|((at, _), _)| *at <= now).map(|(_, entry)| entry)
    }

    /// Takes out the next delayed entry whose time has come.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Entry> {
        let special = self.special.present()?;
        let first = special.delayed.first_entry().filter(|first| first.key().0 <= now)?;
        let entry = first.remove();
        special.delayed_bytes -= entry.memory_bytes();
        Some(entry)
    }

    pub(crate) fn is_delayed(&self, position: u64) -> bool {
        self.special.delayed.keys().any(|(_, of)| *of == position)
    }

    /// Takes out a delayed entry, whenever it is due.
    pub(crate) fn take_delayed(&mut self, position: u64) -> Option<Entry> {
        let key = *self.special.delayed.keys().find(|(_, of)| *of == position)?;
        let entry = self.special.delayed.remove(&key)?;
        self.special.delayed_bytes -= entry.memory_bytes();
        Some(entry)
    }

    /// Takes out all delayed entries.
    pub(crate) fn take_all_delayed(&mut self) -> impl Iterator<Item = Entry> + use<> {
        let delayed = self.special.present().map(|special| {
            special.delayed_bytes = 0;
            std::mem::take(&mut special.delayed)
        });
        delayed.unwrap_or_default().into_values()
    }

    /// Makes delayed entries ready whose time has come.
    pub(crate) fn wake_delayed(&mut self, now: Instant) {
        while let Some(entry) = self.take_due(now) {
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
        if let Some(at) = self.ready.next_expiry() {
            self.look_for_expiry(at, timers);
        }
    }

    /// Looks at the queue's oldest messages at that time, unless it is looked at them earlier.
    pub(crate) fn look_for_expiry(&mut self, at: Instant, timers: &mut Timers) {
        if self.expiry_timer.is_none_or(|scheduled| at < scheduled) {
            self.expiry_timer = Some(at);
            timers.add(at, Timer::Expiry { queue: self.id });
        }
    }

    pub(crate) fn expiry_timer_fired(&mut self) {
        self.expiry_timer = None;
    }
}

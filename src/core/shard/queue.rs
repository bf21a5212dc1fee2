//! One queue: what is ready, what is unsettled, who consumes.
//!
//! A queue knows nothing of the log or of other queues. Its methods say what became of messages, and the shard writes it down.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::command::Lease;
use crossdock_common::definition::{Overflow, QueueSettings};
use crossdock_common::event::Delivery;
use crossdock_common::names::{ConnectionId, DeliveryId, QueueId};
use crossdock_common::{ConsumerId, Event, Instant, Message, Name, Now};
use hashbrown::HashMap;

use super::command::{Effects, NewQueue, ShardFetch};
use super::consumers::Consumers;
use super::entry::{Entry, Holder, Unsettled};
use super::ready::Ready;
use super::timers::{Timer, Timers};
use crate::definitions::route::AnnouncedBinding;

/// The lease of a fetch where neither it nor the queue says how long (SQS's default).
const LEASE_MS_DEFAULT: u64 = 30_000;

/// A queue of this shard.
pub(crate) struct Queue {
    pub id: QueueId,
    pub vhost: Name,
    pub name: Name,
    pub durable: bool,
    pub auto_delete: bool,
    pub settings: QueueSettings,
    pub ready: Ready,
    pub unsettled: HashMap<u64, Unsettled, foldhash::fast::RandomState>,
    pub delayed: BTreeMap<(Instant, u64), Entry>,
    /// Dead letters whose copies are not safe yet.
    pub departing: HashMap<u64, Entry>,
    pub consumers: Consumers,
    /// Fetches that found nothing and wait.
    pub fetches: VecDeque<ShardFetch>,
    /// Messages that wait for the log before they become ready.
    pub awaiting: usize,
    pub next_position: u64,
    pub unused_since: Instant,
    /// Session state, by key.
    pub state: BTreeMap<Bytes, Bytes>,
    /// In the shard's list of queues to dispatch.
    pub dirty: bool,
    expiry_timer: Option<Instant>,
}

/// What handing out a message means for the log.
pub(crate) enum HandOut {
    /// It is gone: the consumer needs no settlement.
    Settled { position: u64, logged: bool },
    /// The attempt is to be written down.
    Attempt { position: u64, attempts: u32 },
}

impl Queue {
    pub(crate) fn new(new: NewQueue, now: Instant) -> Self {
        Self {
            id: new.id,
            vhost: new.vhost,
            name: new.name,
            durable: new.durable,
            auto_delete: new.auto_delete,
            ready: Ready::new(new.settings.priority_max),
            settings: new.settings,
            unsettled: HashMap::default(),
            delayed: BTreeMap::new(),
            departing: HashMap::default(),
            consumers: Consumers::default(),
            fetches: VecDeque::new(),
            awaiting: 0,
            next_position: 1,
            unused_since: now,
            state: BTreeMap::new(),
            dirty: false,
            expiry_timer: None,
        }
    }

    /// A new entry for the message, at the end of the queue.
    pub(crate) fn new_entry(&mut self, message: Arc<Message>, binding: Option<AnnouncedBinding>, now: Now) -> Entry {
        let position = self.next_position;
        self.next_position += 1;
        let logged = self.durable && message.durable;
        self.entry_at(position, message, binding, logged, now)
    }

    /// An entry at a known place, as after a restart.
    pub(crate) fn entry_at(
        &self,
        position: u64,
        message: Arc<Message>,
        binding: Option<AnnouncedBinding>,
        logged: bool,
        now: Now,
    ) -> Entry {
        let ttl_ms = [message.ttl_ms, self.settings.message_ttl_ms].into_iter().flatten().min();
        let expires_at = ttl_ms.map(|ttl_ms| {
            let age_ms = now.unix.0.saturating_sub(message.received_at.0);
            now.instant.after_ms(ttl_ms.saturating_sub(age_ms))
        });
        let first_delivered_at = crossdock_common::UnixMillis(0);
        Entry { position, message, logged, attempts: 0, first_delivered_at, expires_at, binding }
    }

    /// Whether the queue refuses another message (`x-overflow: reject-publish`).
    pub(crate) fn refuses(&self, message: &Message) -> bool {
        if matches!(self.settings.overflow, None | Some(Overflow::DropHead)) {
            return false;
        }
        let length = (self.ready.len() + self.awaiting) as u64;
        let bytes = self.ready.body_bytes() + message.body_bytes() as u64;
        self.settings.length_max.is_some_and(|max| length >= max)
            || self.settings.bytes_max.is_some_and(|max| bytes > max)
    }

    /// The entry that has to go because the queue is over its length.
    pub(crate) fn pop_overflow(&mut self) -> Option<Entry> {
        let over = self.settings.length_max.is_some_and(|max| self.ready.len() as u64 > max)
            || self.settings.bytes_max.is_some_and(|max| self.ready.body_bytes() > max);
        if over { self.ready.pop_oldest() } else { None }
    }

    /// Makes an entry ready, or delays it where the queue or the message says so.
    pub(crate) fn admit(&mut self, entry: Entry, now: Now, timers: &mut Timers) {
        match self.delay_ms(&entry) {
            0 => self.ready.insert(entry),
            delay_ms => self.delay(entry, now.instant.after_ms(delay_ms), timers),
        }
    }

    /// Makes an entry ready that was here before a restart; what is left of a delay is kept.
    pub(crate) fn readmit(&mut self, entry: Entry, now: Now, timers: &mut Timers) {
        let age_ms = now.unix.0.saturating_sub(entry.message.received_at.0);
        match self.delay_ms(&entry).saturating_sub(age_ms) {
            left_ms if left_ms > 0 && entry.attempts == 0 => {
                self.delay(entry, now.instant.after_ms(left_ms), timers);
            }
            _ => self.ready.insert(entry),
        }
    }

    fn delay_ms(&self, entry: &Entry) -> u64 {
        let own_delay_ms = entry.message.rare.as_ref().and_then(|rare| rare.delay_ms);
        own_delay_ms.or(self.settings.delay_ms).unwrap_or(0)
    }

    pub(crate) fn delay(&mut self, entry: Entry, until: Instant, timers: &mut Timers) {
        timers.add(until, Timer::Delay { queue: self.id });
        self.delayed.insert((until, entry.position), entry);
    }

    /// Makes delayed entries ready whose time has come.
    pub(crate) fn wake_delayed(&mut self, now: Instant) {
        while let Some(first) = self.delayed.first_entry() {
            if first.key().0 > now {
                return;
            }
            self.ready.insert(first.remove());
        }
    }

    /// Hands out what can be handed out: to waiting fetches, then to consumers. `gone` hears what the log has to know.
    pub(crate) fn hand_out(
        &mut self,
        now: Now,
        timers: &mut Timers,
        effects: &mut Effects,
        mut gone: impl FnMut(HandOut),
    ) {
        while self.ready.len() > 0 {
            let Some(fetch) = self.fetches.pop_front() else { break };
            self.serve_fetch(fetch, now, timers, effects, &mut gone);
        }
        self.serve_consumers(now, &mut gone);
        self.consumers.flush(effects);
        self.schedule_expiry(timers);
    }

    fn serve_consumers(&mut self, now: Now, gone: &mut impl FnMut(HandOut)) {
        let single = self.settings.single_active_consumer;
        let counted = self.settings.delivery_limit.is_some();
        while self.ready.head().is_some_and(|head| !head.is_expired(now.instant)) {
            let Some(consumer) = self.consumers.next(single) else { return };
            let Some(mut entry) = self.ready.pop_head() else { return };
            let delivery = entry.hand_out(self.id, consumer.id, now);
            let (position, logged) = (entry.position, entry.logged);
            consumer.send(delivery);
            if consumer.presettled {
                gone(HandOut::Settled { position, logged });
                continue;
            }
            if counted && logged {
                gone(HandOut::Attempt { position, attempts: entry.attempts });
            }
            let holder = Holder::Consumer { connection: consumer.outbox.connection, consumer: consumer.id };
            let lane_window = consumer.lane_window.clone();
            self.unsettled.insert(position, Unsettled { entry, holder, lane_window });
        }
    }

    /// Answers a fetch with what is there.
    pub(crate) fn serve_fetch(
        &mut self,
        fetch: ShardFetch,
        now: Now,
        timers: &mut Timers,
        effects: &mut Effects,
        gone: &mut impl FnMut(HandOut),
    ) {
        let mut deliveries = Vec::new();
        while (deliveries.len() as u64) < u64::from(fetch.count_max)
            && self.ready.head().is_some_and(|head| !head.is_expired(now.instant))
        {
            let Some(entry) = self.ready.pop_head() else { break };
            deliveries.push(self.take_for(&fetch, entry, now, timers, gone));
        }
        let ready = self.ready.len() as u64;
        fetch.outbox.push(Event::Fetched { request: fetch.request, deliveries, ready });
        effects.wake(&fetch.outbox);
    }

    fn take_for(
        &mut self,
        fetch: &ShardFetch,
        mut entry: Entry,
        now: Now,
        timers: &mut Timers,
        gone: &mut impl FnMut(HandOut),
    ) -> Delivery {
        let delivery = entry.hand_out(self.id, ConsumerId(0), now);
        let (position, logged) = (entry.position, entry.logged);
        if fetch.presettled {
            gone(HandOut::Settled { position, logged });
            return delivery;
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
        self.unsettled.insert(position, Unsettled { entry, holder, lane_window: None });
        delivery
    }

    /// A lease that ends in `lease_ms`, and the timer for it.
    pub(crate) fn timed_lease(&self, id: &DeliveryId, lease_ms: u64, now: Now, timers: &mut Timers) -> Holder {
        let until = now.instant.after_ms(lease_ms);
        timers.add(until, Timer::Lease { queue: self.id, position: id.position, lease: id.lease });
        Holder::Timed(until)
    }

    /// Takes a delivery out of the unsettled ones, if its lease is the current one.
    pub(crate) fn take_unsettled(&mut self, id: &DeliveryId) -> Option<Entry> {
        if self.unsettled.get(&id.position)?.entry.attempts != id.lease {
            return None;
        }
        let unsettled = self.unsettled.remove(&id.position)?;
        if let Holder::Consumer { connection, consumer } = unsettled.holder {
            self.consumers.release(connection, consumer);
        }
        if let Some(window) = &unsettled.lane_window {
            window.release();
        }
        Some(unsettled.entry)
    }

    /// The deliveries that a connection holds and loses when it goes, oldest first.
    pub(crate) fn held_by(&self, connection: ConnectionId) -> Vec<DeliveryId> {
        let holds = |holder: &Holder| match holder {
            Holder::Consumer { connection: holder, .. } | Holder::Connection(holder) => *holder == connection,
            Holder::Timed(_) => false,
        };
        let mut held: Vec<DeliveryId> = self
            .unsettled
            .values()
            .filter(|unsettled| holds(&unsettled.holder))
            .map(|unsettled| DeliveryId {
                queue: self.id,
                position: unsettled.entry.position,
                lease: unsettled.entry.attempts,
            })
            .collect();
        held.sort_unstable_by_key(|id| id.position);
        held
    }

    /// Nobody consumes or waits.
    pub(crate) fn is_unused(&self) -> bool {
        self.consumers.is_empty() && self.fetches.is_empty()
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

//! One queue: what is ready, what is unsettled, who consumes.
//!
//! A queue knows nothing of the log or of other queues. Its methods say what became of messages, and the shard writes it down.

mod contents;
mod timing;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::definition::{Durability, Overflow, QueueSettings};
use crossdock_common::names::{ConnectionId, DeliveryId, QueueId};
use crossdock_common::{Instant, Message, Name, Now, UnixMillis};

use super::command::{NewQueue, ShardFetch};
use super::consumers::Consumers;
use super::deduplication::Deduplication;
use super::entry::{Entry, Holder};
use super::large::Behind;
use super::ledger::Ledger;
use super::letters::{Dying, KeptLetters};
use super::move_task::MoveTask;
use super::publications::Publications;
use super::ready::Ready;
use super::stored::PageRef;
use super::stream::Stream;
use super::timers::Timers;
use super::traffic::Traffic;
use super::unsettled::AllUnsettled;
use crate::definitions::route::AnnouncedBinding;
use crate::log::{Location, Urgency};
use crate::rarely::{Rare, Rarely};

pub(crate) use contents::Awaited;

/// A queue of this shard.
pub(crate) struct Queue {
    pub id: QueueId,
    pub vhost: Name,
    pub name: Name,
    pub durable: bool,
    pub auto_delete: bool,
    /// Queues of one kind (all sessions, say) share theirs.
    pub settings: Arc<QueueSettings>,
    /// What a durable message waits for; `None` where nothing survives.
    pub urgency: Option<Urgency>,
    pub ready: Ready,
    pub unsettled: AllUnsettled,
    pub consumers: Consumers,
    /// Messages that wait for the log to be written, or synced, before they become ready.
    pub awaiting: Awaited,
    /// What few queues have.
    pub special: Rarely<Special>,
    /// What a stream has beside its messages.
    pub stream: Option<Box<Stream>>,
    /// Of a FIFO queue: what it had lately.
    pub deduplication: Option<Box<Deduplication>>,
    pub next_position: u64,
    pub unused_since: Instant,
    /// Session state, by key.
    pub state: BTreeMap<Bytes, Bytes>,
    /// The connection that has the session, or had it last.
    pub session_of: Option<ConnectionId>,
    /// What the session has published and may send again.
    pub publications: Option<Box<Publications>>,
    /// Moves its messages to other queues.
    pub moving: Option<Box<MoveTask>>,
    /// In the shard's list of queues to dispatch.
    pub dirty: bool,
    pub ledger: Ledger,
    pub traffic: Rarely<Traffic>,
    /// What the shard has counted of [`memory_bytes`](Self::memory_bytes).
    pub memory_counted: u64,
    expiry_timer: Option<Instant>,
}

/// What a queue has whose messages are not only ready or with consumers.
#[derive(Default)]
pub(crate) struct Special {
    pub delayed: BTreeMap<(Instant, u64), Entry>,
    delayed_bytes: u64,
    /// Dead letters whose copies are not safe yet.
    pub departing: BTreeMap<u64, Dying>,
    /// Dead letters that nobody takes, if the queue keeps them.
    pub kept: KeptLetters,
    /// Dead letters that have to be read first.
    pub burying: BTreeMap<u64, Dying>,
    /// Those of them that are not being read yet, in the order in which they died.
    pub to_read: Vec<u64>,
    /// What could not be read: kept for the experts, and tried again after a restart.
    pub damaged: Vec<Entry>,
    pub damaged_pages: Vec<PageRef>,
    /// Fetches that found nothing and wait.
    pub fetches: VecDeque<ShardFetch>,
    /// What waits behind large messages that are still being written.
    pub behind: Behind,
}

impl Rare for Special {
    const NONE: &'static Self = &Self {
        delayed: BTreeMap::new(),
        delayed_bytes: 0,
        departing: BTreeMap::new(),
        kept: KeptLetters::NONE,
        burying: BTreeMap::new(),
        to_read: Vec::new(),
        damaged: Vec::new(),
        damaged_pages: Vec::new(),
        fetches: VecDeque::new(),
        behind: Behind::NONE,
    };
}

/// What handing out a message means for the log.
pub(crate) enum HandOut {
    /// It is gone: the consumer needs no settlement.
    Settled { position: u64, logged: bool, stored: Option<Location> },
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
            ready: if new.settings.fifo.is_some() { Ready::fifo() } else { Ready::new(new.settings.priority_max) },
            deduplication: Deduplication::of(&new.settings).map(Box::new),
            stream: Stream::of(&new.settings),
            urgency: match new.durability {
                Durability::Fsync => Some(Urgency::Sync),
                Durability::Os => Some(Urgency::Write),
                // What is read from the log has to be there.
                Durability::Memory if new.settings.stream.is_some() => Some(Urgency::Write),
                Durability::Memory => None,
            },
            settings: Arc::new(new.settings),
            unsettled: AllUnsettled::default(),
            consumers: Consumers::default(),
            awaiting: Awaited::default(),
            special: Rarely::default(),
            next_position: 1,
            unused_since: now,
            state: BTreeMap::new(),
            session_of: None,
            publications: None,
            moving: None,
            dirty: false,
            ledger: Ledger::default(),
            traffic: Rarely::default(),
            memory_counted: 0,
            expiry_timer: None,
        }
    }

    /// A new entry for the message, at the end of the queue.
    pub(crate) fn new_entry(&mut self, message: Arc<Message>, binding: Option<AnnouncedBinding>, now: Now) -> Entry {
        let position = self.next_position;
        self.next_position += 1;
        self.ledger.accepted += 1;
        Entry {
            position,
            stored: None,
            body_bytes: u32::try_from(message.body_bytes()).unwrap_or(u32::MAX),
            level: self.ready.level_of(message.priority),
            logged: self.durable && self.urgency.is_some() && message.durable,
            expires: message.ttl_ms.is_some(),
            requested: false,
            attempts: 0,
            first_delivered_at: UnixMillis(0),
            expires_at: self.expires_at(&message, now),
            binding,
            message: Some(message),
        }
    }

    /// Whether the queue refuses another message (`x-overflow: reject-publish`).
    pub(crate) fn refuses(&self, message: &Message) -> bool {
        if matches!(self.settings.overflow, None | Some(Overflow::DropHead)) {
            return false;
        }
        let length = self.ready.len() + (self.awaiting.count() + self.special.kept.len()) as u64;
        let bytes = self.ready.body_bytes() + self.special.kept.body_bytes() + message.body_bytes() as u64;
        self.settings.length_max.is_some_and(|max| length >= max)
            || self.settings.bytes_max.is_some_and(|max| bytes > max)
    }

    /// The queue is over its length.
    pub(crate) fn overflows(&self) -> bool {
        self.settings.length_max.is_some_and(|max| self.ready.len() > max)
            || self.settings.bytes_max.is_some_and(|max| self.ready.body_bytes() > max)
    }

    /// Makes an entry ready, or delays it where the queue or the message says so. Without `keep`, only its reference stays in
    /// memory.
    pub(crate) fn admit(&mut self, mut entry: Entry, keep: bool, now: Now, timers: &mut Timers) {
        if entry.expires_at.is_some() {
            self.spare(&mut entry, now);
        }
        match self.visible_at(entry.message.as_deref(), now.instant) {
            None => self.ready.append(entry, keep),
            Some(at) => self.delay_new(entry, keep, at, timers),
        }
    }

    /// Who waits for a message already gets it, however short it lives.
    #[cold]
    fn spare(&self, entry: &mut Entry, now: Now) {
        if entry.is_expired(now.instant) && self.is_waited_for() {
            entry.expires_at = None;
        }
    }

    #[cold]
    fn delay_new(&mut self, mut entry: Entry, keep: bool, at: Instant, timers: &mut Timers) {
        if !keep {
            entry.unload();
        }
        self.delay(entry, at, timers);
    }

    /// Takes a delivery out of the unsettled ones, if its lease is the current one.
    pub(crate) fn take_unsettled(&mut self, id: &DeliveryId) -> Option<Entry> {
        let unsettled = self.unsettled.remove(id)?;
        if let Holder::Consumer { connection, consumer } = unsettled.holder {
            self.consumers.release(connection, consumer, 1);
        }
        if let Some(window) = &unsettled.lane_window {
            window.release(1);
        }
        Some(unsettled.entry)
    }

    /// Accepts a delivery, and those of `rest` that are held with it as part of a run; says how many. `None` if it is not held so.
    #[inline(never)]
    pub(crate) fn accept_part(&mut self, id: &DeliveryId, rest: &[DeliveryId]) -> Option<usize> {
        let held = self.unsettled.held_from(id.position).filter(|_| id.lease == 1)?;
        let next = (id.position + 1..id.position + held).map(|position| DeliveryId { position, ..*id });
        let count = 1 + next.zip(rest).take_while(|(next, id)| next == *id).count();
        let taken = self.unsettled.take_part(id.position, count as u64)?;
        let room = u32::try_from(count).unwrap_or(u32::MAX);
        if let Holder::Consumer { connection, consumer } = taken.holder {
            self.consumers.release(connection, consumer, room);
        }
        taken.lane_window.iter().for_each(|window| window.release(room));
        self.ledger.settled += count as u64;
        Some(count)
    }

    /// The deliveries that a connection holds and loses when it goes, oldest first.
    pub(crate) fn held_by(&self, connection: ConnectionId) -> Vec<DeliveryId> {
        self.unsettled.held_by(self.id, connection)
    }

    /// Puts itself on the list of those that may have something to hand out.
    pub(crate) fn mark(&mut self, dirty: &mut Vec<QueueId>) {
        if !std::mem::replace(&mut self.dirty, true) {
            dirty.push(self.id);
        }
    }

    /// Nobody consumes or waits.
    pub(crate) fn is_unused(&self) -> bool {
        self.consumers.is_empty() && self.special.fetches.is_empty()
    }

    /// The next message to come is taken at once.
    fn is_waited_for(&self) -> bool {
        self.ready.len() == 0 && (self.consumers.has_room() || !self.special.fetches.is_empty())
    }

    /// Somebody consumes or waits, or messages are being moved elsewhere.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.is_unused() || self.moving.is_some()
    }
}

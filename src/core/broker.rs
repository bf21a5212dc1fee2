//! The broker: definitions, shards and connections together.

pub mod administer;
pub(crate) mod announce;
mod connections;
mod declare;
pub(crate) mod define;
pub(crate) mod followers;
pub(crate) mod followup;
mod moves;
pub(crate) mod recovery;
mod session;
mod storage;
pub(crate) mod view;

pub use storage::Needs;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;

use bytes::Bytes;
use crossdock_common::command::{ExactlyOnce, FetchRetained, RetainedPlace};
use crossdock_common::event::RetainedMessages;
use crossdock_common::lane_quota::LaneQuota;
use crossdock_common::names::{ConnectionId, QueueId};
use crossdock_common::refusal::{Access, Resource};
use crossdock_common::{Event, Instant, Name, Now, Refusal};
use parking_lot::{Mutex, RwLock};

use crate::client::Client;
use crate::definitions::{Definitions, shard_of};
use crate::log::{Log, Sequence};
use crate::outbox::Outbox;
use crate::permissions::{Permissions, Who};
use crate::rules::Rules;
use crate::shard::command::{Confirmee, Effects, ShardCommand};
use crate::shard::publications::{Begun, Publisher};
use crate::shard::reading::ReadRequest;
use crate::shard::retained::Look;
use crate::shard::snapshot::{SnapshotPoint, UnfinishedSnapshot};
use crate::shard::{Shard, confirm};
use connections::Connections;

/// A part of the core with a log and timers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Partition {
    /// Vhosts, exchanges, queues, bindings, sessions.
    Definitions,
    /// The messages of some queues.
    Shard(usize),
}

/// What the broker needs to know from outside.
pub struct BrokerOptions {
    /// Deliveries that may wait for one connection, in bytes; beyond them its consumers are not served.
    pub outgoing_bytes_max: usize,
    /// Copies that a message may become through dead-letter exchanges. At least 1.
    pub dead_letter_copies_max: u32,
    /// Sessions there may be.
    pub sessions_max: SessionLimits,
    /// Called when a partition's [`deadline`](Broker::deadline) may have come nearer. Must be cheap and must not call back.
    pub deadline_changed: Box<dyn Fn(Partition) + Send + Sync>,
    /// Called when a shard wants something read from its log; the answer goes to [`take_read`](Broker::take_read). Must be cheap
    /// and must not call back.
    pub read: Box<dyn Fn(usize, ReadRequest) + Send + Sync>,
}

/// How many sessions there may be, with and without a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    pub all: usize,
    pub per_user: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { all: usize::MAX, per_user: usize::MAX }
    }
}

/// Everything there is. Shared by all connections.
pub struct Broker {
    definitions: RwLock<Definitions>,
    /// Moves with every change of definitions or permissions that may change a route.
    version: Arc<AtomicU64>,
    permissions: RwLock<Arc<Permissions>>,
    shards: Box<[Mutex<Shard>]>,
    deadlines: Box<[AtomicU64]>,
    /// The definitions' log is durable up to here.
    definitions_durable: AtomicU64,
    answers: Mutex<HeldAnswers>,
    rules: RwLock<Arc<Rules>>,
    connections: Mutex<Connections>,
    next_connection: AtomicU64,
    blocked: RwLock<Option<&'static str>>,
    draining: AtomicBool,
    /// Copies of dead letters that were not made because there were too many.
    letters_withheld: AtomicU64,
    announcements: announce::Announcements,
    moves: Mutex<moves::Moves>,
    sessions_expired: AtomicU64,
    /// Sessions that have a connection.
    sessions_connected: Arc<AtomicUsize>,
    options: BrokerOptions,
}

/// Answers that wait until the definitions are durable.
#[derive(Default)]
struct HeldAnswers {
    durable: Sequence,
    waiting: VecDeque<(Sequence, Held)>,
}

/// What waits.
enum Held {
    /// The answer to a definition command.
    Answer(Arc<Outbox>, Event),
    /// A message is safe once its queue is, a purge once the queue's name is.
    Confirm(Confirmee),
}

impl Broker {
    /// A new connection, not yet authenticated. `wake` is called when events wait for it; it must be cheap.
    pub fn connect(self: &Arc<Self>, wake: Waker) -> Client {
        let connection = ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed));
        let outbox = Outbox::new(connection, self.options.outgoing_bytes_max, wake);
        self.connections.lock().add(outbox.clone());
        if let Some(reason) = *self.blocked.read() {
            outbox.push(Event::Blocked { reason });
        }
        Client::new(self.clone(), outbox)
    }

    pub(crate) fn shared_user(&self, user: Name) -> Name {
        self.connections.lock().shared(user)
    }

    /// Makes a vhost, unless it exists.
    pub fn add_vhost(&self, name: &Name) {
        self.definitions.write().add_vhost(name);
    }

    /// Stops publishers (`Some`) or lets them go on: memory or disk is short. Every connection is told.
    pub fn set_blocked(&self, reason: Option<&'static str>) {
        let mut blocked = self.blocked.write();
        if *blocked == reason {
            return;
        }
        *blocked = reason;
        let event = reason.map_or(Event::Unblocked, |reason| Event::Blocked { reason });
        for outbox in self.connections.lock().outboxes() {
            outbox.push(event.clone());
            outbox.wake();
        }
    }

    /// Why publishers are stopped, if they are.
    pub fn blocked(&self) -> Option<&'static str> {
        *self.blocked.read()
    }

    /// Asks every connection to say goodbye ([`Client::must_leave`]).
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        for outbox in self.connections.lock().outboxes() {
            outbox.wake_always();
        }
    }

    /// See [`drain`](Self::drain).
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Connections, authenticated or not.
    pub fn connection_count(&self) -> usize {
        self.connections.lock().len()
    }

    /// The partition's log is durable up to `sequence`: confirms and replies go out, messages become ready.
    pub fn durable(self: &Arc<Self>, partition: Partition, sequence: Sequence, now: Now) {
        match partition {
            Partition::Shard(index) => {
                self.run(now, index, |shard, effects| shard.durable(now, sequence, effects));
            }
            Partition::Definitions => self.definitions_durable(sequence, now),
        }
    }

    /// When [`tick`](Self::tick) wants to be called for the partition.
    pub fn deadline(&self, partition: Partition) -> Option<Instant> {
        match partition {
            Partition::Shard(index) => self.shards.get(index)?.lock().deadline(),
            Partition::Definitions => self.definitions.read().session_deadline(),
        }
    }

    /// Does what is due in the partition.
    pub fn tick(self: &Arc<Self>, partition: Partition, now: Now) {
        match partition {
            Partition::Shard(index) => {
                self.run(now, index, |shard, effects| shard.tick(now, effects));
            }
            Partition::Definitions => self.end_sessions(now),
        }
    }

    /// Writes everything of the partition that survives into `log`, and says which part of the partition's log it stands for.
    pub fn snapshot(&self, partition: Partition, now: Now, log: &mut dyn Log) -> Option<SnapshotPoint> {
        let mut unfinished = self.begin_snapshot(partition, now, log)?;
        while !self.go_on_with_snapshot(&mut unfinished, usize::MAX, log) {}
        Some(unfinished.point())
    }

    /// The beginning of [`snapshot`](Self::snapshot), which others wait for.
    pub fn begin_snapshot(&self, partition: Partition, now: Now, log: &mut dyn Log) -> Option<UnfinishedSnapshot> {
        let point = match partition {
            Partition::Shard(index) => self.shards.get(index)?.lock().begin_snapshot(now, log),
            Partition::Definitions => {
                let definitions = self.definitions.read();
                definitions.snapshot(log);
                let last = definitions.last_sequence();
                SnapshotPoint { replay_after: last, usable_after: last }
            }
        };
        Some(UnfinishedSnapshot { partition, point, after: None })
    }

    /// The next piece of a snapshot: at most so many last values of keys. True if it was the last.
    pub fn go_on_with_snapshot(&self, unfinished: &mut UnfinishedSnapshot, keys_max: usize, log: &mut dyn Log) -> bool {
        let Partition::Shard(index) = unfinished.partition else { return true };
        let Some(shard) = self.shards.get(index) else { return true };
        shard.lock().go_on_with_snapshot(unfinished, keys_max, log)
    }

    /// What other parts of the broker keep with the definitions under a kind and a key, as bytes the core does not look into.
    pub fn documents(&self, kind: &str) -> Vec<(Name, Bytes)> {
        self.definitions.read().documents(kind)
    }

    /// Keeps (or, with `None`, forgets) a document. It is durable once the definitions' log is.
    pub fn set_document(&self, kind: &str, key: &Name, document: Option<Bytes>) {
        self.definitions.write().set_document(kind, key, document);
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn definitions(&self) -> parking_lot::RwLockReadGuard<'_, Definitions> {
        self.definitions.read()
    }

    /// A connection enters a vhost, a guest without permission; gives what it shares with the user's other connections.
    pub(crate) fn enter(
        &self,
        connection: ConnectionId,
        who: &Who,
        is_guest: bool,
    ) -> Result<Option<Arc<LaneQuota>>, Refusal> {
        // Held, so that a vhost that is deleted meanwhile finds the connection.
        let definitions = self.definitions.read();
        definitions.vhost(&who.vhost)?;
        let rules = self.rules();
        let mut connections = self.connections.lock();
        connections.has_room(connection, who, &rules)?;
        if !who.is_broker && !is_guest && !self.permissions().may_enter(&who.user, &who.vhost) {
            return Err(Refusal::VhostRefused { vhost: who.vhost.clone(), user: who.user.clone() });
        }
        Ok(connections.entered(connection, who, &rules))
    }

    pub(crate) fn exempt(&self, connection: ConnectionId) {
        self.connections.lock().exempt(connection);
    }

    /// Some of the retained messages of an exchange that the pattern matches, after permission was asked: a shard's lock is held for
    /// a few keys only.
    pub(crate) fn retained(&self, now: Now, who: &Who, fetch: &FetchRetained) -> Result<RetainedMessages, Refusal> {
        let FetchRetained { exchange, pattern, after } = fetch;
        let permissions = self.permissions();
        permissions.check(who, Access::Read, Resource::Exchange, exchange)?;
        let mut look = Look::default();
        let mut next = after.clone().or(Some(RetainedPlace { part: 0, after: None }));
        while let Some(RetainedPlace { part, after }) = next.take_if(|_| !look.is_enough()) {
            let Some(shard) = self.shards.get(part) else {
                self.announcements.matching(exchange, pattern, &mut look.found);
                break;
            };
            let of = (&who.vhost, exchange);
            let last = shard.lock().retained.matching(now, of, (pattern, after.as_ref()), &mut look);
            let part = if last.is_some() { part } else { part + 1 };
            next = Some(RetainedPlace { part, after: last });
        }
        let mut messages = look.found;
        if permissions.has_topics_of(who, exchange) {
            let may_read = |key: &Bytes| permissions.check_topic(who, Access::Read, exchange, key).is_ok();
            messages.retain(|message| may_read(&message.routing_key));
        }
        Ok(RetainedMessages { messages, next })
    }

    pub(crate) fn permissions(&self) -> Arc<Permissions> {
        self.permissions.read().clone()
    }

    pub(crate) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// Hands a batch to a shard. Says up to where its log is being synced for it.
    pub(crate) fn send_batch(
        self: &Arc<Self>,
        now: Now,
        index: usize,
        batch: &mut Vec<ShardCommand>,
    ) -> Option<Sequence> {
        self.run(now, index, |shard, effects| shard.handle(now, batch, effects))
    }

    pub(crate) fn forget_connection(&self, connection: ConnectionId) {
        self.connections.lock().remove(connection);
    }

    /// A publication came on a connection; `None` if its session is another one's by now.
    pub(crate) fn begin_publication(
        &self,
        session: QueueId,
        connection: ConnectionId,
        asked: ExactlyOnce,
        publisher: Publisher,
    ) -> Option<Begun> {
        let begin = |shard: &mut Shard| shard.begin_publication(session, connection, asked, publisher);
        self.with_shard(shard_of(session), begin).flatten()
    }

    /// Works on one shard under its lock, then, without it, does what the shard could not.
    fn run(self: &Arc<Self>, now: Now, index: usize, work: impl FnOnce(&mut Shard, &mut Effects)) -> Option<Sequence> {
        let mut effects = Effects::default();
        self.with_shard(index, |shard| work(shard, &mut effects));
        let hurried = effects.hurried;
        self.follow_up(now, effects);
        hurried
    }

    /// Works on one shard under its lock. The caller handles effects.
    fn with_shard<T>(&self, index: usize, work: impl FnOnce(&mut Shard) -> T) -> Option<T> {
        let mut shard = self.shards.get(index)?.lock();
        let result = work(&mut shard);
        let deadline = shard.deadline().map_or(u64::MAX, |at| at.0);
        drop(shard);
        if self.deadlines[index].swap(deadline, Ordering::AcqRel) > deadline {
            (self.options.deadline_changed)(Partition::Shard(index));
        }
        Some(result)
    }

    /// Holds an answer back until the definitions' log is durable up to `sequence`, or up to what others already wait for.
    pub(crate) fn answer_when_durable(&self, sequence: Option<Sequence>, outbox: Arc<Outbox>, event: Event) {
        // Answers are sent at once: nothing follows from them.
        let _ = self.answers.lock().hold(sequence, Held::Answer(outbox, event));
    }

    /// Confirms a share once the definitions' log is durable up to `sequence`.
    pub(crate) fn confirm_when_durable(self: &Arc<Self>, now: Now, sequence: Sequence, confirmee: Confirmee) {
        let effects = self.answers.lock().hold(Some(sequence), Held::Confirm(confirmee));
        self.follow_up(now, effects);
    }

    fn definitions_durable(self: &Arc<Self>, sequence: Sequence, now: Now) {
        let mut answers = self.answers.lock();
        answers.durable = answers.durable.max(sequence);
        self.definitions_durable.store(answers.durable.0, Ordering::Release);
        let effects = answers.release();
        drop(answers);
        self.follow_up(now, effects);
    }
}

impl HeldAnswers {
    fn hold(&mut self, sequence: Option<Sequence>, held: Held) -> Effects {
        let last = self.waiting.back().map_or(self.durable, |(last, _)| *last);
        self.waiting.push_back((sequence.unwrap_or(last).max(last), held));
        self.release()
    }

    /// Sends the answers that need not wait any longer.
    fn release(&mut self) -> Effects {
        let mut effects = Effects::default();
        while self.waiting.front().is_some_and(|(at, _)| *at <= self.durable) {
            match self.waiting.pop_front() {
                Some((_, Held::Answer(outbox, event))) => {
                    outbox.push_held(event);
                    outbox.wake();
                }
                Some((_, Held::Confirm(confirmee))) => confirm(confirmee, &mut effects),
                None => {}
            }
        }
        effects
    }
}

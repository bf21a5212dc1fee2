//! From records to a running broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use bytes::Bytes;
use crossdock_common::names::QueueId;
use crossdock_common::{Format, Name, Now};
use parking_lot::{Mutex, RwLock};

use super::moves::Moves;
use super::{Broker, BrokerOptions, HeldAnswers};
use crate::definitions::{Definitions, shard_of};
use crate::log::{Location, Log, Placed, RecordKind, Sequence, Urgency};
use crate::permissions::Permissions;
use crate::policies::Policies;
use crate::record::RecordError;
use crate::shard::Shard;
use crate::shard::landings::Landing;
use crate::shard::paging::Paging;
use crate::shard::replay::salvage::{LostPage, Reference, Repaired, Salvage};
use crate::shard::replay::{PageToRead, Replay};

/// A broker while its logs are read: first the definitions, then each shard to its end ([`ShardReplay::finish`]), then
/// [`finish`](Recovery::finish).
pub struct Recovery {
    definitions: Definitions,
    shards: Vec<Shard>,
    /// The highest number of a queue that each shard's records name.
    queue_max: Vec<QueueId>,
    now: Now,
}

impl Recovery {
    /// An empty broker of so many shards (1 to 255). `formats` explain the messages that the logs hold; `policies` hold for the
    /// queues found there and for those to come; `seed` makes names.
    pub fn new(shards: u8, formats: Vec<&'static dyn Format>, policies: Policies, seed: u64, now: Now) -> Self {
        let formats = Arc::new(formats);
        let make = |_| Shard::new(Box::new(Closed), formats.clone());
        Self {
            definitions: Definitions::new(shards.max(1), formats.clone(), policies, seed, Box::new(Closed)),
            shards: (0..shards.max(1)).map(make).collect(),
            queue_max: Vec::new(),
            now,
        }
    }

    /// Applies a record of the definitions' log.
    ///
    /// # Errors
    /// When the record is not understood; the caller says so and goes on.
    pub fn replay_definition(&mut self, kind: RecordKind, payload: &[u8]) -> Result<(), RecordError> {
        self.definitions.replay(kind, payload)
    }

    /// What was kept with the definitions under a kind, as far as they are read.
    pub fn documents(&self, kind: &str) -> Vec<(Name, Bytes)> {
        self.definitions.documents(kind)
    }

    /// The definitions are complete, and with them the operator's policies: queues follow these.
    pub fn set_policies(&mut self, policies: Policies) {
        self.definitions.set_policies(policies);
        self.definitions.set_durability_of_all();
    }

    /// The definitions are complete: makes the queues that the shards' records speak of, and gives for each shard what
    /// replays its log. They are independent of each other: each may have a thread of its own.
    pub fn begin_shards(&mut self) -> Vec<ShardReplay<'_>> {
        for (vhost, queue) in self.definitions.queues() {
            let shard = shard_of(queue.id);
            if let Some(shard) = self.shards.get_mut(shard) {
                shard.add_queue(queue.for_shard(vhost, &self.definitions.policies), self.now);
            }
        }
        self.queue_max = vec![QueueId(0); self.shards.len()];
        let (definitions, now) = (&self.definitions, self.now);
        let replay = |(shard, queue_max)| ShardReplay { definitions, shard, replay: Replay::new(now), queue_max };
        self.shards.iter_mut().zip(&mut self.queue_max).map(replay).collect()
    }

    /// Vhost and name of a queue among the definitions so far, for telling what a record concerns.
    pub fn queue(&self, stream: u64) -> Option<&(Name, Name)> {
        self.definitions.queue_name(QueueId(stream))
    }

    /// Starts the broker. `definitions_log` is where the definitions go from now on.
    pub fn finish(mut self, definitions_log: Box<dyn Log>, options: BrokerOptions) -> Arc<Broker> {
        self.definitions.log = definitions_log;
        self.queue_max.iter().for_each(|&id| self.definitions.reserve_queue_id(id));
        let durable = self.definitions.last_sequence();
        self.definitions.detach_sessions(self.now);
        self.land_publications();
        let moves = self.resume_moves();
        Arc::new(Broker {
            moves: Mutex::new(moves),
            version: self.definitions.version(),
            definitions: RwLock::new(self.definitions),
            permissions: RwLock::new(Arc::new(Permissions::default())),
            deadlines: self.shards.iter().map(|_| AtomicU64::new(u64::MAX)).collect(),
            shards: self.shards.into_iter().map(Mutex::new).collect(),
            definitions_durable: AtomicU64::new(durable.0),
            answers: Mutex::new(HeldAnswers { durable, ..HeldAnswers::default() }),
            rules: RwLock::default(),
            connections: Mutex::default(),
            next_connection: AtomicU64::new(1),
            blocked: RwLock::new(None),
            draining: AtomicBool::new(false),
            letters_withheld: AtomicU64::new(0),
            announcements: Default::default(),
            sessions_expired: AtomicU64::new(0),
            sessions_connected: Arc::default(),
            options,
        })
    }

    /// Tasks that moved messages go on, and know what has arrived.
    fn resume_moves(&mut self) -> Moves {
        let moves = Moves::read(&self.definitions);
        let arrived: Vec<_> = self.shards.iter().flat_map(|shard| shard.arrivals.iter()).collect();
        moves.resume(self.now, &mut self.shards, &arrived);
        moves
    }

    /// What publications were on their way when the broker ended is known now that all logs are read: their sessions keep it.
    fn land_publications(&mut self) {
        let mut of_shards: Vec<Vec<(QueueId, u64, Landing)>> = self.shards.iter().map(|_| Vec::new()).collect();
        for (session, number, landing) in self.shards.iter().flat_map(|shard| shard.landings.iter()) {
            if let Some(of_shard) = of_shards.get_mut(shard_of(session)) {
                of_shard.push((session, number, landing.clone()));
            }
        }
        for (shard, landings) in self.shards.iter_mut().zip(of_shards) {
            shard.land_publications(landings.iter().map(|(session, number, landing)| (*session, *number, landing)));
        }
    }
}

/// One shard while its log is read.
pub struct ShardReplay<'a> {
    definitions: &'a Definitions,
    shard: &'a mut Shard,
    replay: Replay,
    queue_max: &'a mut QueueId,
}

impl ShardReplay<'_> {
    /// Applies a record of the shard's log; `location` is where it can be read back (records of a snapshot cannot).
    ///
    /// # Errors
    /// When the record is not understood; the caller says so and goes on.
    pub fn replay(
        &mut self,
        kind: RecordKind,
        stream: u64,
        payload: &[u8],
        location: Option<Location>,
    ) -> Result<(), RecordError> {
        self.shard.replay(&mut self.replay, kind, stream, payload, location)
    }

    /// After the last record: the pages that have to be read.
    pub fn pages_to_read(&mut self) -> Vec<PageToRead> {
        self.replay.pages_to_read()
    }

    /// A page was read, or cannot be. In the order of [`pages_to_read`](Self::pages_to_read).
    pub fn page_read(&mut self, page: &PageToRead, payload: Option<Bytes>) {
        self.replay.page_read(page, payload);
    }

    /// Where pages are that the records so far refer to.
    pub fn page_locations(&self) -> Vec<Location> {
        self.replay.page_locations()
    }

    /// After the last record: all pages, for tools that want to know all messages. Instead of
    /// [`pages_to_read`](Self::pages_to_read).
    pub fn all_pages(&mut self) -> Vec<PageToRead> {
        self.replay.all_pages()
    }

    /// The messages that are on disk, when all pages have been read.
    pub fn references(&self) -> Vec<Reference> {
        self.replay.references()
    }

    /// Pages that could not be read.
    pub fn lost_pages(&self) -> Vec<LostPage> {
        self.replay.lost_pages()
    }

    /// For a repair, when all pages have been read: brings messages back whose references are lost, and gives up what it cannot
    /// find.
    pub fn salvage(&mut self, salvage: &Salvage) -> Vec<Repaired> {
        self.shard.salvage(&mut self.replay, salvage)
    }

    /// For a repair, at last: messages whose locations are doubtful are read, and written anew by [`finish`](Self::finish).
    /// Those that cannot be read are given up, and told.
    pub fn evacuate(
        &mut self,
        is_doubtful: &dyn Fn(&Location) -> bool,
        read: &mut dyn FnMut(Location) -> Option<Bytes>,
    ) -> Vec<Repaired> {
        let bindings_of = |queue| self.definitions.announced_bindings_of(queue);
        self.shard.evacuate(&mut self.replay, is_doubtful, read, &bindings_of)
    }

    /// The log is at its end: what is left of its messages is ready. From now on the shard writes to `log`.
    pub fn finish(self, log: Box<dyn Log>, paging: Paging) {
        *self.queue_max = self.replay.queue_max;
        self.shard.start(log, paging);
        self.shard.finish_replay(self.replay);
    }

    /// Vhost and name of a queue, for telling what a record concerns.
    pub fn queue(&self, stream: u64) -> Option<&(Name, Name)> {
        self.definitions.queue_name(QueueId(stream))
    }
}

/// The log while records are being read: nothing is written.
pub(crate) struct Closed;

impl Log for Closed {
    fn push(&mut self, _: RecordKind, _: u64, _: &[&[u8]]) -> Placed {
        Placed { start: 0, length_bytes: 0, crc: 0 }
    }

    fn next_sequence(&self) -> Sequence {
        Sequence(0)
    }

    fn len_bytes(&self) -> u64 {
        0
    }

    fn commit(&mut self, _: Urgency) {}
}

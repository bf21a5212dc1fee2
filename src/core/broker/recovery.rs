//! From records to a running broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use bytes::Bytes;
use crossdock_common::{Format, Now};
use parking_lot::{Mutex, RwLock};

use super::{Broker, BrokerOptions, HeldAnswers};
use crate::definitions::Definitions;
use crate::log::{Location, Log, Placed, RecordKind, Sequence, Urgency};
use crate::permissions::Permissions;
use crate::record::RecordError;
use crate::shard::Shard;
use crate::shard::replay::{PageToRead, Replay};

/// A broker while its logs are read: first the definitions, then each shard, then [`finish`](Recovery::finish).
pub struct Recovery {
    definitions: Definitions,
    shards: Vec<Shard>,
    replays: Vec<Replay>,
    now: Now,
}

impl Recovery {
    /// An empty broker of so many shards (1 to 255). `formats` explain the messages that the logs hold; `seed` makes names.
    pub fn new(shards: u8, formats: Vec<&'static dyn Format>, seed: u64, now: Now) -> Self {
        let formats = Arc::new(formats);
        let make = |_| Shard::new(Box::new(Closed), formats.clone());
        Self {
            definitions: Definitions::new(shards.max(1), seed, Box::new(Closed)),
            shards: (0..shards.max(1)).map(make).collect(),
            replays: Vec::new(),
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

    /// The definitions are complete: makes the queues that the shards' records speak of.
    pub fn begin_shards(&mut self) {
        for (vhost, queue) in self.definitions.queues() {
            let shard = crate::definitions::shard_of(queue.id);
            if let Some(shard) = self.shards.get_mut(shard) {
                shard.add_queue(queue.for_shard(vhost), self.now);
            }
        }
        self.replays = self.shards.iter().map(|_| Replay::new(self.now)).collect();
    }

    /// Applies a record of a shard's log; `location` is where it can be read back (records of a snapshot cannot).
    ///
    /// # Errors
    /// When the record is not understood; the caller says so and goes on.
    pub fn replay_shard(
        &mut self,
        index: usize,
        kind: RecordKind,
        stream: u64,
        payload: &[u8],
        location: Option<Location>,
    ) -> Result<(), RecordError> {
        match (self.shards.get_mut(index), self.replays.get_mut(index)) {
            (Some(shard), Some(replay)) => shard.replay(replay, kind, stream, payload, location),
            _ => Err(RecordError("no such shard")),
        }
    }

    /// After the last record of a shard: the pages that have to be read to complete it.
    pub fn pages_to_read(&mut self, index: usize) -> Vec<PageToRead> {
        self.replays.get_mut(index).map_or_else(Vec::new, Replay::pages_to_read)
    }

    /// A page was read, or cannot be. In the order of [`pages_to_read`](Self::pages_to_read).
    pub fn page_read(&mut self, index: usize, page: &PageToRead, payload: Option<Bytes>) {
        if let Some(replay) = self.replays.get_mut(index) {
            replay.page_read(page, payload);
        }
    }

    /// The queue's name, for telling what a damaged record hurt.
    pub fn queue_name(&self, stream: u64) -> Option<String> {
        let (vhost, name) = self.definitions.queue_name(crossdock_common::names::QueueId(stream))?;
        Some(format!("{name} in vhost {vhost}"))
    }

    /// Starts the broker. `logs` are where it writes from now on: the definitions' first, then one for each shard.
    pub fn finish(
        mut self,
        definitions_log: Box<dyn Log>,
        logs: Vec<Box<dyn Log>>,
        options: BrokerOptions,
    ) -> Arc<Broker> {
        self.definitions.log = definitions_log;
        self.replays.iter().for_each(|replay| self.definitions.reserve_queue_id(replay.queue_max));
        let durable = self.definitions.last_sequence();
        self.definitions.detach_sessions(self.now);
        for ((shard, replay), log) in self.shards.iter_mut().zip(self.replays).zip(logs) {
            shard.set_log(log);
            shard.set_paging(options.paging);
            shard.finish_replay(replay);
        }
        Arc::new(Broker {
            definitions: RwLock::new(self.definitions),
            version: AtomicU64::new(1),
            permissions: RwLock::new(Arc::new(Permissions::default())),
            deadlines: self.shards.iter().map(|_| AtomicU64::new(u64::MAX)).collect(),
            shards: self.shards.into_iter().map(Mutex::new).collect(),
            definitions_durable: AtomicU64::new(durable.0),
            answers: Mutex::new(HeldAnswers { durable, ..HeldAnswers::default() }),
            connections: Mutex::default(),
            next_connection: AtomicU64::new(1),
            blocked: RwLock::new(None),
            draining: AtomicBool::new(false),
            options,
        })
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

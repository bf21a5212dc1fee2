//! From records to a running broker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crossdock_common::{Format, Now};
use parking_lot::{Mutex, RwLock};

use super::{Broker, BrokerOptions, HeldAnswers};
use crate::definitions::Definitions;
use crate::log::{Log, RecordKind, Sequence};
use crate::permissions::Permissions;
use crate::record::RecordError;
use crate::shard::Shard;
use crate::shard::replay::Replay;

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
        let bindings = self.definitions.announced_bindings();
        self.replays = self.shards.iter().map(|_| Replay::new(self.now, bindings.clone())).collect();
    }

    /// Applies a record of a shard's log.
    ///
    /// # Errors
    /// When the record is not understood; the caller says so and goes on.
    pub fn replay_shard(
        &mut self,
        index: usize,
        kind: RecordKind,
        stream: u64,
        payload: &[u8],
    ) -> Result<(), RecordError> {
        match (self.shards.get_mut(index), self.replays.get_mut(index)) {
            (Some(shard), Some(replay)) => shard.replay(replay, kind, stream, payload),
            _ => Err(RecordError("no such shard")),
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
            shard.finish_replay(replay);
            shard.set_log(log);
        }
        Arc::new(Broker {
            version: self.definitions.version(),
            definitions: RwLock::new(self.definitions),
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
    fn push(&mut self, _: RecordKind, _: u64, _: &[&[u8]]) {}

    fn next_sequence(&self) -> Sequence {
        Sequence(0)
    }

    fn len_bytes(&self) -> u64 {
        0
    }

    fn commit(&mut self) {}
}

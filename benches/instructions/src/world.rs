//! A broker whose logs are in memory and whose time stands still.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossdock_aws::{Environment, Namespaces, Quirks};
use crossdock_common::{Format, Instant, Now, UnixMillis};
use crossdock_core::{
    Broker, BrokerOptions, Client, Log, Paging, Partition, Permissions, Place, Placed, Policies, RecordKind, Recovery,
    Sequence, Urgency,
};

/// The only time there is: 2026-01-02T03:04:05.678Z.
pub const NOW: Now = Now { instant: Instant(5_000_000), unix: UnixMillis(1_767_323_045_678) };

/// As the program has on two cores.
const SHARDS: u8 = 2;
/// Makes names; any number, but always the same.
const SEED: u64 = 7;
/// Unwritten bytes of a connection: never reached.
const OUTGOING_BYTES_MAX: usize = 16 << 20;

/// The broker and how far its shards' logs are.
pub struct World {
    broker: Arc<Broker>,
    committed: Vec<Arc<AtomicU64>>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// With the vhost `/`, where everybody may do everything.
    pub fn new() -> Self {
        let formats: Vec<&'static dyn Format> =
            vec![&crossdock_amqp091::FORMAT, &crossdock_mqtt::FORMAT, &crossdock_stomp::FORMAT, &crossdock_aws::FORMAT];
        let mut recovery = Recovery::new(SHARDS, formats, Policies::default(), SEED, NOW);
        let mut committed = Vec::new();
        for shard in recovery.begin_shards() {
            let log = MemoryLog::default();
            committed.push(log.committed.clone());
            shard.finish(Box::new(log), Paging::default());
        }
        let options = BrokerOptions {
            outgoing_bytes_max: OUTGOING_BYTES_MAX,
            dead_letter_copies_max: u32::MAX,
            sessions_max: crossdock_core::SessionLimits::default(),
            deadline_changed: Box::new(|_| {}),
            read: Box::new(|_, _| {}),
        };
        let broker = recovery.finish(Box::new(MemoryLog::default()), options);
        broker.set_permissions(Permissions::everything());
        broker.add_vhost(&"/".into());
        // Definitions are not counted, so they may be durable before they are made.
        broker.durable(Partition::Definitions, Sequence(u64::MAX), NOW);
        Self { broker, committed }
    }

    /// A new connection.
    pub fn connect(&self) -> Client {
        self.broker.connect(std::task::Waker::noop().clone())
    }

    /// Does what is due at that time.
    pub fn tick(&self, now: Now) {
        (0..self.committed.len()).for_each(|index| self.broker.tick(Partition::Shard(index), now));
        self.broker.tick(Partition::Definitions, now);
    }

    /// What was handed to the shards' logs is durable.
    pub fn make_durable(&self) {
        for (index, committed) in self.committed.iter().enumerate() {
            let sequence = Sequence(committed.load(Ordering::Relaxed));
            self.broker.durable(Partition::Shard(index), sequence, NOW);
        }
    }
}

/// What the AWS APIs know of the one account that there is.
pub fn environment() -> Environment {
    let home =
        Namespaces { account: "000000000000".to_owned(), region: "us-east-1".to_owned(), regions_together: false };
    Environment {
        namespace: home.of(None, None).expect("the home"),
        message_bytes_max: 1 << 20,
        receipt_key: vec![7; 32],
        quirks: Quirks::default(),
        memory: Arc::default(),
        office: None,
        directory: None,
    }
}

/// Copies records as a journal does, and forgets them: nothing is ever read back.
#[derive(Default)]
struct MemoryLog {
    committed: Arc<AtomicU64>,
    building: Vec<u8>,
    told: u64,
}

impl Log for MemoryLog {
    fn push(&mut self, _: RecordKind, _: u64, parts: &[&[u8]]) -> Placed {
        let start = self.building.len();
        parts.iter().for_each(|part| self.building.extend_from_slice(part));
        Placed { start: start as u32, length_bytes: (self.building.len() - start) as u32, crc: 0 }
    }

    fn next_sequence(&self) -> Sequence {
        Sequence(self.committed.load(Ordering::Relaxed) + 1)
    }

    fn len_bytes(&self) -> u64 {
        self.building.len() as u64
    }

    fn commit(&mut self, _: Urgency) {
        if !self.building.is_empty() {
            self.building.clear();
            self.committed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take_places(&mut self, up_to: Sequence, places: &mut VecDeque<Place>) {
        // Every batch begins at the same place: nobody looks.
        let place = |sequence| Place { sequence: Sequence(sequence), segment: NonZeroU64::MIN, offset: 0 };
        places.extend((self.told + 1..=up_to.0).map(place));
        self.told = self.told.max(up_to.0);
    }
}

//! Where a part of the core writes what must survive, and where it is read back from.

use std::collections::VecDeque;
use std::num::NonZeroU64;

/// A batch's number in its log; the first is 1, 0 is before everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// Where in its batch a record was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Start of the payload among the batch's payloads.
    pub start: u32,
    pub length_bytes: u32,
    /// Checksum of the payload, for whoever reads it back.
    pub crc: u32,
}

/// Where a batch was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub sequence: Sequence,
    /// The log's segment; numbers grow.
    pub segment: NonZeroU64,
    /// Where the batch's payloads begin in the segment.
    pub offset: u32,
}

/// Where a record can be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    pub segment: NonZeroU64,
    pub offset: u32,
    pub length_bytes: u32,
    pub crc: u32,
}

impl Placed {
    /// The record's location, once its batch has a place.
    pub(crate) fn at(self, place: &Place) -> Location {
        let Self { start, length_bytes, crc } = self;
        Location { segment: place.segment, offset: place.offset + start, length_bytes, crc }
    }
}

/// Whether somebody waits for a batch to survive power loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// To be synced at once.
    Sync,
    /// To be written; synced with whatever comes next, or a moment later.
    Write,
}

/// An append-only log of one partition (one shard, or the definitions). Implemented over the journal by `src/broker`, and in
/// memory by tests. Nothing here waits for a disk: [`commit`](Log::commit) hands the batch over, and whoever owns the log calls
/// `durable(sequence)` of the partition later.
pub trait Log: Send + Sync {
    /// Adds a record to the batch that is being built. `stream` says whom it concerns, so that damage can be attributed.
    fn push(&mut self, kind: RecordKind, stream: u64, parts: &[&[u8]]) -> Placed;

    /// The number that the batch being built will have.
    fn next_sequence(&self) -> Sequence;

    /// Size of the batch being built, in bytes; 0 while it has no record.
    fn len_bytes(&self) -> u64;

    /// Whether the batch being built has no record yet.
    fn is_empty(&self) -> bool {
        self.len_bytes() == 0
    }

    /// Hands over the batch, if it has any record.
    fn commit(&mut self, urgency: Urgency);

    /// Somebody waits for what was handed over with [`Urgency::Write`].
    fn sync(&mut self) {}

    /// Adds the places of the batches written up to `up_to`, each told once, oldest first.
    fn take_places(&mut self, up_to: Sequence, places: &mut VecDeque<Place>) {
        let _ = (up_to, places);
    }

    /// No record of this segment will be read again: its space may go once a snapshot covers it, and everything that was handed
    /// over until now is durable.
    fn release(&mut self, segment: NonZeroU64) {
        let _ = segment;
    }

    /// The segments there are, oldest first.
    fn segments(&self) -> Vec<NonZeroU64> {
        Vec::new()
    }
}

/// What a record says. Written to disk: a number is never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// A message and the places it took in queues.
    Message = 1,
    /// Places that are settled.
    Settled = 2,
    /// A message was handed out so many times.
    Attempts = 3,
    /// The next place of a queue, so that places are never given twice.
    NextPosition = 4,
    /// The retained message of an exchange and key.
    Retained = 5,
    /// A piece of session state.
    SessionState = 6,
    /// Messages that are stored elsewhere, each with its place in the queue and in the log (in snapshots).
    Stored = 7,
    /// The same, moved out of memory: read back when the queue gets there, never replayed.
    Page = 8,
    /// Pages of a queue (in snapshots).
    Pages = 9,
    /// Stored messages that are not visible yet, with the time when they will be (in snapshots).
    Delayed = 10,
    /// A message that need not survive, moved out of memory: never replayed.
    Transient = 11,
    /// All messages of a queue up to a place are gone, except some.
    Purged = 12,
    /// A piece of a large body; the message that it belongs to comes later and says where its pieces are.
    Part = 13,
    /// Where the pieces of a large body are (in snapshots).
    Parts = 14,
    /// Ids by which a FIFO queue knows its last messages (in snapshots, and when a purge takes what is not written yet).
    Deduplication = 15,
    /// An exchange, as it is from now on.
    Exchange = 16,
    /// An exchange is gone.
    ExchangeDeleted = 17,
    /// A queue, as it is from now on.
    Queue = 18,
    /// A queue is gone.
    QueueDeleted = 19,
    /// A binding, as it is from now on.
    Binding = 20,
    /// A binding is gone.
    BindingDeleted = 21,
    /// A session, as it is from now on.
    Session = 22,
    /// A session is gone.
    SessionDeleted = 23,
    /// A vhost.
    Vhost = 24,
    /// The next queue number and the last binding's number, so that numbers are never reused.
    NextQueue = 25,
    /// What other parts of the broker keep.
    Document = 26,
    /// A vhost is gone, with everything in it.
    VhostDeleted = 27,
    /// Publications of a session that have come to queues of the shard (in snapshots).
    Landings = 30,
    /// Places of a queue whose messages were moved to queues of the shard (in snapshots).
    Arrivals = 31,
}

impl RecordKind {
    /// The kind of that number.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Message,
            2 => Self::Settled,
            3 => Self::Attempts,
            4 => Self::NextPosition,
            5 => Self::Retained,
            6 => Self::SessionState,
            7 => Self::Stored,
            8 => Self::Page,
            9 => Self::Pages,
            10 => Self::Delayed,
            11 => Self::Transient,
            12 => Self::Purged,
            13 => Self::Part,
            14 => Self::Parts,
            15 => Self::Deduplication,
            16 => Self::Exchange,
            17 => Self::ExchangeDeleted,
            18 => Self::Queue,
            19 => Self::QueueDeleted,
            20 => Self::Binding,
            21 => Self::BindingDeleted,
            22 => Self::Session,
            23 => Self::SessionDeleted,
            24 => Self::Vhost,
            25 => Self::NextQueue,
            26 => Self::Document,
            27 => Self::VhostDeleted,
            30 => Self::Landings,
            31 => Self::Arrivals,
            _ => return None,
        })
    }
}

//! Where a part of the core writes what must survive.

/// A batch's number in its log; the first is 1, 0 is before everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// An append-only log of one partition (one shard, or the definitions). Implemented over the journal by `src/broker`, and in
/// memory by tests. Nothing here waits for a disk: [`commit`](Log::commit) hands the batch over, and whoever owns the log calls
/// `durable(sequence)` of the partition later.
pub trait Log: Send + Sync {
    /// Adds a record to the batch that is being built. `stream` says whom it concerns, so that damage can be attributed.
    fn push(&mut self, kind: RecordKind, stream: u64, parts: &[&[u8]]);

    /// The number that the batch being built will have.
    fn next_sequence(&self) -> Sequence;

    /// Size of the batch being built, in bytes; 0 while it has no record.
    fn len_bytes(&self) -> u64;

    /// Whether the batch being built has no record yet.
    fn is_empty(&self) -> bool {
        self.len_bytes() == 0
    }

    /// Hands over the batch, if it has any record.
    fn commit(&mut self);
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
            _ => return None,
        })
    }
}

//! What is counted: one stage of one scenario, in rounds of the same work.

use std::hint::black_box;

/// Messages in a round, as one read may bring.
pub const MESSAGES: usize = 100;
/// Rounds before the first that is counted: caches and buffers have their size then.
const ROUNDS_BEFORE: usize = 3;
/// Rounds that are counted. Few, but the same instructions each time.
const ROUNDS_COUNTED: usize = 50;

/// A part of a message's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The machine makes commands of the publisher's bytes.
    Decode,
    /// A route is found, and no queue is behind it.
    Route,
    /// The message finds its queue and gets its place, and nobody consumes.
    Enqueue,
    /// The core carries out the publisher's commands: route, place, and hand-out to the consumer that waits.
    Core,
    /// The log has written the messages: they become ready, are handed out and confirmed.
    Durable,
    /// The publisher's machine makes bytes of confirms.
    Confirm,
    /// Ready messages are handed out to a consumer and taken by its connection.
    Deliver,
    /// The consumer's machine makes bytes of deliveries.
    Encode,
    /// The machine makes commands of the consumer's acknowledgements.
    DecodeAck,
    /// The core settles deliveries.
    Settle,
    /// An HTTP request's signature is checked.
    Verify,
    /// An HTTP request that sends becomes commands, and the events a response.
    Send,
    /// An HTTP request that receives, in the same way.
    Receive,
    /// An HTTP request that deletes, in the same way.
    Delete,
}

impl Stage {
    /// How rows name it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Route => "route",
            Self::Enqueue => "enqueue",
            Self::Core => "core",
            Self::Durable => "durable",
            Self::Confirm => "confirm",
            Self::Deliver => "deliver",
            Self::Encode => "encode",
            Self::DecodeAck => "decode-ack",
            Self::Settle => "settle",
            Self::Verify => "verify",
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Delete => "delete",
        }
    }
}

/// Knows which stage is counted, and whether it is counted now.
pub struct Probe {
    wanted: Stage,
    counts: bool,
}

impl Probe {
    /// Counts that stage.
    pub fn new(wanted: Stage) -> Self {
        Self { wanted, counts: false }
    }

    /// Messages whose wanted stage is counted altogether.
    pub fn messages_counted() -> u64 {
        (MESSAGES * ROUNDS_COUNTED) as u64
    }

    /// Calls `round` as often as it takes; each is the way of [`MESSAGES`].
    pub fn rounds(&mut self, mut round: impl FnMut(&Self)) {
        for index in 0..ROUNDS_BEFORE + ROUNDS_COUNTED {
            self.counts = index >= ROUNDS_BEFORE;
            round(self);
        }
    }

    /// Does a stage's work, counted if it is the wanted one.
    pub fn stage(&self, stage: Stage, mut work: impl FnMut()) {
        if self.counts && stage == self.wanted {
            counted_by_callgrind(&mut work);
        } else {
            work();
        }
    }
}

/// Callgrind counts while this function is on the stack, and finds it by its name.
#[inline(never)]
fn counted_by_callgrind(work: &mut dyn FnMut()) {
    work();
    // Not the last call, or it would be a jump that leaves this function.
    black_box(());
}

//! What a shard has to do without being asked, by time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crossdock_common::names::ConnectionId;
use crossdock_common::names::QueueId;
use crossdock_common::{Instant, RequestId};

/// One thing to do. Timers are never cancelled: whoever is woken looks whether it still applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The lease of a delivery may have ended.
    Lease { queue: QueueId, position: u64, lease: u32 },
    /// The head of a queue may have expired.
    Expiry { queue: QueueId },
    /// A delayed message may be due.
    Delay { queue: QueueId },
    /// A fetch may have waited long enough.
    Fetch { queue: QueueId, connection: ConnectionId, request: RequestId },
    /// A queue may have been unused for long enough.
    Unused { queue: QueueId },
    /// Dead letters that nobody took may be taken now.
    Letters { queue: QueueId },
    /// A message may be moved to another queue now.
    Move { queue: QueueId },
}

/// Timers by time.
#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Timer)>>,
}

impl Timers {
    pub(crate) fn add(&mut self, at: Instant, timer: Timer) {
        self.heap.push(Reverse((at, timer)));
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, timer))| timer)
    }
}

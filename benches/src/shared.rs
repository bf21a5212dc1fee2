//! What the publishing and the consuming thread share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Deliveries that are published and not yet consumed: enough to keep everybody busy, little enough that no queue grows.
const AHEAD_MAX: u64 = 20_000;
/// The same in bytes of bodies.
const AHEAD_BYTES_MAX: u64 = 20 << 20;

/// Counters of one run.
pub struct Shared {
    pub start: Instant,
    pub stop: AtomicBool,
    /// Latencies count.
    pub measuring: AtomicBool,
    pub published: AtomicU64,
    /// Deliveries.
    pub consumed: AtomicU64,
    /// Deliveries of one message.
    copies: u64,
    ahead_max: u64,
}

impl Shared {
    pub fn new(copies: u64, body_bytes: usize) -> Self {
        Self {
            start: Instant::now(),
            stop: AtomicBool::default(),
            measuring: AtomicBool::default(),
            published: AtomicU64::default(),
            consumed: AtomicU64::default(),
            copies,
            ahead_max: AHEAD_MAX.min(AHEAD_BYTES_MAX / body_bytes as u64),
        }
    }

    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// How many more messages may be published.
    pub fn room(&self) -> u64 {
        let due = self.published.load(Ordering::Relaxed) * self.copies;
        let ahead = due.saturating_sub(self.consumed.load(Ordering::Relaxed));
        self.ahead_max.saturating_sub(ahead) / self.copies
    }

    /// A moment as it is written into a body: nanoseconds since the start.
    pub fn stamp(moment: Duration) -> [u8; 8] {
        u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX).to_le_bytes()
    }

    /// The age, now, of a message whose body begins with a stamp.
    pub fn age(now: Duration, body: &[u8]) -> Option<Duration> {
        let stamp = u64::from_le_bytes(body.get(..8)?.try_into().ok()?);
        now.checked_sub(Duration::from_nanos(stamp))
    }
}

//! The one place where the broker reads the time.

use std::time::{Instant as MonotonicInstant, SystemTime, UNIX_EPOCH};

use crossdock_common::{Instant, Now, UnixMillis};

/// A clock that started with the broker.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: MonotonicInstant,
}

impl Clock {
    /// Starts at instant 1 s, so that "a second ago" exists from the beginning.
    pub fn start() -> Self {
        Self { start: MonotonicInstant::now() }
    }

    /// The time.
    pub fn now(self) -> Now {
        let elapsed_us = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        // A wall clock before 1970 is broken; 0 is as good as anything.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix = UnixMillis(u64::try_from(unix.as_millis()).unwrap_or(u64::MAX));
        Now { instant: Instant(1_000_000 + elapsed_us), unix }
    }

    /// Milliseconds since the start.
    pub fn uptime_ms(self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The same instant for the runtime's timers.
    pub fn to_tokio(self, instant: Instant) -> tokio::time::Instant {
        let since_start = std::time::Duration::from_micros(instant.0.saturating_sub(1_000_000));
        // tokio's timers refuse instants that are centuries away.
        let bounded = since_start.min(std::time::Duration::from_secs(365 * 24 * 3600));
        tokio::time::Instant::from_std(self.start + bounded)
    }
}

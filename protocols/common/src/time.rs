//! Time as an argument. Nothing below `src/net` reads a clock; whoever calls a machine or the core says what time it is.

use std::time::Duration;

/// A point on the process's monotonic clock, in microseconds since the broker started.
///
/// Leases, heart-beats, delays and time-outs are measured on it, so a jump of the wall clock moves none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// The instant `duration` later; saturates at the end of time (584,000 years).
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The instant `milliseconds` later; saturates.
    pub fn after_ms(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds.saturating_mul(1000)))
    }

    /// Milliseconds from `earlier` to `self`, 0 if `earlier` is later.
    pub fn ms_since(self, earlier: Instant) -> u64 {
        self.0.saturating_sub(earlier.0) / 1000
    }
}

/// Wall-clock time in milliseconds since 1970-01-01T00:00:00Z, for what people and other systems read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

/// The current time, read once per batch by the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For everything that is measured.
    pub instant: Instant,
    /// For everything that is shown or stored.
    pub unix: UnixMillis,
}

impl Now {
    /// The wall-clock time that the monotonic `instant` corresponds to.
    pub fn unix_at(self, instant: Instant) -> UnixMillis {
        if instant >= self.instant {
            UnixMillis(self.unix.0.saturating_add(instant.ms_since(self.instant)))
        } else {
            UnixMillis(self.unix.0.saturating_sub(self.instant.ms_since(instant)))
        }
    }

    /// The monotonic instant at which the wall clock will read `unix`; the past becomes now.
    pub fn instant_at(self, unix: UnixMillis) -> Instant {
        self.instant.after_ms(unix.0.saturating_sub(self.unix.0))
    }
}

//! A sync that takes less time than the wake-ups around it is watched, not slept over.
//!
//! Who publishes one message, waits for its confirm and publishes the next pays for each sync more than once: the disk's time, and
//! the time until the journal's thread has woken the partition's task and that the connection's. On a disk that syncs in 0.15 ms
//! the second is nearly as long as the first (`benches/RESULTS.md`). So the connection's own task looks at the journal again and
//! again for that moment, and does itself what the partition's task would do. It does so only while next to nothing else waits for
//! the disk, not where syncs turn out to be slow, and the thread's other connections are served meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crossdock_core::{Hurried, Partition};

use super::engine::Engine;
use super::partition::Signals;

/// A sync is watched for so long at most.
const WATCH_MAX: Duration = Duration::from_micros(400);
/// What a lone publisher may have given to the disk. More is a stream, and a stream is worth no waiting.
const LONE_BYTES_MAX: u64 = 16 << 10;
/// After a sync that was too slow for it the next is not watched, after another one in a row the next two, then four, up to this.
const PASSED_OVER_MAX: u32 = 4_096;

/// Whether it is worth the while.
#[derive(Debug, Default)]
pub(super) struct Vigil {
    /// Syncs that are still to be passed over.
    pass_over: AtomicU32,
    /// How many were, last time.
    passed_over: AtomicU32,
}

impl Vigil {
    fn is_due(&self) -> bool {
        let left = self.pass_over.load(Ordering::Relaxed);
        self.pass_over.store(left.saturating_sub(1), Ordering::Relaxed);
        left == 0
    }

    fn learn(&self, was_quick: bool) {
        let passed_over = match self.passed_over.load(Ordering::Relaxed) {
            _ if was_quick => 0,
            last => (2 * last).clamp(1, PASSED_OVER_MAX),
        };
        self.passed_over.store(passed_over, Ordering::Relaxed);
        self.pass_over.store(passed_over, Ordering::Relaxed);
    }
}

/// One connection watches one sync. As long as this exists the partition's task is not woken for it.
pub struct SyncWatch {
    signals: Arc<Signals>,
    hurried: Hurried,
    until: Instant,
    /// What the core was told.
    told: u64,
}

impl SyncWatch {
    /// The sync is done, or takes too long.
    pub fn is_over(&self) -> bool {
        self.is_synced() || Instant::now() >= self.until
    }

    fn is_synced(&self) -> bool {
        self.signals.durable() >= self.hurried.to.0
    }
}

impl Drop for SyncWatch {
    fn drop(&mut self) {
        self.signals.end_watch(self.told);
    }
}

impl Engine {
    /// The caller's commands wait for a shard's log: a watch, if it is worth one.
    pub fn watch_sync(&self, hurried: Hurried) -> Option<SyncWatch> {
        let (journal, signals) = (self.journals.get(hurried.shard + 1)?, self.signals.get(hurried.shard + 1)?);
        if !self.vigil.is_due() || journal.pending_bytes() > LONE_BYTES_MAX || !signals.begin_watch() {
            return None;
        }
        Some(SyncWatch { signals: signals.clone(), hurried, until: Instant::now() + WATCH_MAX, told: 0 })
    }

    /// Ends a watch that is over. True if the sync was quick: what waited for it has happened. Otherwise it happens later, as for
    /// everybody else.
    pub fn end_watch(&self, mut watch: SyncWatch) -> bool {
        let is_synced = watch.is_synced();
        self.vigil.learn(is_synced);
        if is_synced {
            let Hurried { shard, to } = watch.hurried;
            self.broker.durable(Partition::Shard(shard), to, self.clock.now());
            watch.told = to.0;
        }
        is_synced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed_over(vigil: &Vigil) -> u32 {
        (0..).take_while(|_| !vigil.is_due()).count() as u32
    }

    #[test]
    fn slow_syncs_are_watched_ever_more_seldom_until_one_is_quick() {
        let vigil = Vigil::default();
        assert_eq!(passed_over(&vigil), 0);
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 4_096] {
            vigil.learn(false);
            assert_eq!(passed_over(&vigil), expected);
        }
        vigil.learn(true);
        assert_eq!(passed_over(&vigil), 0);
        vigil.learn(false);
        assert_eq!(passed_over(&vigil), 1);
    }
}

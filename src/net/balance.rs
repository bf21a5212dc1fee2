//! When one thread is enough for all connections, and when not.

use std::time::Duration;

/// Share of one core beyond which connections are served by all threads.
const SPREAD_ABOVE: f64 = 0.5;
/// Share of one core, of all threads together, below which one is enough. Far below, because several threads also have the work
/// of waking each other.
const GATHER_BELOW: f64 = 0.2;
/// It must have been that quiet for so long.
const GATHER_AFTER: Duration = Duration::from_secs(1);

/// What the load was so far.
#[derive(Default)]
pub(super) struct Balance {
    /// All time that the threads were busy.
    busy: Duration,
    is_spread: bool,
    quiet: Duration,
}

impl Balance {
    /// Whether all threads should serve, `elapsed` after the last look, when they were busy for so long since their start.
    pub(super) fn look(&mut self, elapsed: Duration, busy: Duration) -> bool {
        let share = busy.saturating_sub(self.busy).as_secs_f64() / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        self.busy = busy;
        self.quiet = if share < GATHER_BELOW { self.quiet + elapsed } else { Duration::ZERO };
        self.is_spread = if self.is_spread { self.quiet < GATHER_AFTER } else { share > SPREAD_ABOVE };
        self.is_spread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_millis(50);

    /// What is said while the threads are busy for so many milliseconds of each 50.
    fn look(balance: &mut Balance, busy_ms: u64) -> bool {
        let busy = balance.busy + Duration::from_millis(busy_ms);
        balance.look(LOOK, busy)
    }

    #[test]
    fn one_thread_is_enough_until_half_a_core_is_busy() {
        let mut balance = Balance::default();
        assert!(!look(&mut balance, 0));
        assert!(!look(&mut balance, 25));
        assert!(look(&mut balance, 26));
    }

    #[test]
    fn all_serve_until_it_was_quiet_for_a_second() {
        let mut balance = Balance::default();
        assert!(look(&mut balance, 50));
        assert!((0..19).all(|_| look(&mut balance, 9)), "not for a second yet");
        assert!(look(&mut balance, 12), "not quiet, so the second begins again");
        assert!((0..19).all(|_| look(&mut balance, 9)));
        assert!(!look(&mut balance, 9));
    }
}

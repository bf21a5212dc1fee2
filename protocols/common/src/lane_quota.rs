//! How many lanes (AMQP channels) a user's connections may have open together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One user's quota, shared by all of the user's connections. It may change at any time; lanes that are open stay open.
#[derive(Debug)]
pub struct LaneQuota {
    used: AtomicU64,
    max: AtomicU64,
}

impl Default for LaneQuota {
    fn default() -> Self {
        Self { used: AtomicU64::new(0), max: AtomicU64::new(u64::MAX) }
    }
}

impl LaneQuota {
    /// How many are open.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    /// Sets how many may be open; `None` is any number.
    pub fn set_max(&self, max: Option<u64>) {
        self.max.store(max.unwrap_or(u64::MAX), Ordering::Release);
    }
}

/// What one connection uses of its user's quota. Given back when it is dropped.
#[derive(Debug, Default)]
pub struct LaneShare {
    quota: Arc<LaneQuota>,
    used: u64,
}

impl LaneShare {
    /// Nothing used yet.
    pub fn new(quota: Arc<LaneQuota>) -> Self {
        Self { quota, used: 0 }
    }

    /// Takes a lane.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn take(&mut self) -> Result<(), u64> {
        let max = self.quota.max.load(Ordering::Acquire);
        let room = |used: u64| (used < max).then_some(used + 1);
        self.quota.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).map_err(|_| max)?;
        self.used += 1;
        Ok(())
    }

    /// Gives a lane back.
    pub fn release(&mut self) {
        if self.used > 0 {
            self.used -= 1;
            self.quota.used.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for LaneShare {
    fn drop(&mut self) {
        self.quota.used.fetch_sub(self.used, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_one_user_share_a_quota() {
        let quota = Arc::new(LaneQuota::default());
        let (mut one, mut other) = (LaneShare::new(quota.clone()), LaneShare::new(quota.clone()));
        quota.set_max(Some(2));
        assert_eq!((one.take(), other.take(), other.take()), (Ok(()), Ok(()), Err(2)));
        one.release();
        assert_eq!((other.take(), one.take()), (Ok(()), Err(2)));
        drop(other);
        assert_eq!((one.take(), one.take(), one.take()), (Ok(()), Ok(()), Err(2)));
        quota.set_max(None);
        assert_eq!(one.take(), Ok(()));
    }
}

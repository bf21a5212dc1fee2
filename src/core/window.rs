//! A bound on unsettled deliveries that several consumers share.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The window of a lane (AMQP `basic.qos` with `global`). Its consumers may be on different shards, so it is counted with
/// atomics; a consumer that found no room is served again once the connection settles something.
#[derive(Debug, Default)]
pub(crate) struct LaneWindow {
    /// 0 means any number.
    window: AtomicU32,
    unsettled: AtomicU32,
    starved: AtomicBool,
}

impl LaneWindow {
    pub(crate) fn set(&self, window: u32) {
        self.window.store(window, Ordering::Release);
    }

    /// Takes room for one delivery.
    pub(crate) fn acquire(&self) -> bool {
        let window = self.window.load(Ordering::Acquire);
        let room = |unsettled: u32| (window == 0 || unsettled < window).then_some(unsettled + 1);
        if self.unsettled.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).is_ok() {
            return true;
        }
        self.starved.store(true, Ordering::Release);
        self.unsettled.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).is_ok()
    }

    /// Gives it back.
    pub(crate) fn release(&self) {
        let _ = self.unsettled.fetch_update(Ordering::AcqRel, Ordering::Acquire, |unsettled| unsettled.checked_sub(1));
    }

    /// Whether a consumer found no room since this was asked last.
    pub(crate) fn take_starved(&self) -> bool {
        self.starved.swap(false, Ordering::AcqRel)
    }
}

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
        self.acquire_up_to(1) == 1
    }

    /// Takes room for up to so many deliveries; says for how many there was.
    pub(crate) fn acquire_up_to(&self, count: u32) -> u32 {
        match self.take_room(count) {
            0 if count > 0 => {
                self.starved.store(true, Ordering::Release);
                self.take_room(count)
            }
            taken => taken,
        }
    }

    fn take_room(&self, count: u32) -> u32 {
        let window = self.window.load(Ordering::Acquire);
        let room = |unsettled: u32| {
            let free = if window == 0 { u32::MAX - unsettled } else { window.saturating_sub(unsettled) };
            Some(unsettled + count.min(free))
        };
        let before = self.unsettled.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).unwrap_or_default();
        room(before).unwrap_or(before) - before
    }

    /// Gives room for so many back.
    pub(crate) fn release(&self, count: u32) {
        let less = |unsettled: u32| Some(unsettled.saturating_sub(count));
        let _ = self.unsettled.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    /// Whether a consumer found no room since this was asked last.
    pub(crate) fn take_starved(&self) -> bool {
        self.starved.swap(false, Ordering::AcqRel)
    }
}

//! Counts what a piece of code allocates, so that "does not over-allocate" is a test and not a hope.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator, counting per thread. A test binary installs it with `#[global_allocator]`.
#[derive(Debug)]
pub struct CountingAllocator;

// An allocator can't be written without unsafe. Both methods pass the caller's own layout on to the system's
// allocator unchanged, so its contract is kept by whoever calls us; it is compiled for tests only.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size().cast_signed());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-layout.size().cast_signed());
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn count(change: isize) {
    // A thread that is being torn down has no counters any more, and nobody measures it.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

/// The most bytes that were live at once because of `work`, beyond what was live before.
pub fn peak_bytes(work: impl FnOnce()) -> usize {
    let before = LIVE.get();
    PEAK.set(before);
    work();
    (PEAK.get() - before).max(0).cast_unsigned()
}

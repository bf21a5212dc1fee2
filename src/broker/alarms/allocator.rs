//! Free memory that the allocator keeps for later is memory that the kernel does not get.

/// Gives free memory back to the kernel. Takes as long as looking through the heap does, so call it where blocking is fine.
///
/// glibc keeps what was freed below whatever is still in use, which after a drained backlog is nearly all of it: without this,
/// the memory alarm would never be lifted.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub(super) fn give_back() {
    // SAFETY: `malloc_trim` takes no pointer, touches free memory only, locks each arena while it works on it, and may be
    // called by any thread at any time (malloc_trim(3): MT-Safe).
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators give memory back by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn give_back() {}

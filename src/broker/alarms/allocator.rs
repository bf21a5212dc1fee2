//! Free memory that the allocator keeps for later is memory that the kernel does not get.

/// Blocks of at least this size are the kernel's alone, and go back to it when they are freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_BYTES_MIN: libc::c_int = 16 << 20;
/// So much at the end of a heap may be free: what glibc would choose by itself after the first password.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const FREE_END_BYTES_MAX: libc::c_int = 38 << 20;

/// Keeps the memory of password checks out of the heap.
///
/// A check takes 19 MiB. After the first one glibc takes the next from the heap, where small blocks soon sit in the holes that they
/// leave: a few hundred refused logins made the process 2 GB large, for good.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub(crate) fn keep_large_blocks_apart() {
    for (parameter, bytes) in [(libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN), (libc::M_TRIM_THRESHOLD, FREE_END_BYTES_MAX)]
    {
        // SAFETY: `mallopt` takes no pointer and sets a number that only later allocations look at (mallopt(3)).
        let is_set = unsafe { libc::mallopt(parameter, bytes) } == 1;
        debug_assert!(is_set, "a known parameter and a value in its range");
    }
}

/// Other allocators do not mix them.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_large_blocks_apart() {}

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

//! The machine as a whole: bytes in, commands and bytes out.

mod convert;
mod delivering;
mod handshake;
mod histories;
mod hostile;
mod link;
mod publishing;
mod runs;
mod subscribing;
mod support;

use crossdock_common::testkit::allocation::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

//! The machine from outside: bytes in, bytes and commands out.

use crossdock_common::testkit::allocation::CountingAllocator;

mod captures;
mod channels;
mod deliveries;
mod errors;
mod handshake;
mod hostile;
mod link;
mod publishing;
mod replies;
mod support;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

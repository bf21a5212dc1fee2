//! A scripted client and a scripted core: "the client sends this, the core is asked that, the client reads this".

mod activemq;
mod browsers;
mod capture;
mod consume;
mod conversations;
mod heartbeats;
mod login;
mod send;
mod support;
mod transactions;
mod wildcards;

#[global_allocator]
static ALLOCATOR: crossdock_common::testkit::allocation::CountingAllocator =
    crossdock_common::testkit::allocation::CountingAllocator;

//! The core as a whole, under virtual time, with a log in memory.

mod administration;
mod choices;
mod crashes;
mod dead_letters;
mod deduplication;
mod delayed;
mod exactly_once;
mod fifo;
mod hostile;
mod large_bodies;
mod leases;
pub(crate) mod memory_log;
mod pages;
mod paging;
mod permissions;
mod policies;
mod purges;
mod queues;
mod replies;
mod retained;
mod routing;
mod runs;
mod selectors;
mod sessions;
mod simulation;
mod streams;
mod support;

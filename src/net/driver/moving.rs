//! Connections that go from one thread to another.

use std::pin::Pin;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::Driver;
use crate::net::admission::Place;
use crate::net::outcome::Ending;
use crate::net::shutdown::ShutdownSignal;
use crate::net::workers::{Home, Workers};

/// Where a connection is served, and what it holds from its first byte to its last.
pub(in crate::net) struct Stay {
    pub workers: Arc<Workers>,
    pub home: Home,
    pub _place: Place,
    /// Whoever waits for the drain waits for this connection.
    pub shutdown: ShutdownSignal,
}

/// Why a thread serves a connection no more.
pub(super) enum Served {
    Ends(Ending),
    /// That thread goes on.
    Moves(Handle),
}

impl Driver {
    /// The thread that goes on serving, if it is another one; it waits for the socket already.
    pub(super) fn moves(&mut self) -> Option<Handle> {
        if !self.output.bytes.is_empty() || self.unflushed || self.watch.is_some() {
            return None;
        }
        let thread = self.stay.workers.elsewhere(self.stay.home)?.clone();
        // While no file descriptor is free, it stays.
        self.transport.move_to(&thread).ok()?;
        Some(thread)
    }

    /// [`run`](Self::run), on another thread.
    pub(super) fn go_on(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.engine.metrics.count_move();
        Box::pin(self.run())
    }
}

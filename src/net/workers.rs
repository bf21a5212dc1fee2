//! The threads that serve connections. Each runs its own connections from their first byte to their last: a connection is never
//! handed from one core to another, and work for one thread wakes no other to help.

use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};

/// One thread for each core.
pub struct Workers {
    threads: Vec<Handle>,
    next: AtomicUsize,
}

impl Workers {
    /// Starts them; they live as long as the process.
    ///
    /// # Errors
    /// The operating system gives no thread, or none of what a thread needs to wait for sockets.
    pub fn start() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = (0..cores).map(start_one).collect::<io::Result<_>>()?;
        Ok(Self { threads, next: AtomicUsize::new(0) })
    }

    /// The thread that this number falls to.
    pub fn of(&self, index: usize) -> &Handle {
        &self.threads[index % self.threads.len()]
    }

    /// Serves a connection on the next thread in turn.
    ///
    /// # Errors
    /// The connection cannot be handed from thread to thread; it is closed.
    pub(super) fn serve<F: Future<Output = ()> + Send + 'static>(
        &self,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) -> io::Result<()> {
        // It was accepted on another thread, and is waited for where it is served.
        let stream = stream.into_std()?;
        self.of(self.next.fetch_add(1, Ordering::Relaxed)).spawn(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::warn!(%error, "cannot serve a connection"),
            }
        });
        Ok(())
    }
}

fn start_one(index: usize) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let work = move || runtime.block_on(std::future::pending::<()>());
    thread::Builder::new().name(format!("worker-{index}")).spawn(work)?;
    Ok(handle)
}

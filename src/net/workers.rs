//! The threads that serve connections. Under little load the first one serves all, so that a message on its way from one
//! connection to another wakes no second core; when it has more to do, connections go to threads of their own, and come back
//! when it is quiet again. Each goes by itself, when it has nothing to write. Work for one thread wakes no other to help.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::time::{Instant, sleep};

use super::balance::Balance;
use crate::broker::{become_worker, this_worker};

/// How often the load is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One thread for each core.
pub struct Workers {
    threads: Vec<Handle>,
    next: AtomicUsize,
    /// Connections are served by all of them.
    spread: AtomicBool,
}

/// Where a connection is served while all threads serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Home(usize);

impl Workers {
    /// Starts them; they live as long as the process.
    ///
    /// # Errors
    /// The operating system gives no thread, or none of what a thread needs to wait for sockets.
    pub fn start() -> io::Result<Arc<Self>> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let threads = (0..cores).map(start_one).collect::<io::Result<_>>()?;
        let workers = Arc::new(Self { threads, next: AtomicUsize::new(0), spread: AtomicBool::new(false) });
        if cores > 1 {
            workers.of(0).spawn(workers.clone().balance());
        }
        Ok(workers)
    }

    /// The thread that this number falls to.
    pub fn of(&self, index: usize) -> &Handle {
        &self.threads[index % self.threads.len()]
    }

    /// Serves a connection on the thread whose turn it is.
    ///
    /// # Errors
    /// The connection cannot be handed from thread to thread; it is closed.
    pub(super) fn serve<F: Future<Output = ()> + Send + 'static>(
        &self,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream, Home) -> F + Send + 'static,
    ) -> io::Result<()> {
        // It was accepted on another thread, and is waited for where it is served.
        let stream = stream.into_std()?;
        let home = Home(self.next.fetch_add(1, Ordering::Relaxed) % self.threads.len());
        self.of(self.place(home)).spawn(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => serve(stream, home).await,
                Err(error) => tracing::warn!(%error, "cannot serve a connection"),
            }
        });
        Ok(())
    }

    fn place(&self, home: Home) -> usize {
        if self.spread.load(Ordering::Relaxed) { home.0 } else { 0 }
    }

    /// The thread that should serve the connection instead of the one that asks.
    pub(super) fn elsewhere(&self, home: Home) -> Option<&Handle> {
        let place = self.place(home);
        (this_worker() != Some(place)).then(|| self.of(place))
    }

    /// Looks at the load for as long as the process lives.
    async fn balance(self: Arc<Self>) {
        let mut balance = Balance::default();
        let mut looked_at = Instant::now();
        loop {
            sleep(LOOK_EVERY).await;
            let busy = self.threads.iter().map(|thread| thread.metrics().worker_total_busy_duration(0)).sum();
            let is_spread = balance.look(looked_at.elapsed(), busy);
            looked_at = Instant::now();
            self.spread.store(is_spread, Ordering::Relaxed);
        }
    }
}

fn start_one(index: usize) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let work = move || {
        become_worker(index);
        runtime.block_on(std::future::pending::<()>());
    };
    thread::Builder::new().name(format!("worker-{index}")).spawn(work)?;
    Ok(handle)
}

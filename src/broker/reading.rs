//! Reads what the shards have moved out of memory: one thread for each shard, beside the journal's.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;

use anyhow::{Context, Result};
use crossdock_core::{Broker, Formats, ReadRequest};
use crossdock_store::{Journal, Reader};

use super::clock::Clock;
use super::journal_log::to_store;

/// Where the shards' requests go.
pub(super) struct Requests {
    senders: Vec<Sender<ReadRequest>>,
}

/// The other ends: what the reading threads take.
pub(super) struct Queues(Vec<Receiver<ReadRequest>>);

/// A way for the requests of so many shards.
pub(super) fn requests(shards: usize) -> (Requests, Queues) {
    let (senders, receivers) = (0..shards).map(|_| channel()).unzip();
    (Requests { senders }, Queues(receivers))
}

impl Requests {
    pub(super) fn ask(&self, shard: usize, request: ReadRequest) {
        let sent = self.senders.get(shard).is_some_and(|sender| sender.send(request).is_ok());
        if !sent {
            tracing::debug!(shard, "nobody reads any more: the broker ends");
        }
    }
}

impl Queues {
    /// Starts the threads. They end with the broker.
    pub(super) fn serve<'a>(
        self,
        broker: &Arc<Broker>,
        journals: impl Iterator<Item = &'a Arc<dyn Journal>>,
        formats: &Formats,
        clock: Clock,
    ) -> Result<()> {
        for (shard, (requests, journal)) in self.0.into_iter().zip(journals).enumerate() {
            let reading = Reading {
                shard,
                broker: Arc::downgrade(broker),
                reader: journal.reader(),
                formats: formats.clone(),
                clock,
            };
            let named = thread::Builder::new().name("read".to_owned());
            named.spawn(move || reading.run(requests)).context("cannot start a thread")?;
        }
        Ok(())
    }
}

struct Reading {
    shard: usize,
    broker: Weak<Broker>,
    reader: Box<dyn Reader>,
    formats: Formats,
    clock: Clock,
}

/// Ends the process if the thread panics: queues would wait for their messages for ever, and nobody would know why.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            tracing::error!("a defect in reading: the process ends so that it can recover");
            std::process::abort();
        }
    }
}

impl Reading {
    fn run(mut self, requests: Receiver<ReadRequest>) {
        let _abort = AbortOnPanic;
        for request in requests {
            let Some(broker) = self.broker.upgrade() else { return };
            self.serve(&broker, request);
        }
    }

    fn serve(&mut self, broker: &Arc<Broker>, request: ReadRequest) {
        let locations: Vec<_> = request.locations().into_iter().map(to_store).collect();
        let mut read = Vec::with_capacity(locations.len());
        self.reader.read(&locations, &mut read);
        let trouble = read.iter().find_map(|payload| payload.as_ref().err().cloned());
        let queue = request.queue;
        let result = request.finish(read.into_iter().map(Result::ok), &self.formats);
        let lost = broker.take_read(self.shard, result, self.clock.now());
        if lost > 0 {
            let queue = broker.queue_name(queue);
            let error = trouble.map_or_else(|| "it is not understood".to_owned(), |error| error.to_string());
            tracing::error!(
                queue,
                messages = lost,
                error,
                "stored messages cannot be read: they stay on disk and are tried again at the next start; `crossdock store check` tells more"
            );
        }
    }
}

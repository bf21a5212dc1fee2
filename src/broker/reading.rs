//! Reads what the shards have moved out of memory: one thread for each shard, beside the journal's.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;

use anyhow::{Context, Result};
use crossdock_common::Now;
use crossdock_common::names::QueueId;
use crossdock_core::{Broker, Formats, ReadRequest, ReadResult};
use crossdock_store::{Journal, ReadError, Reader};

use super::clock::Clock;
use super::journal_log::to_store;

/// Where the shards' requests go.
pub(super) struct Requests {
    senders: Vec<Sender<ReadRequest>>,
}

/// The other ends: what the reading threads take.
pub(super) struct Queues(pub(super) Vec<Receiver<ReadRequest>>);

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
            let reading = Reading::new(shard, journal.as_ref(), formats.clone());
            let broker = Arc::downgrade(broker);
            let named = thread::Builder::new().name("read".to_owned());
            named.spawn(move || reading.run(&broker, requests, clock)).context("cannot start a thread")?;
        }
        Ok(())
    }
}

/// Reads for one shard.
pub(super) struct Reading {
    shard: usize,
    reader: Box<dyn Reader>,
    formats: Formats,
}

/// What was read.
pub(super) struct Answer {
    queue: QueueId,
    result: ReadResult,
    /// Why some of it could not be read.
    trouble: Option<ReadError>,
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
    pub(super) fn new(shard: usize, journal: &dyn Journal, formats: Formats) -> Self {
        Self { shard, reader: journal.reader(), formats }
    }

    fn run(mut self, broker: &Weak<Broker>, requests: Receiver<ReadRequest>, clock: Clock) {
        let _abort = AbortOnPanic;
        for request in requests {
            let Some(broker) = broker.upgrade() else { return };
            let answer = self.read(request);
            self.tell(&broker, answer, clock.now());
        }
    }

    pub(super) fn read(&mut self, request: ReadRequest) -> Answer {
        let locations: Vec<_> = request.locations().into_iter().map(to_store).collect();
        let mut read = Vec::with_capacity(locations.len());
        self.reader.read(&locations, &mut read);
        let trouble = read.iter().find_map(|payload| payload.as_ref().err().cloned());
        let queue = request.queue;
        let result = request.finish(read.into_iter().map(Result::ok), &self.formats);
        Answer { queue, result, trouble }
    }

    /// Tells the shard; gives how many messages that it still wanted cannot be read.
    pub(super) fn tell(&self, broker: &Arc<Broker>, answer: Answer, now: Now) -> u64 {
        let lost = broker.take_read(self.shard, answer.result, now);
        if lost > 0 {
            let queue = broker.queue_name(answer.queue);
            let error = answer.trouble.map_or_else(|| "it is not understood".to_owned(), |error| error.to_string());
            tracing::error!(
                queue,
                messages = lost,
                error,
                "stored messages cannot be read: they stay on disk and are tried again at the next start; `crossdock store check` tells more"
            );
        }
        lost
    }
}

//! Reads what the shards have moved out of memory: one thread for each shard, beside the journal's.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread;

use anyhow::{Context, Result};
use crossdock_common::Now;
use crossdock_common::names::QueueId;
use crossdock_core::{Broker, Formats, ReadRequest, ReadResult};
use crossdock_store::{BatchSequence, Journal, ReadError, Reader};

use super::clock::Clock;
use super::journal_log::to_store;
use super::startup::journal_name;
use crate::telemetry::events::MessagesUnreadable;

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
            let reading = Reading::new(shard, journal.clone(), formats.clone());
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
    journal: Arc<dyn Journal>,
    reader: Box<dyn Reader>,
    formats: Formats,
    /// Of which queues' messages in which segments it is known that they cannot be read.
    told: HashSet<(QueueId, Option<BatchSequence>)>,
}

/// What was read.
pub(super) struct Answer {
    queue: QueueId,
    result: ReadResult,
    /// Why some of it could not be read.
    troubles: Vec<ReadError>,
}

/// A segment in which something is damaged, or cannot be read, is not to be cleaned or written over.
pub(super) fn put_aside(journal: &dyn Journal, trouble: &ReadError) {
    if let ReadError::Damaged { location, .. } | ReadError::Disk { location, .. } = trouble {
        journal.condemn(location.segment);
    }
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
    pub(super) fn new(shard: usize, journal: Arc<dyn Journal>, formats: Formats) -> Self {
        let reader = journal.reader();
        Self { shard, journal, reader, formats, told: HashSet::new() }
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
        let troubles = read.iter().filter_map(|payload| payload.as_ref().err().cloned()).collect();
        let queue = request.queue;
        let result = request.finish(read.into_iter().map(Result::ok), &self.formats);
        Answer { queue, result, troubles }
    }

    /// Tells the shard; gives how many messages that it still wanted cannot be read.
    pub(super) fn tell(&mut self, broker: &Arc<Broker>, answer: Answer, now: Now) -> u64 {
        let lost = broker.take_read(self.shard, answer.result, now);
        if lost > 0 {
            answer.troubles.iter().for_each(|trouble| put_aside(self.journal.as_ref(), trouble));
            let news = self.news(answer.queue, &answer.troubles);
            if let Some(trouble) = news {
                self.report(broker.queue_name(answer.queue).as_deref(), lost, trouble);
            }
        }
        lost
    }

    /// The first trouble with a segment that nothing was said about for this queue: thousands of messages may be hit by one
    /// damage. `Some(None)` if what was read is not understood.
    fn news<'a>(&mut self, queue: QueueId, troubles: &'a [ReadError]) -> Option<Option<&'a ReadError>> {
        if troubles.is_empty() {
            return self.told.insert((queue, None)).then_some(None);
        }
        let new = troubles.iter().filter(|trouble| self.told.insert((queue, Some(trouble.location().segment))));
        new.reduce(|first, _| first).map(Some)
    }

    fn report(&self, queue: Option<&str>, messages: u64, trouble: Option<&ReadError>) {
        let journal = &*journal_name(self.shard + 1);
        let error = &*trouble.map_or_else(|| "they are not understood".to_owned(), ReadError::to_string);
        let place = match trouble {
            Some(ReadError::Damaged { place, .. }) => Some((&*place.file, place.offset_bytes)),
            _ => None,
        };
        MessagesUnreadable { journal, place, queue, messages, error }.emit();
    }
}

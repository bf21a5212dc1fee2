//! A stream: a queue whose messages stay, whoever has read them, until the stream is too long or they are too old. Each consumer
//! has a [`Cursor`] of its own in it.
//!
//! Messages are in the log as those of other queues are, and the queue holds references to them. Of the messages themselves, the
//! newest stay in memory ([`Tail`]) while some consumer has not had them, so that consumers that keep up read nothing back. What a
//! delivery's settlement does is to make room for another one.

pub(crate) mod cursor;
mod marks;
mod reading;
mod retention;
mod tail;

use bytes::{Bytes, BytesMut};
use crossdock_common::definition::QueueSettings;
use crossdock_common::names::{DeliveryId, QueueId};
use crossdock_common::{Message, Name, Now, Refusal};

use super::Shard;
use super::command::{Effects, NewConsumer};
use super::consumers::Consumer;
use super::entry::Entry;
use super::queue::Queue;
use super::snapshot::put_state;
use crate::log::{Log, RecordKind};
use cursor::{Cursor, Start, Wanted};
use marks::Marks;
use tail::Tail;

/// What RabbitMQ says where a stream cannot do something.
pub(crate) fn not_of_streams(what: &str, queue: &Name, vhost: &Name) -> Refusal {
    Refusal::NotImplemented(format!("{what} not supported by stream queues queue '{queue}' in vhost '{vhost}'"))
}

/// What a queue that is a stream has beside its messages.
#[derive(Default)]
pub(crate) struct Stream {
    tail: Tail,
    marks: Marks,
    /// Cursors that there ever were: the last one's number.
    cursors: u32,
}

impl Stream {
    pub(crate) fn of(settings: &QueueSettings) -> Option<Box<Self>> {
        settings.stream.map(|_| Box::default())
    }

    /// Makes a new entry one that stays: it is written, whatever its publisher says of it, and does not expire by itself. Notes
    /// when it came, if the last note is old.
    pub(super) fn take_on(
        &mut self,
        entry: &mut Entry,
        message: &Message,
        log: &mut dyn Log,
        (queue, scratch): (QueueId, &mut BytesMut),
    ) {
        (entry.logged, entry.expires, entry.expires_at) = (true, false, None);
        if let Some((key, value)) = self.marks.note(entry.position, message.received_at) {
            put_state(scratch, &key);
            log.push(RecordKind::SessionState, queue.0, &[scratch, &value]);
        }
    }

    /// Memory that the newest messages take.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.tail.memory_bytes()
    }

    /// What a snapshot keeps, as keys and values of the queue's state.
    pub(crate) fn states(&self) -> impl Iterator<Item = (Bytes, Bytes)> {
        self.marks.states()
    }

    /// Takes back what [`states`](Self::states) gave. False for keys that are not a stream's.
    pub(crate) fn restore(&mut self, key: &[u8], value: &[u8]) -> bool {
        self.marks.restore(key, value)
    }
}

impl Queue {
    /// A message has come, and is where it can be read back.
    #[cold]
    pub(super) fn admit_to_stream(&mut self, entry: Entry) {
        if let (Some(stream), Some(message)) = (&mut self.stream, &entry.message) {
            if self.consumers.is_empty() {
                stream.tail.clear();
            } else {
                stream.tail.push(entry.position, message.clone(), entry.binding.clone());
            }
        }
        self.ready.append(entry, false);
    }

    /// A cursor where the consumer wants to begin, if the queue is a stream.
    pub(super) fn new_cursor(&mut self, new: &mut NewConsumer) -> Option<Box<Cursor>> {
        let stream = self.stream.as_mut()?;
        stream.cursors = stream.cursors.wrapping_add(1).max(1);
        let reading = new.reading.take().unwrap_or_default();
        let (next, since) = match reading.start {
            Start::First => (0, None),
            Start::Last => (self.ready.ends().map_or(self.next_position, |(_, last)| last), None),
            Start::Next => (self.next_position, None),
            Start::Offset(offset) => (offset.saturating_add(1), None),
            Start::Since(since) => (stream.marks.before(since), Some(since)),
        };
        let wanted = Wanted { since, filter: reading.filter, selector: new.selector.take() };
        Some(Box::new(Cursor::new(stream.cursors, next, wanted)))
    }

    fn serve_cursors(&mut self, now: Now) {
        let Some(stream) = &self.stream else { return };
        self.consumers.iter_mut().for_each(|consumer| serve(consumer, &stream.tail, self.id, now));
    }

    /// Lets go of the messages that no consumer wants to have from memory.
    fn trim_tail(&mut self, bytes_max: u64) {
        let wanted_from = self.consumers.cursors().map(Cursor::next).min().unwrap_or(u64::MAX);
        if let Some(stream) = &mut self.stream {
            stream.tail.trim(wanted_from, bytes_max);
        }
    }
}

/// Hands out what is at hand and fits into the consumer's window.
fn serve(consumer: &mut Consumer, tail: &Tail, queue: QueueId, now: Now) {
    let Some(mut cursor) = consumer.cursor.take() else { return };
    while let Some((position, message, binding)) = cursor.at_hand(tail) {
        if cursor.wants(message) {
            if !consumer.acquire() {
                break;
            }
            let (message, binding) = (message.clone(), binding.map(|binding| binding.spec.clone()));
            consumer.send(cursor.delivery((queue, consumer.id), (position, message), binding, now));
            if !consumer.presettled {
                cursor.hold(position);
            }
        }
        cursor.pass(position);
    }
    consumer.cursor = Some(cursor);
}

impl Shard {
    /// What there is to do for a stream: old messages go, consumers get theirs, what they need next is read.
    pub(super) fn dispatch_stream(&mut self, now: Now, id: QueueId, effects: &mut Effects) {
        self.drop_outdated(now, id);
        let Self { queues, memory, timers, .. } = self;
        let Some(queue) = queues.get_mut(&id) else { return };
        queue.serve_cursors(now);
        queue.consumers.flush(effects, &mut queue.traffic);
        queue.trim_tail(memory.cursor_bytes(1));
        queue.schedule_retention(now, timers);
        self.read_for_cursors(id, effects);
        self.seal_pages(id);
    }

    /// A delivery of a stream is settled: its consumer has room again. False if the queue is no stream.
    #[cold]
    pub(super) fn settle_in_stream(&mut self, id: &DeliveryId) -> bool {
        let queue = self.queues.get_mut(&id.queue).filter(|queue| queue.stream.is_some());
        queue.map(|queue| queue.consumers.settle_at_cursor(id.lease, id.position)).is_some()
    }
}

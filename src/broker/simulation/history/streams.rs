//! Those who read streams.

use crossdock_common::command::{BoundedBy, Outcome, Subscribe};
use crossdock_common::definition::{BindingSpec, Definition, Destination, QueueSpec};
use crossdock_common::event::Delivery;
use crossdock_common::names::DeliveryId;
use crossdock_common::{Command, ConsumerId, Lane, Table, Value};

use super::super::streams::{Begin, Entry, STREAMS, StreamPlan};
use super::super::truth::number_of;
use super::History;

/// Consumers from this number on read streams.
pub(super) const CURSORS: u64 = 1_000_000;
/// Most of them at a time.
const CURSORS_MAX: usize = 4;

/// Somebody reads a stream.
pub(super) struct Cursor {
    consumer: ConsumerId,
    /// Which of [`STREAMS`].
    stream: usize,
    begin: Begin,
    got: Vec<Entry>,
    held: Vec<DeliveryId>,
}

impl History {
    pub(super) fn declare_stream(&mut self, plan: &StreamPlan) {
        let (name, arguments) = (plan.name.into(), plan.table());
        let spec = QueueSpec { name, durable: true, arguments, ..QueueSpec::default() };
        self.define(Definition::DeclareQueue { spec, passive: false });
        self.define(Definition::Bind(BindingSpec {
            source: "amq.fanout".into(),
            destination: Destination::Queue(plan.name.into()),
            key: bytes::Bytes::new(),
            arguments: vec![],
            announced: false,
            attributes: vec![],
        }));
    }

    /// A cursor begins, or one of them ends.
    pub(super) fn read_stream(&mut self) {
        if self.cursors.len() == CURSORS_MAX || !self.cursors.is_empty() && self.random.below(3) == 0 {
            let index = self.random.below(self.cursors.len() as u64) as usize;
            return self.stop_reading(index);
        }
        let stream = self.random.below(STREAMS.len() as u64) as usize;
        let begin = match self.random.below(4) {
            0 => Begin::First,
            1 => Begin::Next { published: self.truth.published },
            2 => Begin::Last,
            _ => Begin::Offset(self.random.below(1 + self.truth.published / 3)),
        };
        let window = 1 + self.random.below(8) as u32;
        self.read_stream_from(stream, begin, window);
    }

    fn read_stream_from(&mut self, stream: usize, begin: Begin, window: u32) {
        let request = self.request();
        let consumer = ConsumerId(CURSORS + request.0);
        self.cursors.push(Cursor { consumer, stream, begin, got: Vec::new(), held: Vec::new() });
        let subscribe = Box::new(Subscribe {
            consumer,
            lane: Lane(2),
            queue: STREAMS[stream].name.into(),
            presettled: false,
            exclusive: false,
            priority: 0,
            window,
            bounded_by: BoundedBy::Peer,
            arguments: arguments(begin),
        });
        self.send(Command::Subscribe { request, subscribe });
    }

    fn stop_reading(&mut self, index: usize) {
        let cursor = self.cursors.swap_remove(index);
        let request = self.request();
        self.send(Command::Unsubscribe { request, consumer: cursor.consumer });
    }

    /// Whatever is said of a delivery makes room for another.
    pub(super) fn settle_in_stream(&mut self) {
        if self.cursors.is_empty() {
            return;
        }
        let index = self.random.below(self.cursors.len() as u64) as usize;
        let held = self.cursors[index].held.len() as u64;
        if held > 0 {
            let place = self.random.below(held) as usize;
            let delivery = self.cursors[index].held.remove(place);
            let outcome = match self.random.below(8) {
                0 => Outcome::Released,
                1 => Outcome::Rejected,
                2 => Outcome::Modified { delay_ms: 100 },
                _ => Outcome::Accepted,
            };
            let request = (self.random.below(3) == 0).then(|| self.request());
            self.send(Command::Settle { deliveries: vec![delivery], outcome, request });
        }
    }

    /// True if the delivery is one of a stream.
    pub(super) fn read_from_stream(&mut self, delivery: &Delivery) -> bool {
        if delivery.consumer.0 < CURSORS {
            return false;
        }
        let Some(cursor) = self.cursors.iter_mut().find(|cursor| cursor.consumer == delivery.consumer) else {
            return true;
        };
        let number = number_of(STREAMS[cursor.stream].name, &delivery.message);
        let offset = delivery.stream_offset.expect("an offset");
        let entry = Entry { offset, number, body_bytes: delivery.message.body.len() as u64 };
        if !self.truth.damaged {
            let may_miss = self.truth.out_of_order;
            self.streams[cursor.stream].read(cursor.begin, cursor.got.last().copied(), entry, may_miss);
        }
        cursor.got.push(entry);
        cursor.held.push(delivery.id);
        true
    }

    /// Reads all there is of every stream.
    pub(super) fn find_in_streams(&mut self) -> [Vec<Entry>; STREAMS.len()] {
        self.cursors.clear();
        std::array::from_fn(|stream| {
            self.read_stream_from(stream, Begin::First, 5);
            loop {
                self.rest();
                let Some(deliveries) = self.cursors.last_mut().map(|cursor| std::mem::take(&mut cursor.held)) else {
                    break;
                };
                if deliveries.is_empty() {
                    break;
                }
                self.send(Command::Settle { deliveries, outcome: Outcome::Accepted, request: None });
            }
            let got = self.cursors.last_mut().map(|cursor| std::mem::take(&mut cursor.got));
            self.stop_reading(self.cursors.len() - 1);
            got.unwrap_or_default()
        })
    }
}

fn arguments(begin: Begin) -> Table {
    let value = match begin {
        Begin::First => Value::string("first"),
        Begin::Next { .. } => Value::string("next"),
        Begin::Last => Value::string("last"),
        Begin::Offset(offset) => Value::I64(offset.cast_signed()),
    };
    vec![("x-stream-offset".into(), value)]
}

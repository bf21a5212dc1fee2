//! What waits for one connection. Shards put events in, the connection's driver takes them out.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossdock_common::event::{Delivery, Reply, RunDelivery};
use crossdock_common::names::ConnectionId;
use crossdock_common::{Event, Message};
use parking_lot::Mutex;

/// Bytes that a delivery costs a connection beside its body, for the budget.
const DELIVERY_OVERHEAD_BYTES: usize = 256;
/// The same for one in a run.
const RUN_DELIVERY_OVERHEAD_BYTES: usize = 128;

/// The events of one connection, with its budget of unwritten bytes.
pub struct Outbox {
    /// Whose it is.
    pub connection: ConnectionId,
    state: Mutex<State>,
    unwritten_bytes: AtomicUsize,
    unwritten_bytes_max: usize,
    starved: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    items: Vec<Item>,
    woken: bool,
}

/// An event, and whether the connection's later commands wait for it.
pub(crate) enum Item {
    /// To be handed to the machine.
    Event(Event),
    /// An answer that was held back until it was durable: the connection's later commands wait for it.
    Held(Event),
}

impl Outbox {
    /// An empty outbox. `wake` tells the driver that there is something; it must be cheap and must not call back.
    pub fn new(connection: ConnectionId, unwritten_bytes_max: usize, wake: Box<dyn Fn() + Send + Sync>) -> Arc<Self> {
        Arc::new(Self {
            connection,
            state: Mutex::default(),
            unwritten_bytes: AtomicUsize::new(0),
            unwritten_bytes_max,
            starved: AtomicBool::new(false),
            wake,
        })
    }

    /// Whether a consumer of the connection may get another delivery. Remembers a no, so that [`written`](Self::written) can
    /// tell when to ask again.
    pub(crate) fn has_room(&self) -> bool {
        if self.unwritten_bytes.load(Ordering::Acquire) < self.unwritten_bytes_max {
            return true;
        }
        self.starved.store(true, Ordering::Release);
        // The driver may have written everything between the two lines above and seen no starvation.
        self.unwritten_bytes.load(Ordering::Acquire) < self.unwritten_bytes_max
    }

    /// Puts an event in; it is seen at the next wake-up.
    pub(crate) fn push(&self, event: Event) {
        self.state.lock().items.push(Item::Event(event));
    }

    /// Puts an event in that costs the budget of unwritten bytes something.
    pub(crate) fn push_counted(&self, event: Event) {
        self.count(&event);
        self.push(event);
    }

    /// Takes what the event costs from the budget of unwritten bytes.
    pub(crate) fn count(&self, event: &Event) {
        self.unwritten_bytes.fetch_add(cost_bytes(event), Ordering::AcqRel);
    }

    /// What events that wait, or are encoded and not written, cost.
    pub(crate) fn unwritten_bytes(&self) -> usize {
        self.unwritten_bytes.load(Ordering::Acquire)
    }

    pub(crate) fn push_held(&self, event: Event) {
        self.state.lock().items.push(Item::Held(event));
    }

    /// Moves deliveries in, joining them to those that wait already.
    pub(crate) fn deliver(&self, deliveries: &mut Vec<Delivery>) {
        let bytes: usize = deliveries.iter().map(delivery_cost_bytes).sum();
        self.unwritten_bytes.fetch_add(bytes, Ordering::AcqRel);
        let mut state = self.state.lock();
        if let Some(Item::Event(Event::Deliver(waiting))) = state.items.last_mut() {
            waiting.append(deliveries);
        } else {
            state.items.push(Item::Event(Event::Deliver(std::mem::take(deliveries))));
        }
    }

    /// Puts deliveries of a run in.
    pub(crate) fn deliver_run(&self, delivery: RunDelivery) {
        self.push_counted(Event::DeliverRun(Box::new(delivery)));
    }

    /// Adds the confirms to those that wait already.
    pub(crate) fn confirm(&self, lane: crossdock_common::Lane, numbers: Range<u64>) {
        let mut state = self.state.lock();
        if let Some(Item::Event(Event::Confirmed { lane: waiting, confirms })) = state.items.last_mut()
            && *waiting == lane
        {
            confirms.extend(numbers);
        } else {
            state.items.push(Item::Event(Event::Confirmed { lane, confirms: numbers.collect() }));
        }
    }

    /// Wakes the driver unless it was woken since it last looked.
    pub(crate) fn wake(&self) {
        let mut state = self.state.lock();
        if !state.items.is_empty() && !std::mem::replace(&mut state.woken, true) {
            drop(state);
            (self.wake)();
        }
    }

    /// Wakes the driver though nothing waits.
    pub(crate) fn wake_always(&self) {
        (self.wake)();
    }

    /// Everything that waits, in exchange for an empty list.
    pub(crate) fn take(&self, into: &mut Vec<Item>) {
        debug_assert!(into.is_empty(), "what was taken before is dealt with");
        let mut state = self.state.lock();
        state.woken = false;
        std::mem::swap(into, &mut state.items);
    }

    /// The driver has written deliveries of that cost. True when a consumer waits for the room.
    pub(crate) fn written(&self, bytes: usize) -> bool {
        self.unwritten_bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.starved.swap(false, Ordering::AcqRel)
    }
}

/// What the event's deliveries cost the budget of unwritten bytes.
pub fn cost_bytes(event: &Event) -> usize {
    match event {
        Event::Deliver(deliveries) => deliveries.iter().map(delivery_cost_bytes).sum(),
        Event::DeliverRun(delivery) => {
            let run = &delivery.run;
            run.bodies_bytes() + run.len() * (run.head().properties.len() + RUN_DELIVERY_OVERHEAD_BYTES)
        }
        Event::Reply { result: Ok(Reply::Browsed(found)), .. } => {
            found.deliveries.iter().map(delivery_cost_bytes).sum()
        }
        Event::Reply { result: Ok(Reply::Retained(found)), .. } => found.messages.iter().map(message_cost_bytes).sum(),
        _ => 0,
    }
}

fn delivery_cost_bytes(delivery: &Delivery) -> usize {
    message_cost_bytes(&delivery.message)
}

fn message_cost_bytes(message: &Arc<Message>) -> usize {
    message.body.len() + message.properties.len() + DELIVERY_OVERHEAD_BYTES
}

//! Consuming, fetching, settling, purging.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use crossdock_common::command::{Fetch, Lease, Outcome, Subscribe};
use crossdock_common::definition::REPLY_ADDRESS;
use crossdock_common::event::Reply;
use crossdock_common::names::{DeliveryId, QueueId};
use crossdock_common::refusal::{Access, Resource};
use crossdock_common::value::lookup;
use crossdock_common::{ConsumerId, Lane, Name, Now, Refusal, RequestId};

use super::streams::{StreamConsumer, check_no_stream};
use super::{Client, ConsumerPlace};
use crate::broker::define::accessible;
use crate::broker::followers::Follower;
use crate::broker::followup::share_count;
use crate::definitions::shard_of;
use crate::policies::QueueKind;
use crate::selector::Selector;
use crate::settings::is_stream;
use crate::shard::command::{Confirmee, NewConsumer, Purge, ShardCommand, ShardFetch};
use crate::shard::stream::cursor::Reading;
use crate::shard::stream::not_of_streams;
use crate::wording::not_an_integer;

impl Client {
    pub(super) fn subscribe(&mut self, now: Now, request: RequestId, subscribe: Subscribe) {
        // Refusals of the shard come as replies; what is found out here is answered here, in order.
        self.flush(now);
        let queue = match self.readable(&subscribe.queue) {
            Ok(queue) => queue,
            Err(refusal) => return self.answer(request, Err(refusal)),
        };
        if let Err(refusal) = self.check_priority(&subscribe) {
            return self.answer(request, Err(refusal));
        }
        let reading = match self.reading(now, &subscribe) {
            Ok(reading) => reading,
            Err(refusal) => return self.answer(request, Err(refusal)),
        };
        let selector = match Selector::of(&subscribe.arguments) {
            Ok(selector) => selector.map(Arc::new),
            Err(refusal) => return self.answer(request, Err(refusal)),
        };
        let consumer = NewConsumer {
            outbox: self.outbox.clone(),
            id: subscribe.consumer,
            presettled: subscribe.presettled,
            // All may read a stream; RabbitMQ does not look at it.
            exclusive: subscribe.exclusive && reading.is_none(),
            priority: subscribe.priority,
            window: subscribe.window,
            lane_window: Some(self.lane_window(subscribe.lane)),
            selector,
            reading: reading.map(Box::new),
        };
        let holdings = self.holdings();
        holdings.consumers.insert(subscribe.consumer, ConsumerPlace { queue, lane: subscribe.lane });
        holdings.touched.insert(queue, true);
        self.push(queue, ShardCommand::Subscribe { queue, consumer: Box::new(consumer), request: Some(request) });
    }

    /// How a consumer wants to read, if the queue is a stream.
    fn reading(&self, now: Now, subscribe: &Subscribe) -> Result<Option<Reading>, Refusal> {
        let vhost = &self.who.vhost;
        let definitions = self.broker.definitions();
        let queue = accessible(&definitions, &self.caller(), &subscribe.queue)?;
        if is_stream(&queue.spec, vhost) {
            return StreamConsumer { subscribe, vhost }.reading(now).map(Some);
        }
        check_no_stream(subscribe, QueueKind::of(&queue.spec), vhost).map(|()| None)
    }

    /// The queue, if it may be emptied.
    fn purgeable(&self, name: &Name) -> Result<QueueId, Refusal> {
        let id = self.readable(name)?;
        let (definitions, vhost) = (self.broker.definitions(), &self.who.vhost);
        let queue = accessible(&definitions, &self.caller(), name)?;
        if is_stream(&queue.spec, vhost) { Err(not_of_streams("queue.purge", name, vhost)) } else { Ok(id) }
    }

    fn check_priority(&self, subscribe: &Subscribe) -> Result<(), Refusal> {
        let Some(value) = lookup(&subscribe.arguments, "x-priority") else { return Ok(()) };
        if value.as_i64().is_none() {
            let (queue, vhost, reason) = (&subscribe.queue, &self.who.vhost, not_an_integer(value));
            let text = format!("invalid arg 'x-priority' for queue '{queue}' in vhost '{vhost}': {reason}");
            return Err(Refusal::PreconditionFailed(text));
        }
        Ok(())
    }

    pub(super) fn unsubscribe(&mut self, request: RequestId, consumer: ConsumerId) {
        let place = self.holdings.as_mut().and_then(|holdings| holdings.consumers.remove(&consumer));
        let Some(place) = place else {
            return self.answer(request, Ok(Reply::Done));
        };
        let (queue, connection) = (place.queue, self.outbox.connection);
        let request = Some((request, self.outbox.clone()));
        self.push(queue, ShardCommand::Unsubscribe { queue, connection, consumer, request });
    }

    /// Its queue is gone: there is nothing to clean up.
    pub(super) fn forget_consumer(&mut self, consumer: ConsumerId) {
        let Some(holdings) = &mut self.holdings else { return };
        if let Some(place) = holdings.consumers.remove(&consumer) {
            holdings.touched.remove(&place.queue);
        }
    }

    /// Tells of queues that there are and that will be.
    pub(super) fn follow_queues(&mut self, now: Now, request: RequestId, id: ConsumerId, pattern: Bytes) {
        self.flush(now);
        self.holdings().follows = true;
        // A copy: the machine's may be a slice of a large buffer.
        let pattern = Bytes::copy_from_slice(&pattern);
        let follower = Follower { who: self.who.clone(), outbox: self.outbox.clone(), id, pattern };
        let result = self.broker.follow_queues(follower);
        self.answer(request, result);
    }

    /// Tells one follower of no more of them, or none.
    pub(super) fn unfollow_queues(&self, id: Option<ConsumerId>) {
        if self.holdings.as_ref().is_some_and(|holdings| holdings.follows) {
            self.broker.unfollow_queues(&self.who.vhost, self.outbox.connection, id);
        }
    }

    pub(super) fn set_window(&mut self, consumer: ConsumerId, window: u32) {
        let own = self.session.as_ref().filter(|session| session.consumer == consumer).map(|session| session.queue);
        let place = self.holdings.as_ref().and_then(|holdings| holdings.consumers.get(&consumer));
        let Some(queue) = place.map(|place| place.queue).or(own) else { return };
        let connection = self.outbox.connection;
        self.push(queue, ShardCommand::Window { queue, connection, consumer, window });
    }

    pub(super) fn set_lane_window(&mut self, lane: Lane, window: u32) {
        self.lane_window(lane).set(window);
        self.resume_lane(lane);
    }

    fn lane_window(&mut self, lane: Lane) -> Arc<crate::window::LaneWindow> {
        self.holdings().lanes.entry(lane).or_default().clone()
    }

    fn resume_lane(&mut self, lane: Lane) {
        let consumers = self.holdings.iter().flat_map(|holdings| holdings.consumers.values());
        let queues: Vec<QueueId> = consumers.filter(|place| place.lane == lane).map(|place| place.queue).collect();
        for queue in queues {
            self.push(queue, ShardCommand::Resume { queue });
        }
    }

    /// Consumers that found their lane's window full are served again after the connection has settled something.
    pub(super) fn resume_starved_lanes(&mut self, now: Now) {
        let Some(holdings) = &self.holdings else { return };
        let starved: Vec<Lane> =
            holdings.lanes.iter().filter(|(_, window)| window.take_starved()).map(|(lane, _)| *lane).collect();
        if starved.is_empty() {
            return;
        }
        starved.into_iter().for_each(|lane| self.resume_lane(lane));
        for index in 0..self.pending.len() {
            if !self.pending[index].is_empty() {
                self.broker.send_batch(now, index, &mut self.pending[index]);
            }
        }
    }

    pub(super) fn fetch(&mut self, now: Now, request: RequestId, fetch: Fetch) {
        self.flush(now);
        let queue = match self.readable(&fetch.queue) {
            Ok(queue) => queue,
            Err(refusal) => return self.answer(request, Err(refusal)),
        };
        // What is held for a time stays held when the connection ends.
        *self.holdings().touched.entry(queue).or_default() |= fetch.lease == Lease::Connection;
        let fetch = ShardFetch {
            outbox: self.outbox.clone(),
            request,
            count_max: fetch.count_max,
            presettled: fetch.presettled,
            lease: fetch.lease,
            wait_ms: fetch.wait_ms,
        };
        self.push(queue, ShardCommand::Fetch { queue, fetch: Box::new(fetch) });
    }

    /// Sorts deliveries by shard. A request is only ever made for deliveries of one queue.
    pub(super) fn settle(
        &mut self,
        now: Now,
        deliveries: Vec<DeliveryId>,
        outcome: Outcome,
        request: Option<RequestId>,
    ) {
        let Some(first) = deliveries.first().map(|id| shard_of(id.queue)) else {
            // Nothing to settle, but an answer: it comes after everything that was asked before.
            if let Some(request) = request {
                self.flush(now);
                self.answer(request, Ok(Reply::Done));
            }
            return;
        };
        let request = request.map(|request| (request, self.outbox.clone()));
        if deliveries.iter().all(|id| shard_of(id.queue) == first) {
            return self.push_to(first, ShardCommand::Settle { deliveries, outcome, request });
        }
        let mut request = request;
        for index in 0..self.broker.shard_count() {
            let deliveries: Vec<DeliveryId> =
                deliveries.iter().filter(|id| shard_of(id.queue) == index).copied().collect();
            if !deliveries.is_empty() {
                self.push_to(index, ShardCommand::Settle { deliveries, outcome, request: request.take() });
            }
        }
    }

    /// Answered when the queue's shard says that it is durable. A name that another connection has just given to another queue
    /// has to be durable, too: with the old queue, its messages would come back.
    pub(super) fn purge(&mut self, now: Now, request: RequestId, queue: &Name, everything: bool) {
        self.flush(now);
        let queue = match self.purgeable(queue) {
            Ok(queue) => queue,
            Err(refusal) => return self.answer(request, Err(refusal)),
        };
        self.held_answers += 1;
        self.purging = true;
        let purge = Arc::new(Purge { outbox: self.outbox.clone(), request, everything, count: AtomicU64::new(0) });
        let defined = self.broker.definitions().last_sequence();
        let is_new = defined > self.broker.definitions_are_durable_to();
        let shares = share_count(1 + usize::from(is_new));
        if is_new {
            let (purge, shares) = (purge.clone(), shares.clone());
            self.broker.confirm_when_durable(now, defined, Confirmee::Purge { purge, shares });
        }
        self.push(queue, ShardCommand::Purge { queue, purge, shares });
    }

    /// Answered once it is durable.
    pub(super) fn cancel_delayed(&mut self, now: Now, request: RequestId, exchange: &Name, position: u64) {
        self.flush(now);
        match self.broker.delays_to_change(&self.who, exchange) {
            Ok(queue) => {
                let outbox = self.outbox.clone();
                self.push(queue, ShardCommand::CancelDelayed { queue, position, request, outbox });
            }
            Err(refusal) => self.answer(request, Err(refusal)),
        }
    }

    /// The queue, if it exists, is not somebody else's, and may be read.
    pub(super) fn readable(&self, name: &Name) -> Result<QueueId, Refusal> {
        let caller = self.caller();
        // Only the connection that replies go to finds such a queue.
        if !name.starts_with(REPLY_ADDRESS) {
            let checked = self.broker.permissions().check(caller.who, Access::Read, Resource::Queue, name);
            checked.or_else(|refusal| {
                let is_warranted = caller.warrants.read(&caller.who.vhost, Resource::Queue, name);
                if is_warranted { Ok(()) } else { Err(refusal) }
            })?;
        }
        accessible(&self.broker.definitions(), &caller, name).map(|queue| queue.id)
    }
}

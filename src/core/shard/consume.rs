//! Consumers and fetches of a shard's queues.

use crossdock_common::event::Reply;
use crossdock_common::names::{ConnectionId, QueueId};
use crossdock_common::{Event, Now, Refusal, RequestId};

use super::command::{Effects, Followup, NewConsumer, ShardFetch};
use super::stream::not_of_streams;
use super::timers::Timer;
use super::wishes::EVERYTHING;
use super::{Shard, note, reply, watch_unused};

impl Shard {
    pub(super) fn subscribe(&mut self, id: QueueId, mut consumer: NewConsumer) -> Result<Reply, Refusal> {
        let Some(queue) = self.queues.get_mut(&id) else {
            return Err(Refusal::Unavailable("the queue was deleted".to_owned()));
        };
        // One that is active alone and one that is there alone exclude each other, as in RabbitMQ.
        let alone = !queue.consumers.is_empty() || queue.settings.single_active_consumer;
        if queue.consumers.has_exclusive() || consumer.exclusive && alone {
            return Err(Refusal::ExclusiveUse { name: queue.name.clone(), vhost: queue.vhost.clone() });
        }
        queue.check_wish(&consumer.selector)?;
        let cursor = queue.new_cursor(&mut consumer);
        queue.consumers.add(consumer, cursor);
        queue.sort_by_wishes();
        let timeout = queue.settings.consumer_timeout_ms;
        self.mark(id);
        Ok(timeout.map_or(Reply::Done, |consumer_timeout_ms| Reply::Consumer { queue: id, consumer_timeout_ms }))
    }

    pub(super) fn unsubscribe(
        &mut self,
        now: Now,
        id: QueueId,
        connection: ConnectionId,
        consumer: crossdock_common::ConsumerId,
        effects: &mut Effects,
    ) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        if let Some(mut consumer) = queue.consumers.remove(connection, consumer) {
            consumer.release_all();
            self.consumer_left(now, id, effects);
        }
    }

    pub(super) fn consumer_left(&mut self, now: Now, id: QueueId, effects: &mut Effects) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        queue.sort_by_wishes();
        watch_unused(queue, &mut self.timers, now.instant);
        if queue.auto_delete && queue.consumers.is_empty() {
            effects.followups.push_back(Followup::DeleteQueue { queue: id });
        }
        // With a single active consumer, the next one takes over.
        self.mark(id);
    }

    pub(super) fn detach(
        &mut self,
        now: Now,
        id: QueueId,
        (connection, holds): (ConnectionId, bool),
        effects: &mut Effects,
    ) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let had_consumer = queue.consumers.remove_connection(connection);
        if let Some(special) = queue.special.present() {
            special.fetches.retain(|fetch| fetch.outbox.connection != connection);
        }
        let held = if holds { queue.held_by(connection) } else { Vec::new() };
        self.settle(now, &held, crossdock_common::command::Outcome::Released, None, effects);
        if had_consumer {
            self.consumer_left(now, id, effects);
        }
    }

    pub(super) fn fetch(&mut self, now: Now, id: QueueId, fetch: ShardFetch, effects: &mut Effects) {
        // What waits in the queue goes first to those who came before.
        self.dispatch(now, id, effects);
        let unload = self.memory.is_short();
        let Self { queues, timers, settled, log, segments, .. } = self;
        let Some(queue) = queues.get_mut(&id) else {
            let gone = Refusal::Unavailable("the queue was deleted".to_owned());
            return reply(fetch.request, &fetch.outbox, Err(gone), effects);
        };
        if queue.stream.is_some() {
            let refusal = not_of_streams("basic.get", &queue.name, &queue.vhost);
            return reply(fetch.request, &fetch.outbox, Err(refusal), effects);
        }
        queue.unused_since = now.instant;
        queue.ready.open_to(EVERYTHING);
        let empty = queue.ready.is_exhausted();
        if empty && (fetch.wait_ms > 0 || queue.is_awaiting()) || queue.ready.is_waiting() {
            if fetch.wait_ms > 0 {
                let until = now.instant.after_ms(fetch.wait_ms);
                let (connection, request) = (fetch.outbox.connection, fetch.request);
                timers.add(until, Timer::Fetch { queue: id, connection, request });
            }
            queue.special.fetches.push_back(fetch);
            return self.mark(id);
        }
        queue.serve_fetch(fetch, (now, unload), timers, effects, &mut |what| {
            note(id, what, settled, segments, log.as_mut());
        });
        // What it took may have to be read on.
        self.mark(id);
    }

    pub(super) fn fetch_timed_out(
        &mut self,
        id: QueueId,
        connection: ConnectionId,
        request: RequestId,
        effects: &mut Effects,
    ) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let is_it = |fetch: &ShardFetch| fetch.request == request && fetch.outbox.connection == connection;
        let Some(index) = queue.special.fetches.iter().position(is_it) else { return };
        if let Some(fetch) = queue.special.fetches.remove(index) {
            fetch.outbox.push(Event::Fetched { request, deliveries: Vec::new(), ready: 0 });
            effects.wake(&fetch.outbox);
        }
    }

    pub(super) fn unused(&mut self, now: Now, id: QueueId, effects: &mut Effects) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let Some(expires_ms) = queue.settings.expires_ms else { return };
        if !queue.consumers.is_empty() {
            // The clock starts again when they have gone.
            return;
        }
        if !queue.special.fetches.is_empty() {
            queue.unused_since = now.instant;
        }
        if queue.unused_since.after_ms(expires_ms) <= now.instant {
            effects.followups.push_back(Followup::DeleteQueue { queue: id });
        } else {
            self.timers.add(queue.unused_since.after_ms(expires_ms), Timer::Unused { queue: id });
        }
    }
}

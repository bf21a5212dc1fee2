//! A shard's queues from outside: made, changed, counted, emptied, removed.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use crossdock_common::definition::QueueSettings;
use crossdock_common::names::QueueId;
use crossdock_common::{Event, Message, Name, Now, Refusal, RequestId};

use super::command::{Effects, NewQueue};
use super::queue::Queue;
use super::{Awaiting, Counts, Shard, reply, watch_unused};
use crate::log::{RecordKind, Sequence};
use crate::outbox::Outbox;

impl Shard {
    pub(crate) fn add_queue(&mut self, new: NewQueue, now: Now) {
        let mut queue = Queue::new(new, now.instant);
        watch_unused(&mut queue, &mut self.timers, now.instant);
        self.queues.insert(queue.id, queue);
    }

    pub(crate) fn configure_queue(&mut self, id: QueueId, settings: QueueSettings) {
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.settings = settings;
            self.mark(id);
        }
    }

    /// Removes a queue with its messages; its consumers and fetches are told.
    pub(crate) fn remove_queue(&mut self, id: QueueId, effects: &mut Effects) -> u64 {
        let Some(queue) = self.queues.remove(&id) else { return 0 };
        for consumer in queue.consumers.iter() {
            consumer.outbox.push(Event::ConsumerCancelled { consumer: consumer.id });
            effects.wake(&consumer.outbox);
        }
        for fetch in &queue.fetches {
            let gone = Refusal::NotFound {
                resource: crossdock_common::refusal::Resource::Queue,
                name: queue.name.clone(),
                vhost: queue.vhost.clone(),
            };
            reply(fetch.request, &fetch.outbox, Err(gone), effects);
        }
        // Nobody can settle these any more.
        queue.unsettled.values().filter_map(|unsettled| unsettled.lane_window.as_ref()).for_each(|lane| lane.release());
        queue.ready.len() as u64
    }

    /// Removes the ready messages of a queue for good, and those that are about to be.
    pub(crate) fn purge_queue(&mut self, id: QueueId) -> u64 {
        let Some(queue) = self.queues.get_mut(&id) else { return 0 };
        let mut purged = queue.ready.drain();
        if std::mem::take(&mut queue.awaiting) > 0 {
            let waits_here = |waiting: &Awaiting| matches!(waiting, Awaiting::Entry(queue, _) if *queue == id);
            let (waited, others) =
                std::mem::take(&mut self.awaiting).into_iter().partition(|(_, waiting)| waits_here(waiting));
            self.awaiting = others;
            let waited: VecDeque<(Sequence, Awaiting)> = waited;
            purged.extend(waited.into_iter().filter_map(|(_, waiting)| match waiting {
                Awaiting::Entry(_, entry) => Some(entry),
                _ => None,
            }));
        }
        self.settled.extend(purged.iter().filter(|entry| entry.logged).map(|entry| (id, entry.position)));
        self.write_settled();
        self.log.commit();
        purged.len() as u64
    }

    pub(crate) fn counts(&self, id: QueueId) -> Counts {
        self.queues.get(&id).map_or_else(Counts::default, |queue| Counts {
            ready: (queue.ready.len() + queue.awaiting) as u64,
            unsettled: queue.unsettled.len() as u64,
            delayed: queue.delayed.len() as u64,
            consumers: u32::try_from(queue.consumers.len()).unwrap_or(u32::MAX),
        })
    }

    /// Session state of a queue, by key.
    pub(crate) fn session_state(&self, id: QueueId) -> Vec<(Bytes, Bytes)> {
        let Some(queue) = self.queues.get(&id) else { return Vec::new() };
        queue.state.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// The retained messages of an exchange that the pattern matches.
    pub(crate) fn retained(
        &self,
        now: Now,
        vhost: &Name,
        exchange: &Name,
        pattern: &[u8],
        found: &mut Vec<Arc<Message>>,
    ) {
        self.retained.matching(now, vhost, exchange, pattern, found);
    }

    pub(super) fn set_session_state(
        &mut self,
        id: QueueId,
        key: Bytes,
        value: Option<Bytes>,
        request: Option<(RequestId, Arc<Outbox>)>,
        effects: &mut Effects,
    ) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        if queue.durable {
            self.scratch.clear();
            crate::record::put_bytes(&mut self.scratch, &key);
            self.scratch.put_u8(u8::from(value.is_some()));
            let value = value.as_deref().unwrap_or_default();
            self.log.push(RecordKind::SessionState, id.0, &[&self.scratch, value]);
        }
        match value {
            Some(value) => queue.state.insert(key, value),
            None => queue.state.remove(&key),
        };
        let Some((request, outbox)) = request else { return };
        self.wait(Awaiting::Reply(request, outbox), effects);
    }
}

//! A shard's queues from outside: made, changed, counted, emptied, removed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{BufMut, Bytes};
use crossdock_common::definition::QueueSettings;
use crossdock_common::names::QueueId;
use crossdock_common::{Event, Now, Refusal, RequestId};

use super::awaiting::Awaiting;
use super::command::{Confirmee, Effects, NewQueue, Purge, Shares};
use super::consumers::Consumer;
use super::entry::Entry;
use super::ledger::Ledger;
use super::publications::StateKey;
use super::queue::{Awaited, Queue};
use super::ready::Drained;
use super::{Counts, Shard, confirm, reply, watch_unused};
use crate::log::{RecordKind, Urgency};
use crate::outbox::Outbox;
use hashbrown::HashSet;

impl Shard {
    pub(crate) fn add_queue(&mut self, new: NewQueue, now: Now) {
        let mut queue = Queue::new(new, now.instant);
        self.share_settings(&mut queue.settings);
        watch_unused(&mut queue, &mut self.timers, now.instant);
        self.queues.insert(queue.id, Box::new(queue));
    }

    pub(crate) fn configure_queue(&mut self, id: QueueId, settings: QueueSettings) {
        if let Some(queue) = self.queues.get_mut(&id) {
            if let (Some(known), Some(fifo)) = (&mut queue.deduplication, settings.fifo) {
                known.set_scope(fifo.deduplication_scope);
            }
            queue.settings = Arc::new(settings);
            self.mark(id);
        }
    }

    /// Most queues are made as the one before.
    fn share_settings(&mut self, settings: &mut Arc<QueueSettings>) {
        if *settings == self.last_settings {
            *settings = self.last_settings.clone();
        } else {
            self.last_settings = settings.clone();
        }
    }

    /// Queues follow other settings from now on, and whatever follows from that is done at once.
    pub(crate) fn reconfigure(&mut self, now: Now, changes: Vec<(QueueId, QueueSettings)>, effects: &mut Effects) {
        for (id, settings) in changes {
            let Some(queue) = self.queues.get_mut(&id).filter(|queue| *queue.settings != settings) else { continue };
            let expires_anew = queue.settings.expires_ms != settings.expires_ms;
            queue.settings = Arc::new(settings);
            if expires_anew {
                watch_unused(queue, &mut self.timers, now.instant);
            }
            self.mark(id);
        }
        self.finish(now, effects);
    }

    /// Removes a queue with its messages; its consumers and fetches are told.
    pub(crate) fn remove_queue(&mut self, id: QueueId, effects: &mut Effects) -> u64 {
        let Some(mut queue) = self.queues.remove(&id) else { return 0 };
        for consumer in queue.consumers.iter() {
            consumer.outbox.push(Event::ConsumerCancelled { consumer: consumer.id });
            effects.wake(&consumer.outbox);
        }
        for fetch in &queue.special.fetches {
            let gone = Refusal::NotFound {
                resource: crossdock_common::refusal::Resource::Queue,
                name: queue.name.clone(),
                vhost: queue.vhost.clone(),
            };
            reply(fetch.request, &fetch.outbox, Err(gone), effects);
        }
        // Nobody can settle these any more.
        queue.consumers.iter_mut().for_each(Consumer::release_all);
        queue.unsettled.release_lanes();
        let ready = queue.ready.len();
        self.give_up(*queue);
        ready
    }

    /// What a deleted queue held is not needed any more. The record says so before the segments go: a queue whose deletion
    /// did not survive comes back empty, not broken.
    fn give_up(&mut self, mut queue: Queue) {
        if queue.durable {
            self.log.push(RecordKind::Purged, queue.id.0, &[&u64::MAX.to_le_bytes()]);
        }
        self.memory.change(queue.memory_counted, 0);
        queue.ledger.purged += queue.ledger.held();
        self.closed.add(&queue.ledger);
        self.closed_traffic.add(&queue.traffic);
        queue.deduplication.iter_mut().for_each(|known| self.arrived.extend(known.give_up()));
        let drained = queue.ready.drain();
        self.drop_stored(&drained);
        self.waiting.take_entries(queue.id);
        let (_, parts) = self.large.take_entries(queue.id);
        parts.iter().for_each(|part| self.segments.remove(part));
        self.segments.retain_parts(queue.id, |_| false);
        for entry in queue.away() {
            entry.stored.iter().for_each(|location| self.segments.remove(location));
        }
        for page in &queue.special.damaged_pages {
            self.segments.remove_page(page);
            self.retired.push(page.location);
        }
        self.commit();
    }

    pub(super) fn drop_stored(&mut self, drained: &Drained) {
        drained.entries.iter().filter_map(|entry| entry.stored.as_ref()).for_each(|at| self.segments.remove(at));
        drained.refs.iter().for_each(|stored| self.segments.remove(&stored.location));
        for page in &drained.pages {
            self.segments.remove_page(page);
            self.retired.push(page.location);
        }
    }

    /// Removes the ready messages of a queue for good, and those that are about to be. Whoever asked hears of it when that is as
    /// durable as they were.
    pub(super) fn purge(&mut self, now: Now, id: QueueId, purge: Arc<Purge>, shares: Shares, effects: &mut Effects) {
        let away = if purge.everything { self.empty_away(id) } else { 0 };
        purge.count.store(away + self.empty(now, id), Ordering::Release);
        let confirmee = Confirmee::Purge { purge, shares };
        let queue = self.queues.get(&id);
        // A queue that is gone was deleted a moment ago: the record of that has to be durable.
        match queue.map_or(Some(Urgency::Sync), |queue| queue.urgency.filter(|_| queue.durable)) {
            Some(until) => self.wait(until, Awaiting::Confirm(confirmee), effects),
            None => confirm(confirmee, effects),
        }
    }

    /// What is delayed or handed out goes; gives how many that were. Whoever has a message settles what is not there any more.
    fn empty_away(&mut self, id: QueueId) -> u64 {
        let Some(queue) = self.queues.get_mut(&id) else { return 0 };
        let held = queue.unsettled.all(id);
        let mut gone: Vec<Entry> = held.iter().filter_map(|delivery| queue.take_unsettled(delivery)).collect();
        gone.extend(queue.take_all_delayed());
        gone.iter().for_each(|entry| self.forget(id, entry, |ledger| &mut ledger.purged));
        self.write_settled();
        gone.len() as u64
    }

    /// Gives how many messages went.
    fn empty(&mut self, now: Now, id: QueueId) -> u64 {
        let Some(queue) = self.queues.get_mut(&id) else { return 0 };
        if let Some(known) = &mut queue.deduplication {
            known.write_arriving(id, now, self.log.as_mut(), &mut self.scratch);
            self.arrived.extend(known.give_up());
            known.emptied();
        }
        let mut drained = queue.ready.drain();
        let kept: Vec<Entry> = queue.special.present().into_iter().flat_map(|special| special.kept.drain()).collect();
        let waited = self.waiting.take_entries(id);
        let behind = queue.take_behind();
        let (large, parts) = self.large.take_entries(id);
        parts.iter().for_each(|part| self.segments.remove(part));
        queue.awaiting = Awaited::default();
        drained.count += (waited.len() + behind.len() + kept.len()) as u64 + large;
        drained.entries.extend(behind);
        drained.entries.extend(kept);
        queue.ledger.purged += drained.count;
        if queue.durable {
            self.scratch.clear();
            self.scratch.put_u64_le(queue.next_position);
            queue.away().filter(|entry| entry.logged).for_each(|entry| self.scratch.put_u64_le(entry.position));
            self.log.push(RecordKind::Purged, id.0, &[&self.scratch]);
        }
        let stay: HashSet<u64> = queue.away().map(|entry| entry.position).collect();
        self.segments.retain_parts(id, |position| stay.contains(&position));
        self.drop_stored(&drained);
        self.mark(id);
        drained.count
    }

    pub(crate) fn counts(&self, id: QueueId) -> Counts {
        self.queues.get(&id).map_or_else(Counts::default, |queue| Counts {
            ready: queue.ready.len() + queue.awaiting.count() as u64,
            unsettled: queue.unsettled_count(),
            delayed: queue.special.delayed.len() as u64,
            unreadable: queue.unreadable(),
            consumers: u32::try_from(queue.consumers.len()).unwrap_or(u32::MAX),
        })
    }

    /// Adds up what the queues hold.
    pub(crate) fn add_counts(&self, total: &mut Counts) {
        for counts in self.queues.keys().map(|id| self.counts(*id)) {
            total.ready += counts.ready;
            total.unsettled += counts.unsettled;
            total.delayed += counts.delayed;
            total.unreadable += counts.unreadable;
            total.consumers += counts.consumers;
        }
    }

    /// Adds up the ledgers, also those of queues that are gone, and counts the queues whose ledger is not what they hold.
    pub(crate) fn add_ledgers(&self, total: &mut Ledger) -> u64 {
        total.add(&self.closed);
        self.queues.values().for_each(|queue| total.add(&queue.ledger));
        self.queues.values().filter(|queue| queue.ledger.held() != queue.held()).count() as u64
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory.used_bytes()
    }

    pub(crate) fn retained_count(&self) -> usize {
        self.retained.count()
    }

    pub(super) fn set_session_state(
        &mut self,
        id: QueueId,
        key: Bytes,
        value: Option<Bytes>,
        request: Option<(RequestId, Arc<Outbox>)>,
        effects: &mut Effects,
    ) {
        debug_assert!(StateKey::of(&key).is_none(), "these keys are the core's");
        self.write_state(id, &key, value.as_deref());
        let Some(queue) = self.queues.get_mut(&id) else { return };
        match value {
            Some(value) => queue.special.state.insert(key, value),
            None => queue.special.present().and_then(|special| special.state.remove(&key)),
        };
        let Some((request, outbox)) = request else { return };
        self.wait(Urgency::Sync, Awaiting::Reply(request, outbox), effects);
    }
}

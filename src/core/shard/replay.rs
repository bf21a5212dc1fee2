//! Queues from records, and records from queues.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use crossdock_common::definition::BindingSpec;
use crossdock_common::names::QueueId;
use crossdock_common::{Message, Now};
use hashbrown::HashMap;

use super::Shard;
use super::entry::Entry;
use super::queue::Queue;
use crate::definitions::route::AnnouncedBinding;
use crate::log::{Log, RecordKind, Sequence};
use crate::record::{
    RecordError, StoredPlace, decode_body, decode_message, encode_message, take_bytes, take_name, take_u8, take_u32,
    take_u64,
};

/// A shard while its log is read. Entries are kept by place until all settlements are known.
pub(crate) struct Replay {
    now: Now,
    bindings: HashMap<u64, Arc<BindingSpec>>,
    entries: HashMap<QueueId, BTreeMap<u64, Entry>>,
    /// The highest number of a queue that records name, whether it exists or not.
    pub(crate) queue_max: QueueId,
}

impl Replay {
    /// `bindings` are the announced ones by number.
    pub(crate) fn new(now: Now, bindings: HashMap<u64, Arc<BindingSpec>>) -> Self {
        Self { now, bindings, entries: HashMap::default(), queue_max: QueueId(0) }
    }
}

impl Shard {
    /// Applies one record of the shard's log. Records of queues that no longer exist are passed over.
    pub(crate) fn replay(
        &mut self,
        replay: &mut Replay,
        kind: RecordKind,
        stream: u64,
        payload: &[u8],
    ) -> Result<(), RecordError> {
        let mut payload = Bytes::copy_from_slice(payload);
        let queue = QueueId(stream);
        replay.queue_max = replay.queue_max.max(queue);
        match kind {
            RecordKind::Message => self.replay_message(replay, payload)?,
            RecordKind::Settled => {
                let Some(entries) = replay.entries.get_mut(&queue) else { return Ok(()) };
                while !payload.is_empty() {
                    entries.remove(&take_u64(&mut payload)?);
                }
            }
            RecordKind::Attempts => {
                let position = take_u64(&mut payload)?;
                let attempts = take_u32(&mut payload)?;
                if let Some(entry) = replay.entries.get_mut(&queue).and_then(|entries| entries.get_mut(&position)) {
                    entry.attempts = attempts;
                }
            }
            RecordKind::NextPosition => {
                let position = take_u64(&mut payload)?;
                let Some(known) = self.queues.get_mut(&queue) else { return Ok(()) };
                known.next_position = known.next_position.max(position);
            }
            RecordKind::Retained => {
                let vhost = take_name(&mut payload)?;
                let message = decode_body(payload, |tag| self.format(tag))?;
                self.retained.set(&vhost, Arc::new(message));
            }
            RecordKind::SessionState => self.replay_state(queue, payload)?,
            _ => return Err(RecordError("not a shard's record")),
        }
        Ok(())
    }

    /// All records are read: what is left is ready.
    pub(crate) fn finish_replay(&mut self, replay: Replay) {
        for (id, entries) in replay.entries {
            let Some(queue) = self.queues.get_mut(&id) else { continue };
            entries.into_values().for_each(|entry| queue.readmit(entry, replay.now, &mut self.timers));
            queue.schedule_expiry(&mut self.timers);
            self.mark(id);
        }
    }

    /// Everything that survives, as records: what a snapshot holds. A message in several queues is written once. Gives the
    /// number of the first batch that is not in it.
    pub(crate) fn snapshot(&mut self, log: &mut dyn Log) -> Sequence {
        let mut messages: HashMap<*const Message, (Arc<Message>, Vec<StoredPlace>)> = HashMap::default();
        let mut order = Vec::new();
        let mut note = |queue: QueueId, entry: &Entry| {
            let key = Arc::as_ptr(&entry.message);
            let binding = entry.binding.as_ref().map_or(0, |binding| binding.serial);
            let place = StoredPlace { queue, position: entry.position, binding, attempts: entry.attempts };
            let known = messages.entry(key).or_insert_with(|| {
                order.push(key);
                (entry.message.clone(), Vec::new())
            });
            known.1.push(place);
        };
        for queue in self.queues.values().filter(|queue| queue.durable) {
            log.push(RecordKind::NextPosition, queue.id.0, &[&queue.next_position.to_le_bytes()]);
            write_state(queue, log, &mut self.scratch);
            for entry in queue.logged_entries() {
                note(queue.id, entry);
            }
        }
        for (_, waiting) in &self.awaiting {
            if let super::Awaiting::Entry(queue, entry) = waiting
                && entry.logged
            {
                note(*queue, entry);
            }
        }
        for (message, places) in order.iter().filter_map(|key| messages.get(key)) {
            encode_message(log, &mut self.scratch, message, places);
        }
        self.retained.write(log, &mut self.scratch);
        self.log.next_sequence()
    }

    fn replay_message(&mut self, replay: &mut Replay, payload: Bytes) -> Result<(), RecordError> {
        let (places, message) = decode_message(payload, |tag| self.format(tag))?;
        for place in places {
            replay.queue_max = replay.queue_max.max(place.queue);
            let Some(queue) = self.queues.get_mut(&place.queue) else { continue };
            let spec = replay.bindings.get(&place.binding);
            let binding = spec.map(|spec| AnnouncedBinding { serial: place.binding, spec: spec.clone() });
            let mut entry = queue.entry_at(place.position, message.clone(), binding, true, replay.now);
            entry.attempts = place.attempts;
            queue.next_position = queue.next_position.max(place.position + 1);
            replay.entries.entry(place.queue).or_default().insert(place.position, entry);
        }
        Ok(())
    }

    fn replay_state(&mut self, id: QueueId, mut payload: Bytes) -> Result<(), RecordError> {
        let key = take_bytes(&mut payload)?;
        let present = take_u8(&mut payload)? != 0;
        let Some(queue) = self.queues.get_mut(&id) else { return Ok(()) };
        if present {
            queue.state.insert(key, payload);
        } else {
            queue.state.remove(&key);
        }
        Ok(())
    }
}

impl Queue {
    /// Every entry that stands in the log, wherever it is now, oldest first within its place.
    fn logged_entries(&self) -> impl Iterator<Item = &Entry> {
        let ready = self.ready.iter();
        let unsettled = self.unsettled.values().map(|unsettled| &unsettled.entry);
        ready.chain(unsettled).chain(self.delayed.values()).chain(self.departing.values()).filter(|entry| entry.logged)
    }
}

fn write_state(queue: &Queue, log: &mut dyn Log, scratch: &mut bytes::BytesMut) {
    for (key, value) in &queue.state {
        scratch.clear();
        crate::record::put_bytes(scratch, key);
        scratch.put_u8(1);
        log.push(RecordKind::SessionState, queue.id.0, &[scratch, value]);
    }
}

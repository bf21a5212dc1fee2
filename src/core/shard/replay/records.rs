//! What each record of a shard's log means for its queues.

use std::sync::Arc;

use bytes::{Buf, Bytes};
use crossdock_common::names::QueueId;
use crossdock_common::{Message, Now, UnixMillis};
use hashbrown::HashSet;

use super::{QueueReplay, Replay, Replayed};
use crate::log::{Location, RecordKind};
use crate::record::{
    Decoder, Head, RecordError, StoredPlace, decode_parts, decode_places, peek_head, take_bytes, take_location,
    take_name, take_u8, take_u32, take_u64,
};
use crate::shard::Shard;
use crate::shard::entry::Entry;
use crate::shard::publications::StateKey;
use crate::shard::queue::Queue;
use crate::shard::stored::{StoredRef, take_page, take_ref, take_refs};

impl Shard {
    /// Applies one record of the shard's log. Records of queues that no longer exist are passed over. `location` is where it is;
    /// records of a snapshot have none.
    pub(crate) fn replay(
        &mut self,
        replay: &mut Replay,
        kind: RecordKind,
        stream: u64,
        payload: &[u8],
        location: Option<Location>,
    ) -> Result<(), RecordError> {
        let id = QueueId(stream);
        replay.queue_max = replay.queue_max.max(id);
        match kind {
            RecordKind::Message => self.replay_message(replay, payload, location),
            RecordKind::Retained => self.replay_retained(payload),
            RecordKind::Landings => self.landings.read(id, payload),
            RecordKind::Arrivals => self.arrivals.read(id, payload),
            RecordKind::Page | RecordKind::Transient | RecordKind::Part => Ok(()),
            _ => {
                let Some(queue) = self.queues.get_mut(&id) else { return Ok(()) };
                let now = replay.now;
                replay.queues.entry(id).or_default().apply(queue, now, kind, payload)
            }
        }
    }

    fn replay_retained(&mut self, payload: &[u8]) -> Result<(), RecordError> {
        let mut payload = Bytes::copy_from_slice(payload);
        let vhost = take_name(&mut payload)?;
        let message = Decoder::new(&self.formats).body(payload)?;
        self.retained.set(&vhost, Arc::new(message));
        Ok(())
    }

    fn replay_message(
        &mut self,
        replay: &mut Replay,
        payload: &[u8],
        location: Option<Location>,
    ) -> Result<(), RecordError> {
        let mut rest = payload;
        let parts = decode_parts(&mut rest)?;
        let places = decode_places(&mut rest)?;
        let mut head = peek_head(rest)?;
        head.body_bytes += parts.iter().map(|part| part.length_bytes).sum::<u32>();
        if let Some(publication) = &head.publication {
            self.landings.note(publication, places.iter().map(|place| place.queue));
        }
        head.rare.as_ref().and_then(|rare| rare.moved).into_iter().for_each(|moved| self.arrivals.note(moved));
        // What cannot be read back later has to be kept now.
        let message = match location {
            Some(_) => None,
            None => Some(Arc::new(Decoder::new(&self.formats).body(Bytes::copy_from_slice(rest))?)),
        };
        for place in places {
            replay.queue_max = replay.queue_max.max(place.queue);
            let Some(queue) = self.queues.get_mut(&place.queue) else { continue };
            queue.next_position = queue.next_position.max(place.position + 1);
            if let (Some(known), Some(rare)) = (&mut queue.deduplication, &head.rare) {
                known.replay(place.position, rare, head.received_at, replay.now);
            }
            let entry = restored(queue, &place, &head, message.clone(), location, replay.now);
            let queue = replay.queues.entry(place.queue).or_default();
            if !queue.knows(place.position, location) {
                queue.entries.insert(place.position, entry);
            }
            if !parts.is_empty() {
                queue.parts.insert(place.position, parts.clone());
            }
        }
        Ok(())
    }
}

impl QueueReplay {
    fn apply(&mut self, queue: &mut Queue, now: Now, kind: RecordKind, mut payload: &[u8]) -> Result<(), RecordError> {
        match kind {
            RecordKind::Settled => {
                while !payload.is_empty() {
                    self.settled(take_u64(&mut payload)?);
                }
            }
            RecordKind::Attempts => {
                let (position, attempts) = (take_u64(&mut payload)?, take_u32(&mut payload)?);
                self.handed_out(position, attempts);
            }
            RecordKind::NextPosition => queue.next_position = queue.next_position.max(take_u64(&mut payload)?),
            RecordKind::SessionState => replay_state(queue, Bytes::copy_from_slice(payload))?,
            RecordKind::Purged => {
                self.purged(payload)?;
                queue.deduplication.iter_mut().for_each(|known| known.emptied());
            }
            RecordKind::Stored => {
                let (level, before_pages) = (take_u8(&mut payload)?, take_u8(&mut payload)? != 0);
                for stored in take_refs(Bytes::copy_from_slice(payload))? {
                    let replayed = Replayed { entry: stored.to_entry(level), due: None, before_pages };
                    self.entries.insert(stored.position, replayed);
                }
            }
            RecordKind::Pages => {
                let level = take_u8(&mut payload)?;
                let mut payload = Bytes::copy_from_slice(payload);
                while !payload.is_empty() {
                    self.pages.push((level, take_page(&mut payload)?));
                }
            }
            RecordKind::Parts => {
                let position = take_u64(&mut payload)?;
                let mut parts = Vec::new();
                while payload.has_remaining() {
                    parts.push(take_location(&mut payload)?);
                }
                self.parts.insert(position, parts);
            }
            RecordKind::Deduplication => {
                if let Some(known) = &mut queue.deduplication {
                    known.read(Bytes::copy_from_slice(payload), now)?;
                }
            }
            RecordKind::Delayed => self.delayed(now, Bytes::copy_from_slice(payload))?,
            _ => return Err(RecordError("not a shard's record")),
        }
        Ok(())
    }

    /// The snapshot was taken after this record, though the log is replayed from before it: it says what became of the message.
    fn knows(&self, position: u64, location: Option<Location>) -> bool {
        let known = self.entries.get(&position);
        location.is_some() && known.is_some_and(|known| known.entry.stored == location)
    }

    fn settled(&mut self, position: u64) {
        self.parts.remove(&position);
        if self.entries.remove(&position).is_none() && !self.pages.is_empty() {
            self.gone.push(position);
        }
    }

    fn handed_out(&mut self, position: u64, attempts: u32) {
        match self.entries.get_mut(&position) {
            Some(replayed) => replayed.entry.attempts = attempts,
            None if self.pages.is_empty() => {}
            None => {
                self.attempts.insert(position, attempts);
            }
        }
    }

    fn purged(&mut self, mut payload: &[u8]) -> Result<(), RecordError> {
        let up_to = take_u64(&mut payload)?;
        let mut kept = HashSet::new();
        while payload.has_remaining() {
            kept.insert(take_u64(&mut payload)?);
        }
        let stays = |position: u64| position >= up_to || kept.contains(&position);
        self.entries.retain(|position, _| stays(*position));
        self.parts.retain(|position, _| stays(*position));
        // Somebody may have had a message whose reference is in a page only.
        self.pages.retain(|(_, page)| page.positions.1 >= up_to || kept.iter().any(|position| page.spans(*position)));
        self.purges.push((up_to, kept));
        Ok(())
    }

    fn delayed(&mut self, now: Now, mut payload: Bytes) -> Result<(), RecordError> {
        while !payload.is_empty() {
            let due = UnixMillis(take_u64(&mut payload)?);
            let level = take_u8(&mut payload)?;
            let stored: StoredRef = take_ref(&mut payload)?;
            let due = now.instant.after_ms(due.0.saturating_sub(now.unix.0));
            let replayed = Replayed { entry: stored.to_entry(level), due: Some(due), before_pages: false };
            self.entries.insert(stored.position, replayed);
        }
        Ok(())
    }
}

/// A message of the log.
pub(super) fn restored(
    queue: &Queue,
    place: &StoredPlace,
    head: &Head,
    message: Option<Arc<Message>>,
    location: Option<Location>,
    now: Now,
) -> Replayed {
    let age_ms = now.unix.0.saturating_sub(head.received_at.0);
    let delay_ms = queue.delay_ms(head.rare.as_ref()).saturating_sub(age_ms);
    let entry = Entry {
        position: place.position,
        message,
        stored: location,
        body_bytes: head.body_bytes,
        level: queue.ready.level_of(head.priority),
        logged: true,
        expires: head.expires,
        requested: false,
        attempts: place.attempts,
        first_delivered_at: UnixMillis(0),
        expires_at: None,
        binding: None,
    };
    let due = (delay_ms > 0).then(|| now.instant.after_ms(delay_ms));
    Replayed { entry, due, before_pages: false }
}

fn replay_state(queue: &mut Queue, mut payload: Bytes) -> Result<(), RecordError> {
    let key = take_bytes(&mut payload)?;
    let value = (take_u8(&mut payload)? != 0).then_some(payload);
    if let Some(key) = StateKey::of(&key) {
        return queue.publications.get_or_insert_default().apply(key, value);
    }
    if let (Some(stream), Some(value)) = (&mut queue.stream, &value)
        && stream.restore(&key, value)
    {
        return Ok(());
    }
    match value {
        Some(value) => queue.special.state.insert(key, value),
        None => queue.special.present().and_then(|special| special.state.remove(&key)),
    };
    Ok(())
}

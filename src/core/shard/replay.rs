//! Queues from records.

pub(crate) mod salvage;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use crossdock_common::names::QueueId;
use crossdock_common::{Instant, Message, Now, UnixMillis};
use hashbrown::{HashMap, HashSet};

use super::Shard;
use super::entry::Entry;
use super::queue::Queue;
use super::stored::{PageRef, StoredRef, take_page, take_ref, take_refs};
use crate::log::{Location, RecordKind};
use crate::record::{
    Decoder, Head, RecordError, StoredPlace, decode_parts, decode_places, peek_head, take_bytes, take_location,
    take_name, take_u8, take_u32, take_u64,
};

/// A shard while its log is read. Entries are kept by place until all settlements are known.
pub(crate) struct Replay {
    now: Now,
    queues: HashMap<QueueId, QueueReplay>,
    /// The highest number of a queue that records name, whether it exists or not.
    pub(crate) queue_max: QueueId,
}

/// A queue while its shard's log is read.
#[derive(Default)]
struct QueueReplay {
    entries: BTreeMap<u64, Replayed>,
    pages: Vec<(u8, PageRef)>,
    /// Settled, and not among the entries: in a page, then.
    gone: Vec<u64>,
    /// Up to where the queue was purged, and what stayed because somebody had it. Only pages can still hold what went.
    purges: Vec<(u64, HashSet<u64>)>,
    /// Handed out so often, and not among the entries.
    attempts: HashMap<u64, u32>,
    unreadable: Vec<(u8, PageRef)>,
    /// Pages that were read: another start from the same snapshot would need them again.
    read: Vec<Location>,
    /// Where the pieces of large bodies are, by place.
    parts: HashMap<u64, Vec<Location>>,
}

/// A message while its shard's log is read.
struct Replayed {
    entry: Entry,
    /// When it becomes visible, if it is delayed.
    due: Option<Instant>,
    /// It stands before the queue's pages, or behind them. Positions do not tell: a message that was delayed is in a page
    /// with messages that came long after it.
    before_pages: bool,
}

/// A page that has to be read before a replay is complete: some of its messages were settled.
#[derive(Clone, Copy, Debug)]
pub struct PageToRead {
    queue: QueueId,
    index: usize,
    /// Where it is.
    pub location: Location,
}

impl Replay {
    pub(crate) fn new(now: Now) -> Self {
        Self { now, queues: HashMap::default(), queue_max: QueueId(0) }
    }

    /// After the last record: the pages that have to be read.
    pub(crate) fn pages_to_read(&mut self) -> Vec<PageToRead> {
        let mut wanted = Vec::new();
        for (id, queue) in &mut self.queues {
            queue.gone.sort_unstable();
            let touched = |page: &PageRef| {
                !within(&queue.gone, page).is_empty()
                    || queue.purges.iter().any(|(up_to, _)| page.positions.0 < *up_to)
                    || queue.attempts.keys().any(|position| page.spans(*position))
            };
            // What stands before a touched page was handed out as well, and single messages cannot stand between pages.
            let mut levels = HashSet::new();
            for (index, (level, page)) in queue.pages.iter().enumerate().rev() {
                if levels.contains(level) || touched(page) {
                    levels.insert(*level);
                    wanted.push(PageToRead { queue: *id, index, location: page.location });
                }
            }
        }
        // The last of a queue comes first: taking one out leaves the others where they are.
        wanted
    }

    /// After the last record: all pages, for tools.
    pub(crate) fn all_pages(&mut self) -> Vec<PageToRead> {
        let all = self.queues.iter_mut().flat_map(|(id, queue)| {
            queue.gone.sort_unstable();
            let pages = queue.pages.iter().enumerate().rev();
            pages.map(|(index, (_, page))| PageToRead { queue: *id, index, location: page.location })
        });
        all.collect()
    }

    /// A page was read, or cannot be. In the order of [`pages_to_read`](Self::pages_to_read).
    pub(crate) fn page_read(&mut self, wanted: &PageToRead, payload: Option<Bytes>) {
        let Some(queue) = self.queues.get_mut(&wanted.queue) else { return };
        let (level, page) = queue.pages.remove(wanted.index);
        let Some(refs) = payload.and_then(|payload| take_refs(payload).ok()) else {
            return queue.unreadable.push((level, page));
        };
        queue.read.push(page.location);
        let gone = within(&queue.gone, &page);
        let is_purged =
            |position: u64| queue.purges.iter().any(|(up_to, kept)| position < *up_to && !kept.contains(&position));
        let is_gone = |position: u64| gone.binary_search(&position).is_ok() || is_purged(position);
        let stays = |stored: &StoredRef| stored.logged && !is_gone(stored.position);
        for stored in refs.into_iter().filter(stays) {
            let mut entry = stored.to_entry(level);
            entry.attempts = queue.attempts.get(&stored.position).copied().unwrap_or(entry.attempts);
            let replayed = Replayed { entry, due: None, before_pages: true };
            queue.entries.entry(stored.position).or_insert(replayed);
        }
    }
}

/// Those of the sorted positions that may be in the page.
fn within<'a>(positions: &'a [u64], page: &PageRef) -> &'a [u64] {
    let first = positions.partition_point(|position| *position < page.positions.0);
    let rest = &positions[first..];
    &rest[..rest.partition_point(|position| *position <= page.positions.1)]
}

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
        // What cannot be read back later has to be kept now.
        let message = match location {
            Some(_) => None,
            None => Some(Arc::new(Decoder::new(&self.formats).body(Bytes::copy_from_slice(rest))?)),
        };
        for place in places {
            replay.queue_max = replay.queue_max.max(place.queue);
            let Some(queue) = self.queues.get_mut(&place.queue) else { continue };
            queue.next_position = queue.next_position.max(place.position + 1);
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

    /// All records are read: what is left is in its queue. The shard must have its log by now.
    pub(crate) fn finish_replay(&mut self, replay: Replay) {
        for (id, replayed) in replay.queues {
            let QueueReplay { entries, pages, unreadable, read, parts, .. } = replayed;
            let Self { queues, segments, timers, retired, .. } = &mut *self;
            read.iter().for_each(|location| segments.add(location));
            retired.extend(read);
            let Some(queue) = queues.get_mut(&id) else { continue };
            for (position, parts) in parts {
                parts.iter().for_each(|part| segments.add(part));
                segments.add_parts(id, position, parts.into());
            }
            for (level, page) in pages {
                segments.add_page(&page);
                segments.add(&page.location);
                queue.ready.add_page(level, page);
            }
            for (_, page) in unreadable {
                segments.add_page(&page);
                segments.add(&page.location);
                queue.damaged_pages.push(page);
            }
            let mut homeless = Vec::new();
            let (before, behind): (Vec<_>, Vec<_>) = entries.into_values().partition(|replayed| replayed.before_pages);
            for Replayed { entry, due, before_pages } in before.into_iter().chain(behind) {
                let Some(stored) = entry.to_stored() else {
                    homeless.push(entry);
                    continue;
                };
                segments.add(&stored.location);
                match due.filter(|due| *due > replay.now.instant) {
                    Some(due) => queue.delay(entry, due, timers),
                    None => queue.ready.restore(entry.level, stored, before_pages),
                }
            }
            queue.ledger.accepted = queue.held();
            queue.ledger.accepted += homeless.len() as u64;
            for entry in homeless {
                self.write_again(replay.now, id, entry);
            }
            self.mark(id);
        }
        self.commit();
        self.release_segments();
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
            RecordKind::Purged => self.purged(payload)?,
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
fn restored(
    queue: &Queue,
    place: &StoredPlace,
    head: &Head,
    message: Option<Arc<Message>>,
    location: Option<Location>,
    now: Now,
) -> Replayed {
    let age_ms = now.unix.0.saturating_sub(head.received_at.0);
    let delay_ms = head.delay_ms.or(queue.settings.delay_ms).unwrap_or(0).saturating_sub(age_ms);
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
    if take_u8(&mut payload)? != 0 {
        queue.state.insert(key, payload);
    } else {
        queue.state.remove(&key);
    }
    Ok(())
}

//! Queues from records: what is known of them while a log is read, which pages have to be read as well, and the end.
//! What each record means is in `records`.

mod records;
pub(crate) mod salvage;

use std::collections::BTreeMap;

use bytes::Bytes;
use crossdock_common::names::QueueId;
use crossdock_common::{Instant, Now};
use hashbrown::{HashMap, HashSet};

use super::Shard;
use super::entry::Entry;
use super::stored::{PageRef, StoredRef, take_refs};
use crate::log::Location;

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
                queue.special.damaged_pages.push(page);
            }
            let mut homeless = Vec::new();
            let mut last_due = None;
            let (before, behind): (Vec<_>, Vec<_>) = entries.into_values().partition(|replayed| replayed.before_pages);
            for Replayed { entry, due, before_pages } in before.into_iter().chain(behind) {
                let Some(stored) = entry.to_stored() else {
                    homeless.push(entry);
                    continue;
                };
                segments.add(&stored.location);
                let mut due = due.filter(|due| *due > replay.now.instant);
                if queue.is_delaying() {
                    // Whatever waits there waits for its time.
                    due = due.or(Some(replay.now.instant));
                }
                if queue.settings.fifo.is_some() {
                    // Nothing goes past another; and whoever gave it back for later is gone.
                    due = if entry.attempts == 0 { due.max(last_due) } else { None };
                    last_due = due.max(last_due);
                }
                match due.filter(|_| queue.stream.is_none()) {
                    Some(due) => queue.delay(entry, due, timers),
                    None => queue.ready.restore(entry.level, stored, before_pages),
                }
            }
            queue.ledger.accepted = queue.held();
            queue.ledger.accepted += homeless.len() as u64;
            for entry in homeless {
                self.write_again(id, entry);
            }
            self.mark(id);
        }
        self.commit();
        self.release_segments();
    }
}

//! Looking at what could be handed out, without taking it.
//!
//! Each question is answered with a few messages and a place to go on from ([`BrowsePlace`]), so whoever looks through a long queue
//! holds nobody up, and nothing is kept for it in between. What has to be read for an answer is read as it is for consumers; a message
//! that has gone meanwhile is passed over. Order is that of priorities and places.

use std::sync::Arc;

use crossdock_common::command::BrowsePlace;
use crossdock_common::event::{BrowsedMessages, Delivery, Reply};
use crossdock_common::names::{DeliveryId, QueueId};
use crossdock_common::{ConsumerId, Now, Refusal, RequestId};
use hashbrown::HashMap;

use super::Shard;
use super::command::Effects;
use super::entry::Entry;
use super::level::{Behind, Read};
use super::queue::Queue;
use super::reading::{ReadFor, ReadMessage, ReadRequest};
use super::ready::PageContent;
use super::stored::StoredRef;
use crate::log::Location;
use crate::outbox::Outbox;

/// Most messages in one answer.
const COUNT_MAX: usize = 512;
/// Bodies in one answer have this many bytes, or it is one message.
const BYTES_MAX: u64 = 256 << 10;

/// What a connection asks for.
pub(crate) struct ShardBrowse {
    pub outbox: Arc<Outbox>,
    pub request: RequestId,
    pub after: Option<BrowsePlace>,
    pub count_max: u32,
}

/// An answer on its way: some of it has to be read.
struct Browsing {
    browse: ShardBrowse,
    found: Found,
}

/// What an answer will hold.
#[derive(Default)]
struct Found {
    entries: Vec<Entry>,
    next: Option<BrowsePlace>,
}

/// Answers that wait for something to be read. A connection has one at a time.
#[derive(Default)]
pub(super) struct Browsers {
    last: u32,
    waiting: HashMap<u32, Browsing>,
}

impl Browsers {
    fn wait(&mut self, browsing: Browsing) -> ReadFor {
        self.last = self.last.wrapping_add(1);
        self.waiting.insert(self.last, browsing);
        ReadFor::Browser(self.last)
    }
}

impl Queue {
    /// What is shown next; as an error, the page that has to be read for it.
    fn look(&self, browse: &ShardBrowse, page: &Option<PageContent>) -> Result<Found, Location> {
        let begin = || BrowsePlace { level: self.ready.top_level(), position: 0, until: self.next_position - 1 };
        let place = browse.after.unwrap_or_else(begin);
        let count = usize::try_from(browse.count_max).unwrap_or(COUNT_MAX).clamp(1, COUNT_MAX);
        let behind = self.ready.behind(place.level, place.position, count, page)?;
        Ok(Found::new(behind, place, count))
    }

    fn shown(&self, entry: Entry) -> Option<Delivery> {
        Some(Delivery {
            consumer: ConsumerId(0),
            // No delivery has this lease: it settles nothing.
            id: DeliveryId { queue: self.id, position: entry.position, lease: 0 },
            message: entry.message?,
            delivery_count: entry.attempts,
            is_counted: false,
            first_delivered_at: entry.first_delivered_at,
            expires_at: entry.expires_at,
            binding: entry.binding.map(|binding| binding.spec),
            stream_offset: self.stream.as_ref().map(|_| entry.position - 1),
        })
    }
}

impl Found {
    /// As many as fit into one answer, and where the next one begins.
    fn new(behind: Behind, place: BrowsePlace, count: usize) -> Self {
        let Behind { mut entries, complete_to } = behind;
        entries.retain(|entry| entry.position <= place.until);
        let all = entries.len();
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            let is_first = bytes == 0;
            bytes += u64::from(entry.body_bytes).max(1);
            is_first || bytes <= BYTES_MAX
        };
        let shown = entries.iter().take(count).take_while(fits).count();
        entries.truncate(shown);
        let last = entries.last().map_or(place.position, |entry| entry.position);
        let on = |position| Some(BrowsePlace { position, ..place });
        let below = || Some(BrowsePlace { level: place.level.checked_sub(1)?, position: 0, ..place });
        let next = match complete_to {
            _ if shown < all || all >= count => on(last),
            Some(to) if to < place.until => on(to),
            _ => below(),
        };
        Self { entries, next }
    }

    fn to_read(&self) -> Vec<(u64, Location)> {
        let unread = self.entries.iter().filter(|entry| entry.message.is_none());
        unread.filter_map(|entry| Some((entry.position, entry.stored?))).collect()
    }
}

impl Shard {
    pub(super) fn browse(&mut self, now: Now, id: QueueId, browse: ShardBrowse, effects: &mut Effects) {
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.unused_since = now.instant;
        }
        self.look(now, id, browse, &None, effects);
    }

    fn look(&mut self, now: Now, id: QueueId, browse: ShardBrowse, page: &Option<PageContent>, effects: &mut Effects) {
        let Self { queues, browsers, segments, .. } = self;
        let Some(queue) = queues.get(&id) else { return refuse(&browse, effects) };
        match queue.look(&browse, page) {
            Err(page) => {
                let reader = browsers.wait(Browsing { browse, found: Found::default() });
                effects.reads.push(ReadRequest::page(id, page).of(reader));
            }
            Ok(found) => {
                let to_read = found.to_read();
                if to_read.is_empty() {
                    return answer(now, queue, Browsing { browse, found }, effects);
                }
                let reader = browsers.wait(Browsing { browse, found });
                effects.reads.push(ReadRequest::messages(id, to_read, segments).of(reader));
            }
        }
    }

    /// A page has been read for somebody who looks. Nothing is said of damage: whoever is to have the messages will meet it.
    pub(super) fn page_browsed(
        &mut self,
        now: Now,
        (id, browser): (QueueId, u32),
        (location, refs): (Location, Option<Vec<StoredRef>>),
        effects: &mut Effects,
    ) -> u64 {
        if let Some(Browsing { browse, .. }) = self.browsers.waiting.remove(&browser) {
            let page = Some(PageContent { location, refs: refs.unwrap_or_default() });
            self.look(now, id, browse, &page, effects);
        }
        0
    }

    /// The same for messages.
    pub(super) fn messages_browsed(
        &mut self,
        now: Now,
        (id, browser): (QueueId, u32),
        read: Vec<(u64, Option<ReadMessage>)>,
        effects: &mut Effects,
    ) -> u64 {
        let Some(mut browsing) = self.browsers.waiting.remove(&browser) else { return 0 };
        let Some(queue) = self.queues.get(&id) else {
            refuse(&browsing.browse, effects);
            return 0;
        };
        let mut read = read.into_iter().peekable();
        for entry in &mut browsing.found.entries {
            let Some((_, Some(message))) = read.next_if(|(position, _)| *position == entry.position) else { continue };
            let Read { message, binding, expires_at } = queue.as_read(message, now);
            (entry.message, entry.binding, entry.expires_at) = (Some(message), binding, expires_at);
        }
        answer(now, queue, browsing, effects);
        0
    }
}

fn answer(now: Now, queue: &Queue, Browsing { browse, found }: Browsing, effects: &mut Effects) {
    let alive = found.entries.into_iter().filter(|entry| !entry.is_expired(now.instant));
    let deliveries = alive.filter_map(|entry| queue.shown(entry)).collect();
    let browsed = Box::new(BrowsedMessages { deliveries, next: found.next });
    super::reply(browse.request, &browse.outbox, Ok(Reply::Browsed(browsed)), effects);
}

fn refuse(browse: &ShardBrowse, effects: &mut Effects) {
    let gone = Refusal::Unavailable("the queue was deleted".to_owned());
    super::reply(browse.request, &browse.outbox, Err(gone), effects);
}

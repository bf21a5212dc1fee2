//! Messages and pages that are read back from the log.
//!
//! The shard asks ([`ReadRequest`]), somebody else reads and decodes on another thread, and the shard takes what comes
//! ([`ReadResult`]); what has gone meanwhile is passed over.

use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::definition::BindingSpec;
use crossdock_common::names::QueueId;
use crossdock_common::{Message, Now};
use hashbrown::HashMap;

use super::command::Effects;
use super::level::Read;
use super::queue::{Queue, Special};
use super::segments::Segments;
use super::stored::{StoredRef, take_refs};
use super::{Formats, Shard};
use crate::definitions::route::AnnouncedBinding;
use crate::log::Location;
use crate::record::{Decoder, RecordError, decode_parts};

/// Something that a queue wants to have read. Give it what the log holds at [`locations`](Self::locations).
#[derive(Debug)]
pub struct ReadRequest {
    /// Whose it is.
    pub queue: QueueId,
    wanted: Wanted,
    reader: ReadFor,
}

/// Who wants to have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadFor {
    /// The queue's consumers.
    Queue,
    /// A consumer of a stream.
    Cursor(u32),
    /// Somebody who looks at what the queue has.
    Browser(u32),
}

#[derive(Debug)]
enum Wanted {
    Messages(Vec<ToRead>),
    Page(Location),
}

#[derive(Debug)]
struct ToRead {
    position: u64,
    location: Location,
    /// The pieces of a large body that come before what the record itself holds.
    parts: Option<Arc<[Location]>>,
}

/// What was read for a queue, decoded.
pub struct ReadResult {
    queue: QueueId,
    found: Found,
    reader: ReadFor,
}

enum Found {
    Messages(Vec<(u64, Option<ReadMessage>)>),
    Page(Location, Option<Vec<StoredRef>>),
}

pub(super) struct ReadMessage {
    message: Arc<Message>,
    /// The number of the announced binding it came through; 0 if none.
    serial: u64,
    binding: Option<AnnouncedBinding>,
}

impl From<ReadMessage> for Read {
    fn from(read: ReadMessage) -> Self {
        Self { expires_at: None, binding: read.binding, message: read.message }
    }
}

impl Queue {
    /// The message, and when it expires here.
    pub(super) fn as_read(&self, read: ReadMessage, now: Now) -> Read {
        Read { expires_at: self.expires_at(&read.message, now), ..Read::from(read) }
    }
}

impl ReadResult {
    /// Finds the bindings that messages came through: by their numbers.
    pub(crate) fn find_bindings(&mut self, of: impl FnOnce(QueueId, &[u64]) -> HashMap<u64, Arc<BindingSpec>>) {
        let Found::Messages(found) = &mut self.found else { return };
        let announced = || found.iter().filter_map(|(_, read)| read.as_ref()).map(|read| read.serial);
        let serials: Vec<u64> = announced().filter(|serial| *serial != 0).collect();
        if serials.is_empty() {
            return;
        }
        let specs = of(self.queue, &serials);
        for read in found.iter_mut().filter_map(|(_, read)| read.as_mut()).filter(|read| read.serial != 0) {
            let serial = read.serial;
            read.binding = specs.get(&serial).map(|spec| AnnouncedBinding { serial, spec: spec.clone() });
        }
    }
}

impl ReadRequest {
    pub(super) fn messages(queue: QueueId, chosen: Vec<(u64, Location)>, segments: &Segments) -> Self {
        let to_read = |(position, location)| ToRead { position, location, parts: segments.parts_of(queue, position) };
        let wanted = Wanted::Messages(chosen.into_iter().map(to_read).collect());
        Self { queue, wanted, reader: ReadFor::Queue }
    }

    pub(super) fn page(queue: QueueId, page: Location) -> Self {
        Self { queue, wanted: Wanted::Page(page), reader: ReadFor::Queue }
    }

    pub(super) fn of(self, reader: ReadFor) -> Self {
        Self { reader, ..self }
    }

    /// Where to read.
    pub fn locations(&self) -> Vec<Location> {
        match &self.wanted {
            Wanted::Messages(wanted) => {
                let of =
                    |one: &ToRead| one.parts.iter().flat_map(|parts| parts.to_vec()).chain([one.location]).collect();
                wanted.iter().flat_map(|one| -> Vec<Location> { of(one) }).collect()
            }
            Wanted::Page(location) => vec![*location],
        }
    }

    /// Takes what was read, in the order of the locations; `None` for what cannot be read.
    pub fn finish(self, payloads: impl IntoIterator<Item = Option<Bytes>>, formats: &Formats) -> ReadResult {
        let mut payloads = payloads.into_iter();
        let found = match self.wanted {
            Wanted::Page(location) => {
                let refs = payloads.next().flatten().and_then(|payload| take_refs(payload).ok());
                Found::Page(location, refs)
            }
            Wanted::Messages(wanted) => {
                let mut decoder = Decoder::new(formats);
                let mut read = |one: &ToRead| {
                    let parts = one.parts.as_ref().map_or(0, |parts| parts.len());
                    let parts: Vec<Option<Bytes>> = payloads.by_ref().take(parts).collect();
                    let payload = payloads.next().flatten()?;
                    let parts: Vec<Bytes> = parts.into_iter().collect::<Option<_>>()?;
                    decode(&mut decoder, self.queue, one.position, payload, &parts).ok()
                };
                Found::Messages(wanted.iter().map(|one| (one.position, read(one))).collect())
            }
        };
        ReadResult { queue: self.queue, found, reader: self.reader }
    }
}

fn decode(
    decoder: &mut Decoder<'_>,
    queue: QueueId,
    position: u64,
    payload: Bytes,
    parts: &[Bytes],
) -> Result<ReadMessage, RecordError> {
    // The record of where they are may be damaged: better no message than half of one.
    if decode_parts(&mut payload.clone())?.len() != parts.len() {
        return Err(RecordError("pieces of the body are missing"));
    }
    let (places, mut message) = decoder.message(payload)?;
    if !parts.is_empty() {
        message.body = [parts, &[message.body.clone()]].concat().concat().into();
    }
    let place = places.iter().find(|place| place.queue == queue && place.position == position);
    let serial = place.ok_or(RecordError("another message is where this one should be"))?.binding;
    Ok(ReadMessage { message: Arc::new(message), serial, binding: None })
}

impl Special {
    /// Asks for the dead letters that have to be read.
    fn request_graves(&mut self) -> Vec<(u64, Location)> {
        let Self { to_read, burying, .. } = self;
        let mut request = |position: u64| {
            let dying = burying.get_mut(&position).filter(|dying| !dying.entry.requested)?;
            dying.entry.request()
        };
        to_read.drain(..).filter_map(&mut request).collect()
    }
}

impl Shard {
    /// Asks for what the queue will need next, and writes pages of what it will not need soon.
    pub(super) fn turn_pages(&mut self, id: QueueId, effects: &mut Effects) {
        self.seal_pages(id);
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let mut ask = |request| effects.reads.push(request);
        let messages = |chosen| ReadRequest::messages(id, chosen, &self.segments);
        let graves = queue.special.present().map(Special::request_graves).unwrap_or_default();
        if !graves.is_empty() {
            ask(messages(graves));
        }
        if queue.overflows()
            && let Some(page) = queue.ready.choose_oldest_page()
        {
            ask(ReadRequest::page(id, page));
        }
        let heads = !queue.is_wanted();
        let expiring =
            queue.settings.message_ttl_ms.is_some() && queue.ready.is_waiting() || queue.ready.hides_expiry();
        let window = match heads {
            false => self.memory.window_bytes(queue),
            true => u64::from(expiring),
        };
        if window == 0 {
            return;
        }
        let refs_min = self.memory.paging.page_references / 2;
        let (chosen, page) = queue.ready.choose(window, refs_min, heads);
        if !chosen.is_empty() {
            ask(messages(chosen));
        }
        if let Some(page) = page {
            ask(ReadRequest::page(id, page));
        }
        self.memory.recount(queue);
    }

    /// Takes what was read. Gives how many messages were wanted and could not be read.
    pub(crate) fn take_read(&mut self, now: Now, result: ReadResult, effects: &mut Effects) -> u64 {
        let id = result.queue;
        let damaged = match (result.found, result.reader) {
            (Found::Messages(found), ReadFor::Queue) => self.messages_read(now, id, found, effects),
            (Found::Page(location, refs), ReadFor::Queue) => self.page_read(id, &location, refs),
            (Found::Messages(found), ReadFor::Cursor(cursor)) => self.messages_read_for((id, cursor), found),
            (Found::Page(location, refs), ReadFor::Cursor(cursor)) => self.page_read_for((id, cursor), &location, refs),
            (Found::Messages(found), ReadFor::Browser(browser)) => {
                self.messages_browsed(now, (id, browser), found, effects)
            }
            (Found::Page(location, refs), ReadFor::Browser(browser)) => {
                self.page_browsed(now, (id, browser), (location, refs), effects)
            }
        };
        self.mark(id);
        self.finish(now, effects);
        damaged
    }

    fn page_read(&mut self, id: QueueId, location: &Location, refs: Option<Vec<StoredRef>>) -> u64 {
        let Some(queue) = self.queues.get_mut(&id) else { return 0 };
        let lost = refs.is_none();
        let Some((page, gone)) = queue.ready.page_read(location, refs) else { return 0 };
        gone.iter().for_each(|stored| self.segments.remove(&stored.location));
        if lost {
            let count = page.tally().count;
            queue.special.damaged_pages.push(page);
            return count;
        }
        self.retired.push(page.location);
        0
    }

    fn messages_read(
        &mut self,
        now: Now,
        id: QueueId,
        found: Vec<(u64, Option<ReadMessage>)>,
        effects: &mut Effects,
    ) -> u64 {
        let Some(queue) = self.queues.get_mut(&id) else { return 0 };
        let mut damaged = Vec::new();
        let mut graves = Vec::new();
        let mut rest = Vec::with_capacity(found.len());
        for (position, message) in found {
            let message = message.map(|message| queue.as_read(message, now));
            match queue.special.present().and_then(|special| special.burying.remove(&position)) {
                Some(mut dying) => match message {
                    Some(Read { message, binding, expires_at }) => {
                        let entry = &mut dying.entry;
                        (entry.message, entry.binding, entry.expires_at) = (Some(message), binding, expires_at);
                        graves.push(dying);
                    }
                    None => damaged.push(dying.entry),
                },
                None => rest.push((position, message)),
            }
        }
        queue.ready.fill(&mut rest, &mut damaged);
        let count = damaged.len() as u64;
        if count > 0 {
            queue.special.damaged.extend(damaged);
        }
        for dying in graves {
            self.send_letter(now, id, dying, effects);
        }
        self.send_due(now, id, effects);
        count
    }
}

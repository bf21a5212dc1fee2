//! What a FIFO queue had in the last five minutes, or another queue that is to tell messages apart by a header: a message with an id
//! that is known is confirmed, and not kept.
//!
//! The publisher of such a message hears of the original's place, and of its confirm once the original is as safe as it asked to
//! be. The window lasts from the original's arrival, whatever becomes of it, and over restarts: message records have the ids of FIFO
//! queues, records of their own those of headers, and snapshots those of messages that are gone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{BufMut, Bytes, BytesMut};
use crossdock_common::definition::{DeduplicationScope, HeaderDeduplication, QueueSettings};
use crossdock_common::message::Rare;
use crossdock_common::names::QueueId;
use crossdock_common::value::lookup;
use crossdock_common::value_text::to_text;
use crossdock_common::{Event, Instant, Message, Now, UnixMillis, Value};
use hashbrown::HashMap;

use super::command::{Confirmee, Share, Shares};
use super::entry::Entry;
use super::queue::Queue;
use crate::log::{Log, RecordKind};
use crate::record::{RecordError, put_bytes, take_bytes, take_u64, take_u128};

/// How long an id is known, as SQS has it.
const WINDOW_MS: u64 = 300_000;
/// As good as for ever: values of a header that are forgotten only when there are too many.
const FOREVER_MS: u64 = 315_360_000_000;
/// The header that says how long a message's value is remembered.
const TTL_HEADER: &str = "x-cache-ttl";
/// Most ids in one record.
const IDS_MAX: usize = 4_096;
/// What an id costs beside its bytes.
const ID_BYTES: u64 = 144;

/// The ids of a queue.
pub(crate) struct Deduplication {
    known_by: KnownBy,
    originals: HashMap<Arc<[u8]>, Original>,
    /// In the order of arrival.
    order: VecDeque<(Instant, Arc<[u8]>)>,
    /// Places of originals that are on their way in, and who waits for them.
    arriving: HashMap<u64, Vec<Confirmee>>,
    memory_bytes: u64,
}

/// What a message is known by.
enum KnownBy {
    /// The id that it was published with, within the scope.
    Id(DeduplicationScope),
    /// A header.
    Header(HeaderDeduplication),
}

/// An id that is to be written down.
pub(crate) struct NewId {
    key: Arc<[u8]>,
    original: Original,
}

impl NewId {
    pub(crate) fn write(&self, queue: QueueId, now: Now, log: &mut dyn Log, scratch: &mut BytesMut) {
        scratch.clear();
        put_id(scratch, &self.key, &self.original, now);
        log.push(RecordKind::Deduplication, queue.0, &[scratch]);
    }
}

/// The message that came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Original {
    position: u64,
    message_id: u128,
    /// When its id may be used anew.
    until: Instant,
}

impl Deduplication {
    /// What a queue with these settings remembers, if anything.
    pub(crate) fn of(settings: &QueueSettings) -> Option<Self> {
        let of_header = || settings.deduplication.clone().map(KnownBy::Header);
        let known_by = settings.fifo.map(|fifo| KnownBy::Id(fifo.deduplication_scope)).or_else(of_header)?;
        Some(Self::new(known_by))
    }

    fn new(known_by: KnownBy) -> Self {
        Self { known_by, originals: HashMap::new(), order: VecDeque::new(), arriving: HashMap::new(), memory_bytes: 0 }
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    /// Another scope from now on: ids of the other one are not found any more.
    pub(crate) fn set_scope(&mut self, scope: DeduplicationScope) {
        self.known_by = KnownBy::Id(scope);
    }

    /// The message's id and its publisher's own name for it. A letter is a new message wherever it goes.
    fn key(&self, message: &Message) -> Option<(Arc<[u8]>, u128)> {
        match &self.known_by {
            KnownBy::Id(scope) => Self::id_of(*scope, message.rare.as_deref()?),
            KnownBy::Header(_) if !message.deaths().is_empty() => None,
            KnownBy::Header(rules) => {
                let value = lookup(&message.hub().application_properties, &rules.header)?;
                Some((Arc::from(&to_text(value).as_bytes()[..]), 0))
            }
        }
    }

    fn id_of(scope: DeduplicationScope, rare: &Rare) -> Option<(Arc<[u8]>, u128)> {
        if !rare.deaths.is_empty() || rare.moved.is_some() {
            return None;
        }
        let deduplication = rare.deduplication.as_ref()?;
        let group = match (scope, &rare.group) {
            (DeduplicationScope::MessageGroup, Some(group)) => group,
            _ => "",
        };
        let key = [group.as_bytes(), b"\0", deduplication.id.as_bytes()].concat();
        Some((key.into(), deduplication.message_id))
    }

    fn original(&self, message: &Message, now: Instant) -> Option<Original> {
        let (key, _) = self.key(message)?;
        self.originals.get(&key).copied().filter(|original| original.until > now)
    }

    fn arrives(&mut self, message: &Message, position: u64, now: Instant) -> Option<NewId> {
        let (key, message_id) = self.key(message)?;
        let original = Original { position, message_id, until: now.after_ms(self.window_ms(message)) };
        self.insert(key.clone(), original);
        self.arriving.insert(position, Vec::new());
        // Message records have the ids of FIFO queues.
        matches!(self.known_by, KnownBy::Header(_)).then_some(NewId { key, original })
    }

    fn window_ms(&self, message: &Message) -> u64 {
        let KnownBy::Header(rules) = &self.known_by else { return WINDOW_MS };
        let own = lookup(&message.hub().application_properties, TTL_HEADER).and_then(Value::as_i64);
        let own_ms = own.and_then(|ms| u64::try_from(ms).ok());
        own_ms.or(rules.ttl_ms).unwrap_or(FOREVER_MS).min(FOREVER_MS)
    }

    fn insert(&mut self, key: Arc<[u8]>, original: Original) {
        self.memory_bytes += key.len() as u64 + ID_BYTES;
        self.order.push_back((original.until, key.clone()));
        self.originals.insert(key, original);
        if let KnownBy::Header(rules) = &self.known_by {
            let size_max = rules.size_max as usize;
            while self.originals.len() > size_max {
                self.forget_oldest(|_| true);
            }
        }
    }

    /// Forgets the id that came first, if it may go.
    fn forget_oldest(&mut self, may_go: impl FnOnce(Instant) -> bool) -> bool {
        let Some((until, key)) = self.order.pop_front_if(|(until, _)| may_go(*until)) else { return false };
        self.memory_bytes -= key.len() as u64 + ID_BYTES;
        if self.originals.get(&key).is_some_and(|original| original.until == until) {
            self.originals.remove(&key);
        }
        true
    }

    /// The original is where it should be: gives who waited for it.
    fn arrived(&mut self, position: u64) -> Vec<Confirmee> {
        self.arriving.remove(&position).unwrap_or_default()
    }

    /// What was on its way in is gone: gives who waited for it.
    pub(crate) fn give_up(&mut self) -> impl Iterator<Item = Confirmee> {
        std::mem::take(&mut self.arriving).into_values().flatten()
    }

    /// The queue was emptied: a FIFO queue takes the same messages again, as SQS's does.
    pub(crate) fn emptied(&mut self) {
        if matches!(self.known_by, KnownBy::Id(_)) {
            self.originals.clear();
            self.order.clear();
            self.memory_bytes = 0;
        }
    }

    /// Forgets ids whose time is over.
    pub(crate) fn forget_old(&mut self, now: Instant) {
        while self.forget_oldest(|until| until <= now) {}
    }

    /// A message of the log.
    pub(crate) fn replay(&mut self, position: u64, rare: &Rare, received_at: UnixMillis, now: Now) {
        let KnownBy::Id(scope) = self.known_by else { return };
        let Some((key, message_id)) = Self::id_of(scope, rare) else { return };
        self.restore(key, position, message_id, UnixMillis(received_at.0.saturating_add(WINDOW_MS)), now);
    }

    fn restore(&mut self, key: Arc<[u8]>, position: u64, message_id: u128, until: UnixMillis, now: Now) {
        // A clock that was set back makes no window longer.
        let longest_ms = if matches!(self.known_by, KnownBy::Id(_)) { WINDOW_MS } else { FOREVER_MS };
        let left_ms = until.0.saturating_sub(now.unix.0).min(longest_ms);
        if left_ms > 0 {
            self.insert(key, Original { position, message_id, until: now.instant.after_ms(left_ms) });
        }
    }

    /// Writes the ids for a snapshot.
    pub(crate) fn write(&self, queue: QueueId, now: Now, log: &mut dyn Log, scratch: &mut BytesMut) {
        self.write_those(queue, now, log, scratch, |original| original.until > now.instant);
    }

    /// Writes the ids of messages that are on their way in: something takes them away before they are written.
    pub(crate) fn write_arriving(&self, queue: QueueId, now: Now, log: &mut dyn Log, scratch: &mut BytesMut) {
        if !self.arriving.is_empty() {
            self.write_those(queue, now, log, scratch, |original| self.arriving.contains_key(&original.position));
        }
    }

    fn write_those(
        &self,
        queue: QueueId,
        now: Now,
        log: &mut dyn Log,
        scratch: &mut BytesMut,
        belongs: impl Fn(&Original) -> bool,
    ) {
        let those: Vec<_> = self.originals.iter().filter(|(_, original)| belongs(original)).collect();
        for some in those.chunks(IDS_MAX) {
            scratch.clear();
            for (key, original) in some {
                put_id(scratch, key, original, now);
            }
            log.push(RecordKind::Deduplication, queue.0, &[scratch]);
        }
    }

    /// Reads one record of what [`write`](Self::write) wrote.
    pub(crate) fn read(&mut self, mut payload: Bytes, now: Now) -> Result<(), RecordError> {
        while !payload.is_empty() {
            let key = take_bytes(&mut payload)?;
            let position = take_u64(&mut payload)?;
            let message_id = take_u128(&mut payload)?;
            self.restore(Arc::from(&key[..]), position, message_id, UnixMillis(take_u64(&mut payload)?), now);
        }
        Ok(())
    }
}

fn put_id(out: &mut BytesMut, key: &[u8], original: &Original, now: Now) {
    let left_ms = original.until.0.saturating_sub(now.instant.0).div_ceil(1_000);
    put_bytes(out, key);
    out.put_u64_le(original.position);
    out.put_u128_le(original.message_id);
    out.put_u64_le(now.unix.0.saturating_add(left_ms));
}

impl Queue {
    /// The queue has the message already, or had it lately: its publisher hears of the original, and waits for it if need be.
    pub(crate) fn knows(&mut self, message: &Message, confirm: &mut Option<Confirmee>, now: Now) -> bool {
        let Some(deduplication) = &mut self.deduplication else { return false };
        let Some(original) = deduplication.original(message, now.instant) else { return false };
        tell_place(confirm.as_ref(), original.position, Some(original.message_id));
        if let Some(waiting) = deduplication.arriving.get_mut(&original.position) {
            waiting.extend(share(confirm));
        }
        true
    }

    /// A message has got a place in a queue that knows its messages. Gives what has to be written down for that to survive.
    pub(crate) fn remember(
        &mut self,
        message: &Message,
        entry: &Entry,
        confirm: Option<&Confirmee>,
        now: Now,
    ) -> Option<NewId> {
        let deduplication = self.deduplication.as_mut()?;
        let id = deduplication.arrives(message, entry.position, now.instant);
        tell_place(confirm, entry.position, None);
        id.filter(|_| entry.logged)
    }

    /// A message has arrived: gives who published it again meanwhile and is to be told.
    pub(crate) fn arrived(&mut self, position: u64) -> Vec<Confirmee> {
        self.deduplication.as_mut().map_or_else(Vec::new, |known| known.arrived(position))
    }
}

fn tell_place(confirm: Option<&Confirmee>, position: u64, original: Option<u128>) {
    if let Some(Confirmee::Publisher { outbox, lane, confirm, .. }) = confirm {
        outbox.push(Event::Placed { lane: *lane, confirm: *confirm, position, original });
    }
}

/// Another who has to say yes before the publisher is told.
fn share(confirm: &mut Option<Confirmee>) -> Option<Confirmee> {
    if let Some(Confirmee::Publication(publishing)) = confirm {
        publishing.shares.fetch_add(1, Ordering::AcqRel);
        return Some(Confirmee::Publication(publishing.clone()));
    }
    let Some(Confirmee::Publisher { outbox, lane, confirm, shares }) = confirm else { return None };
    let all: &mut Shares = shares;
    match all {
        Some(all) => drop(all.fetch_add(1, Ordering::AcqRel)),
        None => *all = Some(Share::new(2)),
    }
    Some(Confirmee::Publisher { outbox: outbox.clone(), lane: *lane, confirm: *confirm, shares: all.clone() })
}

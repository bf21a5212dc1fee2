//! A consumer's place in a stream, and what is read ahead for it.

use std::collections::VecDeque;
use std::sync::Arc;

use crossdock_common::definition::BindingSpec;
use crossdock_common::event::Delivery;
use crossdock_common::names::{DeliveryId, QueueId};
use crossdock_common::value::lookup;
use crossdock_common::{ConsumerId, Message, Now, UnixMillis};

use super::tail::Tail;
use crate::definitions::route::AnnouncedBinding;
use crate::log::Location;
use crate::selector::Selector;
use crate::shard::entry::message_bytes;
use crate::shard::level::{Located, Read};
use crate::shard::ready::Ready;
use crate::shard::stored::StoredRef;

/// The header that filters look at.
const FILTER_HEADER: &str = "x-stream-filter-value";

/// How a consumer wants to read a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reading {
    pub start: Start,
    pub filter: Option<Filter>,
}

/// Where it begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the oldest message.
    First,
    /// With the newest message.
    Last,
    /// With the next message that comes.
    #[default]
    Next,
    /// With the message of this number, counted from 0, or the first behind it.
    Offset(u64),
    /// With the first message that came then or later.
    Since(UnixMillis),
}

/// Which messages it wants.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Filter {
    /// Those with one of these values.
    pub values: Vec<String>,
    /// Those without a value as well.
    pub match_unfiltered: bool,
}

impl Filter {
    fn wants(&self, message: &Message) -> bool {
        match lookup(&message.hub().application_properties, FILTER_HEADER).and_then(|value| value.as_str()) {
            Some(value) => self.values.iter().any(|wanted| wanted == value),
            None => self.match_unfiltered,
        }
    }
}

/// What a consumer wants of the messages that come.
pub(super) struct Wanted {
    /// Messages that came earlier are passed over, until one did not.
    pub since: Option<UnixMillis>,
    pub filter: Option<Filter>,
    pub selector: Option<Arc<Selector>>,
}

impl Wanted {
    fn has(&self, message: &Message) -> bool {
        self.since.is_none_or(|since| message.received_at >= since)
            && self.filter.as_ref().is_none_or(|filter| filter.wants(message))
            && self.selector.as_ref().is_none_or(|selector| selector.matches(message))
    }
}

/// A consumer's place.
pub(crate) struct Cursor {
    /// What tells it from others that the stream has or had.
    pub(crate) number: u32,
    /// The next message is at this place or behind it.
    next: u64,
    wanted: Wanted,
    /// What comes next, here or being read, in order and without a gap.
    ahead: VecDeque<Ahead>,
    ahead_bytes: u64,
    /// What comes next in the page that was read last.
    refs: VecDeque<StoredRef>,
    /// The page that is being read, and the last place in it.
    page: Option<(Location, u64)>,
    /// Nothing before this place is to be read: a page before it could not be.
    unread_to: u64,
    /// Places of what was handed out and is not settled, in order.
    unsettled: VecDeque<u64>,
}

struct Ahead {
    position: u64,
    bytes: u64,
    message: Reached,
}

/// How far reading a message has got.
enum Reached {
    Asked,
    Here(Arc<Message>, Option<AnnouncedBinding>),
    /// It cannot be read, and is passed over.
    Lost,
}

impl Cursor {
    pub(super) fn new(number: u32, next: u64, wanted: Wanted) -> Self {
        let (ahead, refs) = (VecDeque::new(), VecDeque::new());
        Self { number, next, wanted, ahead, ahead_bytes: 0, refs, page: None, unread_to: 0, unsettled: VecDeque::new() }
    }

    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Memory that it takes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.ahead_bytes + (self.refs.len() * size_of::<StoredRef>() + self.unsettled.len() * size_of::<u64>()) as u64
    }

    /// The next message, if it is in memory.
    pub(super) fn at_hand<'a>(
        &'a self,
        tail: &'a Tail,
    ) -> Option<(u64, &'a Arc<Message>, Option<&'a AnnouncedBinding>)> {
        if let Some(ahead) = self.ahead.front() {
            let Reached::Here(message, binding) = &ahead.message else { return None };
            return Some((ahead.position, message, binding.as_ref()));
        }
        tail.at(self.reads_from()).map(|newest| (newest.position, &newest.message, newest.binding.as_ref()))
    }

    pub(super) fn wants(&self, message: &Message) -> bool {
        self.wanted.has(message)
    }

    /// The message is handed out, to be settled.
    pub(super) fn hold(&mut self, position: u64) {
        self.unsettled.push_back(position);
    }

    /// The message is settled. False if it was before.
    pub(crate) fn settle(&mut self, position: u64) -> bool {
        self.unsettled.binary_search(&position).is_ok_and(|index| self.unsettled.remove(index).is_some())
    }

    pub(super) fn delivery(
        &mut self,
        (queue, consumer): (QueueId, ConsumerId),
        (position, message): (u64, Arc<Message>),
        binding: Option<Arc<BindingSpec>>,
        now: Now,
    ) -> Delivery {
        self.wanted.since = None;
        Delivery {
            consumer,
            id: DeliveryId { queue, position, lease: self.number },
            message,
            delivery_count: 0,
            is_counted: false,
            first_delivered_at: now.unix,
            expires_at: None,
            binding,
            stream_offset: Some(position - 1),
        }
    }

    /// The message at this place is done with.
    pub(super) fn pass(&mut self, position: u64) {
        self.next = self.next.max(position + 1);
        let next = self.next;
        while let Some(ahead) =
            self.ahead.pop_front_if(|ahead| ahead.position < next || matches!(ahead.message, Reached::Lost))
        {
            self.next = self.next.max(ahead.position + 1);
            self.ahead_bytes -= ahead.bytes;
        }
    }

    /// There is nothing before this place any more.
    pub(super) fn skip_to(&mut self, first: u64) {
        if first > self.next {
            self.pass(first - 1);
        }
        while self.refs.pop_front_if(|stored| stored.position < first).is_some() {}
    }

    /// What is not known to be here, or being read, begins at this place.
    fn reads_from(&self) -> u64 {
        self.ahead.back().map_or(self.next, |last| last.position + 1).max(self.unread_to)
    }

    /// Chooses messages to read so that about `window_bytes` are here or on their way, and a page if one has to be read first.
    pub(super) fn choose(
        &mut self,
        ready: &Ready,
        tail_first: Option<u64>,
        window_bytes: u64,
    ) -> (Vec<(u64, Location)>, Option<Location>) {
        let mut chosen = Vec::new();
        if self.ahead_bytes > window_bytes / 2 {
            return (chosen, None);
        }
        while self.ahead_bytes < window_bytes || self.ahead.is_empty() {
            let from = self.reads_from();
            if tail_first.is_some_and(|first| first <= from) {
                break;
            }
            let stored = match self.next_ref(ready, from) {
                Ok(Some(stored)) => stored,
                Ok(None) => break,
                Err(page) => return (chosen, page),
            };
            chosen.push((stored.position, stored.location));
            let bytes = u64::from(stored.location.length_bytes.max(stored.body_bytes));
            self.ahead_bytes += bytes;
            self.ahead.push_back(Ahead { position: stored.position, bytes, message: Reached::Asked });
        }
        (chosen, None)
    }

    /// The first reference at that place or behind it; as an error, the page that has to be read for it, unless it is being read.
    fn next_ref(&mut self, ready: &Ready, from: u64) -> Result<Option<StoredRef>, Option<Location>> {
        while let Some(stored) = self.refs.pop_front() {
            if stored.position >= from {
                return Ok(Some(stored));
            }
        }
        match ready.locate(from) {
            None => Ok(None),
            Some(Located::Here(stored)) => Ok(Some(*stored)),
            Some(Located::Page(page)) => {
                let wanted = (page.location, page.positions.1);
                let is_asked = self.page.replace(wanted) == Some(wanted);
                Err((!is_asked).then_some(page.location))
            }
        }
    }

    /// A page was read, or cannot be: then its messages are passed over. False if it cannot be and is still wanted.
    pub(super) fn page_read(&mut self, location: &Location, refs: Option<Vec<StoredRef>>) -> bool {
        let Some((_, last)) = self.page.take_if(|(wanted, _)| wanted == location) else { return true };
        let (from, is_read) = (self.reads_from(), refs.is_some());
        self.refs = refs.into_iter().flatten().filter(|stored| stored.position >= from).collect();
        if self.refs.is_empty() {
            self.unread_to = last + 1;
        }
        is_read
    }

    /// A message was read, or cannot be: then it is passed over. False if it cannot be and is still wanted.
    pub(super) fn message_read(&mut self, position: u64, read: Option<Read>) -> bool {
        let Ok(index) = self.ahead.binary_search_by_key(&position, |ahead| ahead.position) else { return true };
        let (ahead, is_read) = (&mut self.ahead[index], read.is_some());
        self.ahead_bytes -= ahead.bytes;
        (ahead.bytes, ahead.message) = match read {
            Some(read) => (message_bytes(&read.message), Reached::Here(read.message, read.binding)),
            None => (0, Reached::Lost),
        };
        self.ahead_bytes += ahead.bytes;
        self.pass_lost();
        is_read
    }

    fn pass_lost(&mut self) {
        if let Some(ahead) = self.ahead.front().filter(|ahead| matches!(ahead.message, Reached::Lost)) {
            self.pass(ahead.position);
        }
    }
}

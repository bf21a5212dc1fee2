//! What the consumers of a queue want of it, where some want only some messages.

use std::fmt::Write;
use std::sync::Arc;

use crossdock_common::{Message, Refusal};

use super::queue::Queue;
use crate::selector::Selector;

/// Most different selectors of a queue's consumers.
pub(crate) const WISHES_MAX: usize = 62;
/// Whoever fetches wants everything.
pub(crate) const EVERYTHING: u64 = 1 << 63;

/// Different wishes, each with a bit of its own; who has none wants everything.
pub(crate) struct Wishes {
    all: Vec<Option<Arc<Selector>>>,
    /// Those of which somebody has room.
    room: u64,
}

impl Wishes {
    /// The wishes of these consumers; `None` if all want everything.
    pub(crate) fn of<'a>(selectors: impl Iterator<Item = &'a Option<Arc<Selector>>>) -> Option<Self> {
        let mut all: Vec<Option<Arc<Selector>>> = selectors.cloned().collect();
        all.sort_by(|one, other| text_of(one).cmp(&text_of(other)));
        all.dedup_by(|one, other| text_of(one) == text_of(other));
        all.iter().any(Option::is_some).then_some(Self { all, room: 0 })
    }

    /// There are too many.
    pub(crate) fn are_too_many(&self) -> bool {
        self.all.len() > WISHES_MAX
    }

    /// The bit of a consumer's wish.
    pub(crate) fn bit_of(&self, selector: &Option<Arc<Selector>>) -> u64 {
        self.all.iter().position(|wish| text_of(wish) == text_of(selector)).map_or(0, |index| 1 << index)
    }

    /// Whether the same is wanted.
    pub(crate) fn are_same(&self, other: &Self) -> bool {
        self.all.iter().map(text_of).eq(other.all.iter().map(text_of))
    }

    /// Notes who has room; false if that is as it was.
    pub(super) fn open_to(&mut self, room: u64) -> bool {
        std::mem::replace(&mut self.room, room) != room
    }

    pub(super) fn has_room_for(&self, name: &str) -> bool {
        wanted_by(name) & self.room != 0
    }

    /// The name of the group of messages that the same want.
    pub(super) fn name_of(&self, message: &Message) -> String {
        let wants = |wish: &Option<Arc<Selector>>| wish.as_ref().is_none_or(|selector| selector.matches(message));
        let bits = self.all.iter().enumerate().filter(|(_, wish)| wants(wish)).map(|(index, _)| 1 << index);
        let mut name = String::with_capacity(16);
        // Writing to a text does not fail.
        let _ = write!(name, "{:x}", bits.fold(EVERYTHING, |bits, bit: u64| bits | bit));
        name
    }
}

fn text_of(wish: &Option<Arc<Selector>>) -> Option<&str> {
    wish.as_ref().map(|selector| selector.text())
}

/// Who wants the messages of the group of that name.
pub(super) fn wanted_by(name: &str) -> u64 {
    u64::from_str_radix(name, 16).unwrap_or(EVERYTHING)
}

impl Queue {
    /// Sorts the queue's messages by what its consumers want now, if that has changed.
    pub(crate) fn sort_by_wishes(&mut self) {
        let wishes = self.consumers.wishes();
        self.consumers.set_wishes(wishes.as_ref());
        self.ready.sort_by(wishes);
    }

    /// Whether a consumer with that selector may come.
    ///
    /// # Errors
    /// The queue's order does not leave room for wishes, or it has too many.
    pub(crate) fn check_wish(&self, selector: &Option<Arc<Selector>>) -> Result<(), Refusal> {
        let settings = &self.settings;
        let is_ordered = settings.fifo.is_some() || settings.priority_max.is_some();
        let (queue, vhost) = (&self.name, &self.vhost);
        if selector.is_some() && is_ordered {
            let text = format!(
                "queue '{queue}' in vhost '{vhost}' has message groups or priorities: its consumers have no selectors"
            );
            return Err(Refusal::PreconditionFailed(text));
        }
        let selectors = self.consumers.iter().map(|consumer| &consumer.selector);
        if Wishes::of(selectors.chain([selector])).is_some_and(|wishes| wishes.are_too_many()) {
            let text =
                format!("queue '{queue}' in vhost '{vhost}' has consumers with {WISHES_MAX} different selectors");
            return Err(Refusal::LimitReached(text));
        }
        Ok(())
    }
}

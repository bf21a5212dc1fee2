//! What the consumers of a queue want of it, where some want only some messages.

use std::sync::Arc;

use crossdock_common::{Message, Refusal};

use super::queue::Queue;
use crate::selector::Selector;

/// Most different selectors of a queue's consumers.
pub(crate) const WISHES_MAX: usize = 62;
/// Whoever fetches wants everything.
pub(crate) const EVERYTHING: u64 = 1 << 63;

/// Different wishes, each with a bit of its own; who has none wants everything.
pub(crate) struct Wishes(Vec<Option<Arc<Selector>>>);

impl Wishes {
    /// The wishes of these consumers; `None` if all want everything.
    pub(crate) fn of<'a>(selectors: impl Iterator<Item = &'a Option<Arc<Selector>>>) -> Option<Self> {
        let mut all: Vec<Option<Arc<Selector>>> = selectors.cloned().collect();
        all.sort_by(|one, other| text_of(one).cmp(&text_of(other)));
        all.dedup_by(|one, other| text_of(one) == text_of(other));
        all.iter().any(Option::is_some).then_some(Self(all))
    }

    /// There are too many.
    pub(crate) fn are_too_many(&self) -> bool {
        self.0.len() > WISHES_MAX
    }

    /// The bit of a consumer's wish.
    pub(crate) fn bit_of(&self, selector: &Option<Arc<Selector>>) -> u64 {
        self.0.iter().position(|wish| text_of(wish) == text_of(selector)).map_or(0, |index| 1 << index)
    }

    /// Whether the same is wanted.
    pub(crate) fn are_same(&self, other: &Self) -> bool {
        self.0.iter().map(text_of).eq(other.0.iter().map(text_of))
    }

    /// Who wants the message.
    pub(super) fn of_message(&self, message: &Message) -> u64 {
        let wants = |wish: &Option<Arc<Selector>>| wish.as_ref().is_none_or(|selector| selector.matches(message));
        let bits = self.0.iter().enumerate().filter(|(_, wish)| wants(wish)).map(|(index, _)| 1 << index);
        bits.fold(EVERYTHING, |bits, bit: u64| bits | bit)
    }
}

fn text_of(wish: &Option<Arc<Selector>>) -> Option<&str> {
    wish.as_ref().map(|selector| selector.text())
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
    /// The queue has too many.
    pub(crate) fn check_wish(&self, selector: &Option<Arc<Selector>>) -> Result<(), Refusal> {
        let (queue, vhost) = (&self.name, &self.vhost);
        let selectors = self.consumers.iter().map(|consumer| &consumer.selector);
        if Wishes::of(selectors.chain([selector])).is_some_and(|wishes| wishes.are_too_many()) {
            let text =
                format!("queue '{queue}' in vhost '{vhost}' has consumers with {WISHES_MAX} different selectors");
            return Err(Refusal::LimitReached(text));
        }
        Ok(())
    }
}

//! What FIFO topics published lately, as far as every subscriber has it: published again within five minutes it goes nowhere.
//!
//! It is not kept over a restart: then FIFO queues know their messages themselves.

use std::collections::{BTreeMap, VecDeque};

use crossdock_common::{Instant, Name};

/// How long a deduplication id stands for one message.
const WINDOW_MS: u64 = 300_000;
/// Most that is remembered.
const COUNT_MAX: usize = 100_000;

/// A topic, when it was made, and a deduplication id within the topic's scope.
pub(crate) type Key = (Name, u64, String);

/// A message that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Publication {
    pub message_id: u128,
    /// Its place in the topic.
    pub position: u64,
}

/// Of more, the oldest is forgotten.
#[derive(Debug, Default)]
pub(crate) struct Publications {
    known: BTreeMap<Key, (Instant, Publication)>,
    order: VecDeque<(Instant, Key)>,
}

impl Publications {
    pub(crate) fn note(&mut self, key: Key, publication: Publication, at: Instant) {
        self.order.push_back((at, key.clone()));
        self.known.insert(key, (at, publication));
        self.forget_old(at);
    }

    pub(crate) fn find(&mut self, key: &Key, now: Instant) -> Option<Publication> {
        self.forget_old(now);
        self.known.get(key).filter(|(at, _)| now.ms_since(*at) < WINDOW_MS).map(|(_, publication)| *publication)
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((at, _)) = self.order.front()
            && (now.ms_since(*at) >= WINDOW_MS || self.order.len() > COUNT_MAX)
        {
            if let Some((at, key)) = self.order.pop_front()
                && self.known.get(&key).is_some_and(|(known, _)| *known == at)
            {
                self.known.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publications_are_known_for_five_minutes_and_only_so_many() {
        let mut known = Publications::default();
        let key = |number: usize| -> Key { (Name::from("t.fifo"), 1, number.to_string()) };
        let publication = Publication { message_id: 7, position: 3 };
        let at = |ms: u64| Instant(1).after_ms(ms);
        known.note(key(0), publication, at(0));
        assert_eq!(known.find(&key(0), at(WINDOW_MS - 1)), Some(publication));
        assert_eq!(known.find(&(Name::from("t.fifo"), 2, "0".to_owned()), at(0)), None, "another topic of the name");
        assert_eq!(known.find(&key(0), at(WINDOW_MS)), None);
        for number in 0..=COUNT_MAX {
            known.note(key(number), publication, at(0));
        }
        let found = [0, 1, COUNT_MAX].map(|number| known.find(&key(number), at(0)).is_some());
        assert_eq!((found, known.order.len()), ([false, true, true], COUNT_MAX));
    }
}

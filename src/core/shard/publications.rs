//! What a session's peer may still send again, and what was taken of it already: so each message is taken exactly once.
//!
//! Each publication has a number that grows within the session. It is **under way** until all its queues have it, then its id is
//! **held**, durably, and only then is it confirmed; later the peer releases it. The message carries its number, so that a start
//! finds out what became of a publication that was under way ([`super::landings`]). As confirms go out in the order of arrival
//! and only what is confirmed is released, the highest released number and the ids that are held say what became of all others.
//! (A peer that does not send its messages again in their order may see one twice, if the broker dies meanwhile.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use crossdock_common::Lane;
use crossdock_common::command::ExactlyOnce;
use crossdock_common::message::Publication;
use crossdock_common::names::QueueId;
use hashbrown::HashMap;

use super::landings::Landing;
use crate::outbox::Outbox;
use crate::record::{RecordError, take_u8, take_u64};

/// Key of the state of an id: this and the id, big-endian.
const ID: u8 = b'i';
/// Key of the highest released number.
const RELEASED: u8 = b'r';
const LANDED: u8 = 1;
const OVER: u8 = 2;

/// Publications of one session.
#[derive(Default)]
pub(crate) struct Publications {
    held: BTreeMap<u16, Held>,
    /// The highest number that the peer has released.
    released_to: u64,
    /// The last number that was given.
    last: u64,
    under_way: HashMap<u16, UnderWay, foldhash::fast::RandomState>,
    /// Of what is under way.
    numbers: BTreeSet<u64>,
}

/// What is kept of an id, durably.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Held {
    /// Its message is in all its queues. Older versions have written no number.
    Received { number: Option<u64> },
    /// The broker ended when some queues had the message.
    Landed { number: u64, queues: Vec<QueueId> },
    /// Nobody will send it again, though no more is known of it.
    Over { number: u64 },
}

/// On its way into queues, or to be held.
struct UnderWay {
    number: u64,
    publisher: Publisher,
}

/// Who waits for a publication: the last connection that sent it.
pub(crate) struct Publisher {
    pub outbox: Arc<Outbox>,
    pub lane: Lane,
    pub confirm: u64,
}

/// What to do with a publication that came.
pub(crate) enum Begun {
    /// It goes to its queues, except those that have it.
    New { publication: Publication, landed: Vec<QueueId> },
    /// It came before: it will be confirmed when it is held.
    UnderWay,
    /// It came before, and is held.
    Received,
}

impl Publications {
    /// Ids that are held durably: their messages must not be taken again.
    pub(crate) fn received(&self) -> Vec<u16> {
        let is_received =
            |id: &u16, held: &Held| matches!(held, Held::Received { .. }) && !self.under_way.contains_key(id);
        self.held.iter().filter(|(id, held)| is_received(id, held)).map(|(id, _)| *id).collect()
    }

    /// Takes a publication. True if the id's state has changed by that.
    pub(crate) fn begin(&mut self, session: QueueId, asked: ExactlyOnce, publisher: Publisher) -> (Begun, bool) {
        let id = asked.id;
        let is_received = matches!(self.held.get(&id), Some(Held::Received { .. }));
        if let Some(under_way) = self.under_way.get_mut(&id)
            && (asked.again || is_received)
        {
            under_way.publisher = publisher;
            return (Begun::UnderWay, false);
        }
        if is_received {
            return (Begun::Received, false);
        }
        let was_dropped = !asked.again && self.drop_unfinished(id);
        let (number, landed) = match self.held.get(&id) {
            Some(Held::Landed { number, queues }) => (*number, queues.clone()),
            _ => (self.last + 1, Vec::new()),
        };
        self.last = self.last.max(number);
        self.numbers.insert(number);
        self.under_way.insert(id, UnderWay { number, publisher });
        let settled_below = self.numbers.first().copied().unwrap_or(number);
        let publication = Publication { session, id, number, settled_below };
        (Begun::New { publication, landed }, was_dropped)
    }

    /// The peer uses the id for another message, though it was never told that the last one was taken.
    fn drop_unfinished(&mut self, id: u16) -> bool {
        let under_way = self.under_way.remove(&id).map(|under_way| under_way.number);
        if let Some(number) = under_way {
            self.numbers.remove(&number);
        }
        let landed = match self.held.get(&id) {
            Some(Held::Landed { number, .. }) => Some(*number),
            _ => None,
        };
        let dropped = under_way.or(landed);
        self.held.extend(dropped.map(|number| (id, Held::Over { number })));
        dropped.is_some()
    }

    /// All queues have it, or one refuses it: that is to be kept. False if nobody waits for that any more.
    pub(crate) fn arrived(&mut self, id: u16, number: u64, accepted: bool) -> bool {
        let is_expected = self.under_way.get(&id).is_some_and(|under_way| under_way.number == number);
        if is_expected {
            let held = if accepted { Held::Received { number: Some(number) } } else { Held::Over { number } };
            self.held.insert(id, held);
        }
        is_expected
    }

    /// What became of it is kept: gives who wants to know, and whether it was accepted.
    pub(crate) fn kept(&mut self, id: u16, number: u64) -> Option<(Publisher, bool)> {
        let under_way = self.under_way.get(&id).filter(|under_way| under_way.number == number);
        under_way?;
        self.numbers.remove(&number);
        let accepted = matches!(self.held.get(&id), Some(Held::Received { .. }));
        Some((self.under_way.remove(&id)?.publisher, accepted))
    }

    /// The peer will not send it again. False if the id is not held.
    pub(crate) fn release(&mut self, id: u16) -> bool {
        let Some(Held::Received { number }) = self.held.get(&id) else { return false };
        self.released_to = self.released_to.max(number.unwrap_or(0));
        self.held.remove(&id);
        true
    }

    /// At a start: this publication is in some queues. True if that is news to be kept.
    pub(crate) fn land(&mut self, number: u64, landing: &Landing) -> bool {
        self.last = self.last.max(number);
        let id = landing.id;
        match self.held.get_mut(&id) {
            Some(Held::Landed { number: known, queues }) if *known == number => {
                let before = queues.len();
                queues.extend(landing.queues.iter().copied());
                queues.sort_unstable();
                queues.dedup();
                return queues.len() > before;
            }
            Some(Held::Received { .. }) => return false,
            Some(Held::Landed { number: known, .. } | Held::Over { number: known }) if *known > number => return false,
            Some(Held::Over { number: known }) if *known == number => return false,
            _ if number <= self.released_to => return false,
            _ => {}
        }
        let mut queues = landing.queues.to_vec();
        queues.sort_unstable();
        queues.dedup();
        self.held.insert(id, Held::Landed { number, queues });
        true
    }

    /// Key and value of an id's state; `None` if it is gone.
    pub(crate) fn state_of(&self, id: u16) -> (Bytes, Option<Bytes>) {
        let [high, low] = id.to_be_bytes();
        (Bytes::copy_from_slice(&[ID, high, low]), self.held.get(&id).map(value_of))
    }

    /// Key and value of the highest released number.
    pub(crate) fn released(&self) -> (Bytes, Bytes) {
        (Bytes::from_static(&[RELEASED]), Bytes::copy_from_slice(&self.released_to.to_le_bytes()))
    }

    /// Everything that is to be kept.
    pub(crate) fn states(&self) -> impl Iterator<Item = (Bytes, Bytes)> {
        let ids = self.held.keys().filter_map(|id| match self.state_of(*id) {
            (key, Some(value)) => Some((key, value)),
            _ => None,
        });
        ids.chain((self.released_to > 0).then(|| self.released()))
    }

    /// Applies what a log says.
    pub(crate) fn apply(&mut self, key: StateKey, value: Option<Bytes>) -> Result<(), RecordError> {
        match (key, value) {
            (StateKey::Id(id), Some(value)) => {
                let held = held_of(value)?;
                self.last = self.last.max(held.number());
                self.held.insert(id, held);
            }
            (StateKey::Id(id), None) => drop(self.held.remove(&id)),
            (StateKey::Released, value) => {
                self.released_to = value.map_or(Ok(0), |mut value| take_u64(&mut value))?;
                self.last = self.last.max(self.released_to);
            }
        }
        Ok(())
    }
}

/// A piece of session state that is kept here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateKey {
    Id(u16),
    Released,
}

impl StateKey {
    /// `None` for keys that are the machine's own.
    pub(crate) fn of(key: &[u8]) -> Option<Self> {
        match *key {
            [ID, high, low] => Some(Self::Id(u16::from_be_bytes([high, low]))),
            [RELEASED] => Some(Self::Released),
            _ => None,
        }
    }
}

impl Held {
    fn number(&self) -> u64 {
        match self {
            Self::Received { number } => number.unwrap_or(0),
            Self::Landed { number, .. } | Self::Over { number } => *number,
        }
    }
}

fn value_of(held: &Held) -> Bytes {
    let mut value = BytesMut::new();
    match held {
        Held::Received { number } => number.iter().for_each(|number| value.put_u64_le(*number)),
        Held::Landed { number, queues } => {
            value.put_u64_le(*number);
            value.put_u8(LANDED);
            queues.iter().for_each(|queue| value.put_u64_le(queue.0));
        }
        Held::Over { number } => {
            value.put_u64_le(*number);
            value.put_u8(OVER);
        }
    }
    value.freeze()
}

fn held_of(mut value: Bytes) -> Result<Held, RecordError> {
    if value.is_empty() {
        return Ok(Held::Received { number: None });
    }
    let number = take_u64(&mut value)?;
    if value.is_empty() {
        return Ok(Held::Received { number: Some(number) });
    }
    match take_u8(&mut value)? {
        LANDED => {
            let mut queues = Vec::new();
            while value.has_remaining() {
                queues.push(QueueId(take_u64(&mut value)?));
            }
            Ok(Held::Landed { number, queues })
        }
        OVER => Ok(Held::Over { number }),
        _ => Err(RecordError("unknown state of a publication")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_come_back_and_those_of_older_versions_are_understood() {
        let queues = vec![QueueId(1), QueueId(256)];
        let all = [
            Held::Received { number: None },
            Held::Received { number: Some(7) },
            Held::Landed { number: 8, queues },
            Held::Landed { number: 9, queues: Vec::new() },
            Held::Over { number: 10 },
        ];
        for held in all {
            assert_eq!(held_of(value_of(&held)), Ok(held));
        }
        assert!(held_of(Bytes::from_static(b"short")).is_err());
        assert!(held_of(Bytes::from_static(b"12345678\x09")).is_err());
        assert_eq!(StateKey::of(b"i\x01\x02"), Some(StateKey::Id(0x0102)));
        assert_eq!(
            (StateKey::of(b"r"), StateKey::of(b"iab/c"), StateKey::of(b"s")),
            (Some(StateKey::Released), None, None)
        );
    }

    fn landing(id: u16, queues: &[u64]) -> Landing {
        Landing { id, queues: queues.iter().map(|queue| QueueId(*queue)).collect() }
    }

    #[test]
    fn what_landed_is_told_apart_from_what_is_finished() {
        let mut publications = Publications { released_to: 5, ..Publications::default() };
        publications.held.insert(1, Held::Received { number: Some(7) });
        publications.held.insert(2, Held::Over { number: 8 });
        assert!(!publications.land(5, &landing(3, &[1])), "released");
        assert!(!publications.land(7, &landing(1, &[1])), "received");
        assert!(!publications.land(8, &landing(2, &[1])), "over");
        assert!(publications.land(9, &landing(2, &[1])), "a later one");
        assert!(publications.land(6, &landing(4, &[2])));
        assert!(publications.land(6, &landing(4, &[1])), "in another shard");
        assert!(!publications.land(6, &landing(4, &[1])), "known");
        assert_eq!(publications.held.get(&4), Some(&Held::Landed { number: 6, queues: vec![QueueId(1), QueueId(2)] }));
        assert_eq!((publications.last, publications.received()), (9, vec![1]));
    }
}

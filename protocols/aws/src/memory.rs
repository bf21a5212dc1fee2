//! What calls remember for later ones: queues that were deleted or purged a moment ago, and receives that may be asked for again.
//!
//! It is not kept over a restart, and it has limits; of more, the oldest is forgotten.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossdock_common::event::Delivery;
use crossdock_common::names::DeliveryId;
use crossdock_common::{Instant, Name, UnixMillis};

use crate::policy::Policy;
use crate::sns::publications::{Key, Publication, Publications};
use crate::wire::Service;

/// How long a deleted queue's name is not free, and a purge counts as being in progress.
const PAUSE_MS: u64 = 60_000;
/// How long a receive may be asked for again.
const ATTEMPT_MS: u64 = 300_000;
/// Most names of either kind.
const NAMES_MAX: usize = 100_000;
/// Most receives, and bytes of their messages.
const ATTEMPTS_MAX: usize = 10_000;
const ATTEMPTS_BYTES_MAX: usize = 64 << 20;
/// How long nobody looks again after there were too many filter policies.
const FILTERS_FULL_MS: u64 = 1_000;
/// Most policies that are kept as they were read.
const POLICIES_MAX: usize = 1_000;

/// Shared by all calls of an endpoint.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    deleted: Recent,
    purged: Recent,
    attempts: Attempts,
    policies: BTreeMap<(Service, String), Option<Arc<Policy>>>,
    publications: Publications,
    /// Subscriptions that were deleted, by topic.
    unsubscribed: BTreeMap<Name, u64>,
    filters: FilterPolicies,
}

/// How many filter policies there are. Only those that are made are counted; when there could be too many, somebody looks.
#[derive(Debug, Default)]
struct FilterPolicies {
    /// There are no more.
    count_max: Option<usize>,
    /// Somebody looked, and there were too many.
    full_at: Option<Instant>,
}

/// Whether there can be one filter policy more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FilterRoom {
    Enough,
    None,
    /// They have to be counted.
    Unknown,
}

/// Names with the time at which something was done to them.
#[derive(Debug, Default)]
struct Recent {
    at: BTreeMap<Name, Instant>,
    order: VecDeque<(Instant, Name)>,
}

impl Recent {
    fn forget_old(&mut self, now: Instant) {
        while let Some((at, _)) = self.order.front()
            && (now.ms_since(*at) >= PAUSE_MS || self.order.len() > NAMES_MAX)
        {
            if let Some((at, name)) = self.order.pop_front()
                && self.at.get(&name) == Some(&at)
            {
                self.at.remove(&name);
            }
        }
    }

    fn note(&mut self, name: &Name, now: Instant) {
        self.at.insert(name.clone(), now);
        self.order.push_back((now, name.clone()));
        self.forget_old(now);
    }

    fn has(&mut self, name: &str, now: Instant) -> bool {
        self.forget_old(now);
        self.at.contains_key(name)
    }
}

/// What was received with an id, by queue and id.
#[derive(Debug, Default)]
struct Attempts {
    of_queues: BTreeMap<(Name, String), Attempt>,
    order: VecDeque<(Instant, (Name, String))>,
    bytes: usize,
}

/// What a receive gave.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub deliveries: Vec<Delivery>,
    pub at: UnixMillis,
}

#[derive(Debug)]
struct Attempt {
    at: Instant,
    received: Received,
}

impl Attempt {
    fn bytes(&self) -> usize {
        let deliveries = self.received.deliveries.iter();
        deliveries.map(|delivery| delivery.message.body_bytes() + delivery.message.properties.len()).sum()
    }
}

impl Attempts {
    fn remove(&mut self, key: &(Name, String)) {
        if let Some(gone) = self.of_queues.remove(key) {
            self.bytes -= gone.bytes();
        }
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((at, _)) = self.order.front() {
            let is_over = now.ms_since(*at) >= ATTEMPT_MS;
            if !is_over && self.order.len() <= ATTEMPTS_MAX && self.bytes <= ATTEMPTS_BYTES_MAX {
                return;
            }
            if let Some((at, key)) = self.order.pop_front()
                && self.of_queues.get(&key).is_some_and(|attempt| attempt.at == at)
            {
                self.remove(&key);
            }
        }
    }
}

impl Memory {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn deleted(&self, queue: &Name, now: Instant) {
        self.known().deleted.note(queue, now);
    }

    pub(crate) fn was_deleted(&self, queue: &str, now: Instant) -> bool {
        self.known().deleted.has(queue, now)
    }

    /// Notes a purge. False if there was one a moment ago.
    pub(crate) fn purged(&self, queue: &Name, now: Instant) -> bool {
        let mut known = self.known();
        let is_free = !known.purged.has(queue, now);
        if is_free {
            known.purged.note(queue, now);
        }
        is_free
    }

    /// It was refused.
    pub(crate) fn not_purged(&self, queue: &Name) {
        self.known().purged.at.remove(queue);
    }

    /// Everybody has a message of a FIFO topic.
    pub(crate) fn published(&self, key: Key, publication: Publication, now: Instant) {
        self.known().publications.note(key, publication, now);
    }

    /// The message of a FIFO topic with that id, if everybody has it.
    pub(crate) fn publication(&self, key: &Key, now: Instant) -> Option<Publication> {
        self.known().publications.find(key, now)
    }

    pub(crate) fn unsubscribed(&self, topic: &Name) {
        let counts = &mut self.known().unsubscribed;
        if counts.len() < NAMES_MAX || counts.contains_key(topic) {
            *counts.entry(topic.clone()).or_default() += 1;
        }
    }

    /// Subscriptions of the topic that were deleted since the broker has started.
    pub(crate) fn unsubscribed_count(&self, topic: &Name) -> u64 {
        self.known().unsubscribed.get(topic).copied().unwrap_or_default()
    }

    /// Whether there can be one filter policy more, of at most so many. If so, it counts.
    pub(crate) fn take_filter_room(&self, most: usize, now: Instant) -> FilterRoom {
        let filters = &mut self.known().filters;
        if filters.full_at.is_some_and(|at| now.ms_since(at) < FILTERS_FULL_MS) {
            return FilterRoom::None;
        }
        match &mut filters.count_max {
            Some(count) if *count < most => {
                *count += 1;
                FilterRoom::Enough
            }
            _ => FilterRoom::Unknown,
        }
    }

    /// Somebody has counted the filter policies.
    pub(crate) fn filters_counted(&self, count: usize, most: usize, now: Instant) {
        let full_at = (count >= most).then_some(now);
        self.known().filters = FilterPolicies { count_max: Some(count), full_at };
    }

    /// The policy of that text: policies are many times asked and seldom changed. `None` if it is none.
    pub(crate) fn policy(&self, service: Service, text: &str) -> Option<Arc<Policy>> {
        let policies = &mut self.known().policies;
        let key = (service, text.to_owned());
        if let Some(known) = policies.get(&key) {
            return known.clone();
        }
        let policy = Policy::parse(text, service).ok();
        if policies.len() >= POLICIES_MAX {
            policies.clear();
        }
        policies.insert(key, policy.clone());
        policy
    }

    /// Remembers what was received with an id.
    pub(crate) fn received(&self, queue: &Name, id: &str, received: Received, now: Instant) {
        let mut known = self.known();
        let attempts = &mut known.attempts;
        let key = (queue.clone(), id.to_owned());
        attempts.remove(&key);
        let attempt = Attempt { at: now, received };
        attempts.bytes += attempt.bytes();
        attempts.order.push_back((now, key.clone()));
        attempts.of_queues.insert(key, attempt);
        attempts.forget_old(now);
    }

    /// What was received with that id, if nothing was done to it since as far as is known here.
    pub(crate) fn attempt(&self, queue: &Name, id: &str, now: Instant) -> Option<Received> {
        let mut known = self.known();
        known.attempts.forget_old(now);
        known.attempts.of_queues.get(&(queue.clone(), id.to_owned())).map(|attempt| attempt.received.clone())
    }

    /// The time of a message was changed: whoever received it cannot ask for it again.
    pub(crate) fn changed(&self, queue: &Name, delivery: DeliveryId) {
        let mut known = self.known();
        let has = |attempt: &Attempt| attempt.received.deliveries.iter().any(|one| one.id == delivery);
        let of_queue = known.attempts.of_queues.range((queue.clone(), String::new())..);
        let mut found = of_queue.take_while(|((name, _), _)| name == queue).filter(|(_, attempt)| has(attempt));
        if let Some(key) = found.next().map(|(key, _)| key.clone()) {
            known.attempts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_not_free_for_a_minute() {
        let (memory, name) = (Memory::default(), Name::from("q"));
        let at = |ms: u64| Instant(1).after_ms(ms);
        assert!(!memory.was_deleted("q", at(0)));
        memory.deleted(&name, at(0));
        assert!(memory.was_deleted("q", at(59_999)) && !memory.was_deleted("other", at(0)));
        assert!(!memory.was_deleted("q", at(60_000)));
        let purges = [0, 59_999, 60_000, 119_999].map(|ms| memory.purged(&name, at(ms)));
        assert_eq!(purges, [true, false, true, false]);
    }

    #[test]
    fn filter_policies_are_counted_when_there_could_be_too_many() {
        let memory = Memory::default();
        let at = |ms: u64| Instant(1).after_ms(ms);
        let take = |now| memory.take_filter_room(3, now);
        assert_eq!(take(at(0)), FilterRoom::Unknown, "nobody has counted yet");
        memory.filters_counted(1, 3, at(0));
        assert_eq!([0; 3].map(|ms| take(at(ms))), [FilterRoom::Enough, FilterRoom::Enough, FilterRoom::Unknown]);
        memory.filters_counted(2, 3, at(0));
        assert_eq!(take(at(0)), FilterRoom::Enough, "one was taken away meanwhile");
        memory.filters_counted(3, 3, at(10));
        assert_eq!(take(at(1_009)), FilterRoom::None);
        assert_eq!(take(at(1_010)), FilterRoom::Unknown, "it is looked at again");
    }

    #[test]
    fn only_so_much_is_remembered() {
        let memory = Memory::default();
        for number in 0..=NAMES_MAX {
            memory.deleted(&Name::from(number.to_string()), Instant(1));
        }
        assert!(!memory.was_deleted("0", Instant(1)) && memory.was_deleted("1", Instant(1)));
        let nothing = Received { deliveries: Vec::new(), at: UnixMillis(1) };
        for number in 0..=ATTEMPTS_MAX {
            memory.received(&Name::from("q"), &number.to_string(), nothing.clone(), Instant(1));
        }
        let known = |id: &str, now| memory.attempt(&Name::from("q"), id, now).is_some();
        assert!(!known("0", Instant(1)) && known("1", Instant(1)));
        let late = Instant(1).after_ms(ATTEMPT_MS);
        assert!(!known("1", late) && memory.known().attempts.order.is_empty());
    }
}

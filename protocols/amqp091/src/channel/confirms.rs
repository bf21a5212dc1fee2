//! Publisher confirms: outcomes come in any order, acks go out as few as possible.

use std::collections::VecDeque;

use crate::frame::basic::outgoing::Ack;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Published, no outcome yet.
    Waiting,
    /// The outcome is good and not told yet.
    Good,
    /// The outcome was told.
    Told,
}

/// The publishes of one channel in confirm mode. One byte each, from the oldest without an outcome on.
#[derive(Debug)]
pub(crate) struct Confirms {
    /// Confirm numbers are delivery tags plus this, so that a late outcome of a closed channel hits nothing.
    base: u64,
    /// The delivery tag of the first state.
    first_tag: u64,
    states: VecDeque<State>,
}

impl Confirms {
    /// None published yet; numbers begin above `base`.
    pub(crate) fn new(base: u64) -> Self {
        Self { base, first_tag: 1, states: VecDeque::new() }
    }

    /// Numbers up to this are those of channels closed before.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// How many publishes are without outcome, at most.
    pub(crate) fn waiting(&self) -> usize {
        self.states.len()
    }

    /// The number of the next publish.
    pub(crate) fn publish(&mut self) -> u64 {
        self.states.push_back(State::Waiting);
        self.last_number()
    }

    /// The number of the first of so many publishes.
    pub(crate) fn publish_all(&mut self, count: usize) -> u64 {
        let first = self.last_number() + 1;
        self.states.extend(std::iter::repeat_n(State::Waiting, count));
        first
    }

    /// The number of the last publish.
    pub(crate) fn last_number(&self) -> u64 {
        self.base + self.first_tag + self.states.len() as u64 - 1
    }

    /// Takes good outcomes and says which acks to send: one for all that are complete from the beginning on, one for each
    /// beyond a gap.
    pub(crate) fn confirmed(&mut self, numbers: &[u64], mut send: impl FnMut(Ack)) {
        for number in numbers {
            if let Some(state @ State::Waiting) = self.state_mut(*number) {
                *state = State::Good;
            }
        }
        if let Some(ack) = self.advance() {
            send(ack);
        }
        for number in numbers {
            if let Some(state @ State::Good) = self.state_mut(*number) {
                *state = State::Told;
                send(Ack { delivery_tag: number - self.base, multiple: false });
            }
        }
    }

    /// Takes a bad outcome and says which delivery tag to refuse.
    pub(crate) fn rejected(&mut self, number: u64) -> Option<u64> {
        let state = self.state_mut(number)?;
        let was_waiting = *state == State::Waiting;
        *state = State::Told;
        let delivery_tag = number - self.base;
        // No good outcome waits behind a gap, so there is nothing to tell.
        self.advance();
        was_waiting.then_some(delivery_tag)
    }

    fn state_mut(&mut self, number: u64) -> Option<&mut State> {
        let at = number.checked_sub(self.base)?.checked_sub(self.first_tag)?;
        self.states.get_mut(usize::try_from(at).ok()?)
    }

    fn advance(&mut self) -> Option<Ack> {
        let (mut good, mut last_good) = (0usize, 0);
        while let Some(state) = self.states.front().filter(|state| **state != State::Waiting) {
            if *state == State::Good {
                good += 1;
                last_good = self.first_tag;
            }
            self.states.pop_front();
            self.first_tag += 1;
        }
        (good > 0).then_some(Ack { delivery_tag: last_good, multiple: good > 1 })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn publish(confirms: &mut Confirms, count: u64) {
        for _ in 0..count {
            confirms.publish();
        }
    }

    fn told(confirms: &mut Confirms, numbers: &[u64]) -> Vec<(u64, bool)> {
        let mut acks = Vec::new();
        confirms.confirmed(numbers, |ack| acks.push((ack.delivery_tag, ack.multiple)));
        acks
    }

    #[test]
    fn a_whole_run_is_one_ack() {
        let mut confirms = Confirms::new(0);
        publish(&mut confirms, 5);
        assert_eq!(told(&mut confirms, &[1]), [(1, false)]);
        assert_eq!(told(&mut confirms, &[4, 2, 3]), [(4, true)]);
    }

    #[test]
    fn beyond_a_gap_each_is_told_alone_and_only_once() {
        let mut confirms = Confirms::new(100);
        publish(&mut confirms, 5);
        assert_eq!(told(&mut confirms, &[103, 104]), [(3, false), (4, false)]);
        assert_eq!(confirms.rejected(102), Some(2));
        assert_eq!(confirms.rejected(102), None);
        assert_eq!(told(&mut confirms, &[101, 105]), [(5, true)]);
        assert_eq!(told(&mut confirms, &[101, 105, 99, 0, 200, u64::MAX]), []);
    }

    proptest! {
        /// A client that keeps a set of what it waits for ends with exactly the good ones acked and the bad ones nacked.
        #[test]
        fn every_publish_is_told_once(
            outcomes in Just((1..=40u64).collect::<Vec<_>>()).prop_shuffle(),
            bad in prop::collection::btree_set(1..=40u64, 0..10), batch in 1..9usize, base in 0..1000u64,
        ) {
            let mut confirms = Confirms::new(base);
            publish(&mut confirms, 40);
            let mut waiting: BTreeSet<u64> = (1..=40).collect();
            let (mut acked, mut nacked) = (BTreeSet::new(), BTreeSet::new());
            for chunk in outcomes.chunks(batch) {
                for tag in chunk.iter().filter(|tag| bad.contains(tag)) {
                    prop_assert_eq!(confirms.rejected(base + tag), Some(*tag));
                    prop_assert!(waiting.remove(tag));
                    nacked.insert(*tag);
                }
                let good: Vec<u64> = chunk.iter().filter(|tag| !bad.contains(tag)).map(|tag| base + tag).collect();
                for (tag, multiple) in told(&mut confirms, &good) {
                    prop_assert!(waiting.contains(&tag));
                    let covered: Vec<u64> = waiting.iter().copied().filter(|t| *t == tag || (multiple && *t < tag)).collect();
                    for tag in covered {
                        waiting.remove(&tag);
                        acked.insert(tag);
                    }
                }
            }
            prop_assert!(waiting.is_empty() && confirms.states.is_empty());
            prop_assert_eq!(nacked, bad.clone());
            prop_assert!(acked.is_disjoint(&bad));
        }
    }
}

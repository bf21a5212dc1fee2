//! Which of the threads that serve connections this one is, and which of them a journal's batches come from.

use std::cell::Cell;

thread_local! {
    static HERE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// This thread serves connections from now on, and has this number.
pub fn become_worker(number: usize) {
    HERE.set(Some(number));
}

/// The number of this thread; `None` if it serves no connections.
pub fn this_worker() -> Option<usize> {
    HERE.get()
}

/// So many batches more than from all others have to come from one thread. Two threads that write as much as each other get there
/// once in a thousand batches.
const LEAD: u32 = 32;

/// Finds the thread that most batches come from: Boyer and Moore's vote, whose lead is limited, so that it can change.
#[derive(Debug, Default)]
pub(super) struct Vote {
    candidate: usize,
    lead: u32,
}

impl Vote {
    /// A batch comes from this thread. True if the thread leads now.
    pub(super) fn cast(&mut self, worker: usize) -> bool {
        if worker == self.candidate {
            self.lead = (self.lead + 1).min(LEAD);
        } else if self.lead > 0 {
            self.lead -= 1;
        } else {
            self.candidate = worker;
        }
        worker == self.candidate && self.lead == LEAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who leads after each of these batches, if somebody does.
    fn leaders(workers: impl IntoIterator<Item = usize>) -> Vec<Option<usize>> {
        let mut vote = Vote::default();
        workers.into_iter().map(|worker| vote.cast(worker).then_some(worker)).collect()
    }

    #[test]
    fn who_writes_alone_leads_and_gives_way_to_who_does_so_later() {
        let found = leaders([0; 40].into_iter().chain([1; 80]));
        assert_eq!(found.iter().position(Option::is_some), Some(LEAD as usize - 1));
        assert_eq!(found[..40].last(), Some(&Some(0)));
        let change = found.iter().position(|leader| *leader == Some(1)).unwrap();
        assert_eq!(change, 40 + 2 * LEAD as usize);
        assert!(found[change..].iter().all(|leader| *leader == Some(1)));
    }

    #[test]
    fn nobody_leads_where_two_take_turns() {
        assert!(leaders((0..1_000).map(|batch| batch % 2)).iter().all(Option::is_none));
        assert!(leaders((0..1_000).map(|batch| batch / 8 % 2)).iter().all(Option::is_none));
    }
}

//! Requests that come together go to the disk together: of those that a thread has read, all are carried out before the journals are
//! woken. A journal that is woken by the first of eight writes and syncs that one, and the seven others wait for two syncs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::broker::going_on;

/// So many are carried out at most before the journals are woken.
const TOGETHER_MAX: usize = 32;

thread_local! {
    static GATHERING: Arc<Gathering> = Arc::default();
}

/// The requests that one thread works on.
#[derive(Default)]
struct Gathering {
    /// Read, and not carried out.
    waiting: AtomicUsize,
    /// Carried out since the journals were woken.
    done: AtomicUsize,
}

/// The turn of a request that was read.
pub(super) struct Turn<W: Fn()> {
    gathering: Arc<Gathering>,
    wake_journals: W,
}

impl<W: Fn()> Turn<W> {
    /// Waits until everything that has come by now was read.
    pub(super) async fn wait(wake_journals: W) -> Self {
        let gathering = GATHERING.with(Arc::clone);
        gathering.waiting.fetch_add(1, Ordering::Relaxed);
        let turn = Self { gathering, wake_journals };
        tokio::task::yield_now().await;
        turn
    }

    /// Carries the request out. What it stores goes to the disk with what others store.
    pub(super) fn take(self, work: impl FnOnce()) {
        self.gathering.done.fetch_add(1, Ordering::Relaxed);
        going_on(work);
    }
}

impl<W: Fn()> Drop for Turn<W> {
    fn drop(&mut self) {
        let Gathering { waiting, done } = &*self.gathering;
        let was_last = waiting.fetch_sub(1, Ordering::Relaxed) == 1;
        if was_last || done.load(Ordering::Relaxed) >= TOGETHER_MAX {
            done.store(0, Ordering::Relaxed);
            (self.wake_journals)();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use tokio::task::{JoinSet, LocalSet};

    use super::*;

    /// What requests that come together do, in order: carried out, or the journals woken. Of those in `gone` the client is gone while
    /// they wait.
    async fn together(count: usize, gone: &[usize]) -> Vec<&'static str> {
        let done = Rc::new(RefCell::new(Vec::new()));
        let requests = LocalSet::new();
        let request = |number: usize| {
            let (work, wake) = (done.clone(), done.clone());
            let is_gone = gone.contains(&number);
            async move {
                let turn = Turn::wait(move || wake.borrow_mut().push("woken")).await;
                if !is_gone {
                    turn.take(|| work.borrow_mut().push("done"));
                }
            }
        };
        let mut all = JoinSet::new();
        (0..count).for_each(|number| drop(all.spawn_local_on(request(number), &requests)));
        requests.run_until(async { while all.join_next().await.is_some() {} }).await;
        done.take()
    }

    #[tokio::test]
    async fn journals_are_woken_when_all_that_came_together_are_carried_out() {
        for count in [1, 2, 8, TOGETHER_MAX - 1, TOGETHER_MAX] {
            let mut expected = vec!["done"; count];
            expected.push("woken");
            assert_eq!(together(count, &[]).await, expected, "{count}");
        }
    }

    #[tokio::test]
    async fn no_journal_waits_for_more_than_so_many() {
        let done = together(2 * TOGETHER_MAX + 3, &[]).await;
        let runs: Vec<usize> = done.split(|what| *what == "woken").map(<[_]>::len).collect();
        assert_eq!(runs, [TOGETHER_MAX, TOGETHER_MAX, 3, 0]);
    }

    #[tokio::test]
    async fn a_request_whose_client_is_gone_keeps_nobody_waiting() {
        assert_eq!(together(3, &[2]).await, ["done", "done", "woken"]);
        assert_eq!(together(3, &[0, 1]).await, ["done", "woken"]);
        // Nobody is left behind for those that come later.
        assert_eq!(together(2, &[]).await, ["done", "done", "woken"]);
    }
}

//! Requests that come together go to the disk together: of those that a thread has read, all are carried out before the journals are
//! woken. A journal that is woken by the first of eight writes and syncs that one, and the seven others wait for two syncs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::broker::{Engine, going_on};

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
pub(super) struct Turn {
    gathering: Arc<Gathering>,
    engine: Arc<Engine>,
}

impl Turn {
    /// Waits until everything that has come by now was read.
    pub(super) async fn wait(engine: Arc<Engine>) -> Self {
        let gathering = GATHERING.with(Arc::clone);
        gathering.waiting.fetch_add(1, Ordering::Relaxed);
        let turn = Self { gathering, engine };
        tokio::task::yield_now().await;
        turn
    }

    /// Carries the request out. What it stores goes to the disk with what others store.
    pub(super) fn take(self, work: impl FnOnce()) {
        self.gathering.done.fetch_add(1, Ordering::Relaxed);
        going_on(work);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Gathering { waiting, done } = &*self.gathering;
        let was_last = waiting.fetch_sub(1, Ordering::Relaxed) == 1;
        if was_last || done.load(Ordering::Relaxed) >= TOGETHER_MAX {
            done.store(0, Ordering::Relaxed);
            self.engine.wake_journals();
        }
    }
}

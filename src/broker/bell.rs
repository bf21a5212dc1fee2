//! How the core wakes whoever serves a connection: smaller than what the runtime has for it, as there is one for each connection.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};

use atomic_waker::AtomicWaker;

/// Rung by anybody, heard by one. It stays rung until it is heard.
#[derive(Default)]
pub struct Bell {
    listener: AtomicWaker,
    is_rung: AtomicBool,
}

impl Bell {
    /// Whoever listens, or the next one who does, hears it.
    pub fn ring(&self) {
        self.is_rung.store(true, Ordering::Release);
        self.listener.wake();
    }

    /// Ready if it was rung since it was heard last.
    pub fn poll_heard(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_rung.swap(false, Ordering::AcqRel) {
            return Poll::Ready(());
        }
        self.listener.register(context.waker());
        // It may have been rung between the two lines above, for the listener before.
        if self.is_rung.swap(false, Ordering::AcqRel) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits until it is rung.
    pub async fn heard(&self) {
        poll_fn(|context| self.poll_heard(context)).await;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[tokio::test]
    async fn it_is_heard_once_before_and_after_somebody_listens() {
        let bell = Arc::new(Bell::default());
        Waker::from(bell.clone()).wake_by_ref();
        bell.heard().await;
        let pending = bell.poll_heard(&mut Context::from_waker(Waker::noop()));
        assert!(pending.is_pending());
        let listener = tokio::spawn({
            let bell = bell.clone();
            async move { bell.heard().await }
        });
        tokio::task::yield_now().await;
        bell.ring();
        listener.await.unwrap();
    }
}

//! How everybody hears that the broker drains.

use tokio::sync::watch;

/// Tells all connections to say goodbye, and waits until they have.
pub struct Shutdown {
    begin: watch::Sender<bool>,
}

/// One listener's or connection's ear. As long as one exists, [`Shutdown::drained`] waits.
#[derive(Clone)]
pub struct ShutdownSignal {
    begun: watch::Receiver<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { begin: watch::Sender::new(false) }
    }
}

impl Shutdown {
    /// Another ear.
    pub fn signal(&self) -> ShutdownSignal {
        ShutdownSignal { begun: self.begin.subscribe() }
    }

    /// From now on nobody is accepted, and everybody is told.
    pub fn begin(&self) {
        self.begin.send_replace(true);
    }

    /// Everybody has gone.
    pub async fn drained(&self) {
        self.begin.closed().await;
    }
}

impl ShutdownSignal {
    /// Waits until the broker drains.
    pub async fn begun(&mut self) {
        // An error means that the broker is gone altogether.
        let _ = self.begun.wait_for(|begun| *begun).await;
    }
}

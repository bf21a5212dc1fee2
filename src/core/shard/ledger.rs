//! Double entry: every message that a queue accepted is held, or is accounted for.

/// What became of a queue's messages since the broker started; those it started with count as accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Came in.
    pub accepted: u64,
    /// Settled by a consumer, or handed to one that needs no settlement.
    pub settled: u64,
    /// Refused by a consumer or handed out too often, where no dead-letter exchange was set.
    pub rejected: u64,
    /// Too old, where no dead-letter exchange was set.
    pub expired: u64,
    /// Gone to the dead-letter exchange.
    pub dead_lettered: u64,
    /// Dropped because the queue was full.
    pub dropped: u64,
    /// Removed by a purge, or with the queue.
    pub purged: u64,
}

impl Ledger {
    /// Messages that must be in the queue now.
    pub fn held(&self) -> u64 {
        let gone = self.settled + self.rejected + self.expired + self.dead_lettered + self.dropped + self.purged;
        self.accepted.saturating_sub(gone)
    }

    /// Adds another queue's.
    pub fn add(&mut self, other: &Ledger) {
        self.accepted += other.accepted;
        self.settled += other.settled;
        self.rejected += other.rejected;
        self.expired += other.expired;
        self.dead_lettered += other.dead_lettered;
        self.dropped += other.dropped;
        self.purged += other.purged;
    }
}

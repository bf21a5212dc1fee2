//! What a queue has handed out since the broker started, in RabbitMQ's words. Counted once for each batch.

use crossdock_common::message::DeathReason;

use crate::rarely::Rare;

/// Messages handed out, by how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// To consumers that settle.
    pub delivered: u64,
    /// To consumers that need no settlement.
    pub delivered_settled: u64,
    /// Fetched, to be settled.
    pub fetched: u64,
    /// Fetched without settlement.
    pub fetched_settled: u64,
    /// Fetches that found nothing.
    pub fetched_nothing: u64,
    /// Given back, to be handed out again.
    pub returned: u64,
    /// Sent to the dead-letter exchange, by the reason.
    pub dead_lettered: Deaths,
}

/// Messages by why they died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deaths {
    pub rejected: u64,
    pub expired: u64,
    pub max_length: u64,
    pub delivery_limit: u64,
}

impl Rare for Traffic {
    const NONE: &'static Self = &Self {
        delivered: 0,
        delivered_settled: 0,
        fetched: 0,
        fetched_settled: 0,
        fetched_nothing: 0,
        returned: 0,
        dead_lettered: Deaths { rejected: 0, expired: 0, max_length: 0, delivery_limit: 0 },
    };
}

impl Deaths {
    pub(crate) fn count(&mut self, reason: DeathReason) {
        *match reason {
            DeathReason::Rejected => &mut self.rejected,
            DeathReason::Expired => &mut self.expired,
            DeathReason::MaxLength => &mut self.max_length,
            DeathReason::DeliveryLimit => &mut self.delivery_limit,
        } += 1;
    }

    fn add(&mut self, other: &Deaths) {
        self.rejected += other.rejected;
        self.expired += other.expired;
        self.max_length += other.max_length;
        self.delivery_limit += other.delivery_limit;
    }
}

impl Traffic {
    /// Adds another queue's.
    pub fn add(&mut self, other: &Traffic) {
        self.delivered += other.delivered;
        self.delivered_settled += other.delivered_settled;
        self.fetched += other.fetched;
        self.fetched_settled += other.fetched_settled;
        self.fetched_nothing += other.fetched_nothing;
        self.returned += other.returned;
        self.dead_lettered.add(&other.dead_lettered);
    }

    /// All that was handed out.
    pub fn handed_out(&self) -> u64 {
        self.delivered + self.delivered_settled + self.fetched + self.fetched_settled
    }

    /// Settled by those who had to, out of everything that `settled` counts ([`crate::Ledger::settled`]).
    pub fn acknowledged(&self, settled: u64) -> u64 {
        settled.saturating_sub(self.delivered_settled + self.fetched_settled)
    }

    pub(crate) fn count_delivered(&mut self, presettled: bool, deliveries: usize) {
        let counter = if presettled { &mut self.delivered_settled } else { &mut self.delivered };
        *counter += deliveries as u64;
    }

    pub(crate) fn count_fetch(&mut self, presettled: bool, deliveries: usize) {
        match (presettled, deliveries) {
            (_, 0) => self.fetched_nothing += 1,
            (true, count) => self.fetched_settled += count as u64,
            (false, count) => self.fetched += count as u64,
        }
    }
}

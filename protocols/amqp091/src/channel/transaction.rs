//! Transactions: publishes and settlements are gathered until `tx.commit`, which is answered when all of them are done.
//!
//! As in RabbitMQ a commit is not atomic across queues: when a queue refuses a message, the others keep theirs and the
//! channel is closed with "partial tx completion".

use crossdock_common::command::{Outcome, Publish};
use crossdock_common::names::DeliveryId;

use super::unsettled::Entry;
use crate::error::{Fault, ReplyCode};

/// Most publishes and settlements that one transaction gathers.
pub(crate) const TRANSACTION_ENTRIES_MAX: usize = 1 << 16;
/// Most body bytes that one transaction gathers.
pub(crate) const TRANSACTION_BYTES_MAX: usize = 64 << 20;

/// A transactional channel's gatherings.
#[derive(Debug)]
pub(crate) struct Transaction {
    /// Confirm numbers up to this are those of channels closed before.
    base: u64,
    /// The confirm number of the last publish.
    last_number: u64,
    publishes: Vec<Publish>,
    bytes: usize,
    settlements: Vec<(Entry, Outcome)>,
    commit: Option<Commit>,
}

/// A commit under way.
#[derive(Debug)]
struct Commit {
    first_number: u64,
    waiting: usize,
    is_partial: bool,
}

/// What a commit asks of the core.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub publishes: Vec<Publish>,
    /// One run per change of outcome.
    pub settlements: Vec<(Vec<DeliveryId>, Outcome)>,
}

impl Transaction {
    pub(crate) fn new(base: u64) -> Self {
        Self { base, last_number: base, publishes: Vec::new(), bytes: 0, settlements: Vec::new(), commit: None }
    }

    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    pub(crate) fn last_number(&self) -> u64 {
        self.last_number
    }

    pub(crate) fn publish(&mut self, publish: Publish) -> Result<(), Fault> {
        self.bytes += publish.message.body_bytes();
        if self.bytes > TRANSACTION_BYTES_MAX {
            let text = format!("transaction is larger than {TRANSACTION_BYTES_MAX} bytes");
            return Err(Fault::new(ReplyCode::ContentTooLarge, text));
        }
        self.publishes.push(publish);
        self.check_room()
    }

    pub(crate) fn settle(&mut self, entry: Entry, outcome: Outcome) -> Result<(), Fault> {
        self.settlements.push((entry, outcome));
        self.check_room()
    }

    fn check_room(&self) -> Result<(), Fault> {
        if self.publishes.len() + self.settlements.len() <= TRANSACTION_ENTRIES_MAX {
            return Ok(());
        }
        let text = format!("transaction has more than {TRANSACTION_ENTRIES_MAX} publishes and settlements");
        Err(Fault::new(ReplyCode::ContentTooLarge, text))
    }

    /// How many publishes and settlements wait for the commit.
    pub(crate) fn gathered(&self) -> (u64, u64) {
        (self.publishes.len() as u64, self.settlements.len() as u64)
    }

    /// Forgets what was gathered, and gives back what was settled.
    pub(crate) fn rollback(&mut self) -> Vec<Entry> {
        self.publishes = Vec::new();
        self.bytes = 0;
        std::mem::take(&mut self.settlements).into_iter().map(|(entry, _)| entry).collect()
    }

    /// Begins a commit, unless nothing was gathered.
    pub(crate) fn commit(&mut self) -> Option<Gathered> {
        let mut gathered = Gathered { publishes: std::mem::take(&mut self.publishes), ..Gathered::default() };
        self.bytes = 0;
        let first_number = self.last_number + 1;
        for publish in &mut gathered.publishes {
            self.last_number += 1;
            publish.confirm = Some(self.last_number);
        }
        for (entry, outcome) in std::mem::take(&mut self.settlements) {
            match gathered.settlements.last_mut() {
                Some((run, last)) if *last == outcome => run.push(entry.delivery),
                _ => gathered.settlements.push((vec![entry.delivery], outcome)),
            }
        }
        let waiting = gathered.publishes.len() + gathered.settlements.len();
        (waiting > 0).then(|| {
            self.commit = Some(Commit { first_number, waiting, is_partial: false });
            gathered
        })
    }

    pub(crate) fn is_committing(&self) -> bool {
        self.commit.is_some()
    }

    /// Publishes are where they shall be. True when the commit is done.
    pub(crate) fn confirmed(&mut self, numbers: &[u64]) -> Result<bool, Fault> {
        let Some(commit) = &mut self.commit else { return Ok(false) };
        let ours = commit.first_number..=self.last_number;
        let count = numbers.iter().filter(|number| ours.contains(number)).count();
        self.done(count)
    }

    /// A queue refused a publish.
    pub(crate) fn rejected(&mut self, number: u64) -> Result<bool, Fault> {
        if let Some(commit) = &mut self.commit {
            commit.is_partial = true;
        }
        self.confirmed(&[number])
    }

    /// A run of settlements is done.
    pub(crate) fn settled(&mut self) -> Result<bool, Fault> {
        self.done(1)
    }

    fn done(&mut self, count: usize) -> Result<bool, Fault> {
        let Some(commit) = &mut self.commit else { return Ok(false) };
        commit.waiting = commit.waiting.saturating_sub(count);
        if commit.waiting > 0 {
            return Ok(false);
        }
        let is_partial = commit.is_partial;
        self.commit = None;
        if is_partial { Err(Fault::precondition("partial tx completion")) } else { Ok(true) }
    }
}

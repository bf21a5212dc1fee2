//! A queue's messages on their way to other queues, because somebody has asked for that.
//!
//! A message is sent on as a dead letter is, and stays in this queue's records until its copy is as durable as it asked to be in
//! the other queue. The copy says where it comes from, so after a crash in between the task, which goes on then, finds out that the
//! message has arrived, and sends it not again.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use crossdock_common::message::{DeathReason, Moved};
use crossdock_common::moves::{MoveFailure, MoveStatus};
use crossdock_common::names::QueueId;
use crossdock_common::{Instant, Name, Now};

use super::Shard;
use super::awaiting::Awaiting;
use super::command::{Confirmee, DeadLetterOut, Effects, Followup};
use super::entry::Entry;
use super::letters::Dying;
use super::queue::Queue;
use super::timers::Timer;
use crate::log::Urgency;

/// Messages of a queue that are on their way at the same time.
const UNDER_WAY_MAX: usize = 256;
/// Bytes of their bodies, beyond the first.
const UNDER_WAY_BYTES_MAX: u64 = 4 << 20;
/// What one message costs of the rate's credit.
const COST_MICROS: u64 = 1_000_000;
/// Credit that gathers while nothing can be moved, in thousandths of a second.
const CREDIT_MS_MAX: u64 = 100;

/// A queue's task.
pub(crate) struct MoveTask {
    number: u64,
    destination: Option<Name>,
    rate: Option<Rate>,
    /// Messages that may still be taken: as many as there were.
    left: u64,
    /// Told to others while it goes on.
    progress: Arc<Progress>,
    /// What is on its way, with the bytes of its body and the queue that it goes to.
    under_way: BTreeMap<u64, (u32, Name)>,
    under_way_bytes: u64,
    /// It takes no more messages, and ends so.
    ending: Option<Ended>,
    /// Places whose messages had arrived when the broker was started.
    arrived: HashSet<u64>,
}

/// How far a task is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub moved: AtomicU64,
    pub to_move: AtomicU64,
}

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    With(MoveStatus),
    /// This queue did not take a message, or does not exist.
    Undelivered(Name),
}

/// Messages in a second, spread evenly.
struct Rate {
    per_second: u64,
    /// In millionths of a message.
    credit: u64,
    counted_at: Instant,
}

impl Rate {
    fn new(per_second: u32, now: Instant) -> Self {
        Self { per_second: u64::from(per_second).max(1), credit: COST_MICROS, counted_at: now }
    }

    /// Takes the credit for one message, or says when there is enough.
    fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let micros = now.0.saturating_sub(self.counted_at.0);
        let most = (self.per_second * CREDIT_MS_MAX * 1_000).max(COST_MICROS);
        self.credit = self.credit.saturating_add(micros.saturating_mul(self.per_second)).min(most);
        self.counted_at = now;
        if let Some(rest) = self.credit.checked_sub(COST_MICROS) {
            self.credit = rest;
            return Ok(());
        }
        Err(Instant(now.0 + (COST_MICROS - self.credit).div_ceil(self.per_second)))
    }

    fn give_back(&mut self) {
        self.credit += COST_MICROS;
    }
}

impl MoveTask {
    pub(crate) fn new(
        number: u64,
        destination: Option<Name>,
        per_second: Option<u32>,
        progress: Arc<Progress>,
        now: Instant,
    ) -> Self {
        let rate = per_second.map(|per_second| Rate::new(per_second, now));
        let (under_way, arrived) = (BTreeMap::new(), HashSet::new());
        Self { number, destination, rate, left: 0, progress, under_way, under_way_bytes: 0, ending: None, arrived }
    }

    /// The messages of these places need not be sent again.
    pub(crate) fn have_arrived(mut self, places: impl Iterator<Item = u64>) -> Self {
        self.arrived.extend(places);
        self
    }

    fn is_full(&self) -> bool {
        self.under_way.len() >= UNDER_WAY_MAX || self.under_way_bytes >= UNDER_WAY_BYTES_MAX
    }

    /// Nothing more is to be taken, and everything has arrived.
    fn ended(&self) -> Option<Ended> {
        let is_over = self.under_way.is_empty() && (self.left == 0 || self.ending.is_some());
        is_over.then(|| self.ending.clone().unwrap_or(Ended::With(MoveStatus::Completed)))
    }

    fn end_with(&mut self, ended: Ended) {
        self.ending.get_or_insert(ended);
    }

    fn landed(&mut self, position: u64) -> Option<Name> {
        let (bytes, destination) = self.under_way.remove(&position)?;
        self.under_way_bytes -= u64::from(bytes);
        Some(destination)
    }

    /// Where a message goes.
    fn destination_of(&self, entry: &Entry) -> Option<Name> {
        let died_in = || Some(entry.message.as_ref()?.deaths().first()?.queue.clone());
        self.destination.clone().or_else(died_in)
    }
}

impl Shard {
    /// A task begins; the queue has no other.
    pub(crate) fn start_move(&mut self, now: Now, id: QueueId, mut task: MoveTask) {
        let Self { queues, timers, .. } = self;
        let Some(queue) = queues.get_mut(&id) else { return };
        task.left = queue.ready.len();
        task.progress.to_move.store(task.left, Ordering::Relaxed);
        queue.moving = Some(Box::new(task));
        timers.add(now.instant, Timer::Move { queue: id });
    }

    /// A task shall end; what is on its way arrives. Gives how many messages it has moved.
    pub(crate) fn cancel_move(&mut self, now: Now, id: QueueId, number: u64) -> Option<u64> {
        let Self { queues, timers, .. } = self;
        let task = queues.get_mut(&id)?.moving.as_mut().filter(|task| task.number == number)?;
        task.end_with(Ended::With(MoveStatus::Cancelled));
        timers.add(now.instant, Timer::Move { queue: id });
        Some(task.progress.moved.load(Ordering::Relaxed))
    }

    /// Sends on what may be sent now.
    pub(super) fn move_on(&mut self, now: Now, id: QueueId, effects: &mut Effects) {
        while let Some(entry) = self.next_to_move(now, id) {
            self.send_on(id, entry, now, effects);
        }
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let Some(task) = &queue.moving else { return };
        if let Some(ended) = task.ended() {
            let number = task.number;
            let until = queue.urgency.unwrap_or(Urgency::Write);
            queue.moving = None;
            // A start must not find a task that is over, and messages of it that are still there.
            self.write_settled();
            self.wait(until, Awaiting::Confirm(Confirmee::Move { number, ended }), effects);
        }
    }

    /// Takes a message out of the queue, if the task may have one and there is one.
    fn next_to_move(&mut self, now: Now, id: QueueId) -> Option<Entry> {
        let unload = self.memory.is_short();
        let Self { queues, timers, .. } = self;
        let queue = queues.get_mut(&id)?;
        let task = queue.moving.as_mut()?;
        if task.left == 0 || task.ending.is_some() || task.is_full() {
            return None;
        }
        if let Some(rate) = &mut task.rate
            && let Err(at) = rate.take(now.instant)
        {
            timers.add(at, Timer::Move { queue: id });
            return None;
        }
        if queue.ready.head(unload).is_none() {
            task.rate.iter_mut().for_each(Rate::give_back);
            // Others have taken the rest; or it has to be read first, or waits for its group.
            if queue.ready.len() == 0 && task.under_way.is_empty() {
                task.left = 0;
            }
            return None;
        }
        task.left -= 1;
        queue.ready.pop_head()
    }

    fn send_on(&mut self, id: QueueId, mut entry: Entry, now: Now, effects: &mut Effects) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        let Some(task) = queue.moving.as_mut() else { return };
        if task.arrived.remove(&entry.position) {
            task.progress.moved.fetch_add(1, Ordering::Relaxed);
            return self.forget(id, &entry, |ledger| &mut ledger.settled);
        }
        let Some(destination) = task.destination_of(&entry) else {
            task.end_with(Ended::With(MoveStatus::Failed(MoveFailure::UnknownSource)));
            return queue.ready.put_back(entry);
        };
        let Some(letter) = moved_letter(queue, &entry, destination.clone(), now) else { return };
        if let (Some(task), Some(message)) = (&mut queue.moving, &entry.message) {
            task.under_way.insert(entry.position, (entry.body_bytes, destination));
            task.under_way_bytes += u64::from(entry.body_bytes);
            queue.ready.hold(entry.position, message);
        }
        entry.unload();
        queue.special.departing.insert(entry.position, Dying::new(entry, DeathReason::Rejected));
        effects.followups.push_back(Followup::DeadLetter(Box::new(letter)));
    }

    /// A copy is safe. False if no task has sent it.
    pub(super) fn move_arrived(&mut self, id: QueueId, entry: &Entry) -> bool {
        let task = self.queues.get_mut(&id).and_then(|queue| queue.moving.as_mut());
        let Some(task) = task.filter(|task| task.under_way.contains_key(&entry.position)) else { return false };
        task.landed(entry.position);
        task.progress.moved.fetch_add(1, Ordering::Relaxed);
        self.forget(id, entry, |ledger| &mut ledger.settled);
        self.mark(id);
        true
    }

    /// A copy was not taken: the message goes back to its place. False if no task has sent it.
    pub(super) fn move_undelivered(&mut self, id: QueueId, position: u64) -> bool {
        let Some(queue) = self.queues.get_mut(&id) else { return false };
        let Some(destination) = queue.moving.as_mut().and_then(|task| task.landed(position)) else { return false };
        queue.moving.iter_mut().for_each(|task| task.end_with(Ended::Undelivered(destination.clone())));
        if let Some(dying) = queue.special.departing.remove(&position) {
            queue.ready.put_back(dying.entry);
        }
        self.mark(id);
        true
    }
}

/// The message as it comes to the other queue: nobody has handed it out there, and it has died nowhere.
fn moved_letter(queue: &Queue, entry: &Entry, destination: Name, now: Now) -> Option<DeadLetterOut> {
    let mut message = entry.message.as_ref()?.to_mutable();
    message.exchange = Name::default();
    message.routing_key = Bytes::copy_from_slice(destination.as_bytes());
    // Times to live are counted from when it comes to a queue.
    message.received_at = now.unix;
    let rare = message.rare_mut();
    (rare.delay_ms, rare.extra_keys, rare.blind_keys) = (None, Vec::new(), 0);
    (rare.deaths, rare.letters) = (Vec::new(), 0);
    rare.moved = Some(Moved { queue: queue.id, position: entry.position });
    Some(DeadLetterOut {
        vhost: queue.vhost.clone(),
        exchange: Name::default(),
        is_dead: false,
        keys: vec![message.routing_key.clone()],
        message: Arc::new(message),
        source: queue.id,
        binding: entry.binding.clone(),
        position: Some(entry.position),
        kept: Some(Vec::new()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_spreads_messages_evenly_and_saves_little() {
        let mut rate = Rate::new(500, Instant(0));
        assert_eq!((rate.take(Instant(0)), rate.take(Instant(0))), (Ok(()), Err(Instant(2_000))));
        assert_eq!((rate.take(Instant(2_000)), rate.take(Instant(2_001))), (Ok(()), Err(Instant(4_000))));
        let after_a_minute = Instant(60_000_000);
        let burst = (0..1_000).take_while(|_| rate.take(after_a_minute).is_ok()).count();
        assert_eq!(burst, 50);
        let mut slow = Rate::new(1, Instant(0));
        assert_eq!((slow.take(Instant(0)), slow.take(Instant(1))), (Ok(()), Err(Instant(1_000_000))));
        assert_eq!(slow.take(Instant(1_000_000)), Ok(()));
    }
}

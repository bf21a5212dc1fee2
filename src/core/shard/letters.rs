//! Dead letters on their way, and those that nobody takes.
//!
//! A queue whose strategy is `at-least-once` keeps a letter that has no route, or that a queue refuses, and sends it again from time
//! to time until it is where it should be. Where several queues should get it, those that have it do not get it again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossdock_common::Now;
use crossdock_common::definition::{DeadLetterStrategy, Overflow};
use crossdock_common::message::DeathReason;
use crossdock_common::names::QueueId;
use parking_lot::Mutex;

use super::Shard;
use super::command::{Effects, Followup};
use super::entry::Entry;
use super::queue::Queue;
use super::timers::Timer;

/// Between two attempts to send what is kept, in milliseconds.
const RETRY_MS: u64 = 5_000;
/// Kept letters of a queue that are sent at the same time.
const RETRIED_MAX: usize = 32;

/// A message that leaves its queue, and why.
pub(crate) struct Dying {
    pub entry: Entry,
    pub reason: DeathReason,
    /// Queues that have the letter already.
    pub taken: Vec<QueueId>,
    /// It was sent before.
    pub is_again: bool,
}

impl Dying {
    pub(crate) fn new(entry: Entry, reason: DeathReason) -> Self {
        Self { entry, reason, taken: Vec::new(), is_again: false }
    }
}

/// Letters that nobody takes, by place.
#[derive(Default)]
pub(crate) struct KeptLetters {
    waiting: BTreeMap<u64, Dying>,
    body_bytes: u64,
    /// Where the next attempt begins: all have their turn.
    next: u64,
    has_timer: bool,
}

impl KeptLetters {
    pub(crate) const NONE: Self = Self { waiting: BTreeMap::new(), body_bytes: 0, next: 0, has_timer: false };

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.waiting.values().map(|dying| &dying.entry)
    }

    /// Takes out all of them.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Entry> + use<> {
        self.body_bytes = 0;
        std::mem::take(&mut self.waiting).into_values().map(|dying| dying.entry)
    }

    fn keep(&mut self, mut dying: Dying) {
        // It can be read back when it is sent again.
        dying.entry.unload();
        self.body_bytes += u64::from(dying.entry.body_bytes);
        self.waiting.insert(dying.entry.position, dying);
    }

    fn take(&mut self, position: u64) -> Option<Dying> {
        let dying = self.waiting.remove(&position)?;
        self.body_bytes -= u64::from(dying.entry.body_bytes);
        Some(dying)
    }

    fn take_oldest(&mut self) -> Option<Dying> {
        let (position, _) = self.waiting.first_key_value()?;
        self.take(*position)
    }

    /// Those whose turn it is.
    fn take_next(&mut self) -> Vec<Dying> {
        let next = self.next;
        let turn: Vec<u64> =
            self.waiting.range(next..).chain(self.waiting.range(..next)).map(|(at, _)| *at).take(RETRIED_MAX).collect();
        self.next = turn.last().map_or(0, |last| last + 1);
        turn.into_iter().filter_map(|position| self.take(position)).collect()
    }
}

/// One attempt to send a letter to all its queues.
pub(crate) struct Attempt {
    pub source: QueueId,
    pub position: u64,
    pub targets: Vec<QueueId>,
    pub refused: Mutex<Vec<QueueId>>,
    /// Queues that have not answered.
    pub unanswered: AtomicUsize,
}

/// A letter on its way into one queue.
pub(crate) struct Posted {
    pub to: QueueId,
    pub attempt: Arc<Attempt>,
}

impl Posted {
    /// The queue has it for good, or does not want it. After the last answer, its source knows what to do.
    pub(crate) fn answered(self, is_taken: bool, effects: &mut Effects) {
        let Attempt { source, position, targets, refused, unanswered } = &*self.attempt;
        if !is_taken {
            refused.lock().push(self.to);
        }
        if unanswered.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let refused = refused.lock();
        let (queue, position) = (*source, *position);
        effects.followups.push_back(if refused.is_empty() {
            Followup::Departed { queue, position }
        } else {
            let taken = targets.iter().filter(|target| !refused.contains(target)).copied().collect();
            Followup::Undelivered { queue, position, taken }
        });
    }
}

impl Queue {
    /// Dead letters stay until somebody takes them. As in RabbitMQ, only of queues that refuse what is too much: they would grow
    /// without bounds otherwise.
    pub(crate) fn keeps_letters(&self) -> bool {
        let settings = &self.settings;
        settings.dead_letter_strategy == Some(DeadLetterStrategy::AtLeastOnce)
            && settings.overflow == Some(Overflow::RejectPublish)
            && settings.dead_letter.is_some()
    }
}

impl Shard {
    /// Nobody took a letter, or not everybody who should.
    pub(super) fn letter_undelivered(&mut self, now: Now, id: QueueId, position: u64, taken: Vec<QueueId>) {
        if self.move_undelivered(id, position) {
            return;
        }
        let Self { queues, timers, .. } = self;
        let Some(queue) = queues.get_mut(&id) else { return };
        let Some(mut dying) = queue.special.departing.remove(&position) else { return };
        dying.taken.extend(taken);
        dying.is_again = true;
        queue.special.kept.keep(dying);
        if !std::mem::replace(&mut queue.special.kept.has_timer, true) {
            timers.add(now.instant.after_ms(RETRY_MS), Timer::Letters { queue: id });
        }
    }

    /// Sends letters again that nobody took.
    pub(super) fn send_kept(&mut self, now: Now, id: QueueId, effects: &mut Effects) {
        let Self { queues, timers, .. } = self;
        let Some(queue) = queues.get_mut(&id) else { return };
        let turn = queue.special.kept.take_next();
        queue.special.kept.has_timer = queue.special.kept.len() > 0;
        if queue.special.kept.has_timer {
            timers.add(now.instant.after_ms(RETRY_MS), Timer::Letters { queue: id });
        }
        turn.into_iter().for_each(|dying| self.send_letter(now, id, dying, effects));
    }

    /// One that was kept has been taken: there may be room for another.
    pub(super) fn send_another_kept(&mut self, now: Now, id: QueueId, effects: &mut Effects) {
        let next = self.queues.get_mut(&id).and_then(|queue| queue.special.kept.take_oldest());
        if let Some(dying) = next {
            self.send_letter(now, id, dying, effects);
        }
    }
}

//! Runs on their way into queues: as a whole, where nothing that was declared for a queue concerns single messages, else message by
//! message.

use std::sync::Arc;

use crossdock_common::{Lane, Now, Run};

use super::Shard;
use super::command::{Confirmee, Effects, ShardCommand, Targets};
use super::part::Part;
use super::queue::Queue;
use crate::definitions::route::RouteTarget;
use crate::outbox::Outbox;

/// A run for queues of this shard.
pub(crate) struct EnqueueRun {
    pub run: Run,
    pub targets: Targets,
    pub confirm: Option<RunConfirmee>,
}

/// Who published a run and wants to know what became of it.
pub(crate) struct RunConfirmee {
    pub outbox: Arc<Outbox>,
    pub lane: Lane,
    /// The number of the first message; the others follow.
    pub first: u64,
}

impl RunConfirmee {
    fn of_message(&self, index: u64) -> Confirmee {
        let confirm = self.first + index;
        Confirmee::Publisher { outbox: self.outbox.clone(), lane: self.lane, confirm, shares: None }
    }
}

impl Shard {
    /// Does for each message of the run what [`enqueue`](Self::enqueue) does, all at once where that is possible.
    pub(super) fn enqueue_run(&mut self, now: Now, run: EnqueueRun, effects: &mut Effects) {
        let EnqueueRun { run, mut targets, confirm } = run;
        targets.retain(|target| !self.take_run(now, &run, target));
        if !targets.is_empty() {
            for (index, message) in (0..).zip(run.messages()) {
                let confirm = confirm.as_ref().map(|confirmee| confirmee.of_message(index));
                let enqueue = ShardCommand::Enqueue { message, targets: targets.clone(), confirm };
                self.command(now, enqueue, effects);
                self.commit_if_large();
            }
        } else if let Some(RunConfirmee { outbox, lane, first }) = confirm {
            outbox.confirm(lane, first..first + run.len() as u64);
            effects.wake(&outbox);
        }
    }

    /// Gives the run its places in a queue, if all messages are treated alike there.
    fn take_run(&mut self, now: Now, run: &Run, target: &RouteTarget) -> bool {
        let Self { queues, memory, dirty, .. } = self;
        let Some(queue) = queues.get_mut(&target.queue) else { return true };
        let expires_at = queue.expires_at(run.head(), now);
        if !queue.takes_runs(run, now) || expires_at.is_some_and(|at| at <= now.instant) || memory.crowds(queue) {
            return false;
        }
        let position = queue.next_position;
        queue.next_position += run.len() as u64;
        queue.ledger.accepted += run.len() as u64;
        let level = queue.ready.level_of(run.head().priority);
        let binding = target.binding.clone();
        queue.ready.append_part(Part { run: run.clone(), position, level, expires_at, binding });
        queue.mark(dirty);
        true
    }
}

impl Queue {
    /// Nothing concerns single messages of the run, and nothing has to become ready before it.
    fn takes_runs(&self, run: &Run, now: Now) -> bool {
        let settings = &self.settings;
        let is_bounded = settings.length_max.is_some() || settings.bytes_max.is_some();
        let is_logged = self.durable && self.urgency.is_some() && run.head().durable;
        let is_plain = self.deduplication.is_none() && self.stream.is_none() && !is_bounded && !is_logged;
        is_plain
            && self.ready.takes_parts(self.ready.level_of(run.head().priority))
            && !self.is_awaiting()
            && self.visible_at(Some(run.head()), now.instant).is_none()
    }
}

//! Runs on their way into queues: as a whole, where nothing that was declared for a queue concerns single messages, else message by
//! message.

use std::sync::Arc;

use crossdock_common::{Lane, Now, Run};

use super::Shard;
use super::command::{Confirmee, Effects, ShardCommand, Share, Shares, Targets};
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
    /// Where several shards have to say yes.
    pub shares: Shares,
}

impl RunConfirmee {
    fn of_message(&self, index: u64) -> Confirmee {
        let confirm = self.first + index;
        let shares = self.shares.as_ref().map(|shares| shares.of(index as usize));
        Confirmee::Publisher { outbox: self.outbox.clone(), lane: self.lane, confirm, shares }
    }

    /// This shard has all of them.
    fn confirm(&self, count: u64, effects: &mut Effects) {
        let done = self.shares.as_ref().map_or_else(|| std::iter::once(0..count).collect(), Share::take_all);
        for range in done {
            self.outbox.confirm(self.lane, self.first + range.start..self.first + range.end);
            effects.wake(&self.outbox);
        }
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
        } else if let Some(confirmee) = confirm {
            confirmee.confirm(run.len() as u64, effects);
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
        let is_logged = self.durable && self.urgency.is_some() && run.head().durable;
        let is_plain = self.deduplication.is_none() && self.stream.is_none() && !is_logged;
        is_plain
            && self.has_room_for(run)
            && self.ready.takes_parts(self.ready.level_of(run.head().priority))
            && !self.is_awaiting()
            && self.visible_at(Some(run.head()), now.instant).is_none()
    }

    /// With all of the run, the queue would not be over its length, nor refuse any of it.
    fn has_room_for(&self, run: &Run) -> bool {
        let length = self.ready.len() + self.special.kept.len() as u64 + run.len() as u64;
        let bytes = self.ready.body_bytes() + self.special.kept.body_bytes() + run.bodies_bytes() as u64;
        self.settings.length_max.is_none_or(|max| length <= max)
            && self.settings.bytes_max.is_none_or(|max| bytes <= max)
    }
}

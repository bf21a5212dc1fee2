//! What shards could not do under their own lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use crossdock_common::message::DeathReason;
use crossdock_common::names::QueueId;
use crossdock_common::{Message, Name, Now};
use parking_lot::Mutex;

use super::Broker;
use crate::definitions::route::{Route, RouteTarget, route};
use crate::definitions::shard_of;
use crate::shard::command::{Confirmee, DeadLetterOut, Effects, Followup, ShardCommand, Share, Shares, Targets};
use crate::shard::letters::{Attempt, Posted};

impl Broker {
    /// Wakes connections, and does the work that one shard has for others, until there is none left.
    pub(super) fn follow_up(self: &Arc<Self>, now: Now, effects: Effects) {
        let mut effects = effects;
        loop {
            for outbox in effects.wakes.drain(..) {
                outbox.wake();
            }
            for request in effects.reads.drain(..) {
                (self.options.read)(shard_of(request.queue), request);
            }
            let Some(followup) = effects.followups.pop_front() else { return };
            self.follow(now, followup, &mut effects);
        }
    }

    fn follow(self: &Arc<Self>, now: Now, followup: Followup, effects: &mut Effects) {
        match followup {
            Followup::DeadLetter(letter) => self.forward(now, *letter, effects),
            Followup::DeleteQueue { queue } => self.delete_queue_by_id(queue, effects),
            Followup::Departed { queue, position } => {
                self.command(now, shard_of(queue), ShardCommand::Departed { queue, position }, effects);
            }
            Followup::Undelivered { queue, position, taken } => {
                let command = ShardCommand::Undelivered { queue, position, taken };
                self.command(now, shard_of(queue), command, effects);
            }
            Followup::MoveEnded { number, ended } => self.move_ended(number, ended),
            Followup::Publication { session, id, number, accepted } => {
                let command = ShardCommand::Publication { session, id, number, accepted };
                self.command(now, shard_of(session), command, effects);
            }
        }
    }

    fn command(self: &Arc<Self>, now: Now, index: usize, command: ShardCommand, effects: &mut Effects) {
        self.with_shard(index, |shard| shard.handle(now, &mut vec![command], effects));
    }

    /// Publishes a letter where its queue says.
    fn forward(self: &Arc<Self>, now: Now, letter: DeadLetterOut, effects: &mut Effects) {
        let mut found = self.route_letter(&letter).unwrap_or_default();
        let message = found.prepare(letter.message);
        let letter = DeadLetterOut { message: self.bound_copies(&mut found, message), ..letter };
        if let (Some(taken), Some(position)) = (&letter.kept, letter.position) {
            return self.post(now, (letter.source, position), &letter.message, (found, taken), effects);
        }
        let shares: Vec<(usize, Targets)> = split_by_shard(self.shard_count(), &found);
        let Some(position) = letter.position else {
            for (index, targets) in shares {
                let message = letter.message.clone();
                self.command(now, index, ShardCommand::Enqueue { message, targets, confirm: None }, effects);
            }
            return;
        };
        if shares.is_empty() {
            effects.followups.push_back(Followup::Departed { queue: letter.source, position });
        }
        let count = share_count(shares.len());
        for (index, targets) in shares {
            let confirm = Confirmee::DeadLetter { queue: letter.source, position, shares: count.clone() };
            let message = letter.message.clone();
            self.command(now, index, ShardCommand::Enqueue { message, targets, confirm: Some(confirm) }, effects);
        }
    }

    /// Publishes a letter that its queue keeps until everybody has it: each queue answers for itself.
    fn post(
        self: &Arc<Self>,
        now: Now,
        (source, position): (QueueId, u64),
        message: &Arc<Message>,
        (found, taken): (Route, &[QueueId]),
        effects: &mut Effects,
    ) {
        let is_new = |target: &RouteTarget| !taken.contains(&target.queue);
        let targets: Vec<RouteTarget> = found.targets.into_iter().filter(is_new).collect();
        if targets.is_empty() {
            let queue = source;
            // Those that have it are all there are.
            let is_done = !taken.is_empty();
            let departed = Followup::Departed { queue, position };
            let undelivered = Followup::Undelivered { queue, position, taken: Vec::new() };
            return effects.followups.push_back(if is_done { departed } else { undelivered });
        }
        let attempt = Arc::new(Attempt {
            source,
            position,
            targets: targets.iter().map(|target| target.queue).collect(),
            refused: Mutex::default(),
            unanswered: AtomicUsize::new(targets.len()),
        });
        for target in targets {
            let posted = Posted { to: target.queue, attempt: attempt.clone() };
            let (index, message) = (shard_of(target.queue), message.clone());
            let confirm = Some(Confirmee::Letter(Box::new(posted)));
            let command = ShardCommand::Enqueue { message, targets: Targets::from_iter([target]), confirm };
            self.command(now, index, command, effects);
        }
    }

    /// Queues whose dead letters go to many queues multiply them, each time they die. Every copy knows how many there may be, so the
    /// copies of one publication are never more than the limit together: one that would exceed it goes to fewer queues.
    fn bound_copies(&self, found: &mut Route, message: Arc<Message>) -> Arc<Message> {
        if found.targets.len() < 2 || message.deaths().is_empty() {
            return message;
        }
        let letters = message.rare.as_ref().map_or(1, |rare| rare.letters.max(1));
        let room = (self.options.dead_letter_copies_max / letters).max(1) as usize;
        let withheld = found.targets.len().saturating_sub(room);
        self.letters_withheld.fetch_add(withheld as u64, Ordering::Relaxed);
        found.targets.truncate(room);
        let mut message = Arc::try_unwrap(message).unwrap_or_else(|shared| shared.to_mutable());
        message.rare_mut().letters = letters.saturating_mul(found.targets.len() as u32);
        Arc::new(message)
    }

    fn route_letter(&self, letter: &DeadLetterOut) -> Option<Route> {
        let definitions = self.definitions.read();
        let vhost = definitions.vhosts.get(&letter.vhost)?;
        let mut found = route(vhost, &letter.exchange, &letter.keys, &letter.message)?;
        found.targets.retain(|target| {
            if !letter.is_dead {
                return true;
            }
            let name = definitions.queue_name(target.queue).map(|(_, name)| name);
            name.is_none_or(|name| !is_cycle(&letter.message, name))
        });
        // Others' bindings say something of the queue that they lead to.
        let binding = letter.binding.as_ref().filter(|binding| vhost.standing.spec(binding.serial).is_some());
        for target in found.targets.iter_mut().filter(|target| target.binding.is_none()) {
            target.binding = binding.cloned();
        }
        Some(found)
    }
}

/// RabbitMQ's rule: a message that comes back to a queue where it died, without anybody having rejected it since, goes round
/// for ever; it is dropped instead.
fn is_cycle(message: &Message, queue: &Name) -> bool {
    let deaths = message.deaths();
    let Some(here) = deaths.iter().position(|death| death.queue == *queue) else { return false };
    // Newest first: what happened since it died here, and how it died here.
    deaths[..=here].iter().all(|death| death.reason != DeathReason::Rejected)
}

/// The targets of a route by shard.
pub(crate) fn split_by_shard(shards: usize, route: &Route) -> Vec<(usize, Targets)> {
    let mut split: Vec<(usize, Targets)> = (0..shards).map(|index| (index, Targets::new())).collect();
    for target in &route.targets {
        if let Some((_, targets)) = split.get_mut(shard_of(target.queue)) {
            targets.push(target.clone());
        }
    }
    split.retain(|(_, targets)| !targets.is_empty());
    split
}

/// A counter for as many shards as have to confirm, if there are several.
pub(crate) fn share_count(shards: usize) -> Shares {
    (shards > 1).then(|| Share::new(shards))
}

/// The keys of a message, borrowed by whoever routes it.
pub(crate) fn routing_keys(message: &Message) -> smallvec::SmallVec<[Bytes; 1]> {
    let extra = message.rare.iter().flat_map(|rare| rare.extra_keys.iter().cloned());
    std::iter::once(message.routing_key.clone()).chain(extra).collect()
}

//! Dead letters: messages that leave a queue otherwise than by being accepted.
//!
//! A logged message stays in its queue's records until its copy is durable where it was sent, so a crash in between
//! gives two rather than none.

use std::sync::Arc;

use bytes::Bytes;
use crossdock_common::message::{Death, DeathReason};
use crossdock_common::names::QueueId;
use crossdock_common::{Message, Now};

use super::Shard;
use super::command::{DeadLetterOut, Effects, Followup};
use super::delays::due_letter;
use super::entry::Entry;
use super::ledger::Ledger;
use super::letters::Dying;
use super::queue::Queue;

impl Shard {
    /// Sends the entry to the queue's dead-letter exchange, or forgets it if the queue has none.
    pub(super) fn bury(&mut self, now: Now, id: QueueId, entry: Entry, reason: DeathReason, effects: &mut Effects) {
        self.send_letter(now, id, Dying::new(entry, reason), effects);
    }

    /// The same, for the first time or again.
    pub(super) fn send_letter(&mut self, now: Now, id: QueueId, dying: Dying, effects: &mut Effects) {
        let Some(queue) = self.queues.get_mut(&id) else { return };
        if queue.settings.dead_letter.is_none() && !queue.is_delaying() {
            return self.forget(id, &dying.entry, |ledger| account(ledger, dying.reason));
        }
        let letter =
            if queue.is_delaying() { due_letter(queue, &dying.entry, now) } else { dead_letter(queue, &dying, now) };
        let Some(letter) = letter else {
            // It has to be read first.
            queue.special.to_read.push(dying.entry.position);
            queue.special.burying.insert(dying.entry.position, dying);
            return self.mark(id);
        };
        if !dying.is_again {
            queue.traffic.dead_lettered.count(dying.reason);
        }
        let stays = letter.position.is_some();
        effects.followups.push_back(Followup::DeadLetter(Box::new(letter)));
        if stays {
            queue.special.departing.insert(dying.entry.position, dying);
        } else {
            self.has_left(id, &dying.entry);
        }
    }

    /// The copy of a dead letter is safe.
    pub(super) fn departed(&mut self, now: Now, id: QueueId, position: u64, effects: &mut Effects) {
        let dying = self.queues.get_mut(&id).and_then(|queue| queue.special.departing.remove(&position));
        let Some(dying) = dying else { return };
        if self.move_arrived(id, &dying.entry) {
            return;
        }
        self.has_left(id, &dying.entry);
        if dying.is_again {
            self.send_another_kept(now, id, effects);
        }
    }

    fn has_left(&mut self, id: QueueId, entry: &Entry) {
        let is_delaying = self.queues.get(&id).is_some_and(|queue| queue.is_delaying());
        self.forget(id, entry, |ledger| if is_delaying { &mut ledger.settled } else { &mut ledger.dead_lettered });
    }

    pub(super) fn drop_expired(&mut self, now: Now, id: QueueId, effects: &mut Effects) {
        while let Some(entry) = self.queues.get_mut(&id).and_then(|queue| queue.ready.pop_expired(now.instant)) {
            self.bury(now, id, entry, DeathReason::Expired, effects);
        }
    }

    pub(super) fn drop_overflow(&mut self, now: Now, id: QueueId, effects: &mut Effects) {
        while let Some(queue) = self.queues.get_mut(&id).filter(|queue| queue.overflows()) {
            let Some(entry) = queue.ready.pop_oldest() else { return };
            self.bury(now, id, entry, DeathReason::MaxLength, effects);
        }
    }
}

/// Where the ledger counts a message that died where no dead-letter exchange was set.
fn account(ledger: &mut Ledger, reason: DeathReason) -> &mut u64 {
    match reason {
        DeathReason::Expired => &mut ledger.expired,
        DeathReason::MaxLength => &mut ledger.dropped,
        DeathReason::Rejected | DeathReason::DeliveryLimit => &mut ledger.rejected,
    }
}

/// `None` if there is no policy, or the message is not here.
fn dead_letter(queue: &Queue, dying: &Dying, now: Now) -> Option<DeadLetterOut> {
    let Dying { entry, reason, taken, .. } = dying;
    let is_kept = queue.keeps_letters();
    let policy = queue.settings.dead_letter.as_ref()?;
    let mut message = entry.message.as_ref()?.to_mutable();
    let old_keys = keys_of(&message);
    let seen = old_keys.len() - message.rare.as_ref().map_or(0, |rare| rare.blind_keys).min(old_keys.len());
    add_death(&mut message, queue, *reason, now, old_keys[..seen].to_vec());
    message.exchange = policy.exchange.clone();
    // Times to live and delays are counted from when it comes to a queue.
    message.received_at = now.unix;
    let keys = policy.routing_key.clone().map_or(old_keys, |key| vec![key]);
    message.routing_key = keys.first().cloned().unwrap_or_default();
    // A delay was for the first queue only.
    message.rare_mut().delay_ms = None;
    Some(DeadLetterOut {
        vhost: queue.vhost.clone(),
        exchange: policy.exchange.clone(),
        is_dead: true,
        message: Arc::new(message),
        keys,
        source: queue.id,
        binding: entry.binding.clone(),
        position: (entry.logged || is_kept).then_some(entry.position),
        kept: is_kept.then(|| taken.clone()),
    })
}

/// The routing key and the further ones.
pub(crate) fn keys_of(message: &Message) -> Vec<Bytes> {
    let extra = message.rare.iter().flat_map(|rare| rare.extra_keys.iter().cloned());
    std::iter::once(message.routing_key.clone()).chain(extra).collect()
}

/// Counts the death in the message's history, newest first; an expired message loses its time to live.
fn add_death(message: &mut Message, queue: &Queue, reason: DeathReason, now: Now, routing_keys: Vec<Bytes>) {
    let exchange = message.exchange.clone();
    let original_ttl_ms = if reason == DeathReason::Expired { message.ttl_ms.take() } else { None };
    let deaths = &mut message.rare_mut().deaths;
    let known = deaths.iter().position(|death| death.queue == queue.name && death.reason == reason);
    let death = match known.map(|index| deaths.remove(index)) {
        Some(known) => Death { count: known.count + 1, ..known },
        None => Death {
            queue: queue.name.clone(),
            reason,
            count: 1,
            time: now.unix,
            exchange,
            routing_keys,
            original_ttl_ms,
        },
    };
    deaths.insert(0, death);
}

//! Messages of a run in a queue.
//!
//! As long as nobody asks for one of them alone, they are one thing: they become ready together, are handed out together, and are
//! settled together. When somebody does, they become entries ([`Part::entries`]).

use std::sync::Arc;

use crossdock_common::event::RunDelivery;
use crossdock_common::names::QueueId;
use crossdock_common::{ConsumerId, Instant, Now, Run, UnixMillis};

use super::entry::{Entry, Holder, entry_bytes};
use crate::definitions::route::AnnouncedBinding;
use crate::window::LaneWindow;

/// What a part costs beside its messages.
const PART_BYTES: u64 = 128;
/// What a message of a run costs beside its body.
const BOUND_BYTES: u64 = 4;

/// Transient messages of a run, at places that follow each other, never handed out before.
#[derive(Clone)]
pub(crate) struct Part {
    pub run: Run,
    /// The place of the first.
    pub position: u64,
    /// Their priority, as far as the queue tells priorities apart.
    pub level: u8,
    pub expires_at: Option<Instant>,
    pub binding: Option<AnnouncedBinding>,
}

/// Messages of a run that a consumer has and has not settled.
pub(crate) struct HeldPart {
    pub part: Part,
    pub holder: Holder,
    /// The shared window that they take room of.
    pub lane_window: Option<Arc<LaneWindow>>,
    pub delivered_at: UnixMillis,
}

impl Part {
    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.run.len() as u64
    }

    /// The place behind the last.
    pub(crate) fn end(&self) -> u64 {
        self.position + self.len()
    }

    pub(crate) fn body_bytes(&self) -> u64 {
        self.run.bodies_bytes() as u64
    }

    /// Memory that they take.
    pub(crate) fn memory_bytes(&self) -> u64 {
        PART_BYTES + entry_bytes(self.run.head()) + self.len() * BOUND_BYTES + self.body_bytes()
    }

    /// Memory that they take once they are entries.
    pub(crate) fn entries_bytes(&self) -> u64 {
        self.len() * entry_bytes(self.run.head()) + self.body_bytes()
    }

    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Takes up to so many from the beginning.
    pub(crate) fn split_to(&mut self, count: u64) -> Self {
        let run = self.run.split_to(usize::try_from(count).unwrap_or(usize::MAX));
        let position = self.position;
        self.position += run.len() as u64;
        Self { run, position, level: self.level, expires_at: self.expires_at, binding: self.binding.clone() }
    }

    /// Each message as an entry of its own.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        (self.position..).zip(self.run.messages()).map(|(position, message)| Entry {
            position,
            stored: None,
            body_bytes: u32::try_from(message.body_bytes()).unwrap_or(u32::MAX),
            level: self.level,
            logged: false,
            expires: message.ttl_ms.is_some(),
            requested: false,
            attempts: 0,
            first_delivered_at: UnixMillis(0),
            expires_at: self.expires_at,
            binding: self.binding.clone(),
            message: Some(message),
        })
    }

    /// What a consumer is told who gets them.
    pub(crate) fn delivery(&self, (queue, consumer): (QueueId, ConsumerId), now: Now) -> RunDelivery {
        RunDelivery {
            consumer,
            queue,
            position: self.position,
            run: self.run.clone(),
            delivered_at: now.unix,
            expires_at: self.expires_at,
            binding: self.binding.as_ref().map(|binding| binding.spec.clone()),
        }
    }
}

//! A message in a queue.

use std::sync::Arc;

use crossdock_common::event::Delivery;
use crossdock_common::names::{ConnectionId, DeliveryId, QueueId};
use crossdock_common::{ConsumerId, Instant, Message, Now, UnixMillis};

use crate::definitions::route::AnnouncedBinding;
use crate::window::LaneWindow;

/// A message and its place.
#[derive(Clone)]
pub(crate) struct Entry {
    /// Grows with every message of the queue.
    pub position: u64,
    pub message: Arc<Message>,
    /// It stands in the log, so its settlement has to be written too.
    pub logged: bool,
    /// How often it was handed out.
    pub attempts: u32,
    /// When it was handed out first; 0 if never.
    pub first_delivered_at: UnixMillis,
    pub expires_at: Option<Instant>,
    pub binding: Option<AnnouncedBinding>,
}

impl Entry {
    /// Marks one more handing-out and describes it.
    pub(crate) fn hand_out(&mut self, queue: QueueId, consumer: ConsumerId, now: Now) -> Delivery {
        let delivery_count = self.attempts;
        self.attempts += 1;
        if delivery_count == 0 {
            self.first_delivered_at = now.unix;
        }
        Delivery {
            consumer,
            id: DeliveryId { queue, position: self.position, lease: self.attempts },
            message: self.message.clone(),
            delivery_count,
            first_delivered_at: self.first_delivered_at,
            expires_at: self.expires_at,
            binding: self.binding.as_ref().map(|binding| binding.spec.clone()),
        }
    }

    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// A message that somebody has and has not settled.
pub(crate) struct Unsettled {
    pub entry: Entry,
    pub holder: Holder,
    /// The shared window that it takes room of.
    pub lane_window: Option<Arc<LaneWindow>>,
}

/// Who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A consumer; released when the connection ends.
    Consumer { connection: ConnectionId, consumer: ConsumerId },
    /// A fetch; released when the connection ends.
    Connection(ConnectionId),
    /// Whoever knows the delivery, until then.
    Timed(Instant),
}

//! A message in a queue.

use std::sync::Arc;

use crossdock_common::event::Delivery;
use crossdock_common::names::{ConnectionId, DeliveryId, QueueId};
use crossdock_common::{ConsumerId, Instant, Message, Now, UnixMillis};

use super::stored::StoredRef;
use crate::definitions::route::AnnouncedBinding;
use crate::log::Location;
use crate::window::LaneWindow;

/// What an entry costs beside its message.
const ENTRY_BYTES: u64 = 112;
/// What a message costs beside its body and properties.
const MESSAGE_BYTES: u64 = 192;

/// A message and its place. The message itself may be on disk only.
#[derive(Clone)]
pub(crate) struct Entry {
    /// Grows with every message of the queue.
    pub position: u64,
    /// `None` while it is on disk only.
    pub message: Option<Arc<Message>>,
    /// Where it can be read back; `None` if nowhere.
    pub stored: Option<Location>,
    /// Bytes of the body, whether it is here or not.
    pub body_bytes: u32,
    /// Its priority, as far as the queue tells priorities apart.
    pub level: u8,
    /// It survives a restart, so its settlement has to be written too.
    pub logged: bool,
    /// The message has a time to live of its own.
    pub expires: bool,
    /// It is being read.
    pub requested: bool,
    /// How often it was handed out.
    pub attempts: u32,
    /// When it was handed out first; 0 if never.
    pub first_delivered_at: UnixMillis,
    /// Known while the message is here.
    pub expires_at: Option<Instant>,
    pub binding: Option<AnnouncedBinding>,
}

impl Entry {
    /// Marks one more handing-out and describes it. `None` if the message is not here.
    pub(crate) fn hand_out(&mut self, to: (QueueId, ConsumerId), is_counted: bool, now: Now) -> Option<Delivery> {
        let message = self.message.clone()?;
        Some(self.delivery(message, to, is_counted, now))
    }

    /// As [`hand_out`](Self::hand_out), for good: the delivery has the message.
    pub(crate) fn hand_over(mut self, to: (QueueId, ConsumerId), is_counted: bool, now: Now) -> Option<Delivery> {
        let message = self.message.take()?;
        Some(self.delivery(message, to, is_counted, now))
    }

    fn delivery(
        &mut self,
        message: Arc<Message>,
        (queue, consumer): (QueueId, ConsumerId),
        is_counted: bool,
        now: Now,
    ) -> Delivery {
        let delivery_count = self.attempts;
        self.attempts += 1;
        if delivery_count == 0 {
            self.first_delivered_at = now.unix;
        }
        Delivery {
            consumer,
            id: DeliveryId { queue, position: self.position, lease: self.attempts },
            message,
            delivery_count,
            is_counted,
            first_delivered_at: self.first_delivered_at,
            expires_at: self.expires_at,
            binding: self.binding.as_ref().map(|binding| binding.spec.clone()),
            stream_offset: None,
        }
    }

    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Memory that it takes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        ENTRY_BYTES + self.message.as_ref().map_or(0, |message| message_bytes(message))
    }

    /// Lets go of the message, if it can be read back.
    pub(crate) fn unload(&mut self) {
        if self.stored.is_some() {
            self.message = None;
            self.requested = false;
        }
    }

    /// Marks it as being read, and tells where.
    pub(crate) fn request(&mut self) -> Option<(u64, Location)> {
        let location = self.stored?;
        self.requested = true;
        Some((self.position, location))
    }

    /// The entry without its message; `None` if that is nowhere else.
    pub(crate) fn to_stored(&self) -> Option<StoredRef> {
        let Self { position, body_bytes, attempts, logged, expires, .. } = *self;
        Some(StoredRef { position, location: self.stored?, body_bytes, attempts, logged, expires })
    }
}

/// Memory that a message and its entry take without the body.
pub(crate) fn entry_bytes(message: &Message) -> u64 {
    ENTRY_BYTES + MESSAGE_BYTES + message.properties.len() as u64
}

/// Memory that a message takes.
pub(crate) fn message_bytes(message: &Message) -> u64 {
    MESSAGE_BYTES + (message.body.len() + message.properties.len()) as u64
}

impl StoredRef {
    /// An entry whose message is on disk.
    pub(crate) fn to_entry(self, level: u8) -> Entry {
        Entry {
            position: self.position,
            message: None,
            stored: Some(self.location),
            body_bytes: self.body_bytes,
            level,
            logged: self.logged,
            expires: self.expires,
            requested: false,
            attempts: self.attempts,
            first_delivered_at: UnixMillis(0),
            expires_at: None,
            binding: None,
        }
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

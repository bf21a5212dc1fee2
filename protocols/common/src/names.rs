//! Newtypes for what could be swapped by accident.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The name of a vhost, exchange, queue, user or session: shared, immutable, cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The text of the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the two are one: told without looking at the text.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::ops::Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

impl From<Arc<str>> for Name {
    fn from(text: Arc<str>) -> Self {
        Self(text)
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Self(Arc::from(text))
    }
}

thread_local! {
    static EMPTY: Name = Name::from("");
}

/// The empty name. It allocates once per thread: every new message has one until its user is set.
impl Default for Name {
    fn default() -> Self {
        EMPTY.try_with(Self::clone).unwrap_or_else(|_| Self::from(""))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Ties a reply to the command that asked for it. Chosen by the machine, unique while the request is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A consumer of one connection. Chosen by the machine, unique within its connection for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub u64);

/// The part of a connection that an error or a confirm concerns: an AMQP channel; 0 where a protocol has no such parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u16);

/// One connection to the broker, unique for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// A queue for ever: never reused, also after the queue is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u64);

/// One handing-out of one message. Opaque to machines, who return it when they settle.
///
/// `lease` grows with every handing-out of the same message, so a settlement that comes too late is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    /// The queue that handed the message out.
    pub queue: QueueId,
    /// The message's place in its queue: grows with every message of that queue, survives restarts.
    pub position: u64,
    /// Which handing-out of this message it was.
    pub lease: u32,
}

//! What the core says when it does not do what it was asked. Each protocol gives it its own code and text.

use crate::Name;

/// The kind of thing that a refusal speaks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A virtual host.
    Vhost,
    /// An exchange or topic.
    Exchange,
    /// A queue.
    Queue,
    /// A binding or subscription.
    Binding,
}

impl Resource {
    /// The lower-case word that RabbitMQ's texts use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Vhost => "vhost",
            Self::Exchange => "exchange",
            Self::Queue => "queue",
            Self::Binding => "binding",
        }
    }
}

/// What a permission allows (RabbitMQ's three words).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Create, change, delete.
    Configure,
    /// Publish to an exchange, bind to a queue.
    Write,
    /// Consume from a queue, bind from an exchange.
    Read,
}

impl Access {
    /// The lower-case word that RabbitMQ's texts use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Configure => "configure",
            Self::Write => "write",
            Self::Read => "read",
        }
    }
}

/// Why a command was not carried out. The `Display` text is RabbitMQ's, without the leading code name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// AMQP 404. There is no such thing.
    #[error("no {} '{name}' in vhost '{vhost}'", resource.word())]
    NotFound { resource: Resource, name: Name, vhost: Name },
    /// AMQP 530 at connection.open.
    #[error("vhost {vhost} not found")]
    VhostNotFound { vhost: Name },
    /// AMQP 530. The user may not use the vhost at all.
    #[error("access to vhost '{vhost}' refused for user '{user}'")]
    VhostRefused { vhost: Name, user: Name },
    /// AMQP 403.
    #[error("{} access to {} '{name}' in vhost '{vhost}' refused for user '{user}'", access.word(), resource.word())]
    AccessRefused { access: Access, resource: Resource, name: Name, vhost: Name, user: Name },
    /// AMQP 403. The user may not use that key with that topic exchange.
    #[error("{} access to topic '{key}' in exchange '{exchange}' in vhost '{vhost}' refused for user '{user}'", access.word())]
    TopicRefused { access: Access, key: Name, exchange: Name, vhost: Name, user: Name },
    /// AMQP 403. Reserved names, the default exchange and the like; the text says which.
    #[error("{0}")]
    Forbidden(String),
    /// AMQP 406. Declared again with other properties, in use, not empty; the text is RabbitMQ's wording.
    #[error("{0}")]
    PreconditionFailed(String),
    /// AMQP 405. An exclusive queue of another connection.
    #[error(
        "cannot obtain exclusive access to locked queue '{name}' in vhost '{vhost}'. It could be originally declared \
         on another connection or the exclusive property value does not match that of the original declaration."
    )]
    ResourceLocked { name: Name, vhost: Name },
    /// AMQP 403. The queue has an exclusive consumer, or has consumers and exclusivity was asked.
    #[error("queue '{name}' in vhost '{vhost}' in exclusive use")]
    ExclusiveUse { name: Name, vhost: Name },
    /// AMQP 503 / 406: a value that no rule allows.
    #[error("{0}")]
    Invalid(String),
    /// What was to be changed is not kept as it was said to be ([`Definition::IfKept`](crate::definition::Definition::IfKept)).
    #[error("it was changed meanwhile")]
    Changed,
    /// A named limit is reached.
    #[error("{0}")]
    LimitReached(String),
    /// A wrong name or password; says no more than that.
    #[error("invalid credentials")]
    InvalidCredentials,
    /// The broker cannot do it now: disk full, journal failed, shutting down.
    #[error("{0}")]
    Unavailable(String),
    /// AMQP 540. That kind of queue cannot do it; the text is RabbitMQ's wording.
    #[error("{0}")]
    NotImplemented(String),
    /// A delivery that is not (or no longer) leased by whoever settles it.
    #[error("{0}")]
    UnknownDelivery(String),
}

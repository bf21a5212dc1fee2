//! What a listener tells every connection it makes.

use std::sync::Arc;

use crossdock_common::{Limits, Name, Text};

/// The settings of one connection.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// The limits to keep.
    pub limits: Arc<Limits>,
    /// The product in CONNECTED's `server` header.
    pub server_name: Text,
    /// The version in CONNECTED's `server` header.
    pub server_version: Text,
    /// The vhost of clients that name none, or one that does not exist (many clients put a host name there).
    pub default_vhost: Name,
    /// Where session names come from.
    pub seed: u64,
    /// The name in the verified client certificate, if there is one: used when the client sends no `login`.
    pub certificate_name: Option<Name>,
    /// Clients without `login` and certificate may come in as nobody.
    pub allow_anonymous: bool,
    /// A `host` that is no vhost is refused rather than taken for the default vhost.
    pub strict_host: bool,
    /// `*` and a last `>` in the name of a queue that is subscribed to are wildcards, as with ActiveMQ; else they are part of it, as with
    /// RabbitMQ.
    pub queue_wildcards: bool,
    /// Deliveries that a subscription may have unacknowledged where the client does not say; 0 for any number.
    pub prefetch_default: u32,
    /// What a NACK without `requeue` means.
    pub nack: Nack,
    /// A message that was handed out so often is given back with a delay, which doubles from a second to a minute: a client that refuses
    /// it for ever does not keep the broker busy. The queue's own limit is the core's business.
    pub redeliveries_at_once: u32,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            limits: Arc::default(),
            server_name: Text::from_static("Crossdock"),
            server_version: Text::from_static(env!("CARGO_PKG_VERSION")),
            default_vhost: Name::from("/"),
            seed: 0,
            certificate_name: None,
            allow_anonymous: false,
            strict_host: false,
            queue_wildcards: true,
            prefetch_default: 1_000,
            nack: Nack::Requeue,
            redeliveries_at_once: 20,
        }
    }
}

/// What becomes of a message that a client refuses without saying more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nack {
    /// It goes back to its queue, as with RabbitMQ.
    #[default]
    Requeue,
    /// It goes to the dead letters, as with ActiveMQ.
    DeadLetter,
}

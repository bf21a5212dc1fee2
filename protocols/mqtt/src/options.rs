//! What a listener tells every connection it makes.

use std::sync::Arc;

use crossdock_common::{Limits, Name};

/// The longest client identifier: `session.` and it make a queue name that AMQP can say (255 bytes).
pub const CLIENT_ID_BYTES_MAX: usize = 247;

/// The settings of one connection.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// The limits to keep.
    pub limits: Arc<Limits>,
    /// The exchange that topics lead to; a topic exchange.
    pub exchange: Name,
    /// The vhost of users who name none (`vhost:user` names one).
    pub vhost: Name,
    /// Whether a CONNECT without user name and certificate is let through to the core as anonymous.
    pub allow_anonymous: bool,
    /// The name in the verified client certificate, if there is one.
    pub certificate_name: Option<Name>,
    /// Most QoS 1 and 2 messages in flight, in either direction; at least 1.
    pub receive_maximum: u16,
    /// Most topic aliases that a client may set; 0 means none.
    pub topic_alias_maximum: u16,
    /// The longest time that a session outlives its connection, in milliseconds; `None` means for ever is allowed.
    pub session_expiry_ms_max: Option<u64>,
    /// How long the queue of a shared subscription outlives its last subscriber, in milliseconds.
    pub shared_expiry_ms: Option<u64>,
    /// Where assigned client identifiers come from.
    pub seed: u64,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            limits: Arc::default(),
            exchange: Name::from("amq.topic"),
            vhost: Name::from("/"),
            allow_anonymous: false,
            certificate_name: None,
            receive_maximum: 1_000,
            topic_alias_maximum: 64,
            session_expiry_ms_max: None,
            shared_expiry_ms: Some(24 * 60 * 60 * 1_000),
            seed: 0,
        }
    }
}

impl ConnectionOptions {
    /// The largest packet of an authenticated client: a message with its headers and its topic.
    pub(crate) fn packet_bytes_max(&self) -> usize {
        self.limits.message_bytes_max.saturating_add(self.limits.header_bytes_max).saturating_add(usize::from(u16::MAX))
    }

    /// How long a session lives that asked for `wished` (`None` for ever).
    pub(crate) fn session_expiry_ms(&self, wished: Option<u64>) -> Option<u64> {
        match (wished, self.session_expiry_ms_max) {
            (Some(wished), Some(max)) => Some(wished.min(max)),
            (wished, max) => wished.or(max),
        }
    }
}

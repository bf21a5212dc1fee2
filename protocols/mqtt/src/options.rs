//! What a listener tells every connection it makes.

use std::sync::Arc;

use crossdock_common::definition::QueueSettings;
use crossdock_common::{Limits, Name};

use crate::packet::Qos;

/// The longest client identifier: `session.` and it make a queue name that AMQP can say (255 bytes).
pub const CLIENT_ID_BYTES_MAX: usize = 247;

/// The settings that the connections of a listener share.
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
    /// A client with a certificate is its user, whatever it says in CONNECT.
    pub certificate_wins: bool,
    /// Most QoS 1 and 2 messages in flight, in either direction; at least 1.
    pub receive_maximum: u16,
    /// Most topic aliases in each direction; 0 means none.
    pub topic_alias_maximum: u16,
    /// The longest time that a session outlives its connection, in milliseconds; `None` means for ever is allowed.
    pub session_expiry_ms_max: Option<u64>,
    /// How long the queue of a shared subscription outlives its last subscriber, in milliseconds.
    pub shared_expiry_ms: Option<u64>,
    /// What bounds the messages that wait for a session or a shared subscription.
    pub session_queue: Arc<QueueSettings>,
    /// Messages go out with the QoS that was granted, also those that were published with a lower one.
    pub upgrade_outgoing_qos: bool,
    /// What the broker offers to its clients.
    pub offer: Arc<Offer>,
}

/// What a connection has of its own before it says anything.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The name in the verified client certificate, if there is one.
    pub certificate_name: Option<Name>,
    /// Where an assigned client identifier comes from.
    pub seed: u64,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        Self {
            limits: Arc::default(),
            exchange: Name::from("amq.topic"),
            vhost: Name::from("/"),
            allow_anonymous: false,
            certificate_wins: false,
            receive_maximum: 1_000,
            topic_alias_maximum: 64,
            session_expiry_ms_max: None,
            shared_expiry_ms: Some(24 * 60 * 60 * 1_000),
            session_queue: Arc::default(),
            upgrade_outgoing_qos: false,
            offer: Arc::default(),
        }
    }
}

/// What of the protocol is offered, in the words of CONNACK's properties (section 3.2.2.3).
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Offer {
    pub qos_max: Qos,
    pub retain: bool,
    pub wildcard_subscriptions: bool,
    pub subscription_identifiers: bool,
    pub shared_subscriptions: bool,
    /// A client may leave its identifier to the broker.
    pub assigned_client_ids: bool,
    /// The longest keep-alive in seconds; 0 means that none is too long, and none is needed.
    pub keep_alive_s_max: u16,
    /// Largest packet from a client; 0 means as large as a message may make it.
    pub packet_bytes_max: usize,
    /// What a client may begin the topics of its responses with; `{client_id}` stands for its identifier.
    pub response_information: Option<Arc<str>>,
    /// Where clients go when this broker shuts down.
    pub server_reference: Option<Arc<str>>,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            qos_max: Qos::ExactlyOnce,
            retain: true,
            wildcard_subscriptions: true,
            subscription_identifiers: true,
            shared_subscriptions: true,
            assigned_client_ids: true,
            keep_alive_s_max: 0,
            packet_bytes_max: 0,
            response_information: None,
            server_reference: None,
        }
    }
}

impl ConnectionOptions {
    /// The largest packet of an authenticated client: a message with its headers and its topic.
    pub(crate) fn packet_bytes_max(&self) -> usize {
        let (limits, names_bytes_max) = (&self.limits, usize::from(u16::MAX));
        let of_limits =
            limits.message_bytes_max.saturating_add(limits.header_bytes_max).saturating_add(names_bytes_max);
        if self.offer.packet_bytes_max == 0 { of_limits } else { of_limits.min(self.offer.packet_bytes_max) }
    }

    /// The keep-alive that counts: the client's, or a shorter one.
    pub(crate) fn keep_alive_s(&self, wished: u16) -> u16 {
        match self.offer.keep_alive_s_max {
            0 => wished,
            max if wished == 0 => max,
            max => wished.min(max),
        }
    }

    /// How long a session lives that asked for `wished` (`None` for ever).
    pub(crate) fn session_expiry_ms(&self, wished: Option<u64>) -> Option<u64> {
        match (wished, self.session_expiry_ms_max) {
            (Some(wished), Some(max)) => Some(wished.min(max)),
            (wished, max) => wished.or(max),
        }
    }
}

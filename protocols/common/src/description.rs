//! What a machine says about its connection when an operator asks.

use crate::{ConsumerId, Name, Table, Text};

/// A connection as its machine knows it. Made when somebody asks, never kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// The protocol with its version, in RabbitMQ's words: `AMQP 0-9-1`, `MQTT 5.0`, `STOMP 1.2`.
    pub protocol: Text,
    /// How the peer proved who it is: `PLAIN`, `AMQPLAIN`, `EXTERNAL`; empty where the protocol has no word for it.
    pub auth_mechanism: &'static str,
    /// What the peer says about itself.
    pub client_properties: Table,
    /// What the peer calls the connection.
    pub name: Option<Text>,
    /// Most channels that were agreed on; 0 where there are none.
    pub channel_max: u16,
    /// Largest frame that was agreed on, in bytes; 0 where none was.
    pub frame_bytes_max: usize,
    /// Heart-beat that was agreed on, in seconds; 0 for none.
    pub heartbeat_s: u16,
    /// Messages that the peer did not get, by [`DropReason`](crate::DropReason).
    pub drops: [u64; crate::DropReason::ALL.len()],
    /// The open channels, by number. A protocol without channels has one, number 1, while it is open.
    pub channels: Vec<ChannelDescription>,
}

/// A channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelDescription {
    /// Its number.
    pub number: u16,
    /// Most unsettled deliveries of a consumer to come; 0 for any number.
    pub prefetch: u32,
    /// Most unsettled deliveries of all its consumers together; 0 for any number.
    pub prefetch_global: u32,
    /// Publishes are confirmed.
    pub confirm: bool,
    /// Publishes and settlements wait for a commit.
    pub transactional: bool,
    /// Deliveries that are not settled.
    pub unsettled: u64,
    /// Publishes that are not confirmed.
    pub unconfirmed: u64,
    /// Publishes that wait for a commit.
    pub uncommitted: u64,
    /// Settlements that wait for a commit.
    pub settlements_uncommitted: u64,
    /// Messages published since it was opened, where the protocol numbers them.
    pub published: Option<u64>,
    /// Messages delivered since it was opened.
    pub delivered: u64,
    /// Its consumers.
    pub consumers: Vec<ConsumerDescription>,
}

/// A consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerDescription {
    /// What the core calls it.
    pub id: ConsumerId,
    /// What the peer calls it.
    pub tag: Text,
    /// The user's name for what it consumes from, as it was asked for.
    pub queue: Name,
    /// Most unsettled deliveries; 0 for any number.
    pub prefetch: u32,
    /// The arguments it came with.
    pub arguments: Table,
}

//! The ways to load a broker, as data.

use crate::amqp::{Argument, Value};
use crate::wire::{Acknowledge, Wire};

/// One way to load a broker.
#[derive(Clone, Copy)]
pub struct Workload {
    pub name: &'static str,
    pub protocol: Protocol,
    /// Everybody speaks it over WebSocket.
    pub over_web: bool,
    pub publishers: usize,
    /// AMQP queues or MQTT topics, each with one consumer on a connection of its own.
    pub queues: usize,
    /// Every queue gets every message, instead of those of the publishers whose turn it is.
    pub fan_out: bool,
    /// What AMQP queues are declared with.
    pub arguments: &'static [Argument],
    pub body_bytes: usize,
    /// Messages of one publisher that may be unconfirmed; `None` asks for no confirms.
    pub unconfirmed_max: Option<u64>,
    pub prefetch: Option<u16>,
    pub acknowledge: Acknowledge,
    pub pace: Pace,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Protocol {
    /// Durable is a persistent message to a durable queue.
    Amqp {
        durable: bool,
    },
    Mqtt {
        qos: u8,
    },
    /// Durable is a persistent message; with `unconfirmed_max` each asks for a receipt.
    Stomp {
        durable: bool,
    },
}

/// When the next message is sent.
#[derive(Clone, Copy, PartialEq)]
pub enum Pace {
    /// As fast as it goes.
    Closed,
    /// As fast as it goes, and then at half of that, with latencies.
    ClosedThenHalf,
    /// So many messages a second whatever happens, with latencies.
    Rate(f64),
}

impl Workload {
    /// Deliveries of one message.
    pub fn copies(&self) -> u64 {
        if self.fan_out { self.queues as u64 } else { 1 }
    }

    pub fn wire(&self) -> Wire {
        match self.protocol {
            Protocol::Amqp { .. } => Wire::Amqp,
            Protocol::Mqtt { .. } => Wire::Mqtt,
            Protocol::Stomp { .. } => Wire::Stomp,
        }
    }

    pub fn is_durable(&self) -> bool {
        matches!(self.protocol, Protocol::Amqp { durable: true } | Protocol::Stomp { durable: true })
    }

    /// Nothing is acknowledged or confirmed: what NATS and the relay do.
    pub fn is_plain(&self) -> bool {
        self.unconfirmed_max.is_none() && self.acknowledge == Acknowledge::Automatic
    }
}

const AMQP: Workload = Workload {
    name: "",
    protocol: Protocol::Amqp { durable: false },
    over_web: false,
    publishers: 1,
    queues: 1,
    fan_out: false,
    arguments: &[],
    body_bytes: 16,
    unconfirmed_max: None,
    prefetch: None,
    acknowledge: Acknowledge::Automatic,
    pace: Pace::Closed,
};

const DURABLE: Workload = Workload {
    protocol: Protocol::Amqp { durable: true },
    body_bytes: 1 << 10,
    unconfirmed_max: Some(500),
    prefetch: Some(500),
    acknowledge: Acknowledge::Each,
    ..AMQP
};

const QOS_0: Workload = Workload { protocol: Protocol::Mqtt { qos: 0 }, body_bytes: 64, ..AMQP };

const QOS_1: Workload = Workload {
    protocol: Protocol::Mqtt { qos: 1 },
    body_bytes: 64,
    unconfirmed_max: Some(500),
    acknowledge: Acknowledge::Each,
    ..AMQP
};

const QOS_2: Workload = Workload { protocol: Protocol::Mqtt { qos: 2 }, acknowledge: Acknowledge::Twice, ..QOS_1 };
const STOMP: Workload = Workload { protocol: Protocol::Stomp { durable: false }, body_bytes: 1 << 10, ..AMQP };

/// A queue that does not sync, of RabbitMQ.
pub const CLASSIC: &[Argument] = &[("x-queue-type", Value::Text("classic"))];

/// A queue that syncs, of RabbitMQ.
pub const QUORUM: &[Argument] = &[("x-queue-type", Value::Text("quorum"))];

const PRIORITIES: &[Argument] = &[("x-max-priority", Value::Number(10))];
const SINGLE: &[Argument] = &[("x-single-active-consumer", Value::Flag(true))];
const EXPIRING: &[Argument] =
    &[("x-message-ttl", Value::Number(60_000)), ("x-dead-letter-exchange", Value::Text("amq.fanout"))];

const PER_100: Acknowledge = Acknowledge::Every(100);

/// Everything that is measured unless less is asked for.
pub const WORKLOADS: [Workload; 31] = [
    Workload { name: "AMQP 16 B, auto-ack", pace: Pace::ClosedThenHalf, ..AMQP },
    Workload { name: "AMQP 1 KiB, auto-ack", body_bytes: 1 << 10, pace: Pace::ClosedThenHalf, ..AMQP },
    Workload { name: "AMQP 64 KiB, auto-ack", body_bytes: 64 << 10, ..AMQP },
    Workload { name: "AMQP 16 B, ack each", prefetch: Some(500), acknowledge: Acknowledge::Each, ..AMQP },
    Workload { name: "AMQP 16 B, ack per 100", prefetch: Some(500), acknowledge: PER_100, ..AMQP },
    Workload { name: "AMQP 16 B, 500 unconfirmed, auto-ack", unconfirmed_max: Some(500), ..AMQP },
    Workload { name: "AMQP 16 B, 4 → 4, auto-ack", publishers: 4, queues: 4, ..AMQP },
    Workload { name: "AMQP 16 B, 1 → 100, auto-ack", queues: 100, fan_out: true, ..AMQP },
    Workload { name: "AMQP 16 B, queue with priorities", arguments: PRIORITIES, ..AMQP },
    Workload { name: "AMQP 16 B, single active consumer", arguments: SINGLE, ..AMQP },
    Workload { name: "AMQP 16 B, queue with TTL and dead letters", arguments: EXPIRING, ..AMQP },
    Workload { name: "AMQP 1 KiB at 1,000/s, auto-ack", body_bytes: 1 << 10, pace: Pace::Rate(1_000.0), ..AMQP },
    Workload { name: "AMQP durable 1 KiB, ack each", pace: Pace::ClosedThenHalf, ..DURABLE },
    Workload { name: "AMQP durable 1 KiB, ack per 100", acknowledge: PER_100, ..DURABLE },
    Workload {
        name: "AMQP durable 64 KiB, 50 unconfirmed",
        body_bytes: 64 << 10,
        unconfirmed_max: Some(50),
        ..DURABLE
    },
    Workload { name: "AMQP durable 1 KiB at 1,000/s, ack each", pace: Pace::Rate(1_000.0), ..DURABLE },
    Workload { name: "MQTT QoS 0, 64 B", pace: Pace::ClosedThenHalf, ..QOS_0 },
    Workload { name: "MQTT QoS 0, 64 B, 4 → 4", publishers: 4, queues: 4, ..QOS_0 },
    Workload { name: "MQTT QoS 0, 64 B, 1 → 100", queues: 100, fan_out: true, ..QOS_0 },
    Workload { name: "MQTT QoS 0, 64 KiB", body_bytes: 64 << 10, ..QOS_0 },
    Workload { name: "MQTT QoS 0, 64 B at 1,000/s", pace: Pace::Rate(1_000.0), ..QOS_0 },
    Workload { name: "MQTT QoS 1, 64 B", pace: Pace::ClosedThenHalf, ..QOS_1 },
    Workload { name: "MQTT QoS 1, 64 B, 1 → 100", queues: 100, fan_out: true, ..QOS_1 },
    Workload { name: "MQTT QoS 1, 64 B at 1,000/s", pace: Pace::Rate(1_000.0), ..QOS_1 },
    Workload { name: "MQTT QoS 2, 64 B", ..QOS_2 },
    Workload { name: "MQTT QoS 0, 64 B over WebSocket", over_web: true, ..QOS_0 },
    Workload { name: "STOMP 1 KiB, auto-ack", ..STOMP },
    Workload { name: "STOMP 1 KiB over WebSocket, auto-ack", over_web: true, ..STOMP },
    Workload {
        name: "STOMP 1 KiB over WebSocket, 500 without receipt, auto-ack",
        over_web: true,
        unconfirmed_max: Some(500),
        ..STOMP
    },
    Workload { name: "STOMP 1 KiB, 500 without receipt, auto-ack", unconfirmed_max: Some(500), ..STOMP },
    Workload {
        name: "STOMP durable 1 KiB, 500 without receipt, auto-ack",
        protocol: Protocol::Stomp { durable: true },
        unconfirmed_max: Some(500),
        ..STOMP
    },
];

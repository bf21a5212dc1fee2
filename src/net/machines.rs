//! The listener registry: which protocol each listener speaks. A new protocol is a line in each function here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossdock_amqp091 as amqp091;
use crossdock_common::{Format, Limits, Machine, Now, Text};

use crate::config::{ListenerKind, Settings};
use crate::telemetry::Protocol;

/// The formats of the messages that all protocols write.
pub fn formats() -> Vec<&'static dyn Format> {
    vec![&amqp091::FORMAT, &crossdock_aws::FORMAT]
}

/// Makes the machines of new connections.
pub struct MachineFactory {
    limits: Arc<Limits>,
    node: Text,
    seeds: AtomicU64,
}

impl MachineFactory {
    /// `seed` makes generated names unlike those of other runs.
    pub fn new(settings: &Settings, seed: u64) -> Self {
        let node = Text::from(settings.node_name.as_str());
        Self { limits: Arc::new(limits(settings)), node, seeds: AtomicU64::new(seed) }
    }

    /// What the listener speaks.
    pub fn protocol(kind: ListenerKind) -> Protocol {
        match kind {
            ListenerKind::Amqp | ListenerKind::Amqps => Protocol::Amqp091,
            ListenerKind::Mqtt | ListenerKind::Mqtts => Protocol::Mqtt,
            ListenerKind::Stomp | ListenerKind::Stomps => Protocol::Stomp,
            ListenerKind::Aws => Protocol::Aws,
            ListenerKind::Management => Protocol::Management,
        }
    }

    /// A machine for a new connection of a messaging protocol.
    pub fn make(&self, kind: ListenerKind, now: Now) -> Box<dyn Machine> {
        let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
        match Self::protocol(kind) {
            Protocol::Amqp091 => self.amqp091(now, seed),
            _ => self.amqp091(now, seed),
        }
    }

    fn amqp091(&self, now: Now, seed: u64) -> Box<dyn Machine> {
        let options = amqp091::ConnectionOptions {
            limits: self.limits.clone(),
            node: self.node.clone(),
            seed,
            ..amqp091::ConnectionOptions::default()
        };
        Box::new(amqp091::Connection::new(now, options))
    }
}

fn limits(settings: &Settings) -> Limits {
    let limits = &settings.limits;
    Limits {
        handshake_timeout_ms: limits.handshake_timeout_ms.0,
        first_frame_bytes_max: limits.first_frame_bytes_max.as_usize(),
        frame_bytes_max: limits.frame_bytes_max.as_usize(),
        message_bytes_max: limits.message_bytes_max.as_usize(),
        heartbeat_ms: limits.heartbeat_ms.0,
        channels_max: limits.channels_per_connection_max,
        table_depth_max: usize::from(limits.table_depth_max),
        table_entries_max: limits.table_entries_max as usize,
        header_bytes_max: limits.header_bytes_max.as_usize(),
        topic_levels_max: usize::from(limits.topic_levels_max),
        ..Limits::default()
    }
}

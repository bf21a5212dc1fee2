//! The listener registry: which protocol each listener speaks. A new protocol is a line in each function here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossdock_common::definition::{Overflow, QueueSettings};
use crossdock_common::{Format, Limits, Machine, Name, Now, Text};
use {crossdock_amqp091 as amqp091, crossdock_mqtt as mqtt, crossdock_stomp as stomp};

use crate::config::{ListenerKind, MqttSettings, SessionOverflow, Settings, StompNack};
use crate::telemetry::Protocol;

/// The formats of the messages that all protocols write.
pub fn formats() -> Vec<&'static dyn Format> {
    vec![&amqp091::FORMAT, &mqtt::FORMAT, &stomp::FORMAT, &crossdock_aws::FORMAT]
}

/// Names that a new connection is made with.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Its peer's, by a certificate that was verified.
    pub of_certificate: Option<Name>,
    /// The broker's, if an operator has given it one (`cluster_name`).
    pub of_cluster: Option<String>,
}

/// Makes the machines of new connections.
pub struct MachineFactory {
    limits: Arc<Limits>,
    node: Text,
    mqtt: Arc<mqtt::ConnectionOptions>,
    stomp: stomp::ConnectionOptions,
    /// There is a user for clients that show nothing.
    allow_anonymous: bool,
    seeds: AtomicU64,
}

impl MachineFactory {
    /// `seed` makes generated names unlike those of other runs.
    pub fn new(settings: &Settings, seed: u64) -> Self {
        let limits = Arc::new(limits(settings));
        Self {
            node: Text::from(settings.node_name.as_str()),
            mqtt: Arc::new(mqtt_options(settings, limits.clone())),
            stomp: stomp_options(settings, limits.clone()),
            limits,
            allow_anonymous: settings.anonymous_user.is_some(),
            seeds: AtomicU64::new(seed),
        }
    }

    /// What the listener speaks, if it speaks one thing only.
    pub fn protocol(kind: ListenerKind) -> Protocol {
        match kind {
            ListenerKind::Amqp | ListenerKind::Amqps => Protocol::Amqp091,
            ListenerKind::Mqtt | ListenerKind::Mqtts => Protocol::Mqtt,
            ListenerKind::Stomp | ListenerKind::Stomps => Protocol::Stomp,
            ListenerKind::Aws => Protocol::Aws,
            ListenerKind::Management => Protocol::Management,
            ListenerKind::Ws | ListenerKind::Wss | ListenerKind::Any => Protocol::Unknown,
        }
    }

    /// A machine for a new connection of a messaging protocol; `None` for HTTP.
    pub fn make(&self, protocol: Protocol, now: Now, names: Names) -> Option<Box<dyn Machine>> {
        let seed = self.seeds.fetch_add(1, Ordering::Relaxed);
        Some(match protocol {
            Protocol::Amqp091 => Box::new(amqp091::Connection::new(now, self.amqp091_options(seed, names))),
            Protocol::Mqtt => {
                let origin = mqtt::Origin { seed, certificate_name: names.of_certificate };
                Box::new(mqtt::Connection::new(now, self.mqtt.clone(), origin))
            }
            Protocol::Stomp => {
                let options =
                    stomp::ConnectionOptions { seed, certificate_name: names.of_certificate, ..self.stomp.clone() };
                Box::new(stomp::Connection::new(now, options))
            }
            Protocol::Aws | Protocol::Management | Protocol::Unknown => return None,
        })
    }

    fn amqp091_options(&self, seed: u64, names: Names) -> amqp091::ConnectionOptions {
        let limits = self.limits.clone();
        let node = names.of_cluster.map_or_else(|| self.node.clone(), Text::from);
        let certificate_name = names.of_certificate;
        let default = amqp091::ConnectionOptions::default();
        let mut mechanisms = default.mechanisms.clone();
        if self.allow_anonymous {
            mechanisms.push(amqp091::Mechanism::Anonymous);
        }
        amqp091::ConnectionOptions { limits, node, seed, mechanisms, certificate_name, ..default }
    }
}

fn stomp_options(settings: &Settings, limits: Arc<Limits>) -> stomp::ConnectionOptions {
    let stomp = &settings.stomp;
    stomp::ConnectionOptions {
        limits,
        allow_anonymous: settings.anonymous_user.is_some(),
        strict_host: stomp.strict_host,
        queue_wildcards: stomp.queue_wildcards,
        prefetch_default: stomp.prefetch_default,
        nack: match stomp.nack {
            StompNack::Requeue => stomp::Nack::Requeue,
            StompNack::DeadLetter => stomp::Nack::DeadLetter,
        },
        redeliveries_at_once: stomp.redeliveries_at_once,
        ..stomp::ConnectionOptions::default()
    }
}

fn mqtt_options(settings: &Settings, limits: Arc<Limits>) -> mqtt::ConnectionOptions {
    let mqtt = &settings.mqtt;
    mqtt::ConnectionOptions {
        limits,
        exchange: Name::from(mqtt.exchange.as_str()),
        receive_maximum: mqtt.receive_maximum,
        topic_alias_maximum: mqtt.topic_alias_maximum,
        allow_anonymous: settings.anonymous_user.is_some(),
        certificate_wins: mqtt.certificate_wins,
        session_expiry_ms_max: Some(mqtt.session_expiry_ms_max.0),
        shared_expiry_ms: Some(mqtt.shared_subscription_expiry_ms.0),
        session_queue: session_queue(mqtt).into(),
        upgrade_outgoing_qos: mqtt.upgrade_outgoing_qos,
        offer: Arc::new(mqtt_offer(mqtt)),
        ..mqtt::ConnectionOptions::default()
    }
}

/// What bounds the messages that wait for a session.
fn session_queue(mqtt: &MqttSettings) -> QueueSettings {
    let bound = |number: u64| (number > 0).then_some(number);
    QueueSettings {
        length_max: bound(mqtt.session_queue_messages_max),
        bytes_max: bound(mqtt.session_queue_bytes_max.0),
        message_ttl_ms: bound(mqtt.session_queue_age_ms_max.0),
        overflow: match mqtt.session_queue_overflow {
            SessionOverflow::DropOldest => None,
            SessionOverflow::RefuseNewest => Some(Overflow::RejectPublish),
        },
        ..QueueSettings::default()
    }
}

fn mqtt_offer(mqtt: &MqttSettings) -> mqtt::Offer {
    let text = |text: &Option<String>| text.as_deref().map(Arc::from);
    mqtt::Offer {
        qos_max: match mqtt.qos_max {
            0 => mqtt::Qos::AtMostOnce,
            1 => mqtt::Qos::AtLeastOnce,
            _ => mqtt::Qos::ExactlyOnce,
        },
        retain: mqtt.retain,
        wildcard_subscriptions: mqtt.wildcard_subscriptions,
        subscription_identifiers: mqtt.subscription_identifiers,
        shared_subscriptions: mqtt.shared_subscriptions,
        assigned_client_ids: mqtt.assigned_client_ids,
        // Seconds on the wire: less than one is one, 0 being none.
        keep_alive_s_max: u16::try_from(mqtt.keep_alive_ms_max.0.div_ceil(1_000)).unwrap_or(u16::MAX),
        packet_bytes_max: mqtt.packet_bytes_max.as_usize(),
        response_information: text(&mqtt.response_information),
        server_reference: text(&mqtt.server_reference),
    }
}

/// What a peer can make a machine do or keep.
pub fn limits(settings: &Settings) -> Limits {
    let limits = &settings.limits;
    Limits {
        handshake_timeout_ms: limits.handshake_timeout_ms.0,
        first_frame_bytes_max: limits.first_frame_bytes_max.as_usize(),
        frame_bytes_max: limits.frame_bytes_max.as_usize(),
        message_bytes_max: limits.message_bytes_max.as_usize(),
        heartbeat_ms: limits.heartbeat_ms.0,
        consumer_timeout_ms: limits.consumer_timeout_ms.0,
        channels_max: limits.channels_per_connection_max,
        table_depth_max: usize::from(limits.table_depth_max),
        table_entries_max: limits.table_entries_max as usize,
        header_bytes_max: limits.header_bytes_max.as_usize(),
        topic_levels_max: usize::from(limits.topic_levels_max),
        ..Limits::default()
    }
}

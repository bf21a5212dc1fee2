//! The names of RabbitMQ's Prometheus plugin, for the Grafana dashboards that are made for them. The numbers are read when the page is
//! asked for; nothing is counted twice.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

const PREFIX: &str = "rabbitmq";
/// RabbitMQ's word for what our queues are.
const QUEUE_TYPE: &str = "rabbit_classic_queue";

/// Everything that the page tells.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub node: String,
    pub cluster: String,
    /// The release of RabbitMQ whose names these are.
    pub compatible_version: &'static str,
    /// Numbers that go up and down, by name without prefix, with their help.
    pub gauges: Vec<(&'static str, &'static str, i64)>,
    /// Numbers that only grow.
    pub counters: Vec<(&'static str, &'static str, u64)>,
    /// Messages by protocol.
    pub protocols: Vec<ProtocolFigures>,
    /// Dead letters: reason, strategy, how many.
    pub dead_letters: Vec<(&'static str, &'static str, u64)>,
    /// Each queue by itself instead of all together.
    pub queues: Vec<QueueGauges>,
}

/// What passed through one protocol.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProtocolFigures {
    pub protocol: &'static str,
    pub received: u64,
    pub confirmed: u64,
    pub routed: u64,
    pub delivered: u64,
    pub acknowledged: u64,
    pub returned: u64,
    pub dropped: u64,
}

/// One queue.
#[derive(Clone, Debug, Default)]
pub struct QueueGauges {
    pub vhost: String,
    pub queue: String,
    pub ready: i64,
    pub unsettled: i64,
    pub consumers: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProtocolLabel {
    protocol: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeadLetterLabel {
    queue_type: &'static str,
    dead_letter_strategy: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabel {
    vhost: String,
    queue: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    rabbitmq_version: &'static str,
    product_name: &'static str,
    product_version: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IdentityLabels {
    rabbitmq_node: String,
    rabbitmq_cluster: String,
}

/// A protocol's counter: name, help, and where the number is.
type ProtocolCounter = (&'static str, &'static str, fn(&ProtocolFigures) -> u64);

const PROTOCOL_COUNTERS: [ProtocolCounter; 7] = [
    ("received", "Total number of messages received from publishers", |figures| figures.received),
    ("confirmed", "Total number of messages confirmed to publishers", |figures| figures.confirmed),
    ("routed", "Total number of messages routed to queues", |figures| figures.routed),
    ("delivered", "Total number of messages delivered to consumers", |figures| figures.delivered),
    ("acknowledged", "Total number of messages acknowledged by consumers", |figures| figures.acknowledged),
    ("unroutable_returned", "Total number of messages published as mandatory and returned", |figures| figures.returned),
    ("unroutable_dropped", "Total number of messages published as non-mandatory and dropped", |figures| {
        figures.dropped
    }),
];

/// A queue's gauge: name, help, and where the number is.
type QueueGauge = (&'static str, &'static str, fn(&QueueGauges) -> i64);

const QUEUE_GAUGES: [QueueGauge; 4] = [
    ("queue_messages", "Sum of ready and unacknowledged messages", |queue| queue.ready + queue.unsettled),
    ("queue_messages_ready", "Messages ready to be delivered to consumers", |queue| queue.ready),
    ("queue_messages_unacked", "Messages delivered to consumers but not yet acknowledged", |queue| queue.unsettled),
    ("queue_consumers", "Consumers on a queue", |queue| queue.consumers),
];

impl Figures {
    /// The metrics as OpenMetrics text, with the mark of its end.
    pub fn encode(&self) -> String {
        let mut registry = Registry::with_prefix(PREFIX);
        self.register_identity(&mut registry);
        for (name, help, value) in &self.gauges {
            registry.register(*name, *help, ConstGauge::new(*value));
        }
        for (name, help, value) in &self.counters {
            registry.register(*name, *help, ConstCounter::new(*value));
        }
        self.register_protocols(&mut registry);
        self.register_dead_letters(&mut registry);
        self.register_queues(&mut registry);
        let mut page = String::new();
        let written = text::encode(&mut page, &registry);
        debug_assert!(written.is_ok(), "writing to a String does not fail");
        page
    }

    fn register_identity(&self, registry: &mut Registry) {
        let build = BuildLabels {
            rabbitmq_version: self.compatible_version,
            product_name: "Crossdock",
            product_version: env!("CARGO_PKG_VERSION"),
        };
        registry.register("build", "RabbitMQ release whose metrics these are", Info::new(build));
        let identity = IdentityLabels { rabbitmq_node: self.node.clone(), rabbitmq_cluster: self.cluster.clone() };
        registry.register("identity", "Node and cluster", Info::new(identity));
    }

    fn register_protocols(&self, registry: &mut Registry) {
        for (name, help, counter) in PROTOCOL_COUNTERS {
            let family = Family::<ProtocolLabel, Counter>::default();
            for figures in &self.protocols {
                let label = ProtocolLabel { protocol: figures.protocol };
                family.get_or_create(&label).inc_by(counter(figures));
            }
            registry.register(format!("global_messages_{name}"), help, family);
        }
    }

    fn register_dead_letters(&self, registry: &mut Registry) {
        let mut reasons: Vec<&str> = self.dead_letters.iter().map(|(reason, ..)| *reason).collect();
        reasons.dedup();
        for reason in reasons {
            let family = Family::<DeadLetterLabel, Counter>::default();
            for (_, strategy, count) in self.dead_letters.iter().filter(|(of, ..)| *of == reason) {
                let label = DeadLetterLabel { queue_type: QUEUE_TYPE, dead_letter_strategy: strategy };
                family.get_or_create(&label).inc_by(*count);
            }
            let help = format!("Total number of messages dead-lettered due to {reason}");
            registry.register(format!("global_messages_dead_lettered_{reason}"), help, family);
        }
    }

    fn register_queues(&self, registry: &mut Registry) {
        for (name, help, gauge) in QUEUE_GAUGES.iter().filter(|_| !self.queues.is_empty()) {
            let family = Family::<QueueLabel, Gauge>::default();
            for queue in &self.queues {
                let label = QueueLabel { vhost: queue.vhost.clone(), queue: queue.queue.clone() };
                family.get_or_create(&label).set(gauge(queue));
            }
            registry.register(*name, *help, family);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_rabbitmqs_names_and_labels() {
        let figures = Figures {
            node: "n".into(),
            cluster: "c".into(),
            compatible_version: "3.13.7",
            gauges: vec![("connections", "Connections currently open", 3)],
            counters: vec![("connections_opened", "Total number of connections opened", 7)],
            protocols: vec![ProtocolFigures { protocol: "amqp091", received: 5, ..ProtocolFigures::default() }],
            dead_letters: vec![("expired", "at_most_once", 2), ("expired", "disabled", 1)],
            queues: vec![QueueGauges { vhost: "/".into(), queue: "a\"b".into(), ready: 2, unsettled: 1, consumers: 4 }],
        };
        let page = figures.encode();
        for line in [
            "rabbitmq_identity_info{rabbitmq_node=\"n\",rabbitmq_cluster=\"c\"} 1",
            "rabbitmq_connections 3",
            "rabbitmq_connections_opened_total 7",
            "rabbitmq_global_messages_received_total{protocol=\"amqp091\"} 5",
            "rabbitmq_global_messages_unroutable_dropped_total{protocol=\"amqp091\"} 0",
            "rabbitmq_global_messages_dead_lettered_expired_total{queue_type=\"rabbit_classic_queue\",dead_letter_strategy=\"disabled\"} 1",
            "rabbitmq_queue_messages{vhost=\"/\",queue=\"a\\\"b\"} 3",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert!(
            page.contains("rabbitmq_build_info{rabbitmq_version=\"3.13.7\"") && page.ends_with("# EOF\n"),
            "{page}"
        );
        assert!(!Figures { queues: Vec::new(), ..figures }.encode().contains("rabbitmq_queue_messages"));
    }
}

//! The numbers behind `/metrics`.

use std::fmt;
use std::sync::atomic::Ordering;

use crossdock_common::DropReason;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::process::ProcessCollector;

/// Every metric's name begins with this and an underscore.
const PREFIX: &str = "crossdock";

/// What a connection speaks, with or without TLS; the label `protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    Amqp091,
    Mqtt,
    Stomp,
    Aws,
    Management,
    /// Of a connection that has not shown it.
    Unknown,
}

impl Protocol {
    /// All protocols, in the order of their discriminants.
    pub const ALL: [Self; 6] = [Self::Amqp091, Self::Mqtt, Self::Stomp, Self::Aws, Self::Management, Self::Unknown];

    /// The value of the label `protocol` and of the log field.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amqp091 => "amqp091",
            Self::Mqtt => "mqtt",
            Self::Stomp => "stomp",
            Self::Aws => "aws",
            Self::Management => "management",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl EncodeLabelValue for Protocol {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        EncodeLabelValue::encode(&self.name(), encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProtocolLabel {
    protocol: Protocol,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RuleLabel {
    pub protocol: Protocol,
    pub rule: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct NoEntryLabel {
    pub protocol: Protocol,
    pub reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct SnsLabel {
    /// SNS's word for what the message goes out by.
    protocol: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct DropLabel {
    reason: &'static str,
}

/// Why publishers are stopped; the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alarm {
    JournalFailed,
    JournalFull,
    DiskLow,
    MemoryHigh,
}

impl Alarm {
    const ALL: [Self; 4] = [Self::JournalFailed, Self::JournalFull, Self::DiskLow, Self::MemoryHigh];

    fn name(self) -> &'static str {
        match self {
            Self::JournalFailed => "journal_failed",
            Self::JournalFull => "journal_full",
            Self::DiskLow => "disk_low",
            Self::MemoryHigh => "memory_high",
        }
    }
}

impl EncodeLabelValue for Alarm {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        EncodeLabelValue::encode(&self.name(), encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct AlarmLabel {
    reason: Alarm,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct FateLabel {
    fate: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct JournalLabel {
    journal: String,
}

/// What one journal takes on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalFigures {
    pub disk_bytes: u64,
    pub bytes_since_snapshot: u64,
    pub live_bytes: u64,
    pub segments: u64,
    pub damaged_segments: u64,
}

/// Resources that alarms watch, in bytes; 0 for a bound that is not set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceFigures {
    pub disk_free: i64,
    pub disk_free_min: i64,
    pub memory_max: i64,
}

/// What all queues hold, and what holding it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageFigures {
    pub ready: u64,
    pub unsettled: u64,
    pub delayed: u64,
    pub unreadable: u64,
    pub memory_bytes: u64,
    pub unbalanced_queues: u64,
    pub letters_withheld: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
}

macro_rules! protocol_metrics {
    ($($(#[doc = $help:literal])* $field:ident: $type:ty => $name:literal;)*) => {
        /// The metrics of one protocol. Adding to one is one atomic instruction; clones count together.
        #[derive(Clone, Debug, Default)]
        pub struct ProtocolMetrics { $($(#[doc = $help])* pub $field: $type,)* }

        impl ProtocolMetrics {
            /// Registers one family per metric, and gives the handles of each protocol.
            fn register(registry: &mut Registry) -> [Self; Protocol::ALL.len()] {
                $(let $field = Family::<ProtocolLabel, $type>::default();
                  registry.register($name, [$($help),*].concat().trim().to_owned(), $field.clone());)*
                Protocol::ALL.map(|protocol| Self { $($field: $field.get_or_create_owned(&ProtocolLabel { protocol }),)* })
            }
        }
    };
}

protocol_metrics! {
    /// Connections that were opened
    connections_opened: Counter => "connections_opened";
    /// Connections that were closed
    connections_closed: Counter => "connections_closed";
    /// Connections that are open
    connections: Gauge => "connections";
    /// Bytes read from clients, without TLS
    received_bytes: Counter => "received_bytes";
    /// Bytes written to clients, without TLS
    sent_bytes: Counter => "sent_bytes";
    /// Messages that clients published
    messages_published: Counter => "messages_published";
    /// Bytes of the bodies that clients published
    published_body_bytes: Counter => "published_body_bytes";
    /// Bytes of the bodies handed out to consumers
    delivered_body_bytes: Counter => "delivered_body_bytes";
    /// Messages handed out to consumers, repeated ones included
    messages_delivered: Counter => "messages_delivered";
    /// Deliveries that consumers settled
    messages_settled: Counter => "messages_settled";
    /// Publishes that were confirmed to their publisher
    messages_confirmed: Counter => "messages_confirmed";
    /// Mandatory messages that went back to their publisher: no queue took them
    messages_returned: Counter => "messages_returned";
    /// Messages that no queue took and whose publisher did not want them back
    messages_unroutable: Counter => "messages_unroutable";
    /// Logins that were accepted
    authentications: Counter => "authentications";
    /// What clients asked for and did not get because of a limit: sessions, queues, connections of a user or vhost
    limit_refusals: Counter => "limit_refusals";
    /// Logins that were refused
    authentication_failures: Counter => "authentication_failures";
}

macro_rules! broker_metrics {
    ($($(#[doc = $help:literal])* $field:ident: $type:ty => $name:literal;)*) => {
        /// All metrics of the broker. Share it in an `Arc`.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            protocols: [ProtocolMetrics; Protocol::ALL.len()],
            $($(#[doc = $help])* pub(super) $field: $type,)*
        }

        impl Metrics {
            /// Registers all metrics, at zero.
            pub fn new() -> Self {
                let mut registry = Registry::with_prefix(PREFIX);
                register_build_info(&mut registry);
                registry.register_collector(Box::new(ProcessCollector));
                let protocols = ProtocolMetrics::register(&mut registry);
                $(let $field = <$type>::default();
                  registry.register($name, [$($help),*].concat().trim().to_owned(), $field.clone());)*
                let metrics = Self { registry, protocols, $($field,)* };
                metrics.show_all_alarms();
                DropReason::ALL.into_iter().for_each(|reason| metrics.count_drops(reason.word(), 0));
                metrics
            }
        }
    };
}

broker_metrics! {
    /// Connections closed because the peer broke a rule
    protocol_violations: Family<RuleLabel, Counter> => "protocol_violations";
    /// Connections closed before anything was read, by the limit that was reached
    connections_refused: Family<NoEntryLabel, Counter> => "connections_refused";
    /// Messages that a client did not get, by the reason: those of queues are `messages` by their fate, too
    drops: Family<DropLabel, Counter> => "messages_dropped";
    /// Attempts to deliver a message of an SNS topic outwards; dead_lettered and dropped were the last for theirs
    sns_deliveries: Family<SnsLabel, Counter> => "sns_deliveries";
    /// Times that a connection went to another thread, because one is enough for all or not any more
    connections_moved: Counter => "connections_moved";
    /// Listeners that accept connections
    listeners: Gauge => "listeners";
    /// Reasons that stop publishers now
    alarms: Family<AlarmLabel, Gauge> => "alarms";
    /// Times that a reason to stop publishers came up
    alarms_raised: Family<AlarmLabel, Counter> => "alarms_raised";
    /// Bytes that are free on the data directory's file system
    disk_free: Gauge => "disk_free_bytes";
    /// Free bytes below which publishers are stopped; 0 for never
    disk_free_min: Gauge => "disk_free_min_bytes";
    /// Memory of the process in RAM, without files
    memory_used: Gauge => "memory_used_bytes";
    /// Memory above which publishers are stopped; 0 for never
    memory_max: Gauge => "memory_max_bytes";
    /// What became of the messages of all queues since the start; those they started with count as accepted
    fates: Family<FateLabel, Counter> => "messages";
    /// Messages that wait for consumers
    ready: Gauge => "messages_ready";
    /// Messages that consumers have and have not settled
    unsettled: Gauge => "messages_unsettled";
    /// Messages that are not visible yet
    delayed: Gauge => "messages_delayed";
    /// Messages that reading has failed for since the start: damage, see the log, then `crossdock store repair`
    unreadable: Gauge => "messages_unreadable";
    /// Queues that do not hold what they should by their ledger: a defect if it stays above 0
    unbalanced: Gauge => "ledger_unbalanced_queues";
    /// Copies of dead letters that were not made: of one message there were limits.dead_letter_copies_max
    letters_withheld: Gauge => "dead_letter_copies_withheld";
    /// Memory that messages and what is known of them take
    messages_memory: Gauge => "messages_memory_bytes";
    /// Memory beyond which messages are on disk only
    messages_memory_max: Gauge => "messages_memory_max_bytes";
    /// Bytes that a journal's files take
    journal_disk: Family<JournalLabel, Gauge> => "journal_disk_bytes";
    /// Bytes that a start would replay
    journal_since_snapshot: Family<JournalLabel, Gauge> => "journal_since_snapshot_bytes";
    /// Bytes of a journal's messages and pages that are still needed
    journal_live: Family<JournalLabel, Gauge> => "journal_live_bytes";
    /// Segments of a journal
    journal_segments: Family<JournalLabel, Gauge> => "journal_segments";
    /// Segments of a journal that are known to be damaged: they stay as they are, and go into its quarantine when nothing needs them
    journal_damaged: Family<JournalLabel, Gauge> => "journal_damaged_segments";
    /// Records found in the journals at the start
    recovered_records: Gauge => "recovered_records";
    /// Time that recovery took at the start, in milliseconds
    recovery_ms: Gauge => "recovery_milliseconds";
}

fn register_build_info(registry: &mut Registry) {
    let labels = BuildLabels { version: env!("CARGO_PKG_VERSION") };
    registry.register("build", "Version of the broker", Info::new(labels));
}

impl Metrics {
    /// The handles of one protocol. Keep them with the listener: finding them is free, but there is no need to.
    pub fn protocol(&self, protocol: Protocol) -> &ProtocolMetrics {
        &self.protocols[protocol as usize]
    }

    /// Connections that are open, of all protocols.
    pub fn connections_open(&self) -> i64 {
        self.protocols.iter().map(|protocol| protocol.connections.get()).sum()
    }

    /// Messages that were published or delivered.
    pub fn messages_passed(&self) -> u64 {
        self.protocols
            .iter()
            .map(|protocol| protocol.messages_published.get() + protocol.messages_delivered.get())
            .sum()
    }

    /// One more reason of that kind stops publishers.
    pub fn alarm_raised(&self, reason: Alarm) {
        self.alarms.get_or_create(&AlarmLabel { reason }).inc();
        self.alarms_raised.get_or_create(&AlarmLabel { reason }).inc();
    }

    /// A reason of that kind is gone.
    pub fn alarm_lifted(&self, reason: Alarm) {
        self.alarms.get_or_create(&AlarmLabel { reason }).dec();
    }

    fn show_all_alarms(&self) {
        for reason in Alarm::ALL {
            drop(self.alarms.get_or_create(&AlarmLabel { reason }));
            drop(self.alarms_raised.get_or_create(&AlarmLabel { reason }));
        }
    }

    /// What the disk alarm measured.
    pub fn set_disk_free(&self, bytes: u64) {
        set(&self.disk_free, bytes);
    }

    /// What the disk alarm compares it with.
    pub fn set_disk_free_min(&self, bytes: u64) {
        set(&self.disk_free_min, bytes);
    }

    /// What the memory alarm measured.
    pub fn set_memory_used(&self, bytes: u64) {
        set(&self.memory_used, bytes);
    }

    /// What the memory alarm compares it with.
    pub fn set_memory_max(&self, bytes: u64) {
        set(&self.memory_max, bytes);
    }

    /// What the alarms measured last.
    pub fn resources(&self) -> ResourceFigures {
        ResourceFigures {
            disk_free: self.disk_free.get(),
            disk_free_min: self.disk_free_min.get(),
            memory_max: self.memory_max.get(),
        }
    }

    /// What became of so many messages since the start.
    pub fn set_fate(&self, fate: &'static str, messages: u64) {
        self.fates.get_or_create(&FateLabel { fate }).inner().store(messages, Ordering::Relaxed);
    }

    /// A connection went to another thread.
    pub fn count_move(&self) {
        self.connections_moved.inc();
    }

    /// Connections that are over, or are asked, have dropped so many messages more.
    pub fn count_drops(&self, reason: &'static str, messages: u64) {
        self.drops.get_or_create(&DropLabel { reason }).inc_by(messages);
    }

    /// An attempt to deliver a message of a topic.
    pub fn count_sns(&self, protocol: &'static str, outcome: &'static str) {
        self.sns_deliveries.get_or_create(&SnsLabel { protocol, outcome }).inc();
    }

    /// Subscriptions had nowhere to deliver so many messages more to.
    pub fn count_sns_drops(&self, protocol: &'static str, messages: u64) {
        if messages > 0 {
            self.sns_deliveries.get_or_create(&SnsLabel { protocol, outcome: "dropped" }).inc_by(messages);
        }
    }

    /// So many messages were dropped for a reason that is counted elsewhere.
    pub fn set_drops(&self, reason: &'static str, messages: u64) {
        self.drops.get_or_create(&DropLabel { reason }).inner().store(messages, Ordering::Relaxed);
    }

    /// What queues hold at the moment.
    pub fn set_messages(&self, figures: &MessageFigures) {
        set(&self.ready, figures.ready);
        set(&self.unsettled, figures.unsettled);
        set(&self.delayed, figures.delayed);
        set(&self.unreadable, figures.unreadable);
        set(&self.messages_memory, figures.memory_bytes);
        set(&self.unbalanced, figures.unbalanced_queues);
        set(&self.letters_withheld, figures.letters_withheld);
    }

    /// What [`MessageFigures::memory_bytes`] is kept below.
    pub fn set_messages_memory_max(&self, bytes: u64) {
        set(&self.messages_memory_max, bytes);
    }

    /// What a journal takes at the moment.
    pub fn set_journal(&self, journal: &str, figures: &JournalFigures) {
        let label = JournalLabel { journal: journal.to_owned() };
        set(&self.journal_disk.get_or_create(&label), figures.disk_bytes);
        set(&self.journal_since_snapshot.get_or_create(&label), figures.bytes_since_snapshot);
        set(&self.journal_live.get_or_create(&label), figures.live_bytes);
        set(&self.journal_segments.get_or_create(&label), figures.segments);
        set(&self.journal_damaged.get_or_create(&label), figures.damaged_segments);
    }

    /// All metrics as OpenMetrics text (`application/openmetrics-text; version=1.0.0; charset=utf-8`), which Prometheus reads.
    pub fn encode(&self) -> String {
        let mut page = String::new();
        let written = text::encode(&mut page, &self.registry);
        debug_assert!(written.is_ok(), "writing to a String does not fail");
        page
    }
}

pub(super) fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_metric_from_the_start() {
        let page = Metrics::new().encode();
        for line in [
            "# HELP crossdock_connections Connections that are open.",
            "crossdock_connections{protocol=\"mqtt\"} 0",
            "crossdock_messages_published_total{protocol=\"amqp091\"} 0",
            "crossdock_received_bytes_total{protocol=\"stomp\"} 0",
            concat!("crossdock_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "crossdock_ledger_unbalanced_queues 0",
            "crossdock_alarms{reason=\"disk_low\"} 0",
            "crossdock_alarms_raised_total{reason=\"memory_high\"} 0",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert!(page.contains("crossdock_process_resident_memory_bytes "), "{page}");
        assert!(page.contains("crossdock_process_open_fds "), "{page}");
        assert!(page.ends_with("# EOF\n"));
    }

    #[test]
    fn handles_of_one_protocol_count_together_and_apart_from_others() {
        let metrics = Metrics::new();
        for protocol in Protocol::ALL {
            let handles = metrics.protocol(protocol).clone();
            handles.sent_bytes.inc_by(protocol as u64 + 1);
            metrics.protocol(protocol).sent_bytes.inc_by(10);
        }
        let page = metrics.encode();
        assert!(page.contains("crossdock_sent_bytes_total{protocol=\"amqp091\"} 11\n"), "{page}");
        assert!(page.contains("crossdock_sent_bytes_total{protocol=\"management\"} 15\n"), "{page}");
    }
}

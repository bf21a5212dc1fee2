//! `/metrics`: our own metrics, and those that RabbitMQ's dashboards ask for.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use crossdock_core::{Counts, QueueSample};

use super::Management;
use super::answer::Failure;
use crate::broker::Engine;
use crate::definitions::COMPATIBLE_VERSION;
use crate::telemetry::rabbitmq::{Figures, ProtocolFigures, QueueGauges};
use crate::telemetry::{Protocol, open_descriptors, resident_bytes};

/// The content type of Prometheus' text format.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What every page ends with.
const END: &str = "# EOF\n";

pub(super) async fn page(State(management): State<Arc<Management>>) -> Result<Response, Failure> {
    write(management, false).await
}

pub(super) async fn page_per_queue(State(management): State<Arc<Management>>) -> Result<Response, Failure> {
    write(management, true).await
}

/// Walking over 100,000 queues takes a while: other connections of this thread go on meanwhile.
async fn write(management: Arc<Management>, per_queue: bool) -> Result<Response, Failure> {
    let text = tokio::task::spawn_blocking(move || text(&management, per_queue)).await;
    let text = text.map_err(|_| Failure::unavailable("a defect: see the log"))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

fn text(management: &Management, per_queue: bool) -> String {
    let Some(engine) = management.startup.engine() else { return management.metrics.encode() };
    engine.measure();
    let own = management.metrics.encode();
    format!("{}{}", own.trim_end_matches(END), figures(management, engine, per_queue).encode())
}

fn figures(management: &Management, engine: &Engine, per_queue: bool) -> Figures {
    let (sample, counts) = (engine.broker.total_sample(), engine.broker.counts());
    let mut figures = Figures {
        node: management.node.clone(),
        cluster: management.node.clone(),
        compatible_version: COMPATIBLE_VERSION,
        gauges: resources(management, engine),
        counters: churn(engine, &sample),
        protocols: protocols(engine),
        dead_letters: dead_letters(&sample),
        queues: Vec::new(),
    };
    figures.gauges.push(("consumers", "Consumers currently connected", counts.consumers.into()));
    if per_queue {
        figures.queues = queues(engine);
    } else {
        figures.gauges.extend(all_queues(&counts));
    }
    figures
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn all_queues(counts: &Counts) -> [(&'static str, &'static str, i64); 4] {
    [
        ("queue_messages", "Sum of ready and unacknowledged messages", number(counts.ready + counts.unsettled)),
        ("queue_messages_ready", "Messages ready to be delivered to consumers", number(counts.ready)),
        (
            "queue_messages_unacked",
            "Messages delivered to consumers but not yet acknowledged",
            number(counts.unsettled),
        ),
        ("queue_consumers", "Consumers on a queue", counts.consumers.into()),
    ]
}

fn resources(management: &Management, engine: &Engine) -> Vec<(&'static str, &'static str, i64)> {
    let (figures, alarms) = (engine.metrics.resources(), engine.alarms_in_effect());
    let connections = i64::try_from(engine.connections.count()).unwrap_or(i64::MAX);
    let of_vhost = |vhost: &crossdock_common::Name| engine.broker.object_counts(vhost).queues;
    let queues: usize = engine.broker.vhost_names().iter().map(of_vhost).sum();
    vec![
        ("connections", "Connections currently open", connections),
        ("channels", "Channels currently open", number(engine.broker.channel_count())),
        ("queues", "Queues available", i64::try_from(queues).unwrap_or(i64::MAX)),
        ("alarms_memory_used_watermark", "is 1 if memory watermark alarm is in effect", alarms.memory.into()),
        (
            "alarms_free_disk_space_watermark",
            "is 1 if free disk space watermark alarm is in effect",
            alarms.disk.into(),
        ),
        ("alarms_file_descriptor_limit", "is 1 if file descriptor limit alarm is in effect", 0),
        ("process_resident_memory_bytes", "Memory used in bytes", resident_bytes().unwrap_or(0)),
        ("process_open_fds", "Open file descriptors", open_descriptors().unwrap_or(0)),
        ("process_max_fds", "Open file descriptors limit", number(super::nodes::descriptors_max())),
        (
            "process_max_tcp_sockets",
            "Open TCP sockets limit",
            i64::try_from(management.connections_max).unwrap_or(i64::MAX),
        ),
        ("process_open_tcp_sockets", "Open TCP sockets", connections),
        ("resident_memory_limit_bytes", "Memory high watermark in bytes", figures.memory_max),
        ("disk_space_available_bytes", "Disk space available in bytes", figures.disk_free),
        ("disk_space_available_limit_bytes", "Free disk space low watermark in bytes", figures.disk_free_min),
        ("erlang_uptime_seconds", "Node uptime", number(engine.clock.uptime_ms() / 1000)),
    ]
}

fn churn(engine: &Engine, sample: &QueueSample) -> Vec<(&'static str, &'static str, u64)> {
    let (opened, closed) = engine.connections.churn();
    let traffic = &sample.traffic;
    vec![
        ("connections_opened", "Total number of connections opened", opened),
        ("connections_closed", "Total number of connections closed or terminated", closed),
        ("global_messages_redelivered", "Total number of messages redelivered to consumers", traffic.returned),
        (
            "global_messages_delivered_consume_manual_ack",
            "Total number of messages delivered to consumers that acknowledge",
            traffic.delivered,
        ),
        (
            "global_messages_delivered_consume_auto_ack",
            "Total number of messages delivered to consumers that do not acknowledge",
            traffic.delivered_settled,
        ),
        (
            "global_messages_delivered_get_manual_ack",
            "Total number of messages fetched, to be acknowledged",
            traffic.fetched,
        ),
        (
            "global_messages_delivered_get_auto_ack",
            "Total number of messages fetched for good",
            traffic.fetched_settled,
        ),
        ("global_messages_get_empty", "Total number of fetches that found nothing", traffic.fetched_nothing),
    ]
}

fn protocols(engine: &Engine) -> Vec<ProtocolFigures> {
    let figures = |protocol: Protocol| {
        let metrics = engine.metrics.protocol(protocol);
        let (received, returned, dropped) =
            (metrics.messages_published.get(), metrics.messages_returned.get(), metrics.messages_unroutable.get());
        ProtocolFigures {
            protocol: protocol.name(),
            received,
            confirmed: metrics.messages_confirmed.get(),
            routed: received.saturating_sub(returned + dropped),
            delivered: metrics.messages_delivered.get(),
            acknowledged: metrics.messages_settled.get(),
            returned,
            dropped,
        }
    };
    Protocol::ALL.into_iter().map(figures).collect()
}

/// Reasons are RabbitMQ's; without a dead-letter exchange its strategy is called `disabled`.
fn dead_letters(sample: &QueueSample) -> Vec<(&'static str, &'static str, u64)> {
    let (dead, ledger) = (&sample.traffic.dead_lettered, &sample.ledger);
    vec![
        ("expired", "at_most_once", dead.expired),
        ("expired", "disabled", ledger.expired),
        ("rejected", "at_most_once", dead.rejected),
        ("rejected", "disabled", ledger.rejected),
        ("maxlen", "at_most_once", dead.max_length),
        ("maxlen", "disabled", ledger.dropped),
        ("delivery_limit", "at_most_once", dead.delivery_limit),
    ]
}

fn queues(engine: &Engine) -> Vec<QueueGauges> {
    let now = engine.clock.now();
    let mut queues = Vec::new();
    for vhost in engine.broker.vhost_names() {
        for name in engine.broker.queue_names(&vhost).unwrap_or_default() {
            let Some(view) = engine.broker.queue_view(now, &vhost, &name) else { continue };
            let counts = view.figures.counts;
            queues.push(QueueGauges {
                vhost: vhost.to_string(),
                queue: name.to_string(),
                ready: number(counts.ready),
                unsettled: number(counts.unsettled),
                consumers: counts.consumers.into(),
            });
        }
    }
    queues
}

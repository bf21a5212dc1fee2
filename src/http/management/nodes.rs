//! This node: what it has and what it uses. A cluster of one.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde_json::{Value, json};

use super::Management;
use super::answer::{Answer, Failure, ok};
use super::call::Call;
use super::values::extend;
use crate::telemetry::{open_descriptors, resident_bytes};

/// The kinds of exchanges, with RabbitMQ's words for them.
const EXCHANGE_TYPES: [(&str, &str); 9] = [
    ("direct", "AMQP direct exchange, as per the AMQP specification"),
    ("fanout", "AMQP fanout exchange, as per the AMQP specification"),
    ("headers", "AMQP headers exchange, as per the AMQP specification"),
    ("topic", "AMQP topic exchange, as per the AMQP specification"),
    ("x-consistent-hash", "Consistent Hashing Exchange"),
    ("x-delayed-message", "Delayed Message Exchange"),
    ("x-local-random", "Picks one random local binding (queue) to route via (to)."),
    ("x-modulus-hash", "Modulus Hashing Exchange"),
    ("x-random", "Exchange type which routes to a random binding"),
];

pub(super) fn routes() -> Router<Arc<Management>> {
    Router::new()
        .route("/nodes", get(list))
        .route("/nodes/{node}", get(one))
        .route("/nodes/{node}/memory", get(memory))
        .route("/nodes/{node}/memory/ets", get(no_tables))
}

pub(super) fn exchange_types() -> Value {
    let describe = |(name, description)| json!({ "name": name, "description": description, "enabled": true });
    EXCHANGE_TYPES.map(describe).into_iter().collect()
}

async fn list(call: Call) -> Answer {
    call.visitor.expect_monitor()?;
    call.listing()?.answer(vec![call.node().to_owned()], |name| name, |_| node(&call))
}

async fn one(call: Call, Path(name): Path<String>) -> Answer {
    call.visitor.expect_monitor()?;
    expect_this(&call, &name)?;
    call.listing()?.one(node(&call))
}

fn expect_this(call: &Call, name: &str) -> Result<(), Failure> {
    if name == call.node() { Ok(()) } else { Err(Failure::no_object()) }
}

fn node(call: &Call) -> Value {
    let figures = call.engine.metrics.resources();
    let alarms = call.engine.alarms_in_effect();
    let zero = || json!({ "rate": 0.0 });
    let memory = resident_bytes().unwrap_or(0);
    let mut value = json!({
        "name": call.node(), "type": "disc", "running": true, "os_pid": std::process::id().to_string(),
        "uptime": call.engine.clock.uptime_ms(), "partitions": [], "cluster_links": [], "applications": [],
        "being_drained": call.engine.broker.is_draining(), "enabled_plugins": ["rabbitmq_management", "rabbitmq_prometheus"],
        "exchange_types": exchange_types(), "auth_mechanisms": auth_mechanisms(), "contexts": [],
        "config_files": [], "log_files": ["<stderr>"], "db_dir": call.management.data_dir, "rates_mode": "basic",
        "net_ticktime": 60, "mem_calculation_strategy": "rss",
        "processors": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    });
    let resources = json!({
        "mem_used": memory, "mem_used_details": zero(), "mem_limit": figures.memory_max,
        "mem_alarm": alarms.memory, "disk_free": figures.disk_free, "disk_free_details": zero(),
        "disk_free_limit": figures.disk_free_min, "disk_free_alarm": alarms.disk,
        "fd_used": open_descriptors().unwrap_or(0), "fd_used_details": zero(), "fd_total": descriptors_max(),
        "sockets_used": call.engine.connections.count(), "sockets_used_details": zero(),
        "sockets_total": call.management.connections_max, "proc_used": threads(), "proc_used_details": zero(),
        "proc_total": 0, "run_queue": 0,
    });
    extend(&mut value, resources);
    value
}

fn auth_mechanisms() -> Value {
    let describe = |name: &str, description: &str| json!({ "name": name, "description": description, "enabled": true });
    json!([
        describe("PLAIN", "SASL PLAIN authentication mechanism"),
        describe("AMQPLAIN", "QPid AMQPLAIN mechanism"),
        describe("EXTERNAL", "TLS peer verification-based authentication mechanism"),
        describe("ANONYMOUS", "SASL ANONYMOUS authentication mechanism")
    ])
}

/// How many files the process may have open; 0 where the system does not say.
pub(super) fn descriptors_max() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(0)
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// What memory is used for. RabbitMQ's parts are those of its runtime; ours are messages and the rest.
async fn memory(call: Call, Path(name): Path<String>) -> Answer {
    call.visitor.expect_monitor()?;
    expect_this(&call, &name)?;
    let (total, messages) = (resident_bytes().unwrap_or(0), call.engine.broker.messages_memory_bytes());
    let messages = i64::try_from(messages).unwrap_or(i64::MAX);
    ok(&json!({
        "memory": {
            "queue_procs": messages, "binary": 0, "connection_readers": 0, "connection_writers": 0,
            "connection_channels": 0, "connection_other": 0, "other_proc": 0, "plugins": 0, "metrics": 0, "mgmt_db": 0,
            "mnesia": 0, "other_ets": 0, "msg_index": 0, "code": 0, "atom": 0, "quorum_queue_procs": 0, "quorum_ets": 0,
            "stream_queue_procs": 0, "queue_slave_procs": 0,
            "quorum_queue_dlx_procs": 0, "stream_queue_coordinator_procs": 0, "stream_queue_replica_reader_procs": 0, "other_system": total.saturating_sub(messages).max(0), "allocated_unused": 0,
            "reserved_unallocated": 0, "strategy": "rss",
            "total": { "rss": total, "allocated": total, "erlang": total },
        },
    }))
}

/// ETS is Erlang's.
async fn no_tables(call: Call, Path(name): Path<String>) -> Answer {
    call.visitor.expect_monitor()?;
    expect_this(&call, &name)?;
    ok(&json!({ "ets_tables": "no_tables" }))
}

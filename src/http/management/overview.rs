//! The broker as a whole: what it is, how much happens, who is asking.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Value, json};

use super::Management;
use super::answer::{Answer, done, ok};
use super::call::{Call, Document};
use super::changes::keep;
use super::connections::visible;
use super::rates::{Between, Counter, Totals, lengths, queue_stats, total_stats};
use super::values::extend;
use crate::administration::GlobalParameterRecord;
use crate::definitions::COMPATIBLE_VERSION;
use crate::telemetry::Protocol;

pub(super) const PRODUCT: &str = "Crossdock";
const CLUSTER_NAME: &str = "cluster_name";

pub(super) fn routes() -> Router<Arc<Management>> {
    Router::new()
        .route("/overview", get(overview))
        .route("/whoami", get(whoami))
        .route("/cluster-name", get(cluster_name).put(rename_cluster))
        .route("/extensions", get(|| async { ok(&json!([])) }))
        .route(
            "/auth",
            get(|| async {
                ok(&json!({ "oauth_enabled": false, "enable_uaa": false, "uaa_client_id": "", "uaa_location": "" }))
            }),
        )
        .route("/auth/attempts/{node}", get(auth_attempts))
        .route("/feature-flags", get(feature_flags))
        .route("/deprecated-features", get(empty_for_administrators))
        .route("/deprecated-features/used", get(empty_for_administrators))
        .route("/shovels", get(|| async { ok(&json!([])) }))
        .route("/shovels/{vhost}", get(empty_for_vhost))
        .route("/federation-links", get(|| async { ok(&json!([])) }))
        .route("/federation-links/{vhost}", get(empty_for_vhost))
        .route("/rebalance/queues", axum::routing::post(rebalance))
}

async fn overview(call: Call) -> Answer {
    call.aside(|call| {
        let mut value = identity(call);
        if !call.visitor.is_monitor() {
            extend(&mut value, own_part(call));
            return call.listing()?.one(value);
        }
        let (now, between) = (Totals::now(&call.engine), call.management.rates.total());
        extend(&mut value, traffic(&now, &between));
        extend(&mut value, totals(call, &now, &between));
        extend(&mut value, listeners(call));
        call.listing()?.one(value)
    })
    .await
}

/// What is in the visitor's vhosts, and the visitor's own connections: others' are for monitors.
fn own_part(call: &Call) -> Value {
    let (broker, vhosts) = (&call.engine.broker, call.visitor.vhosts(&call.engine));
    let ids: Vec<_> = vhosts.iter().flat_map(|vhost| broker.queue_ids(vhost)).collect();
    let (sample, between) = (broker.sample_of(&ids), call.management.rates.queues(&ids));
    let exchanges: usize = vhosts.iter().map(|vhost| broker.object_counts(vhost).exchanges).sum();
    json!({
        "queue_totals": lengths(&sample, &between), "message_stats": queue_stats(&sample, &between), "churn_rates": {},
        "object_totals": {
            "connections": visible(call).len(), "exchanges": exchanges, "queues": ids.len(),
        },
    })
}

fn identity(call: &Call) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    json!({
        "management_version": COMPATIBLE_VERSION, "rabbitmq_version": COMPATIBLE_VERSION,
        "product_name": PRODUCT, "product_version": version, "crossdock_version": version,
        "erlang_version": "", "erlang_full_version": "", "cluster_name": cluster(call), "node": call.node(),
        "rates_mode": "basic", "sample_retention_policies": { "global": [60], "basic": [60], "detailed": [60] },
        "exchange_types": super::nodes::exchange_types(), "release_series_support_status": "supported",
        "disable_stats": false, "enable_queue_totals": false, "is_op_policy_updating_enabled": true,
        "statistics_db_event_queue": 0, "default_queue_type": "classic", "cluster_tags": {}, "node_tags": {},
    })
}

fn traffic(now: &Totals, between: &Between<Totals>) -> Value {
    let mut churn = serde_json::Map::new();
    let counters: [Counter<Totals>; 7] = [
        ("connection_created", |totals| totals.connections_opened),
        ("connection_closed", |totals| totals.connections_closed),
        ("channel_created", |_| 0),
        ("channel_closed", |_| 0),
        ("queue_declared", |_| 0),
        ("queue_created", |_| 0),
        ("queue_deleted", |_| 0),
    ];
    for (name, counter) in counters {
        churn.insert(name.to_owned(), counter(now).into());
        churn.insert(format!("{name}_details"), between.details(counter));
    }
    let mut traffic = serde_json::Map::new();
    traffic.insert("message_stats".to_owned(), total_stats(now, between).into());
    traffic.insert("churn_rates".to_owned(), churn.into());
    traffic.into()
}

fn totals(call: &Call, now: &Totals, between: &Between<Totals>) -> Value {
    let engine = &call.engine;
    let (mut exchanges, mut queues) = (0, 0);
    for vhost in engine.broker.vhost_names() {
        let counts = engine.broker.object_counts(&vhost);
        (exchanges, queues) = (exchanges + counts.exchanges, queues + counts.queues);
    }
    json!({
        "queue_totals": lengths(&now.queues, &between.map(|totals| totals.queues)),
        "object_totals": {
            "connections": engine.connections.count(), "channels": engine.broker.channel_count(), "exchanges": exchanges,
            "queues": queues, "consumers": engine.broker.counts().consumers,
        },
    })
}

fn listeners(call: &Call) -> Value {
    let listeners: Vec<Value> = call.management.listeners().iter().map(|one| listener(call, one)).collect();
    let contexts: Vec<Value> = listeners.iter().filter(|one| one["protocol"] == "http").map(context).collect();
    json!({ "listeners": listeners, "contexts": contexts })
}

fn listener(call: &Call, listening: &crate::net::Listening) -> Value {
    json!({
        "node": call.node(), "protocol": super::health::protocol_of(listening.kind),
        "ip_address": listening.address.ip().to_string(), "port": listening.address.port(), "socket_opts": [],
    })
}

fn context(listener: &Value) -> Value {
    json!({
        "node": listener["node"], "description": "Crossdock Management", "path": "/", "ssl_opts": [],
        "ip": listener["ip_address"], "port": listener["port"].to_string(),
    })
}

async fn whoami(call: Call) -> Answer {
    ok(&json!({ "name": call.visitor.name.as_str(), "tags": &*call.visitor.tags }))
}

async fn cluster_name(call: Call) -> Answer {
    ok(&json!({ "name": cluster(&call) }))
}

/// The global parameter that RabbitMQ keeps it in, else the node's name.
fn cluster(call: &Call) -> Value {
    call.engine.administration.global_parameter(CLUSTER_NAME).unwrap_or_else(|| call.node().into())
}

async fn rename_cluster(call: Call, body: Bytes) -> Answer {
    call.visitor.expect_administrator()?;
    let document = Document::parse(&body)?;
    document.require(&["name"])?;
    let record = GlobalParameterRecord { name: CLUSTER_NAME.to_owned(), value: document.text("name").into() };
    keep(&call, call.engine.administration.put_global_parameter(record)).await?;
    done()
}

async fn auth_attempts(call: Call) -> Answer {
    call.visitor.expect_monitor()?;
    let words = [
        (Protocol::Management, "http"),
        (Protocol::Amqp091, "amqp091"),
        (Protocol::Mqtt, "mqtt"),
        (Protocol::Stomp, "stomp"),
    ];
    let attempts = words.map(|(protocol, word)| {
        let metrics = call.engine.metrics.protocol(protocol);
        let (succeeded, failed) = (metrics.authentications.get(), metrics.authentication_failures.get());
        json!({
            "protocol": word, "auth_attempts": succeeded + failed, "auth_attempts_failed": failed,
            "auth_attempts_succeeded": succeeded,
        })
    });
    ok(&attempts.into_iter().filter(|one| one["auth_attempts"] != 0).collect())
}

/// What tools ask for before they use it.
async fn feature_flags(call: Call) -> Answer {
    call.visitor.expect_administrator()?;
    let flags = [
        ("quorum_queue", "Support queues of type `quorum`"),
        ("stream_queue", "Support queues of type `stream`"),
        ("user_limits", "Configure connection and channel limits for a user"),
        ("virtual_host_metadata", "Virtual host metadata (description, tags, etc)"),
        ("maintenance_mode_status", "Maintenance mode status"),
        ("implicit_default_bindings", "Default bindings are implicit"),
    ];
    let flag = |(name, desc): (&str, &str)| {
        json!({
            "name": name, "desc": desc, "doc_url": "", "state": "enabled", "stability": "stable", "provided_by": PRODUCT,
            "require_level": "none",
        })
    };
    ok(&flags.map(flag).into_iter().collect())
}

async fn empty_for_administrators(call: Call) -> Answer {
    call.visitor.expect_administrator()?;
    ok(&json!([]))
}

async fn empty_for_vhost(call: Call, axum::extract::Path(vhost): axum::extract::Path<String>) -> Answer {
    call.vhost(&vhost)?;
    ok(&json!([]))
}

/// There is one node: queues are where they belong.
async fn rebalance(call: Call) -> Answer {
    call.visitor.expect_administrator()?;
    done()
}

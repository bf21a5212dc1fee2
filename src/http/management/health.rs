//! Checks for load balancers and monitoring: 200 when good, 503 with what is wrong.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use bytes::Bytes;
use crossdock_amqp091::outside::{Content, message};
use crossdock_common::Lane;
use crossdock_common::command::{Fetch, Lease, Outcome};
use crossdock_common::definition::{Definition, QueueSpec};
use serde_json::{Value, json};

use super::Management;
use super::answer::{Answer, Failure, ok};
use super::call::Call;
use super::session::principal;
use crate::broker::Health;
use crate::config::ListenerKind;

const DAY_S: i64 = 24 * 60 * 60;
/// Units of time before a certificate ends.
const UNITS_S: [(&str, i64); 4] =
    [("days", DAY_S), ("weeks", 7 * DAY_S), ("months", 30 * DAY_S), ("years", 365 * DAY_S)];
/// The queue of the aliveness test, as RabbitMQ calls it.
const ALIVENESS_QUEUE: &str = "aliveness-test";

pub(super) fn routes() -> Router<Arc<Management>> {
    Router::new()
        .route("/health/checks/alarms", get(alarms))
        .route("/health/checks/local-alarms", get(alarms))
        .route("/health/checks/port-listener/{port}", get(port_listener))
        .route("/health/checks/protocol-listener/{protocol}", get(protocol_listener))
        .route("/health/checks/virtual-hosts", get(good))
        .route("/health/checks/node-is-quorum-critical", get(single_node))
        .route("/health/checks/node-is-mirror-sync-critical", get(single_node))
        .route("/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}", get(good))
        .route("/health/checks/quorum-queues-without-elected-leaders/all-vhosts", get(good))
        .route("/health/checks/metadata-store/initialized", get(good))
        .route("/health/checks/metadata-store/initialized/with-data", get(good))
        .route("/health/checks/certificate-expiration/{within}/{unit}", get(certificates))
        .route("/health/checks/is-in-service", get(in_service))
        .route("/health/checks/ready-to-serve-clients", get(in_service))
        .route("/health/checks/below-node-connection-limit", get(below_connection_limit))
        .route("/aliveness-test/{vhost}", get(aliveness))
}

async fn good() -> Answer {
    ok(&json!({ "status": "ok" }))
}

async fn single_node() -> Answer {
    ok(&json!({ "status": "ok", "reason": "single node cluster" }))
}

async fn alarms(call: Call) -> Answer {
    let alarms = call.engine.alarms_in_effect();
    let resources = [("memory", alarms.memory), ("disk", alarms.disk)];
    let held = resources.iter().filter(|(_, held)| *held);
    let held: Vec<Value> = held.map(|(resource, _)| json!({ "resource": resource, "node": call.node() })).collect();
    if held.is_empty() {
        return good().await;
    }
    let reason = "There are alarms in effect in the cluster";
    Err(Failure::unhealthy(json!({ "status": "failed", "reason": reason, "alarms": held })))
}

async fn in_service(call: Call) -> Answer {
    match call.engine.health() {
        Health::Ready | Health::PublishersWait(_) => good().await,
        Health::NotReady(reason) => Err(Failure::unhealthy(json!({ "status": "failed", "reason": reason }))),
    }
}

async fn below_connection_limit(call: Call) -> Answer {
    let (current, limit) = (call.engine.connections.count(), call.management.connections_max);
    if current < limit {
        return ok(&json!({ "status": "ok", "current": current, "limit": limit }));
    }
    let reason = "node connection limit is reached";
    Err(Failure::unhealthy(json!({ "status": "failed", "reason": reason, "current": current, "limit": limit })))
}

async fn port_listener(call: Call, Path(port): Path<String>) -> Answer {
    let port: u16 = port.parse().map_err(|_| Failure::bad_request("invalid_port"))?;
    let ports: Vec<u16> = call.management.listeners().iter().map(|one| one.address.port()).collect();
    if ports.contains(&port) {
        return ok(&json!({ "status": "ok", "port": port }));
    }
    let body = json!({ "status": "failed", "reason": "No active listener", "missing": port, "ports": ports });
    Err(Failure::unhealthy(body))
}

async fn protocol_listener(call: Call, Path(asked): Path<String>) -> Answer {
    let protocols: Vec<&str> = call.management.listeners().iter().map(|one| protocol_of(one.kind)).collect();
    let meant = match asked.to_ascii_lowercase().as_str() {
        "amqp091" | "amqp0.9.1" | "amqp-0-9-1" => "amqp".to_owned(),
        "amqps" | "amqp/tls" => "amqp/ssl".to_owned(),
        other => other.to_owned(),
    };
    if protocols.contains(&meant.as_str()) {
        return ok(&json!({ "status": "ok", "protocol": asked }));
    }
    let body = json!({ "status": "failed", "reason": "No active listener", "missing": asked, "protocols": protocols });
    Err(Failure::unhealthy(body))
}

/// Whether a certificate of the TLS listeners ends within some time.
async fn certificates(call: Call, Path((within, unit)): Path<(i64, String)>) -> Answer {
    let unit_s = UNITS_S.iter().find(|(word, _)| *word == unit).map(|(_, seconds)| *seconds);
    let unit_s = unit_s.ok_or_else(|| Failure::bad_request("time unit not recognised"))?;
    if call.management.tls.certificate.is_none() {
        return good().await;
    }
    let ends = crate::auth::tls::certificates_end(&call.management.tls);
    let ends = ends.map_err(|error| Failure::unavailable(error.to_string()))?;
    let now_s = i64::try_from(call.now.unix.0 / 1000).unwrap_or(i64::MAX);
    let last = now_s.saturating_add(within.saturating_mul(unit_s));
    let expired: Vec<Value> =
        ends.into_iter().filter(|end| end.is_none_or(|end| end <= last)).map(Value::from).collect();
    if expired.is_empty() {
        return good().await;
    }
    Err(Failure::unhealthy(json!({ "status": "failed", "reason": "Certificates expiring", "expired": expired })))
}

/// RabbitMQ's word for what a listener speaks.
pub(super) fn protocol_of(kind: ListenerKind) -> &'static str {
    match kind {
        ListenerKind::Amqp => "amqp",
        ListenerKind::Amqps => "amqp/ssl",
        ListenerKind::Mqtt => "mqtt",
        ListenerKind::Mqtts => "mqtt/ssl",
        ListenerKind::Stomp => "stomp",
        ListenerKind::Stomps => "stomp/ssl",
        ListenerKind::Ws => "http/websocket",
        ListenerKind::Wss => "https/websocket",
        ListenerKind::Any => "any",
        ListenerKind::Aws => "http/aws",
        ListenerKind::Management => "http",
    }
}

/// Declares a queue, publishes a message and takes it, as the visitor.
async fn aliveness(call: Call, Path(vhost): Path<String>) -> Answer {
    let vhost = call.vhost(&vhost)?;
    let mut session = call.session(&vhost).await?;
    let spec = QueueSpec { name: ALIVENESS_QUEUE.into(), ..QueueSpec::default() };
    session.define(Definition::DeclareQueue { spec, passive: false }).await?;
    let content = Content {
        exchange: "".into(),
        routing_key: Bytes::from_static(ALIVENESS_QUEUE.as_bytes()),
        properties: Bytes::new(),
        body: Bytes::from_static(b"test_message"),
    };
    let test = message(call.now, &principal(&call.visitor), content, &call.management.limits);
    let test = test.map_err(|fault| Failure::bad_request(fault.to_string()))?;
    session.publish(test).await??;
    let fetch = Fetch {
        lane: Lane(0),
        queue: ALIVENESS_QUEUE.into(),
        count_max: 1,
        presettled: false,
        lease: Lease::Connection,
        wait_ms: 1_000,
    };
    let Some((delivery, _)) = session.fetch(fetch).await?? else {
        return Err(Failure::unhealthy(json!({ "status": "failed", "reason": "the message did not come back" })));
    };
    session.settle(vec![delivery.id], Outcome::Accepted).await?;
    good().await
}

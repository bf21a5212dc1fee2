//! Virtual hosts.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use bytes::Bytes;
use crossdock_common::Name;
use serde_json::{Value, json};

use super::Management;
use super::answer::{Answer, Failure, done};
use super::call::{Call, Document};
use super::changes::{delete, keep, put};
use super::rates::{lengths, queue_stats};
use super::users::tags_of;
use super::values::extend;
use crate::administration::VhostRecord;

/// RabbitMQ's word for a default queue type that is not set.
const UNDEFINED: &str = "undefined";

pub(super) fn routes() -> Router<Arc<Management>> {
    Router::new()
        .route("/vhosts", get(list))
        .route("/vhosts/{vhost}", get(one).put(change).delete(remove))
        .route("/vhosts/{vhost}/start/{node}", post(start))
        .route("/vhosts/{vhost}/deletion/protection", post(protect).delete(release))
}

/// Monitors see all of them.
async fn list(call: Call) -> Answer {
    call.aside(|call| {
        let mut records: Vec<VhostRecord> =
            call.engine.administration.vhosts().into_iter().map(|(record, _)| record).collect();
        let is_seen = |name: &str| call.visitor.is_monitor() || call.visitor.sees(&call.engine, &name.into());
        records.retain(|record| is_seen(&record.name));
        call.listing()?.answer(records, |record| &record.name, |record| show(call, record))
    })
    .await
}

async fn one(call: Call, Path(name): Path<String>) -> Answer {
    let (record, _) = call.engine.administration.vhost(&name).ok_or_else(Failure::no_object)?;
    if !call.visitor.sees(&call.engine, &name.as_str().into()) {
        call.visitor.expect_administrator()?;
    }
    call.aside(move |call| call.listing()?.one(show(call, &record))).await
}

async fn change(call: Call, Path(name): Path<String>, body: Bytes) -> Answer {
    call.visitor.expect_administrator()?;
    let document = Document::parse(&body)?;
    let known = call.engine.administration.vhost(&name).map(|(record, _)| record).unwrap_or_default();
    let text = |key: &str, known: String| document.get(key).and_then(Value::as_str).map_or(known, str::to_owned);
    let queue_type = document.get("default_queue_type").and_then(Value::as_str).filter(|kind| *kind != UNDEFINED);
    let record = VhostRecord {
        name,
        description: text("description", known.description),
        tags: document.get("tags").map_or(Ok(known.tags), tags_of)?,
        default_queue_type: queue_type.map(str::to_owned).or(known.default_queue_type),
        tracing: document.flag("tracing")?,
        protected_from_deletion: match document.get("protected_from_deletion") {
            Some(_) => document.flag("protected_from_deletion")?,
            None => known.protected_from_deletion,
        },
    };
    let change = call.engine.administration.put_vhost(record);
    put(&call, change).await
}

async fn remove(call: Call, Path(name): Path<String>) -> Answer {
    call.visitor.expect_administrator()?;
    delete(&call, call.engine.administration.delete_vhost(&name)).await
}

/// As RabbitMQ 4 has it.
async fn protect(call: Call, Path(name): Path<String>) -> Answer {
    call.visitor.expect_administrator()?;
    keep(&call, call.engine.administration.protect_vhost(&name, true)).await?;
    done()
}

async fn release(call: Call, Path(name): Path<String>) -> Answer {
    call.visitor.expect_administrator()?;
    delete(&call, call.engine.administration.protect_vhost(&name, false)).await
}

/// It runs as long as the broker does.
async fn start(call: Call, Path((name, _)): Path<(String, String)>) -> Answer {
    call.visitor.expect_administrator()?;
    call.engine.administration.vhost(&name).ok_or_else(Failure::no_object)?;
    done()
}

fn show(call: &Call, record: &VhostRecord) -> Value {
    let vhost = &Name::from(record.name.as_str());
    let ids = call.engine.broker.queue_ids(vhost);
    let (sample, between) = (call.engine.broker.sample_of(&ids), call.management.rates.queues(&ids));
    let queue_type = record.default_queue_type.as_deref().unwrap_or(UNDEFINED);
    let mut value = json!({
        "name": record.name, "description": record.description, "tags": record.tags, "default_queue_type": queue_type,
        "metadata": metadata(record), "tracing": record.tracing, "protected_from_deletion": record.protected_from_deletion,
        "cluster_state": { call.node(): "running" }, "message_stats": queue_stats(&sample, &between),
    });
    extend(&mut value, lengths(&sample, &between));
    extend(&mut value, octets(call, vhost));
    value
}

/// What RabbitMQ says a second time; protection only while there is one.
fn metadata(record: &VhostRecord) -> Value {
    let mut metadata = json!({ "description": record.description, "tags": record.tags });
    if record.protected_from_deletion {
        metadata["protected_from_deletion"] = true.into();
    }
    metadata
}

fn octets(call: &Call, vhost: &Name) -> Value {
    use std::sync::atomic::Ordering::Relaxed;
    let mut connections = call.engine.connections.all();
    connections.retain(|connection| connection.vhost == *vhost);
    let ids: Vec<_> = connections.iter().map(|connection| connection.id).collect();
    let between = call.management.rates.octets(&ids);
    json!({
        "recv_oct": connections.iter().map(|one| one.octets.received.load(Relaxed)).sum::<u64>(),
        "send_oct": connections.iter().map(|one| one.octets.sent.load(Relaxed)).sum::<u64>(),
        "recv_oct_details": between.details(|octets| octets.0), "send_oct_details": between.details(|octets| octets.1),
    })
}

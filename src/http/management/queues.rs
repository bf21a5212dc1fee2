//! Queues.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::{delete, get, post};
use bytes::Bytes;
use crossdock_common::Name;
use crossdock_common::definition::{Definition, QueueSpec};
use crossdock_core::{QueueSample, QueueView};
use serde_json::{Value, json};

use super::Management;
use super::answer::{Answer, Failure, done, made};
use super::call::{Call, Document, short};
use super::channels::consumers_of;
use super::connections::peer_details;
use super::policies::Definitions;
use super::rates::{lengths, queue_stats};
use super::values::{extend, from_table, time};

pub(super) fn routes() -> Router<Arc<Management>> {
    Router::new()
        .route("/queues", get(list))
        .route("/queues/{vhost}", get(list))
        .route("/queues/{vhost}/{name}", get(one).put(declare).delete(remove))
        .route("/queues/{vhost}/{name}/contents", delete(purge))
        .route("/queues/{vhost}/{name}/actions", post(act))
}

async fn list(call: Call, vhost: Option<Path<String>>) -> Answer {
    let vhost = vhost.map(|Path(vhost)| vhost);
    call.aside(move |call| {
        let mut rows = Vec::new();
        for vhost in call.vhosts(vhost.as_deref())? {
            let names = call.engine.broker.queue_names(&vhost).unwrap_or_default();
            rows.extend(names.into_iter().map(|name| (vhost.clone(), name)));
        }
        let policies = Definitions::of(call);
        call.listing()?.answer(rows, |(_, name)| name, |(vhost, name)| summary(call, &policies, vhost, name))
    })
    .await
}

/// A queue in a list. One that has gone meanwhile keeps its name.
fn summary(call: &Call, policies: &Definitions, vhost: &Name, name: &Name) -> Value {
    match call.engine.broker.queue_view(call.now, vhost, name) {
        Some(view) => show(call, policies, &view),
        None => json!({ "name": name.as_str(), "vhost": vhost.as_str(), "state": "stopped" }),
    }
}

fn show(call: &Call, policies: &Definitions, view: &QueueView) -> Value {
    let mut value = declared(call, view);
    extend(&mut value, policies.show(&view.vhost, &view.applied));
    if call.query.is_true("disable_stats") {
        if call.query.is_true("enable_queue_totals") {
            let counts = view.figures.counts;
            let totals = json!({
                "messages": counts.ready + counts.unsettled, "messages_ready": counts.ready,
                "messages_unacknowledged": counts.unsettled,
            });
            extend(&mut value, totals);
        }
        return value;
    }
    extend(&mut value, figures(view));
    let sample = sample(view);
    let between = call.management.rates.queue(view.id);
    extend(&mut value, lengths(&sample, &between));
    let stats = json!({ "message_stats": queue_stats(&sample, &between) });
    extend(&mut value, stats);
    value
}

fn declared(call: &Call, view: &QueueView) -> Value {
    let spec = &view.spec;
    let (vhost, name) = (view.vhost.as_str(), spec.name.as_str());
    let mut value = json!({
        "name": name, "vhost": vhost, "durable": spec.durable, "auto_delete": spec.auto_delete,
        "exclusive": spec.exclusive, "arguments": from_table(&spec.arguments), "node": call.node(),
        "state": "running", "type": kind(spec),
    });
    if let Some(owner) = view.owner.and_then(|owner| call.engine.connections.find(owner))
        && let Value::Object(members) = &mut value
    {
        members.insert("owner_pid_details".to_owned(), peer_details(&owner));
    }
    value
}

fn kind(spec: &QueueSpec) -> String {
    let argument = crossdock_common::value::lookup(&spec.arguments, "x-queue-type");
    argument.and_then(crossdock_common::Value::as_str).unwrap_or("classic").to_owned()
}

fn figures(view: &QueueView) -> Value {
    let figures = &view.figures;
    let bytes = figures.ready_bytes + figures.unsettled_bytes;
    let held = figures.counts.ready + figures.counts.unsettled;
    let persistent = |number: u64| if view.spec.durable { number } else { 0 };
    let utilisation = if figures.consumers.is_empty() { 0.0 } else { 1.0 };
    let mut value = json!({
        "consumers": figures.counts.consumers, "consumer_utilisation": utilisation, "consumer_capacity": utilisation,
        "memory": figures.memory_bytes, "message_bytes": bytes, "message_bytes_ready": figures.ready_bytes,
        "message_bytes_unacknowledged": figures.unsettled_bytes, "message_bytes_persistent": persistent(bytes),
        "messages_persistent": persistent(held), "messages_delayed": figures.counts.delayed,
        "messages_dlx": figures.kept_letters.0, "message_bytes_dlx": figures.kept_letters.1,
        "head_message_timestamp": null, "exclusive_consumer_tag": null, "single_active_consumer_tag": null,
        "recoverable_slaves": null, "backing_queue_status": { "len": figures.counts.ready, "mode": "default", "version": 2 },
    });
    let (ledger, deaths) = (&figures.ledger, &figures.traffic.dead_lettered);
    // Ours alone. Those of a session's queue are what its client missed.
    let drops = json!({ "drops": {
        "queue_full": ledger.dropped + deaths.max_length, "expired": ledger.expired + deaths.expired,
        "rejected": ledger.rejected + deaths.rejected + deaths.delivery_limit,
    } });
    extend(&mut value, drops);
    if let (Some(since), Value::Object(members)) = (figures.unused_since, &mut value) {
        members.insert("idle_since".to_owned(), time(since));
    }
    value
}

fn sample(view: &QueueView) -> QueueSample {
    let figures = &view.figures;
    let (ledger, traffic) = (figures.ledger, figures.traffic);
    QueueSample { ledger, traffic, ready: figures.counts.ready, unsettled: figures.counts.unsettled }
}

async fn one(call: Call, Path((vhost, name)): Path<(String, String)>) -> Answer {
    let vhost = call.vhost(&vhost)?;
    let view = call.engine.broker.queue_view(call.now, &vhost, &name.as_str().into()).ok_or_else(Failure::no_object)?;
    let mut value = show(&call, &Definitions::of(&call), &view);
    let consumers = consumers_of(&call, std::slice::from_ref(&view)).await;
    let details = json!({ "consumer_details": consumers, "incoming": [], "deliveries": [] });
    extend(&mut value, details);
    call.listing()?.one(value)
}

async fn declare(call: Call, Path((vhost, name)): Path<(String, String)>, body: Bytes) -> Answer {
    let (vhost, document) = (existing_vhost(&call, &vhost)?, Document::parse(&body)?);
    let name = Name::from(short(&name)?);
    let spec = QueueSpec {
        name: name.clone(),
        durable: document.flag("durable")?,
        auto_delete: document.flag("auto_delete")?,
        arguments: document.arguments(&call.management.limits)?,
        ..QueueSpec::default()
    };
    let is_new = !call.engine.broker.has_queue(&vhost, &name);
    call.session(&vhost).await?.define(Definition::DeclareQueue { spec, passive: false }).await?;
    made(is_new)
}

async fn remove(call: Call, Path((vhost, name)): Path<(String, String)>) -> Answer {
    let (vhost, name) = queue(&call, &vhost, &name)?;
    let (if_unused, if_empty) = (call.query.is_true("if-unused"), call.query.is_true("if-empty"));
    call.session(&vhost).await?.define(Definition::DeleteQueue { name, if_unused, if_empty }).await?;
    done()
}

async fn purge(call: Call, Path((vhost, name)): Path<(String, String)>) -> Answer {
    let (vhost, name) = queue(&call, &vhost, &name)?;
    call.session(&vhost).await?.purge(name).await?;
    done()
}

/// Mirrors are RabbitMQ's: there is nothing to synchronise.
async fn act(call: Call, Path((vhost, name)): Path<(String, String)>, body: Bytes) -> Answer {
    queue(&call, &vhost, &name)?;
    let document = Document::parse(&body)?;
    document.require(&["action"])?;
    match document.text("action") {
        "sync" | "cancel_sync" => done(),
        other => Err(Failure::bad_request(format!("unknown action '{other}'"))),
    }
}

/// A queue that exists, in a vhost whose contents the visitor sees.
pub(super) fn queue(call: &Call, vhost: &str, name: &str) -> Result<(Name, Name), Failure> {
    let (vhost, name) = (call.vhost(vhost)?, Name::from(name));
    if call.engine.broker.has_queue(&vhost, &name) { Ok((vhost, name)) } else { Err(Failure::no_object()) }
}

/// For what is made in a vhost: RabbitMQ has another word when that is missing.
pub(super) fn existing_vhost(call: &Call, name: &str) -> Result<Name, Failure> {
    if !call.engine.broker.has_vhost(&Name::from(name)) {
        return Err(Failure::not_found("vhost_not_found"));
    }
    call.vhost(name)
}

//! Exchanges.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use bytes::Bytes;
use crossdock_common::definition::{Definition, ExchangeSpec};
use crossdock_common::{Name, Table};
use serde_json::{Value, json};

use super::Management;
use super::answer::{Answer, Failure, done, made};
use super::call::{Call, Document, short};
use super::policies::Definitions;
use super::queues::existing_vhost;
use super::rates::exchange_stats;
use super::values::{extend, from_table};

/// What paths call the default exchange, whose name is empty.
const DEFAULT: &str = "amq.default";
/// Who made what nobody made.
const NOBODY: &str = "rmq-internal";

pub(super) fn routes() -> Router<Arc<Management>> {
    Router::new()
        .route("/exchanges", get(list))
        .route("/exchanges/{vhost}", get(list))
        .route("/exchanges/{vhost}/{name}", get(one).put(declare).delete(remove))
}

async fn list(call: Call, vhost: Option<Path<String>>) -> Answer {
    let vhost = vhost.map(|Path(vhost)| vhost);
    call.aside(move |call| {
        let mut rows = Vec::new();
        for vhost in call.vhosts(vhost.as_deref())? {
            let names = call.engine.broker.exchange_names(&vhost).unwrap_or_default();
            rows.extend(names.into_iter().map(|name| (vhost.clone(), name)));
        }
        let policies = Definitions::of(call);
        let show = |(vhost, name): &(Name, Name)| match call.engine.broker.exchange_view(vhost, name) {
            Some((spec, applied)) => show(call, vhost, &spec, policies.show(vhost, &applied)),
            None => json!({ "name": name.as_str(), "vhost": vhost.as_str() }),
        };
        call.listing()?.answer(rows, |(_, name)| name, show)
    })
    .await
}

fn show(call: &Call, vhost: &Name, spec: &ExchangeSpec, policies: Value) -> Value {
    let is_ours = spec.name.is_empty() || spec.name.starts_with("amq.");
    let mut value = json!({
        "name": spec.name.as_str(), "vhost": vhost.as_str(), "type": spec.kind.as_str(), "durable": spec.durable,
        "auto_delete": spec.auto_delete, "internal": spec.internal, "arguments": from_table(&spec.arguments),
        "user_who_performed_action": if is_ours { NOBODY } else { "" },
    });
    extend(&mut value, policies);
    // What nothing went through has none, as in RabbitMQ.
    let sample = call.engine.broker.exchange_sample(vhost, &spec.name).filter(|sample| sample.published > 0);
    if let Some(sample) = sample {
        value["message_stats"] = exchange_stats(&sample, &call.management.rates.exchange(vhost, &spec.name)).into();
    }
    value
}

async fn one(call: Call, Path((vhost, name)): Path<(String, String)>) -> Answer {
    let (vhost, name) = exchange(&call, &vhost, &name)?;
    let (spec, applied) = call.engine.broker.exchange_view(&vhost, &name).ok_or_else(Failure::no_object)?;
    let mut value = show(&call, &vhost, &spec, Definitions::of(&call).show(&vhost, &applied));
    let more = json!({ "incoming": [], "outgoing": [] });
    extend(&mut value, more);
    call.listing()?.one(value)
}

async fn declare(call: Call, Path((vhost, name)): Path<(String, String)>, body: Bytes) -> Answer {
    let (vhost, document) = (existing_vhost(&call, &vhost)?, Document::parse(&body)?);
    let name = named(short(&name)?);
    let kind = if document.get("type").is_none() { "direct" } else { document.text("type") };
    let spec = ExchangeSpec {
        name: name.clone(),
        kind: Name::from(kind),
        durable: document.flag("durable")?,
        auto_delete: document.flag("auto_delete")?,
        internal: document.flag("internal")?,
        arguments: document.arguments(&call.management.limits)?,
        attributes: Table::new(),
    };
    let is_new = !call.engine.broker.has_exchange(&vhost, &name);
    call.session(&vhost).await?.define(Definition::DeclareExchange { spec, passive: false }).await?;
    made(is_new)
}

async fn remove(call: Call, Path((vhost, name)): Path<(String, String)>) -> Answer {
    let (vhost, name) = exchange(&call, &vhost, &name)?;
    let if_unused = call.query.is_true("if-unused");
    call.session(&vhost).await?.define(Definition::DeleteExchange { name, if_unused }).await?;
    done()
}

/// An exchange that exists, in a vhost whose contents the visitor sees.
pub(super) fn exchange(call: &Call, vhost: &str, name: &str) -> Result<(Name, Name), Failure> {
    let (vhost, name) = (call.vhost(vhost)?, named(name));
    if call.engine.broker.has_exchange(&vhost, &name) { Ok((vhost, name)) } else { Err(Failure::no_object()) }
}

/// The exchange that a path means.
pub(super) fn named(name: &str) -> Name {
    Name::from(if name == DEFAULT { "" } else { name })
}

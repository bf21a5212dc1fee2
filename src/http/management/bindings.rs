//! Bindings.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use crossdock_common::definition::{BindingSpec, Definition, Destination};
use crossdock_common::{Name, Table};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Management;
use super::answer::{Answer, Failure, done, made_at};
use super::call::{Call, Document, short};
use super::exchanges::{exchange, named};
use super::queues::queue;
use super::values::from_table;

/// What a properties key spells out: all but letters, digits and these.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');
/// Bytes of the arguments' digest in a properties key.
const DIGEST_BYTES: usize = 4;

/// The parts of a path to bindings: vhost, source, kind of the destination, destination.
type Ends = (String, String, String, String);

pub(super) fn routes() -> Router<Arc<Management>> {
    Router::new()
        .route("/bindings", get(list))
        .route("/bindings/{vhost}", get(list))
        .route("/bindings/{vhost}/e/{source}/{kind}/{destination}", get(between).post(bind))
        .route("/bindings/{vhost}/e/{source}/{kind}/{destination}/{key}", get(one).delete(unbind))
        .route("/queues/{vhost}/{name}/bindings", get(of_queue))
        .route("/exchanges/{vhost}/{name}/bindings/source", get(from_exchange))
        .route("/exchanges/{vhost}/{name}/bindings/destination", get(to_exchange))
}

/// A binding of a vhost.
type Row = (Name, Arc<BindingSpec>);

async fn list(call: Call, vhost: Option<Path<String>>) -> Answer {
    let vhost = vhost.map(|Path(vhost)| vhost);
    call.aside(move |call| {
        let mut rows = Vec::new();
        for vhost in call.vhosts(vhost.as_deref())? {
            for source in call.engine.broker.exchange_names(&vhost).unwrap_or_default() {
                rows.extend(from(call, &vhost, &source));
            }
        }
        show_all(call, rows)
    })
    .await
}

fn show_all(call: &Call, rows: Vec<Row>) -> Answer {
    call.listing()?.answer(rows, |(_, spec)| &spec.source, |(vhost, spec)| show(vhost, spec))
}

/// All bindings from an exchange; every queue has one from the default exchange.
fn from(call: &Call, vhost: &Name, source: &Name) -> Vec<Row> {
    let broker = &call.engine.broker;
    let specs = match source.as_str() {
        "" => broker.queue_names(vhost).unwrap_or_default().into_iter().map(default_binding).collect(),
        _ => broker.bindings_from(vhost, source),
    };
    specs.into_iter().map(|spec| (vhost.clone(), spec)).collect()
}

fn default_binding(queue: Name) -> Arc<BindingSpec> {
    Arc::new(BindingSpec {
        source: Name::default(),
        key: Bytes::copy_from_slice(queue.as_bytes()),
        destination: Destination::Queue(queue),
        arguments: Table::new(),
        announced: false,
        attributes: Table::new(),
    })
}

fn show(vhost: &Name, spec: &BindingSpec) -> Value {
    let (kind, destination) = match &spec.destination {
        Destination::Queue(name) => ("queue", name),
        Destination::Exchange(name) => ("exchange", name),
    };
    json!({
        "source": spec.source.as_str(), "vhost": vhost.as_str(), "destination": destination.as_str(),
        "destination_type": kind, "routing_key": String::from_utf8_lossy(&spec.key),
        "arguments": from_table(&spec.arguments), "properties_key": properties_key(spec),
    })
}

/// What tells the bindings between two ends apart in a path: the key, and a digest of the arguments if there are any. RabbitMQ's digest is
/// Erlang's own hash; clients take it as it comes.
fn properties_key(spec: &BindingSpec) -> String {
    let key = String::from_utf8_lossy(&spec.key);
    let escaped = utf8_percent_encode(&key, ESCAPED).to_string();
    if spec.arguments.is_empty() {
        return if escaped.is_empty() { "~".to_owned() } else { escaped };
    }
    let digest = Sha256::digest(from_table(&spec.arguments).to_string().as_bytes());
    format!("{escaped}~{}", URL_SAFE_NO_PAD.encode(&digest[..DIGEST_BYTES]))
}

/// Whether a path means this binding. Clients escape the key once more, or not.
fn is_called(spec: &BindingSpec, asked: &str) -> bool {
    let key = properties_key(spec);
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    key == asked || decoded(&key) == asked
}

async fn of_queue(call: Call, Path((vhost, name)): Path<(String, String)>) -> Answer {
    let (vhost, name) = queue(&call, &vhost, &name)?;
    let bindings = call.engine.broker.bindings_to(&vhost, &Destination::Queue(name.clone()));
    let all = std::iter::once(default_binding(name)).chain(bindings);
    let rows = all.map(|spec| (vhost.clone(), spec)).collect();
    show_all(&call, rows)
}

async fn from_exchange(call: Call, Path((vhost, name)): Path<(String, String)>) -> Answer {
    let (vhost, name) = exchange(&call, &vhost, &name)?;
    let rows = from(&call, &vhost, &name);
    show_all(&call, rows)
}

async fn to_exchange(call: Call, Path((vhost, name)): Path<(String, String)>) -> Answer {
    let (vhost, name) = exchange(&call, &vhost, &name)?;
    let bindings = call.engine.broker.bindings_to(&vhost, &Destination::Exchange(name));
    let rows = bindings.into_iter().map(|spec| (vhost.clone(), spec)).collect();
    show_all(&call, rows)
}

/// The two ends that a path names.
struct Pair {
    vhost: Name,
    source: Name,
    destination: Destination,
}

impl Pair {
    fn of((vhost, source, kind, destination): &Ends, call: &Call) -> Result<Self, Failure> {
        let vhost = call.vhost(vhost)?;
        let destination = match kind.as_str() {
            "q" => Destination::Queue(Name::from(destination.as_str())),
            "e" => Destination::Exchange(named(destination)),
            _ => return Err(Failure::no_object()),
        };
        Ok(Self { vhost, source: named(source), destination })
    }

    /// Both ends exist: 404 if not.
    fn expect_both(&self, call: &Call) -> Result<(), Failure> {
        let broker = &call.engine.broker;
        let is_exchange = |name: &Name| broker.has_exchange(&self.vhost, name);
        let has_destination = match &self.destination {
            Destination::Queue(name) => broker.has_queue(&self.vhost, name),
            Destination::Exchange(name) => is_exchange(name),
        };
        if has_destination && is_exchange(&self.source) { Ok(()) } else { Err(Failure::no_object()) }
    }

    fn bindings(&self, call: &Call) -> Vec<Row> {
        let all = match &self.destination {
            Destination::Queue(name) if self.source.is_empty() => vec![default_binding(name.clone())],
            destination => call.engine.broker.bindings_to(&self.vhost, destination),
        };
        let ours = all.into_iter().filter(|spec| spec.source == self.source);
        ours.map(|spec| (self.vhost.clone(), spec)).collect()
    }

    fn called(&self, call: &Call, key: &str) -> Result<Arc<BindingSpec>, Failure> {
        let found = self.bindings(call).into_iter().find(|(_, spec)| is_called(spec, key));
        found.map(|(_, spec)| spec).ok_or_else(Failure::no_object)
    }
}

async fn between(call: Call, Path(ends): Path<Ends>) -> Answer {
    let pair = Pair::of(&ends, &call)?;
    pair.expect_both(&call)?;
    let rows = pair.bindings(&call);
    show_all(&call, rows)
}

async fn bind(call: Call, Path(ends): Path<Ends>, body: Bytes) -> Answer {
    let (pair, document) = (Pair::of(&ends, &call)?, Document::parse(&body)?);
    let spec = BindingSpec {
        source: pair.source,
        destination: pair.destination,
        key: Bytes::copy_from_slice(short(document.text("routing_key"))?.as_bytes()),
        arguments: document.arguments(&call.management.limits)?,
        announced: false,
        attributes: Table::new(),
    };
    let key = properties_key(&spec);
    call.session(&pair.vhost).await?.define(Definition::Bind(spec)).await?;
    let destination = utf8_percent_encode(&ends.3, ESCAPED);
    made_at(&format!("{destination}/{key}"))
}

async fn one(
    call: Call,
    Path((vhost, source, kind, destination, key)): Path<(String, String, String, String, String)>,
) -> Answer {
    let pair = Pair::of(&(vhost, source, kind, destination), &call)?;
    let spec = pair.called(&call, &key)?;
    call.listing()?.one(show(&pair.vhost, &spec))
}

async fn unbind(
    call: Call,
    Path((vhost, source, kind, destination, key)): Path<(String, String, String, String, String)>,
) -> Answer {
    let pair = Pair::of(&(vhost, source, kind, destination), &call)?;
    let spec = pair.called(&call, &key)?;
    call.session(&pair.vhost).await?.define(Definition::Unbind((*spec).clone())).await?;
    done()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(key: &'static str, arguments: &Value) -> BindingSpec {
        BindingSpec {
            key: Bytes::from_static(key.as_bytes()),
            arguments: super::super::values::to_table(arguments).unwrap(),
            ..(*default_binding("q".into())).clone()
        }
    }

    #[test]
    fn a_properties_key_is_written_as_rabbitmq_writes_it() {
        let key = |key, arguments: Value| properties_key(&spec(key, &arguments));
        assert_eq!(key("", json!({})), "~");
        assert_eq!(key("a.b", json!({})), "a.b");
        assert_eq!(key("all.*", json!({})), "all.%2A");
        let with_arguments = key("orders.#", json!({ "why": "scene" }));
        let (escaped, digest) = with_arguments.split_once('~').unwrap();
        assert_eq!((escaped, digest.len()), ("orders.%23", 6));
        assert_ne!(with_arguments, key("orders.#", json!({ "why": "other" })));
        assert!(key("", json!({ "x": 1 })).starts_with('~'));
    }

    #[test]
    fn a_binding_is_found_by_its_key_escaped_or_not() {
        let spec = spec("all.*", &json!({}));
        assert!(is_called(&spec, "all.%2A") && is_called(&spec, "all.*"));
        assert!(!is_called(&spec, "all.#") && !is_called(&spec, "~"));
    }
}

//! Connections. What only a connection's machine knows is asked of those that are shown.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::routing::get;
use crossdock_common::{Description, DropReason, Name};
use serde_json::{Value, json};

use super::Management;
use super::answer::{Answer, Failure, done};
use super::call::Call;
use super::values::{extend, from_table};
use crate::broker::Connection;
use crate::telemetry::Protocol;

/// What a client is told whose connection is closed, unless the header says something else.
const REASON: &str = "Closed via management plugin";
const REASON_HEADER: &str = "x-reason";
/// Columns that are known without asking a connection.
const OWN_COLUMNS: [&str; 8] =
    ["name", "user", "vhost", "connected_at", "recv_oct", "send_oct", "peer_host", "peer_port"];

pub(super) fn routes() -> Router<Arc<Management>> {
    Router::new()
        .route("/connections", get(list))
        .route("/connections/{name}", get(one).delete(close))
        .route("/connections/username/{user}", get(of_user).delete(close_user))
        .route("/vhosts/{vhost}/connections", get(in_vhost))
}

/// A connection and what it says about itself, if it was asked and answered.
#[derive(Clone)]
pub(super) struct Known {
    pub name: String,
    pub connection: Arc<Connection>,
    pub description: Option<Description>,
}

impl Known {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { name: connection.name(), connection, description: None }
    }

    async fn ask(self) -> Self {
        let description = self.connection.describe().await;
        Self { description, ..self }
    }
}

/// Asks all of them at the same time: each answers when it is woken.
pub(super) async fn ask_all(all: Vec<Known>) -> Vec<Known> {
    let asked: Vec<_> = all.into_iter().map(|known| tokio::spawn(known.ask())).collect();
    let mut answered = Vec::with_capacity(asked.len());
    for known in asked {
        answered.extend(known.await);
    }
    answered
}

/// Those that the visitor sees: monitors see all, others their own.
pub(super) fn visible(call: &Call) -> Vec<Known> {
    let all = call.engine.connections.all().into_iter();
    let is_theirs = |connection: &Arc<Connection>| call.visitor.is_monitor() || connection.user == call.visitor.name;
    all.filter(is_theirs).map(Known::new).collect()
}

async fn list(call: Call) -> Answer {
    let all = visible(&call);
    answer(&call, all).await
}

async fn in_vhost(call: Call, Path(vhost): Path<String>) -> Answer {
    let vhost = call.vhost(&vhost)?;
    let mut all = visible(&call);
    all.retain(|known| known.connection.vhost == vhost);
    answer(&call, all).await
}

async fn answer(call: &Call, all: Vec<Known>) -> Answer {
    let listing = call.listing()?;
    let all = match listing.sorts_by() {
        Some(column) if !OWN_COLUMNS.contains(&column) => ask_all(all).await,
        _ => all,
    };
    let mut selected = listing.select(all, |known| &known.name, |known| show(call, known))?;
    selected.rows = ask_all(selected.rows).await;
    Ok(selected.answer(|known| show(call, known)))
}

fn show(call: &Call, known: &Known) -> Value {
    let Known { name, connection, description } = known;
    let description = description.clone().unwrap_or_default();
    let protocol = match description.protocol.is_empty() {
        true => protocol_word(connection.protocol).to_owned(),
        false => description.protocol.to_string(),
    };
    let mut value = json!({
        "name": name, "user": connection.user.as_str(), "user_who_performed_action": connection.user.as_str(),
        "vhost": connection.vhost.as_str(), "node": call.node(), "type": "network", "state": "running",
        "protocol": protocol, "connected_at": connection.connected_at.0,
        "host": connection.local.ip().to_string(), "port": connection.local.port(),
        "peer_host": connection.peer.ip().to_string(), "peer_port": connection.peer.port(),
        "auth_mechanism": description.auth_mechanism, "channels": description.channels.len(),
        "channel_max": description.channel_max, "frame_max": description.frame_bytes_max,
        "timeout": description.heartbeat_s, "client_properties": from_table(&description.client_properties),
    });
    extend(&mut value, octets(call, connection));
    extend(&mut value, tls(connection));
    extend(&mut value, json!({ "drops": drops(&description) }));
    if let (Some(given), Value::Object(members)) = (&description.name, &mut value) {
        members.insert("user_provided_name".to_owned(), given.to_string().into());
    }
    value
}

fn octets(call: &Call, connection: &Connection) -> Value {
    let between = call.management.rates.octets(&[connection.id]);
    let octets = &connection.octets;
    json!({
        "recv_oct": octets.received.load(Ordering::Relaxed), "recv_cnt": octets.reads.load(Ordering::Relaxed),
        "send_oct": octets.sent.load(Ordering::Relaxed), "send_cnt": octets.writes.load(Ordering::Relaxed),
        "recv_oct_details": between.details(|octets| octets.0), "send_oct_details": between.details(|octets| octets.1),
        "send_pend": 0,
    })
}

/// Ours alone: messages that the client did not get, by the reason.
fn drops(description: &Description) -> Value {
    let counts = DropReason::ALL.into_iter().zip(description.drops);
    counts.map(|(reason, messages)| (reason.word().to_owned(), Value::from(messages))).collect()
}

fn tls(connection: &Connection) -> Value {
    json!({
        "ssl": connection.tls, "ssl_protocol": null, "ssl_cipher": null, "ssl_hash": null, "ssl_key_exchange": null,
        "peer_cert_subject": null, "peer_cert_issuer": null, "peer_cert_validity": null,
    })
}

fn protocol_word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Amqp091 => "AMQP 0-9-1",
        Protocol::Mqtt => "MQTT",
        Protocol::Stomp => "STOMP",
        Protocol::Aws | Protocol::Management | Protocol::Unknown => "HTTP",
    }
}

/// RabbitMQ's words for the end of a connection that something belongs to.
pub(super) fn peer_details(connection: &Connection) -> Value {
    json!({
        "name": connection.name(), "peer_host": connection.peer.ip().to_string(), "peer_port": connection.peer.port(),
    })
}

pub(super) fn find(call: &Call, name: &str) -> Result<Known, Failure> {
    let all = call.engine.connections.all().into_iter().map(Known::new);
    let found = all.into_iter().find(|known| known.name == name).ok_or_else(Failure::no_object)?;
    if call.visitor.is_monitor() || found.connection.user == call.visitor.name {
        return Ok(found);
    }
    Err(Failure::not_authorised("User not authorised to access object"))
}

async fn one(call: Call, Path(name): Path<String>) -> Answer {
    let known = find(&call, &name)?.ask().await;
    call.listing()?.one(show(&call, &known))
}

async fn close(call: Call, Path(name): Path<String>, headers: HeaderMap) -> Answer {
    let known = find(&call, &name)?;
    expect_own(&call, &known.connection.user)?;
    call.engine.broker.end_connection(known.connection.id, reason(&headers).into());
    done()
}

/// Monitors see what is others'; only administrators end it.
fn expect_own(call: &Call, user: &Name) -> Result<(), Failure> {
    if call.visitor.name == *user { Ok(()) } else { call.visitor.expect_administrator() }
}

fn reason(headers: &HeaderMap) -> &str {
    headers.get(REASON_HEADER).and_then(|reason| reason.to_str().ok()).unwrap_or(REASON)
}

fn connections_of_user(call: &Call, user: &str) -> Result<Vec<Known>, Failure> {
    if !call.visitor.is_monitor() && *call.visitor.name != *user {
        return Err(Failure::not_authorised("User not authorised to access object"));
    }
    let mut all = visible(call);
    all.retain(|known| *known.connection.user == *user);
    Ok(all)
}

async fn of_user(call: Call, Path(user): Path<String>) -> Answer {
    let all = connections_of_user(&call, &user)?;
    let show = |known: &Known| {
        json!({
            "name": known.name, "vhost": known.connection.vhost.as_str(), "user": known.connection.user.as_str(),
            "node": call.node(),
        })
    };
    call.listing()?.answer(all, |known| &known.name, show)
}

async fn close_user(call: Call, Path(user): Path<String>, headers: HeaderMap) -> Answer {
    expect_own(&call, &Name::from(user.as_str()))?;
    for known in connections_of_user(&call, &user)? {
        call.engine.broker.end_connection(known.connection.id, reason(&headers).into());
    }
    done()
}

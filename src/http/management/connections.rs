//! Connections, channels and consumers. What only a connection's machine knows is asked of those connections that are shown.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::Path;
use axum::http::HeaderMap;
use axum::routing::get;
use crossdock_common::description::ChannelDescription;
use crossdock_common::names::ConnectionId;
use crossdock_common::{Description, Name};
use crossdock_core::{ConsumerFigures, QueueView};
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
        .route("/connections/{name}/channels", get(channels_of))
        .route("/connections/username/{user}", get(of_user).delete(close_user))
        .route("/vhosts/{vhost}/connections", get(in_vhost))
        .route("/channels", get(channels))
        .route("/channels/{name}", get(channel))
        .route("/vhosts/{vhost}/channels", get(channels_in_vhost))
        .route("/consumers", get(consumers))
        .route("/consumers/{vhost}", get(consumers_in_vhost))
}

/// A connection and what it says about itself, if it was asked and answered.
#[derive(Clone)]
struct Known {
    name: String,
    connection: Arc<Connection>,
    description: Option<Description>,
}

impl Known {
    fn new(connection: Arc<Connection>) -> Self {
        Self { name: connection.name(), connection, description: None }
    }

    async fn ask(self) -> Self {
        let description = self.connection.describe().await;
        Self { description, ..self }
    }
}

/// Asks all of them at the same time: each answers when it is woken.
async fn ask_all(all: Vec<Known>) -> Vec<Known> {
    let asked: Vec<_> = all.into_iter().map(|known| tokio::spawn(known.ask())).collect();
    let mut answered = Vec::with_capacity(asked.len());
    for known in asked {
        answered.extend(known.await);
    }
    answered
}

/// Those that the visitor sees: monitors see all, others their own.
fn visible(call: &Call) -> Vec<Known> {
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
        Protocol::Aws | Protocol::Management => "HTTP",
    }
}

/// RabbitMQ's words for the end of a connection that something belongs to.
pub(super) fn peer_details(connection: &Connection) -> Value {
    json!({
        "name": connection.name(), "peer_host": connection.peer.ip().to_string(), "peer_port": connection.peer.port(),
    })
}

fn find(call: &Call, name: &str) -> Result<Known, Failure> {
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

/// A channel of a connection.
struct Channel {
    name: String,
    known: Known,
    description: ChannelDescription,
}

async fn channels_among(all: Vec<Known>) -> Vec<Channel> {
    let mut channels = Vec::new();
    for known in ask_all(all).await {
        for description in known.description.iter().flat_map(|description| &description.channels) {
            let name = format!("{} ({})", known.name, description.number);
            channels.push(Channel { name, known: known.clone(), description: description.clone() });
        }
    }
    channels
}

async fn channels(call: Call) -> Answer {
    let all = visible(&call);
    let all = channels_among(all).await;
    call.listing()?.answer(all, |channel| &channel.name, |channel| show_channel(&call, channel))
}

async fn channels_in_vhost(call: Call, Path(vhost): Path<String>) -> Answer {
    let vhost = call.vhost(&vhost)?;
    let mut all = visible(&call);
    all.retain(|known| known.connection.vhost == vhost);
    let all = channels_among(all).await;
    call.listing()?.answer(all, |channel| &channel.name, |channel| show_channel(&call, channel))
}

async fn channels_of(call: Call, Path(name): Path<String>) -> Answer {
    let all = channels_among(vec![find(&call, &name)?]).await;
    call.listing()?.answer(all, |channel| &channel.name, |channel| show_channel(&call, channel))
}

async fn channel(call: Call, Path(name): Path<String>) -> Answer {
    let (connection, _) = name.rsplit_once(" (").ok_or_else(Failure::no_object)?;
    let all = channels_among(vec![find(&call, connection)?]).await;
    let channel = all.into_iter().find(|channel| channel.name == name).ok_or_else(Failure::no_object)?;
    let mut value = show_channel(&call, &channel);
    let consumers = consumers_of_channel(&call, &channel).await?;
    let more = json!({ "consumer_details": consumers, "publishes": [], "deliveries": [] });
    extend(&mut value, more);
    call.listing()?.one(value)
}

fn show_channel(call: &Call, channel: &Channel) -> Value {
    let Channel { name, known, description } = channel;
    let (connection, user) = (&known.connection, known.connection.user.as_str());
    let published = description.published.unwrap_or(0);
    json!({
        "name": name, "number": description.number, "node": call.node(), "user": user,
        "user_who_performed_action": user, "vhost": connection.vhost.as_str(), "state": "running",
        "connection_details": peer_details(connection), "consumer_count": description.consumers.len(),
        "prefetch_count": description.prefetch, "global_prefetch_count": description.prefetch_global,
        "confirm": description.confirm, "transactional": description.transactional,
        "messages_unacknowledged": description.unsettled, "messages_unconfirmed": description.unconfirmed,
        "messages_uncommitted": description.uncommitted, "acks_uncommitted": description.settlements_uncommitted,
        "pending_raft_commands": 0,
        "message_stats": {
            "publish": published, "confirm": published.saturating_sub(description.unconfirmed),
            "deliver_get": description.delivered,
        },
    })
}

/// Consumers of the queues that this channel consumes from.
async fn consumers_of_channel(call: &Call, channel: &Channel) -> Result<Vec<Value>, Failure> {
    let connection = &channel.known.connection;
    let queues = channel.description.consumers.iter().map(|consumer| &consumer.queue);
    let mut views: Vec<QueueView> =
        queues.filter_map(|queue| call.engine.broker.queue_view(call.now, &connection.vhost, queue)).collect();
    views.sort_by_key(|view| view.id);
    views.dedup_by_key(|view| view.id);
    let all = consumers_of(call, &views).await;
    let is_ours = |consumer: &Value| consumer["channel_details"]["name"] == channel.name.as_str();
    Ok(all.into_iter().filter(is_ours).collect())
}

async fn consumers(call: Call) -> Answer {
    consumers_within(call, None).await
}

async fn consumers_in_vhost(call: Call, Path(vhost): Path<String>) -> Answer {
    consumers_within(call, Some(vhost)).await
}

async fn consumers_within(call: Call, vhost: Option<String>) -> Answer {
    let asked = call.clone();
    let views = asked.aside(move |call| consumed_queues(call, vhost.as_deref())).await?;
    let all = consumers_of(&call, &views).await;
    let name = |consumer: &Value| consumer["consumer_tag"].as_str().unwrap_or_default().to_owned();
    let rows: Vec<(String, Value)> = all.into_iter().map(|consumer| (name(&consumer), consumer)).collect();
    call.listing()?.answer(rows, |(tag, _)| tag, |(_, consumer)| consumer.clone())
}

fn consumed_queues(call: &Call, vhost: Option<&str>) -> Result<Vec<QueueView>, Failure> {
    let mut views = Vec::new();
    for vhost in call.vhosts(vhost)? {
        for name in call.engine.broker.queue_names(&vhost).unwrap_or_default() {
            let view = call.engine.broker.queue_view(call.now, &vhost, &name);
            views.extend(view.filter(|view| !view.figures.consumers.is_empty()));
        }
    }
    Ok(views)
}

/// The consumers of some queues: what queues know of them, and what their connections say.
pub(super) async fn consumers_of(call: &Call, views: &[QueueView]) -> Vec<Value> {
    let mut connections: HashMap<ConnectionId, Known> = HashMap::new();
    for figures in views.iter().flat_map(|view| &view.figures.consumers) {
        if let Some(connection) = call.engine.connections.find(figures.connection) {
            connections.entry(figures.connection).or_insert_with(|| Known::new(connection));
        }
    }
    let described = ask_all(connections.into_values().collect()).await;
    let described: HashMap<ConnectionId, Known> =
        described.into_iter().map(|known| (known.connection.id, known)).collect();
    let mut shown = Vec::new();
    for view in views {
        let of_queue = view.figures.consumers.iter();
        shown.extend(of_queue.map(|figures| show_consumer(call, view, figures, described.get(&figures.connection))));
    }
    shown
}

fn show_consumer(call: &Call, view: &QueueView, figures: &ConsumerFigures, known: Option<&Known>) -> Value {
    let channels = known.and_then(|known| known.description.as_ref()).map(|description| &description.channels);
    let found = channels.into_iter().flatten().find_map(|channel| {
        let consumer = channel.consumers.iter().find(|consumer| consumer.id == figures.id)?;
        Some((channel.number, consumer))
    });
    let status = if figures.active { "up" } else { "waiting" };
    let tag = found.map_or_else(|| format!("consumer-{}", figures.id.0), |(_, consumer)| consumer.tag.to_string());
    json!({
        "consumer_tag": tag, "queue": { "name": view.spec.name.as_str(), "vhost": view.vhost.as_str() },
        "ack_required": !figures.presettled, "exclusive": figures.exclusive, "active": figures.active,
        "activity_status": status,
        "prefetch_count": found.map_or(figures.window, |(_, consumer)| consumer.prefetch),
        "arguments": found.map_or_else(|| json!({}), |(_, consumer)| from_table(&consumer.arguments)),
        "channel_details": channel_details(call, known, found.map_or(1, |(number, _)| number)),
    })
}

fn channel_details(call: &Call, known: Option<&Known>, number: u16) -> Value {
    let Some(Known { name, connection, .. }) = known else { return json!({}) };
    json!({
        "connection_name": name, "name": format!("{name} ({number})"), "number": number, "node": call.node(),
        "peer_host": connection.peer.ip().to_string(), "peer_port": connection.peer.port(),
        "user": connection.user.as_str(),
    })
}

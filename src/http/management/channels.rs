//! Channels and consumers, as queues and connections tell of them.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use crossdock_common::description::ChannelDescription;
use crossdock_common::names::ConnectionId;
use crossdock_core::{ConsumerFigures, QueueView};
use serde_json::{Value, json};

use super::Management;
use super::answer::{Answer, Failure};
use super::call::Call;
use super::connections::{Known, ask_all, find, peer_details, visible};
use super::values::{extend, from_table};

pub(super) fn routes() -> Router<Arc<Management>> {
    Router::new()
        .route("/connections/{name}/channels", get(channels_of))
        .route("/channels", get(channels))
        .route("/channels/{name}", get(channel))
        .route("/vhosts/{vhost}/channels", get(channels_in_vhost))
        .route("/consumers", get(consumers))
        .route("/consumers/{vhost}", get(consumers_in_vhost))
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

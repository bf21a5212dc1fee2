//! FIFO topics. A hidden FIFO queue gives every message its place in the topic and knows those that were published before.
//!
//! What goes into that queue is the message without its body, and it goes again at once. Then the message itself is published to
//! the topic, with its place and the same deduplication id. So whatever a crash or a full queue leaves undone is done when the
//! publisher tries again: who has the message already knows it, and nobody else loses it.

use std::collections::BTreeMap;

use bytes::Bytes;
use crossdock_common::definition::{
    BindingSpec, DeduplicationScope, Definition, Destination, ExchangeInfo, Fifo, QueueSettings, QueueSpec,
};
use crossdock_common::message::Deduplication;
use crossdock_common::{Message, Name, Table, Text};
use sha2::{Digest, Sha256};

use super::publications::{Key, Publication};
use super::publish::{Entry, outcome};
use super::topics::{KEPT, kept};
use crate::call::Job;
use crate::convert::properties::Properties;
use crate::desk::{Placed, Published};
use crate::digest::{hex, uuid_text};
use crate::error::Failure;
use crate::sqs::fifo::sequence_number;
use crate::sqs::send::message;
use crate::wire::{Shape, View};

/// What leads from the topic to its hidden queue; subscriptions have the empty key.
const KEY: &[u8] = b"aws.sns.fifo";
/// What the names of those queues begin with.
pub(super) const PREFIX: &str = "aws.sns.fifo.";
/// How long a message's place stays in that queue, in milliseconds. It knows the message for five minutes all the same.
const STAY_MS: u64 = 1;
const IDENTIFIER_BYTES_MAX: usize = 128;
/// The type of exchange that FIFO topics are: it lets the two keys apart.
pub(super) const KIND: &str = "direct";

pub(super) fn is_fifo(info: &ExchangeInfo) -> bool {
    kept(info, KEPT, "FifoTopic") == Some("true")
}

fn order_queue(topic: &str) -> Name {
    format!("{PREFIX}{topic}").into()
}

/// Within what an id stands for one message.
pub(super) fn scope_of(value: Option<&str>) -> DeduplicationScope {
    match value {
        Some("MessageGroup") => DeduplicationScope::MessageGroup,
        _ => DeduplicationScope::Queue,
    }
}

fn scope(info: &ExchangeInfo) -> DeduplicationScope {
    scope_of(kept(info, KEPT, "FifoThroughputScope"))
}

fn settings(scope: DeduplicationScope) -> QueueSettings {
    QueueSettings {
        fifo: Some(Fifo { deduplication_scope: scope }),
        message_ttl_ms: Some(STAY_MS),
        ..QueueSettings::default()
    }
}

/// Those of a queue from which a subscription's messages go out in their order. What is one message is known already: within a group,
/// so that nothing is one here that was two before.
pub(super) fn outward_settings() -> QueueSettings {
    let fifo = Fifo { deduplication_scope: DeduplicationScope::MessageGroup };
    QueueSettings { fifo: Some(fifo), ..QueueSettings::default() }
}

/// Makes the hidden queue of a topic that exists; there may be one already.
pub(super) async fn declare(job: &Job, topic: &Name, scope: DeduplicationScope) -> Result<(), Failure> {
    let settings = settings(scope).into();
    let spec = QueueSpec { name: order_queue(topic), durable: true, settings, ..QueueSpec::default() };
    job.desk.define(Definition::DeclareQueue { spec, passive: false }).await.map_err(Failure::of_topic)?;
    let binding = BindingSpec {
        source: topic.clone(),
        destination: Destination::Queue(order_queue(topic)),
        key: Bytes::from_static(KEY),
        arguments: Table::new(),
        announced: false,
        attributes: Table::new(),
    };
    job.desk.define(Definition::Bind(binding)).await.map(drop).map_err(Failure::of_topic)
}

/// Changes within what ids stand for one message.
pub(super) async fn set_scope(job: &Job, topic: &Name, scope: DeduplicationScope) -> Result<(), Failure> {
    let (name, settings) = (order_queue(topic), settings(scope).into());
    let update = Definition::UpdateQueue { name, settings, attributes: Table::new() };
    job.desk.define(update).await.map(drop).map_err(Failure::of_topic)
}

pub(super) async fn delete(job: &Job, topic: &str) -> Result<(), Failure> {
    let deletion = Definition::DeleteQueue { name: order_queue(topic), if_unused: false, if_empty: false };
    job.desk.define(deletion).await.map(drop).map_err(Failure::of_topic)
}

/// The group and the identity of a message, which FIFO topics need; others have no identities.
pub(super) fn identity(view: View<'_>, info: &ExchangeInfo) -> Result<(Option<Text>, Option<Text>), Failure> {
    let group = identifier(view, "MessageGroupId")?;
    let id = identifier(view, "MessageDeduplicationId")?;
    if !is_fifo(info) {
        return if id.is_some() { Err(not_of_this_type("MessageDeduplicationId")) } else { Ok((group, None)) };
    }
    if group.is_none() {
        return Err(refuse("The MessageGroupId parameter is required for FIFO topics"));
    }
    let is_by_content = kept(info, KEPT, "ContentBasedDeduplication") == Some("true");
    let of_content = || hex(&Sha256::digest(view.text("Message").ok().flatten().unwrap_or_default())).into();
    match id.or_else(|| is_by_content.then(of_content)) {
        Some(id) => Ok((group, Some(id))),
        None => Err(refuse(
            "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly",
        )),
    }
}

pub(super) fn not_of_this_type(parameter: &str) -> Failure {
    refuse(&format!(
        "{parameter} Reason: The request includes {parameter} parameter that is not valid for this topic type"
    ))
}

fn refuse(text: &str) -> Failure {
    Failure::SnsInvalid(text.to_owned())
}

fn identifier(view: View<'_>, parameter: &'static str) -> Result<Option<Text>, Failure> {
    let Some(id) = view.text(parameter)? else { return Ok(None) };
    if id.is_empty() || id.len() > IDENTIFIER_BYTES_MAX || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refuse(&format!(
            "{parameter} Reason: {parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length"
        )));
    }
    Ok(Some(id.into()))
}

/// A message on its way.
enum Started {
    /// Everybody has it.
    Known(Publication),
    /// The hidden queue is asked for its place, by a publish of this number.
    Asked(Box<Entry>, u64),
}

/// A message that has a place.
struct Sent {
    publication: Publication,
    key: Key,
    /// The publish that asked for the place.
    asked: u64,
}

/// Publishes all, then waits for each.
pub(super) async fn send(job: &Job, info: &ExchangeInfo, entries: Vec<Entry>) -> Vec<Result<Shape, Failure>> {
    let started: Vec<Started> = entries.into_iter().map(|entry| start(job, info, entry)).collect();
    let mut on_their_way = BTreeMap::new();
    let mut sent = Vec::with_capacity(started.len());
    for one in started {
        sent.push(match one {
            Started::Known(publication) => Err(Ok(publication)),
            Started::Asked(entry, asked) => go_on(job, info, *entry, asked, &mut on_their_way).await.map_err(Err),
        });
    }
    let mut arrived = BTreeMap::new();
    for (message_id, confirm) in on_their_way {
        arrived.insert(message_id, outcome(job.desk.published(confirm).await));
    }
    let mut results = Vec::with_capacity(sent.len());
    for one in sent {
        results.push(match one {
            Ok(sent) => end(job, sent, &arrived).await,
            Err(known) => known.map(show),
        });
    }
    results
}

fn start(job: &Job, info: &ExchangeInfo, entry: Entry) -> Started {
    match job.environment.memory.publication(&key(info, &entry), job.desk.now().instant) {
        Some(known) => Started::Known(known),
        None => {
            let asked = job.desk.publish(receipt(job, info, &entry));
            Started::Asked(Box::new(entry), asked)
        }
    }
}

fn key(info: &ExchangeInfo, entry: &Entry) -> Key {
    let group = match scope(info) {
        DeduplicationScope::MessageGroup => entry.properties.group.as_deref().unwrap_or_default(),
        DeduplicationScope::Queue => "",
    };
    let id = entry.deduplication.as_deref().unwrap_or_default();
    (info.spec.name.clone(), info.created_at.0, format!("{group}\0{id}"))
}

/// What the hidden queue gets.
fn receipt(job: &Job, info: &ExchangeInfo, entry: &Entry) -> Message {
    let Properties { message_id, group, .. } = &entry.properties;
    let properties = Properties { message_id: *message_id, group: group.clone(), ..Properties::default() };
    let mut message = message(job, info.spec.name.clone(), Bytes::from_static(KEY), &properties, Bytes::new());
    message.rare_mut().deduplication = deduplication(entry);
    message
}

fn deduplication(entry: &Entry) -> Option<Deduplication> {
    let id = entry.deduplication.clone()?;
    Some(Deduplication { id, message_id: entry.properties.message_id })
}

/// Publishes the message itself, once its place is known and unless the same request has done so already.
async fn go_on(
    job: &Job,
    info: &ExchangeInfo,
    mut entry: Entry,
    asked: u64,
    on_their_way: &mut BTreeMap<u128, u64>,
) -> Result<Sent, Failure> {
    let (asked, placed) = place(job, info, &entry, asked).await?;
    let message_id = placed.original.unwrap_or(entry.properties.message_id);
    let publication = Publication { message_id, position: placed.position };
    let key = key(info, &entry);
    entry.properties.message_id = message_id;
    entry.properties.sequence = Some(placed.position);
    on_their_way.entry(message_id).or_insert_with(|| {
        let body = Bytes::from(entry.body.clone());
        let mut message = message(job, info.spec.name.clone(), Bytes::new(), &entry.properties, body);
        message.rare_mut().deduplication = deduplication(&entry);
        job.desk.publish(message)
    });
    Ok(Sent { publication, key, asked })
}

/// The place of a message; the hidden queue is made anew if somebody has deleted it.
async fn place(job: &Job, info: &ExchangeInfo, entry: &Entry, asked: u64) -> Result<(u64, Placed), Failure> {
    if let Some(placed) = job.desk.place(asked).await {
        return Ok((asked, placed));
    }
    match job.desk.published(asked).await {
        Published::Unroutable => declare(job, &info.spec.name, scope(info)).await?,
        other => outcome(other)?,
    }
    let asked = job.desk.publish(receipt(job, info, entry));
    job.desk.place(asked).await.map(|placed| (asked, placed)).ok_or(Failure::Internal)
}

async fn end(job: &Job, sent: Sent, arrived: &BTreeMap<u128, Result<(), Failure>>) -> Result<Shape, Failure> {
    outcome(job.desk.published(sent.asked).await)?;
    arrived.get(&sent.publication.message_id).cloned().unwrap_or(Err(Failure::Internal))?;
    job.environment.memory.published(sent.key, sent.publication, job.desk.now().instant);
    Ok(show(sent.publication))
}

fn show(publication: Publication) -> Shape {
    Shape::fields([
        ("MessageId", Shape::text(uuid_text(publication.message_id))),
        ("SequenceNumber", Shape::text(sequence_number(publication.position))),
    ])
}

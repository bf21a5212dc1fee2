//! Publish and PublishBatch.

use std::collections::BTreeSet;

use bytes::Bytes;
use crossdock_common::Text;
use crossdock_common::definition::ExchangeInfo;
use serde_json::Value as Json;

use super::direct::{self, Target};
use super::topics::{self, permitted};
use super::{data_protection, fifo, view};
use crate::call::{Job, cost_bytes};
use crate::convert::attributes::parse_all;
use crate::convert::is_base64;
use crate::convert::properties::Properties;
use crate::desk::Published;
use crate::digest::uuid_text;
use crate::error::Failure;
use crate::json_text;
use crate::sqs::send::message;
use crate::wire::{Service, Shape, View, is_legal};

/// Largest message of a topic that does not say otherwise.
pub(super) const MESSAGE_BYTES_MAX: usize = 262_144;
const SUBJECT_CHARS_MAX: usize = 100;
const ENTRIES_MAX: usize = 10;
const ID_BYTES_MAX: usize = 80;

/// A message of a request, read and checked.
pub(super) struct Entry {
    pub body: String,
    pub properties: Properties,
    /// What a FIFO topic knows it by.
    pub deduplication: Option<Text>,
    /// Bytes of what was given: of a message that has a text for each protocol, all of them.
    given_bytes: usize,
}

pub(super) async fn publish(job: &Job) -> Result<Shape, Failure> {
    job.may_publish()?;
    if let Some(target) = Target::of(job)? {
        return direct::publish(job, &target).await;
    }
    let info = topic(job).await?;
    let mut entry = read(job, &info, view(job), "")?;
    data_protection::apply(&info, &mut entry)?;
    if entry.cost_bytes() > message_bytes_max(job, &info) {
        return Err(Failure::SnsInvalid("Message too long".to_owned()));
    }
    send(job, &info, vec![entry]).await.pop().unwrap_or(Err(Failure::Internal))
}

async fn topic(job: &Job) -> Result<ExchangeInfo, Failure> {
    let topic = view(job).text("TopicArn")?;
    let (arn, parameter) = match topic {
        Some(arn) => (arn, "TopicArn"),
        None => (view(job).text("TargetArn")?.unwrap_or_default(), "TargetArn"),
    };
    permitted(job, job.place.topic_of(arn, parameter)?).await
}

fn message_bytes_max(job: &Job, info: &ExchangeInfo) -> usize {
    topics::message_bytes_max(info).unwrap_or(MESSAGE_BYTES_MAX).min(job.environment.message_bytes_max)
}

pub(super) async fn publish_batch(job: &Job) -> Result<Shape, Failure> {
    job.may_publish()?;
    let info = topic(job).await?;
    let entries = entries(view(job))?;
    let (mut ids, mut good, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (id, entry)) in entries.into_iter().enumerate() {
        // A broken attribute refuses the whole request, as in AWS, and so does what FIFO topics want.
        fifo::identity(entry, &info)?;
        let path = format!("publishBatchRequestEntries.{}.member.", index + 1);
        let read = read(job, &info, entry, &path).and_then(|mut entry| {
            data_protection::apply(&info, &mut entry)?;
            Ok(entry)
        });
        match read {
            Ok(entry) => {
                ids.push(id);
                good.push(entry);
            }
            Err(failure @ Failure::SnsValidation(_)) => return Err(failure),
            Err(failure) => failed.push(failure_entry(id, &failure)),
        }
    }
    if good.iter().map(Entry::cost_bytes).sum::<usize>() > message_bytes_max(job, &info) {
        return Err(Failure::SnsBatchTooLong);
    }
    let mut successful = Vec::new();
    for (id, result) in ids.into_iter().zip(send(job, &info, good).await) {
        match result {
            Ok(Shape::Fields(mut fields)) => {
                fields.insert(0, ("Id", Shape::text(id)));
                successful.push(Shape::Fields(fields));
            }
            Ok(_) => {}
            Err(failure) => failed.push(failure_entry(id, &failure)),
        }
    }
    Ok(Shape::fields([("Successful", Shape::list("member", successful)), ("Failed", Shape::list("member", failed))]))
}

fn failure_entry(id: &str, failure: &Failure) -> Shape {
    Shape::fields([
        ("Id", Shape::text(id)),
        ("Code", Shape::text(failure.query_code())),
        ("Message", Shape::text(failure.text())),
        ("SenderFault", Shape::Bool(failure.status() < 500)),
    ])
}

fn entries(view: View<'_>) -> Result<Vec<(&str, View<'_>)>, Failure> {
    let entries = view.list("PublishBatchRequestEntries")?.unwrap_or_default();
    match entries.len() {
        0 => return Err(Failure::SnsEmptyBatch),
        1..=ENTRIES_MAX => {}
        _ => return Err(Failure::SnsBatchEntries),
    }
    let mut ids = BTreeSet::new();
    let mut named = Vec::with_capacity(entries.len());
    for entry in entries {
        let id = entry.text("Id")?.unwrap_or_default();
        check_id(id)?;
        if !ids.insert(id) {
            return Err(Failure::SnsBatchIdRepeated);
        }
        named.push((id, entry));
    }
    Ok(named)
}

fn check_id(id: &str) -> Result<(), Failure> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let text = match id {
        id if id.len() > ID_BYTES_MAX => format!("The Id of a batch entry in the batch request is too long: {id}"),
        id if id.is_empty() || !id.bytes().all(legal) => {
            format!("The Id of a batch entry in the batch request contains an impermissible character: {id}")
        }
        _ => return Ok(()),
    };
    Err(Failure::SnsBatchId(text))
}

fn read(job: &Job, info: &ExchangeInfo, view: View<'_>, path: &str) -> Result<Entry, Failure> {
    let mut entry = read_for(job, view, path, "sqs")?;
    (entry.properties.group, entry.deduplication) = fifo::identity(view, info)?;
    if view.text("MessageStructure")? == Some("json") {
        entry.properties.structure = view.text("Message")?.map(Text::from);
    }
    Ok(entry)
}

/// Reads a message whose text is for one protocol, or for all.
pub(super) fn read_for(job: &Job, view: View<'_>, path: &str, protocol: &str) -> Result<Entry, Failure> {
    let attributes = parse_all(view, Service::Sns, path)?;
    let given = view.text("Message")?.unwrap_or_default();
    if given.is_empty() && !is_base64(&attributes) {
        return Err(Failure::SnsInvalid("Empty message".to_owned()));
    }
    let body = match view.text("MessageStructure")? {
        Some("json") => structured(given, protocol)?,
        _ => given.to_owned(),
    };
    if !is_legal(&body) {
        return Err(Failure::SnsInvalid("Message Reason: it has characters that XML cannot carry".to_owned()));
    }
    let properties = Properties {
        message_id: job.desk.uuid(),
        attributes,
        system_attributes: job.trace_attribute().into_iter().collect(),
        subject: subject(view)?,
        ..Properties::default()
    };
    Ok(Entry { body, properties, deduplication: None, given_bytes: given.len() })
}

/// One text for each protocol: that of the one that is asked for, or the default one. A topic keeps the others beside it
/// (`outward.rs`).
fn structured(given: &str, protocol: &str) -> Result<String, Failure> {
    let refuse = |reason: &str| Failure::SnsInvalid(format!("Message Structure - {reason}"));
    let Some(Json::Object(texts)) = json_text::parse(given) else {
        return Err(refuse("JSON message body failed to parse"));
    };
    let default = texts.get("default").and_then(Json::as_str);
    let default = default.ok_or_else(|| refuse("No default entry in JSON message body"))?;
    Ok(texts.get(protocol).and_then(Json::as_str).unwrap_or(default).to_owned())
}

fn subject(view: View<'_>) -> Result<Option<Text>, Failure> {
    let Some(subject) = view.text("Subject")? else { return Ok(None) };
    let legal = |character: char| !character.is_control();
    let length = subject.chars().count();
    if !(1..=SUBJECT_CHARS_MAX).contains(&length) || !subject.chars().all(legal) || subject.starts_with(' ') {
        return Err(Failure::SnsInvalid("Subject".to_owned()));
    }
    Ok(Some(subject.into()))
}

/// Publishes all, then waits for each.
async fn send(job: &Job, info: &ExchangeInfo, entries: Vec<Entry>) -> Vec<Result<Shape, Failure>> {
    if fifo::is_fifo(info) {
        return fifo::send(job, info, entries).await;
    }
    let sent: Vec<(u128, u64)> = entries
        .into_iter()
        .map(|Entry { body, properties, .. }| {
            let message = message(job, info.spec.name.clone(), Bytes::new(), &properties, Bytes::from(body));
            (properties.message_id, job.desk.publish(message))
        })
        .collect();
    let mut results = Vec::with_capacity(sent.len());
    for (id, confirm) in sent {
        let id = Shape::fields([("MessageId", Shape::text(uuid_text(id)))]);
        results.push(outcome(job.desk.published(confirm).await).map(|()| id));
    }
    results
}

pub(super) fn outcome(published: Published) -> Result<(), Failure> {
    match published {
        // A topic without subscriptions takes messages all the same.
        Published::Confirmed | Published::Unroutable => Ok(()),
        Published::Rejected => Err(Failure::Unavailable("A queue of the topic is full.".to_owned())),
        Published::Refused(refusal) => Err(Failure::of_topic(refusal)),
    }
}

impl Entry {
    /// What it counts for in the topic's limit.
    pub(super) fn cost_bytes(&self) -> usize {
        cost_bytes("", &self.properties.attributes) + self.given_bytes.max(self.body.len())
    }
}

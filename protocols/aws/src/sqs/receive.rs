//! ReceiveMessage: a fetch, and every message as SQS shows it.

use crossdock_common::command::{Fetch, Lease};
use crossdock_common::definition::QueueInfo;
use crossdock_common::event::Delivery;
use crossdock_common::{FormatTag, Lane, Text};

use super::send::identifier;
use super::{attributes, fifo, queue, view};
use crate::call::Job;
use crate::convert::attributes::{Attribute, TRACE_HEADER};
use crate::convert::from_hub;
use crate::convert::properties::Properties;
use crate::digest::{md5_hex, md5_of_attributes, uuid_of_place, uuid_text};
use crate::error::Failure;
use crate::memory::Received;
use crate::receipt::Receipt;
use crate::sns::envelope;
use crate::wire::{Shape, View};

const MESSAGES_MAX: i64 = 10;
/// Where neither the request nor the queue says how long a message is invisible.
const VISIBILITY_MS_DEFAULT: u64 = 30_000;
/// Messages of a standard queue that may be in flight; FIFO queues have other bounds.
const IN_FLIGHT_MAX: u64 = 120_000;
const WAIT_S_MAX: i64 = 20;
pub(super) const VISIBILITY_S_MAX: i64 = 43_200;

/// What can be asked for beside the body.
const SYSTEM_NAMES: [&str; 10] = [
    "All",
    "SenderId",
    "SentTimestamp",
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SequenceNumber",
    "MessageDeduplicationId",
    "MessageGroupId",
    TRACE_HEADER,
    "DeadLetterQueueSourceArn",
];

/// Which attributes a client wants to see.
struct Selection<'a> {
    system: Vec<&'a str>,
    attributes: Vec<&'a str>,
}

pub(super) async fn receive(job: &Job) -> Result<Shape, Failure> {
    let selection = Selection::read(view(job))?;
    let count_max = bounded(view(job).integer("MaxNumberOfMessages")?, "MaxNumberOfMessages", 1, MESSAGES_MAX)?;
    let wait = bounded(view(job).integer("WaitTimeSeconds")?, "WaitTimeSeconds", 0, WAIT_S_MAX)?;
    let lease = bounded(view(job).integer("VisibilityTimeout")?, "VisibilityTimeout", 0, VISIBILITY_S_MAX)?;
    let info = queue(job).await?;
    let attempt = attempt_id(job, &info)?;
    if let Some(id) = attempt
        && let Some(received) = again(job, &info, id, lease).await
    {
        return Ok(show_all(job, &info, &received, &selection));
    }
    if !fifo::is_fifo(&info) && info.unsettled >= IN_FLIGHT_MAX {
        return Err(Failure::OverLimit(
            "Too many messages are in flight: delete some, or wait until they are visible again.".to_owned(),
        ));
    }
    let wait_s = wait.unwrap_or_else(|| attributes::wait_seconds(&info));
    let fetch = Fetch {
        lane: Lane(0),
        queue: info.spec.name.clone(),
        count_max: u32::try_from(count_max.unwrap_or(1)).unwrap_or(1),
        presettled: false,
        lease: lease.map_or(Lease::QueueDefault, |seconds| Lease::Timed { lease_ms: seconds * 1000 }),
        wait_ms: wait_s * 1000,
    };
    let deliveries = job.desk.fetch(fetch).await.map_err(Failure::of_queue)?;
    let received = Received { deliveries, at: job.desk.now().unix };
    if let Some(id) = attempt.filter(|_| !received.deliveries.is_empty()) {
        job.environment.memory.received(&info.spec.name, id, received.clone(), job.desk.now().instant);
    }
    Ok(show_all(job, &info, &received, &selection))
}

fn show_all(job: &Job, info: &QueueInfo, received: &Received, selection: &Selection<'_>) -> Shape {
    let messages = received.deliveries.iter().map(|delivery| {
        let receipt = Receipt { delivery: delivery.id, received_at: received.at };
        show(job, info, delivery, job.receipts().issue(&info.spec.name, receipt), selection)
    });
    Shape::Fields(vec![("Messages", Shape::list("Message", messages))])
}

/// What a receive is called, so that it can be asked for again if its answer is lost.
fn attempt_id<'a>(job: &'a Job, info: &QueueInfo) -> Result<Option<&'a str>, Failure> {
    const NAME: &str = "ReceiveRequestAttemptId";
    let Some(id) = view(job).text(NAME)? else { return Ok(None) };
    if !fifo::is_fifo(info) {
        return Err(fifo::not_of_this_type(id, NAME));
    }
    identifier(id, NAME).map(|_| Some(id))
}

/// The messages that were received with that id, if all of them still are with whoever received them; their time begins anew.
async fn again(job: &Job, info: &QueueInfo, id: &str, lease_s: Option<u64>) -> Option<Received> {
    let received = job.environment.memory.attempt(&info.spec.name, id, job.desk.now().instant)?;
    let lease_ms =
        lease_s.map(|seconds| seconds * 1000).or(info.spec.settings.lease_ms).unwrap_or(VISIBILITY_MS_DEFAULT);
    let extended: Vec<_> = received.deliveries.iter().map(|one| job.desk.extend_lease(one.id, lease_ms)).collect();
    let mut are_there = true;
    for request in extended {
        are_there &= job.desk.reply(request).await.is_ok();
    }
    are_there.then_some(received)
}

/// A number within its bounds, or SQS's complaint about it.
pub(super) fn bounded(value: Option<i64>, name: &str, min: i64, max: i64) -> Result<Option<u64>, Failure> {
    let Some(value) = value else { return Ok(None) };
    if (min..=max).contains(&value) {
        return Ok(Some(value.unsigned_abs()));
    }
    let reason = match name {
        "MaxNumberOfMessages" => format!("Must be between {min} and {max}, if provided."),
        "WaitTimeSeconds" => format!("Must be >= {min} and <= {max}, if provided."),
        _ => format!("Must be between {min} and {max}."),
    };
    Err(Failure::value(value, name, &reason))
}

impl<'a> Selection<'a> {
    fn read(view: View<'a>) -> Result<Self, Failure> {
        let mut system = view.texts("AttributeNames")?;
        system.extend(view.texts("MessageSystemAttributeNames")?);
        if let Some(unknown) = system.iter().find(|name| !SYSTEM_NAMES.contains(name)) {
            return Err(Failure::UnknownAttribute((*unknown).to_owned()));
        }
        Ok(Self { system, attributes: view.texts("MessageAttributeNames")? })
    }

    fn has_system(&self, name: &str) -> bool {
        self.system.iter().any(|wanted| *wanted == "All" || *wanted == name)
    }

    /// `All`, `.*`, a name, or the beginning of one before `.*`.
    fn has_attribute(&self, name: &str) -> bool {
        self.attributes.iter().any(|wanted| {
            *wanted == "All"
                || *wanted == name
                || wanted.strip_suffix(".*").is_some_and(|start| name.starts_with(start))
        })
    }
}

/// Body, attributes and id of a message, whichever protocol wrote it.
pub(crate) struct Seen {
    pub id: u128,
    pub body: Text,
    pub attributes: Vec<Attribute>,
    pub properties: Properties,
}

/// Looks at a delivery with SQS's eyes.
pub(crate) fn see(delivery: &Delivery) -> Seen {
    let message = &delivery.message;
    if message.format.tag() == FormatTag::AWS {
        let properties = Properties::decode(&message.properties);
        let body = Text::try_from(message.body.clone()).unwrap_or_default();
        return Seen { id: properties.message_id, body, attributes: properties.attributes.clone(), properties };
    }
    let hub = message.hub();
    let foreign = from_hub(hub, hub.body.as_ref().unwrap_or(&message.body));
    let properties = Properties { subject: hub.subject.clone(), group: hub.group_id.clone(), ..Properties::default() };
    let id = uuid_of_place(delivery.id.queue.0, delivery.id.position);
    Seen { id, body: foreign.body, attributes: foreign.attributes, properties }
}

/// A message that was moved is another one in its new queue, and stays that one wherever it dies.
fn id_after_move(delivery: &Delivery) -> Option<u128> {
    let moved = delivery.message.rare.as_ref()?.moved?;
    Some(uuid_of_place(moved.queue.0, moved.position))
}

fn show(job: &Job, info: &QueueInfo, delivery: &Delivery, handle: String, selection: &Selection<'_>) -> Shape {
    let mut seen = see(delivery);
    if let Some(notification) = envelope::notification(job, delivery, &seen) {
        seen.body = notification.into();
        seen.attributes.clear();
    } else {
        seen.attributes.extend(envelope::replayed(delivery));
    }
    seen.attributes.retain(|attribute| selection.has_attribute(&attribute.name));
    let system = system_attributes(job, info, delivery, &seen.properties);
    let system = system.into_iter().filter(|(name, _)| selection.has_system(name));
    let mut fields = vec![
        ("MessageId", Shape::text(uuid_text(id_after_move(delivery).unwrap_or(seen.id)))),
        ("ReceiptHandle", Shape::text(handle)),
        ("MD5OfBody", Shape::text(md5_hex(seen.body.as_bytes()))),
        ("Body", Shape::text(&*seen.body)),
        ("Attributes", Shape::text_map("Attribute", system.map(|(name, value)| (name.to_owned(), value)))),
    ];
    if let Some(sum) = md5_of_attributes(&seen.attributes) {
        fields.push(("MD5OfMessageAttributes", Shape::text(sum)));
        let entries = seen.attributes.iter().map(|one| (one.name.to_string(), one.shape())).collect();
        fields.push(("MessageAttributes", Shape::Map { element: "MessageAttribute", entries }));
    }
    Shape::Fields(fields)
}

fn system_attributes(
    job: &Job,
    info: &QueueInfo,
    delivery: &Delivery,
    properties: &Properties,
) -> Vec<(&'static str, String)> {
    let message = &delivery.message;
    // The core does not remember over a restart when it was first handed out.
    let first = Some(delivery.first_delivered_at).filter(|first| first.0 > 0).unwrap_or_else(|| job.desk.now().unix);
    let mut attributes = vec![
        ("SenderId", message.user.to_string()),
        ("SentTimestamp", message.received_at.0.to_string()),
        ("ApproximateReceiveCount", (delivery.delivery_count + 1).to_string()),
        ("ApproximateFirstReceiveTimestamp", first.0.to_string()),
    ];
    if let Some(group) = &properties.group {
        attributes.push(("MessageGroupId", group.to_string()));
    }
    if fifo::is_fifo(info) {
        attributes.push(("SequenceNumber", fifo::sequence_number(delivery.id.position)));
        let deduplication = message.rare.as_ref().and_then(|rare| rare.deduplication.as_ref());
        attributes.extend(deduplication.map(|known| ("MessageDeduplicationId", known.id.to_string())));
    }
    if let Some(death) = message.deaths().first() {
        attributes.push(("DeadLetterQueueSourceArn", job.place.queue_arn(&death.queue)));
    }
    for attribute in &properties.system_attributes {
        if let crate::convert::attributes::AttributeValue::Text(text) = &attribute.value {
            attributes.push((TRACE_HEADER, text.to_string()));
        }
    }
    attributes
}

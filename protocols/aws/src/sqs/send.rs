//! SendMessage and SendMessageBatch. The answer goes out when the message is as durable as the broker makes it.

use bytes::Bytes;
use crossdock_common::definition::QueueInfo;
use crossdock_common::message::Deduplication;
use crossdock_common::{Message, Name, Text};

use super::{attributes, batch, fifo, queue, view};
use crate::call::{Job, cost_bytes};
use crate::convert::attributes::{Attribute, TRACE_HEADER, parse, parse_all};
use crate::convert::properties::Properties;
use crate::convert::{FORMAT, has_envelope, is_base64};
use crate::desk::{Placed, Published};
use crate::digest::{md5_hex, md5_of_attributes, uuid_text};
use crate::error::Failure;
use crate::wire::{Service, Shape, View, is_legal};

const DELAY_S_MAX: i64 = 900;
const IDENTIFIER_BYTES_MAX: usize = 128;
/// Id, three sums and a sequence number.
const RECEIPT_FIELDS_MAX: usize = 5;

/// One message of a request, read and checked.
struct Entry<'a> {
    body: &'a str,
    properties: Properties,
    delay_ms: Option<u64>,
    deduplication: Option<Deduplication>,
}

pub(super) async fn send(job: &Job) -> Result<Shape, Failure> {
    job.may_publish()?;
    let info = queue(job).await?;
    let entry = read(job, &info, view(job), attributes::message_bytes_max(job, &info))?;
    publish(job, &info, entry).answer(job).await
}

pub(super) async fn send_batch(job: &Job) -> Result<Shape, Failure> {
    job.may_publish()?;
    let info = queue(job).await?;
    let entries = batch::entries(view(job))?;
    fifo::check_entries(&info, &entries)?;
    let (good, mut results) = sort(job, &info, entries)?;
    // All are published before one is waited for: one write to the disk does for all of them.
    let sent: Vec<_> = good.into_iter().map(|(id, entry)| (id, publish(job, &info, entry))).collect();
    for (id, sent) in sent {
        results.push((id, sent.answer(job).await));
    }
    Ok(batch::answer("SendMessageBatchResultEntry", results))
}

type Good<'a> = Vec<(&'a str, Entry<'a>)>;
type Results<'a> = Vec<(&'a str, Result<Shape, Failure>)>;

/// The entries that can be sent, and the others. Each may be as large as the queue says, all together as large as a message of any queue.
fn sort<'a>(
    job: &Job,
    info: &QueueInfo,
    entries: Vec<(&'a str, View<'a>)>,
) -> Result<(Good<'a>, Results<'a>), Failure> {
    let (mut good, mut results) = (Good::new(), Results::new());
    for (id, entry) in entries {
        match read(job, info, entry, usize::MAX) {
            Ok(entry) => good.push((id, entry)),
            Err(failure) => results.push((id, Err(failure))),
        }
    }
    let (max, sent) = (job.environment.message_bytes_max, good.iter().map(|(_, entry)| entry.cost_bytes()).sum());
    if sent > max {
        return Err(Failure::BatchTooLong { max, sent });
    }
    let max = attributes::message_bytes_max(job, info);
    let is_long = |(_, entry): &mut (&str, Entry<'_>)| entry.cost_bytes() > max;
    results.extend(good.extract_if(.., is_long).map(|(id, _)| (id, Err(Failure::message_too_long(max)))));
    Ok((good, results))
}

fn read<'a>(job: &Job, info: &QueueInfo, view: View<'a>, max: usize) -> Result<Entry<'a>, Failure> {
    let attributes = parse_all(view, Service::Sqs, "")?;
    // Another protocol's empty body comes back with an attribute that says so.
    let body = match view.text("MessageBody")? {
        Some(body) if !body.is_empty() || is_base64(&attributes) => body,
        _ => return Err(Failure::MissingParameter("MessageBody")),
    };
    if cost_bytes(body, &attributes) > max {
        return Err(Failure::message_too_long(max));
    }
    if !is_legal(body) {
        return Err(Failure::MessageContents);
    }
    let properties = Properties {
        message_id: job.desk.uuid(),
        attributes,
        system_attributes: system_attributes(view)?,
        group: group(view)?,
        ..Properties::default()
    };
    let deduplication = fifo::identity(view, info, properties.group.as_ref(), properties.message_id)?;
    Ok(Entry { body, properties, delay_ms: delay_ms(view)?, deduplication })
}

fn delay_ms(view: View<'_>) -> Result<Option<u64>, Failure> {
    let Some(seconds) = view.integer("DelaySeconds")? else { return Ok(None) };
    if !(0..=DELAY_S_MAX).contains(&seconds) {
        return Err(Failure::value(
            seconds,
            "DelaySeconds",
            &format!("DelaySeconds must be >= 0 and <= {DELAY_S_MAX}."),
        ));
    }
    Ok(Some(seconds.unsigned_abs() * 1000))
}

fn group(view: View<'_>) -> Result<Option<Text>, Failure> {
    view.text("MessageGroupId")?.map(|group| identifier(group, "MessageGroupId")).transpose()
}

/// What a group or an identity may be called.
pub(super) fn identifier(id: &str, parameter: &str) -> Result<Text, Failure> {
    if id.is_empty() || id.len() > IDENTIFIER_BYTES_MAX || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        let reason =
            format!("{parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length.");
        return Err(Failure::value(id, parameter, &reason));
    }
    Ok(id.into())
}

fn system_attributes(view: View<'_>) -> Result<Vec<Attribute>, Failure> {
    let given = view.map("MessageSystemAttributes")?;
    let read = |(name, view): (&str, View<'_>)| match name {
        TRACE_HEADER if view.text("DataType")?.is_some_and(|data_type| data_type != "String") => {
            Err(Failure::Invalid(format!("Message system attribute '{name}' must be of type 'String'.")))
        }
        TRACE_HEADER => parse(name, view, Service::Sqs, ""),
        other => Err(Failure::Invalid(format!("Message system attribute name '{other}' is invalid."))),
    };
    given.into_iter().map(read).collect()
}

/// A message on its way.
struct Sent {
    receipt: Receipt,
    confirm: u64,
}

fn publish(job: &Job, info: &QueueInfo, entry: Entry<'_>) -> Sent {
    Sent { receipt: Receipt::of(&entry), confirm: job.desk.publish(entry.into_message(job, &info.spec.name)) }
}

impl Sent {
    /// Waits until it is safe.
    async fn answer(self, job: &Job) -> Result<Shape, Failure> {
        outcome(job.desk.published(self.confirm).await)?;
        Ok(self.receipt.show(job.desk.placed(self.confirm)))
    }
}

fn outcome(published: Published) -> Result<(), Failure> {
    match published {
        Published::Confirmed => Ok(()),
        // It was deleted a moment ago.
        Published::Unroutable => Err(Failure::NoQueue),
        Published::Rejected => Err(Failure::Unavailable("The queue is full.".to_owned())),
        Published::Refused(refusal) => Err(Failure::of_queue(refusal)),
    }
}

/// What the answer says of a message: first what it is called, then the sums.
struct Receipt(Vec<(&'static str, Shape)>);

impl Receipt {
    fn of(entry: &Entry<'_>) -> Self {
        let Properties { message_id, attributes, system_attributes, .. } = &entry.properties;
        let mut fields = Vec::with_capacity(RECEIPT_FIELDS_MAX);
        fields.push(("MessageId", Shape::text(uuid_text(*message_id))));
        fields.push(("MD5OfMessageBody", Shape::text(md5_hex(entry.body.as_bytes()))));
        if let Some(sum) = md5_of_attributes(attributes) {
            fields.push(("MD5OfMessageAttributes", Shape::text(sum)));
        }
        if let Some(sum) = md5_of_attributes(system_attributes) {
            fields.push(("MD5OfMessageSystemAttributes", Shape::text(sum)));
        }
        Self(fields)
    }

    /// A FIFO queue says where the message is, and what it was called when it came first.
    fn show(self, placed: Option<Placed>) -> Shape {
        let Self(mut fields) = self;
        if let Some(Placed { position, original }) = placed {
            if let (Some(original), Some((_, id))) = (original, fields.first_mut()) {
                *id = Shape::text(uuid_text(original));
            }
            fields.push(("SequenceNumber", Shape::text(fifo::sequence_number(position))));
        }
        Shape::Fields(fields)
    }
}

impl Entry<'_> {
    fn cost_bytes(&self) -> usize {
        cost_bytes(self.body, &self.properties.attributes)
    }

    /// The header of the request is the trace of messages that have none. Nobody has sent it as an attribute, so no sum is of it.
    fn into_message(mut self, job: &Job, queue: &Name) -> Message {
        if self.properties.system_attributes.is_empty() {
            self.properties.system_attributes.extend(job.trace_attribute());
        }
        let key = Bytes::copy_from_slice(queue.as_bytes());
        let body = Bytes::copy_from_slice(self.body.as_bytes());
        let mut message = message(job, Name::default(), key, &self.properties, body);
        if let Some(delay_ms) = self.delay_ms {
            message.rare_mut().delay_ms = Some(delay_ms);
        }
        if self.deduplication.is_some() {
            message.rare_mut().deduplication = self.deduplication;
        }
        message
    }
}

/// A message of SQS or SNS, with the broker's facts. Envelope attributes are taken at their word.
pub(crate) fn message(job: &Job, exchange: Name, key: Bytes, properties: &Properties, body: Bytes) -> Message {
    let mut message = Message::new(&FORMAT, exchange, key, properties.encode(), body);
    message.durable = true;
    message.user = job.user.clone();
    message.received_at = job.desk.now().unix;
    if let Some(group) = &properties.group {
        message.rare_mut().group = Some(group.clone());
    }
    if has_envelope(&properties.attributes) {
        let (priority, ttl_ms) = (message.hub().priority, message.hub().ttl_ms);
        message.priority = priority.unwrap_or(0);
        message.ttl_ms = ttl_ms;
    }
    message
}

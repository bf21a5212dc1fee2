//! Publish to one phone number or to one endpoint of a mobile application: a message of the hidden queue
//! [`DIRECT_QUEUE`], which whoever delivers such messages consumes.

use bytes::Bytes;
use crossdock_common::{Message, Name};

use super::control::DIRECT_QUEUE;
use super::publish::{self, Entry};
use super::{endpoints, sms, topics, view};
use crate::arn::is_endpoint;
use crate::call::Job;
use crate::convert::properties::Properties;
use crate::desk::Published;
use crate::digest::uuid_text;
use crate::error::Failure;
use crate::sqs::send::message;
use crate::wire::Shape;

/// Longest text message.
const SMS_CHARS_MAX: usize = 1_600;

/// Whom the request names beside topics.
pub(super) enum Target<'a> {
    /// A number in E.164.
    Phone(&'a str),
    /// The ARN of an endpoint.
    Endpoint(&'a str),
}

impl<'a> Target<'a> {
    /// `None` if the request names a topic, or nothing.
    pub(super) fn of(job: &'a Job) -> Result<Option<Self>, Failure> {
        let view = view(job);
        if let Some(number) = view.text("PhoneNumber")? {
            return Ok(Some(Self::Phone(number)));
        }
        let target = view.text("TargetArn")?.filter(|arn| is_endpoint(arn));
        Ok(target.filter(|_| !matches!(view.text("TopicArn"), Ok(Some(_)))).map(Self::Endpoint))
    }

    /// What the message structure calls its protocol.
    fn protocol(&self) -> Result<&'a str, Failure> {
        match self {
            Self::Phone(_) => Ok("sms"),
            Self::Endpoint(arn) => endpoints::platform(arn),
        }
    }

    /// As it stands in the message's properties.
    fn text(&self) -> String {
        match self {
            Self::Phone(number) => format!("sms:{number}"),
            Self::Endpoint(arn) => format!("application:{arn}"),
        }
    }
}

/// The answer goes out when the message is durable. What is for a number that is opted out goes nowhere, as in AWS.
pub(super) async fn publish(job: &Job, target: &Target<'_>) -> Result<Shape, Failure> {
    let is_wanted = match target {
        Target::Phone(number) => {
            sms::check_to_publish(number)?;
            !sms::is_opted_out(job, number).await?
        }
        Target::Endpoint(arn) => endpoints::check_enabled(job, arn).await.map(|()| true)?,
    };
    let entry = publish::read_for(job, view(job), "", target.protocol()?)?;
    let is_too_long = entry.cost_bytes() > publish::MESSAGE_BYTES_MAX;
    let Entry { body, mut properties, .. } = entry;
    let is_text = matches!(target, Target::Phone(_));
    if is_too_long || (is_text && body.chars().count() > SMS_CHARS_MAX) {
        return Err(Failure::SnsInvalid("Message too long".to_owned()));
    }
    properties.target = Some(target.text().into());
    let id = properties.message_id;
    if is_wanted {
        send(job, &properties, Bytes::from(body)).await?;
    }
    Ok(Shape::fields([("MessageId", Shape::text(uuid_text(id)))]))
}

/// Gives a message to the hidden queue, which is made if it is not there.
pub(super) async fn send(job: &Job, properties: &Properties, body: Bytes) -> Result<(), Failure> {
    let key = Bytes::from_static(DIRECT_QUEUE.as_bytes());
    let message = || message(job, Name::default(), key.clone(), properties, body.clone());
    if deliver(job, message()).await? {
        return Ok(());
    }
    topics::declare_direct(job).await?;
    if deliver(job, message()).await? { Ok(()) } else { Err(Failure::Internal) }
}

/// False if the queue is not there.
async fn deliver(job: &Job, message: Message) -> Result<bool, Failure> {
    match job.desk.published(job.desk.publish(message)).await {
        Published::Confirmed => Ok(true),
        Published::Unroutable => Ok(false),
        Published::Rejected => Err(Failure::Unavailable("There are too many direct messages.".to_owned())),
        Published::Refused(refusal) => Err(Failure::of_topic(refusal)),
    }
}

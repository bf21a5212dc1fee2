//! Messages that SNS itself sends about a subscription, on their way to its endpoint: they wait in queues as all others do.

use bytes::Bytes;
use crossdock_common::{Name, Text};
use serde_json::{Value as Json, json};

use super::envelope::Members;
use super::protocol::Protocol;
use super::subscription::Subscription;
use super::token::Token;
use crate::call::Job;
use crate::convert::properties::Properties;
use crate::desk::Published;
use crate::digest::uuid_text;
use crate::error::Failure;
use crate::office::SignatureVersion;
use crate::sqs::send::message;

/// The queue of what goes to no subscription that is there.
pub const DIRECT_QUEUE: &str = "aws.sns.direct";

/// What it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    SubscriptionConfirmation,
    UnsubscribeConfirmation,
}

impl Kind {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::SubscriptionConfirmation => "SubscriptionConfirmation",
            Self::UnsubscribeConfirmation => "UnsubscribeConfirmation",
        }
    }
}

/// One such message.
#[derive(Clone, Debug)]
pub(super) struct Control {
    pub kind: Kind,
    pub protocol: Protocol,
    pub endpoint: String,
    pub topic_arn: String,
    pub subscription_arn: String,
    pub token: String,
    pub version: SignatureVersion,
}

impl Control {
    pub(super) fn of(job: &Job, subscription: &Subscription, kind: Kind, version: SignatureVersion) -> Self {
        let place = subscription.place(job);
        let token = Token {
            issued_at: job.desk.now().unix,
            region: place.region.clone(),
            id: subscription.id.clone(),
            subscriber: Name::from(subscription.subscriber.as_str()),
        };
        Self {
            kind,
            protocol: subscription.protocol,
            endpoint: subscription.endpoint.clone(),
            topic_arn: place.topic_arn(&subscription.topic),
            subscription_arn: place.subscription_arn(&subscription.topic, &subscription.id),
            token: token.issue(&job.environment.receipt_key),
            version,
        }
    }

    fn encode(&self) -> String {
        json!({
            "Type": self.kind.word(),
            "Protocol": self.protocol.word(),
            "Endpoint": self.endpoint,
            "TopicArn": self.topic_arn,
            "SubscriptionArn": self.subscription_arn,
            "Token": self.token,
            "SignatureVersion": self.version.text(),
        })
        .to_string()
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        let json: Json = serde_json::from_str(text).ok()?;
        let text = |name: &str| json.get(name).and_then(Json::as_str);
        let kinds = [Kind::SubscriptionConfirmation, Kind::UnsubscribeConfirmation];
        Some(Self {
            kind: kinds.into_iter().find(|kind| text("Type") == Some(kind.word()))?,
            protocol: Protocol::from_word(text("Protocol")?)?,
            endpoint: text("Endpoint")?.to_owned(),
            topic_arn: text("TopicArn")?.to_owned(),
            subscription_arn: text("SubscriptionArn")?.to_owned(),
            token: text("Token")?.to_owned(),
            version: SignatureVersion::of_attribute(text("SignatureVersion")),
        })
    }

    /// What it says to people.
    pub(super) fn text(&self) -> String {
        match self.kind {
            Kind::SubscriptionConfirmation => format!(
                "You have chosen to subscribe to the topic {}.\nTo confirm the subscription, visit the SubscribeURL \
                 included in this message.",
                self.topic_arn
            ),
            Kind::UnsubscribeConfirmation => format!(
                "You have chosen to deactivate subscription {}.\nTo cancel this operation and restore the subscription, \
                 visit the SubscribeURL included in this message.",
                self.subscription_arn
            ),
        }
    }

    pub(super) fn subscribe_url(&self, origin: &str) -> String {
        format!("{origin}/?Action=ConfirmSubscription&TopicArn={}&Token={}", self.topic_arn, self.token)
    }

    /// The JSON that goes out, before it is signed.
    pub(super) fn members(&self, message_id: u128, timestamp: String, origin: &str) -> Members {
        vec![
            ("Type", Json::from(self.kind.word())),
            ("MessageId", Json::from(uuid_text(message_id))),
            ("Token", Json::from(self.token.as_str())),
            ("TopicArn", Json::from(self.topic_arn.as_str())),
            ("Message", Json::from(self.text())),
            ("SubscribeURL", Json::from(self.subscribe_url(origin))),
            ("Timestamp", Json::from(timestamp)),
        ]
    }

    /// Leaves it in a queue; it is as safe there as any message when this returns.
    pub(super) async fn post(&self, job: &Job, queue: &str) -> Result<(), Failure> {
        let properties = Properties {
            message_id: job.desk.uuid(),
            control: Some(Text::from(self.encode())),
            ..Properties::default()
        };
        let key = Bytes::copy_from_slice(queue.as_bytes());
        let confirm = job.desk.publish(message(job, Name::default(), key, &properties, Bytes::from(self.text())));
        match job.desk.published(confirm).await {
            Published::Confirmed => Ok(()),
            Published::Unroutable => Err(Failure::Internal),
            Published::Rejected => Err(Failure::Unavailable("A queue of the topic is full.".to_owned())),
            Published::Refused(refusal) => Err(Failure::of_topic(refusal)),
        }
    }
}

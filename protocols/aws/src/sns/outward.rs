//! What goes out of a subscription's hidden queue, for the part of the broker that sends it. Pure: no sockets, no clock.

mod letter;
mod parcel;
mod queue;

use bytes::Bytes;
use crossdock_common::definition::{BindingSpec, ExchangeSpec};
use crossdock_common::event::Delivery;
use crossdock_common::{FormatTag, Message, Name, UnixMillis};
use serde_json::{Value as Json, json};

pub use super::archive::topic_of_archive;
use super::control::Control;
pub use super::control::DIRECT_QUEUE;
use super::delivery_policy::DeliveryPolicy as Policy;
pub use super::delivery_policy::RetryPolicy;
use super::envelope::{self, Members};
pub use super::owner::Needed;
pub use super::protocol::Protocol;
pub use super::replay::{ReplayTask, Status as ReplayStatus};
use super::subscription::{HIDDEN, Subscription};
pub use parcel::{Parcel, Post, Record};
pub use queue::FarQueue;

pub use super::token::TOKEN_MS_MAX as PENDING_MS_MAX;
use super::{redrive, topics};
use crate::arn::Place;
use crate::calendar::iso8601;
use crate::convert::properties::Properties;
use crate::digest::uuid_text;
use crate::namespaces::Namespace;
use crate::office::{PostOffice, SignatureVersion};
use crate::sqs::receive::{Seen, see};

const USER_AGENT: &str = "Amazon Simple Notification Service Agent";
/// What SNS's own messages are; `headerContentType` is for notifications.
const CONTENT_TYPE: &str = "text/plain; charset=UTF-8";

/// Whether messages go out from a queue of that name: a subscription's, or the one of what goes to no subscription. Others that SNS has
/// (those of FIFO topics) begin the same way.
pub fn is_outgoing(queue: &str) -> bool {
    queue == DIRECT_QUEUE || queue.strip_prefix(HIDDEN).is_some_and(is_uuid)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// How the messages of a topic are signed.
pub fn signature_version(topic: &ExchangeSpec) -> SignatureVersion {
    SignatureVersion::of_attribute(topics::kept_with(topic, "SignatureVersion"))
}

/// The ARN of a subscription, if the binding is the one that stands for it. `namespace` says where it is if it does not say so itself.
pub fn subscription_arn(binding: &BindingSpec, namespace: &Namespace) -> Option<String> {
    let subscription = Subscription::of_binding(binding).filter(|one| !one.is_replay)?;
    let place = subscription.place_in(&Place::of(namespace, None));
    Some(place.subscription_arn(&subscription.topic, &subscription.id))
}

/// The queue of what cannot be delivered: of the account that has subscribed, in the region of the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetters {
    /// 12 digits.
    pub account: String,
    /// Where in the account.
    pub region: String,
    /// What it is called there.
    pub queue: Name,
}

impl DeadLetters {
    fn of(policy: &str, place: &Place) -> Option<Self> {
        let queue = Name::from(redrive::queue(policy, place)?);
        Some(Self { account: place.account.clone(), region: place.region.clone(), queue })
    }
}

/// Where messages go.
#[derive(Clone, Debug)]
pub struct Addressee {
    /// By what.
    pub protocol: Protocol,
    /// The URL, address, number or ARN.
    pub endpoint: String,
    /// Whose subscription it is.
    pub subscriber: Name,
    /// What that user has to be permitted in his own account, if that is not the topic's; then nothing is asked of him where the topic is.
    pub needed: Option<Needed>,
    /// When its confirmation was asked for, if nobody has confirmed it.
    pub pending_since: Option<UnixMillis>,
    /// When messages are sent again.
    pub retries: RetryPolicy,
    /// At most so many messages in a second.
    pub per_second_max: Option<u32>,
    /// Where those go that cannot be delivered.
    pub dead_letters: Option<DeadLetters>,
    owner: String,
    content_type: String,
    raw: bool,
    topic_arn: String,
    subscription_arn: String,
    version: SignatureVersion,
}

impl Addressee {
    /// The addressee of a subscription's hidden queue, if the binding is one. `namespace` says where it is if it does not say so itself.
    pub fn of(binding: &BindingSpec, topic: Option<&ExchangeSpec>, namespace: &Namespace) -> Option<Self> {
        let subscription = Subscription::of_binding(binding).filter(|one| !one.is_replay)?;
        let place = subscription.place_in(&Place::of(namespace, None));
        let of_topic = |name| topic.and_then(|topic| topics::kept_with(topic, name));
        let outward = &subscription.outward;
        let policy = Policy::effective(outward.delivery_policy.as_deref(), of_topic("DeliveryPolicy"));
        let owners = subscription.owners_place(&place);
        let dead_letters = outward.redrive_policy.as_deref().and_then(|policy| DeadLetters::of(policy, &owners));
        Some(Self {
            protocol: subscription.protocol,
            subscriber: Name::from(subscription.subscriber.as_str()),
            needed: subscription.needed(&place),
            owner: owners.account,
            pending_since: outward.pending_since,
            retries: retries(subscription.protocol, policy.retries),
            per_second_max: policy.receives_per_second_max.filter(|_| subscription.protocol.is_http()),
            dead_letters,
            content_type: policy.content_type,
            raw: subscription.raw,
            topic_arn: place.topic_arn(&subscription.topic),
            subscription_arn: place.subscription_arn(&subscription.topic, &subscription.id),
            version: topic.map(signature_version).unwrap_or_default(),
            endpoint: subscription.endpoint,
        })
    }

    /// Where a message of [`DIRECT_QUEUE`] goes.
    pub fn of_direct(message: &Message) -> Option<Self> {
        let properties = Properties::decode(&message.properties);
        if let Some(target) = &properties.target {
            return Self::of_target(message, target);
        }
        let control = Control::decode(properties.control.as_deref()?)?;
        Some(Self {
            protocol: control.protocol,
            subscriber: message.user.clone(),
            needed: None,
            owner: String::new(),
            pending_since: None,
            retries: retries(control.protocol, RetryPolicy::HTTP),
            per_second_max: None,
            dead_letters: None,
            content_type: CONTENT_TYPE.to_owned(),
            raw: false,
            topic_arn: control.topic_arn,
            subscription_arn: control.subscription_arn,
            version: control.version,
            endpoint: control.endpoint,
        })
    }

    /// A phone number or an endpoint that somebody published to: `sms:+4912…`, `application:arn:…`.
    fn of_target(message: &Message, target: &str) -> Option<Self> {
        let (word, endpoint) = target.split_once(':')?;
        let protocol = Protocol::from_word(word)?;
        Some(Self {
            protocol,
            subscriber: message.user.clone(),
            needed: None,
            owner: String::new(),
            pending_since: None,
            retries: retries(protocol, RetryPolicy::HTTP),
            per_second_max: None,
            dead_letters: None,
            content_type: CONTENT_TYPE.to_owned(),
            raw: false,
            topic_arn: String::new(),
            subscription_arn: String::new(),
            version: SignatureVersion::default(),
            endpoint: endpoint.to_owned(),
        })
    }

    /// What to send for a message. Signing takes milliseconds.
    pub fn parcel(&self, delivery: &Delivery, office: &dyn PostOffice) -> Parcel {
        let seen = see(delivery);
        let control = seen.properties.control.as_deref().and_then(Control::decode);
        match control {
            Some(control) => self.control_parcel(delivery, &seen, &control, office),
            None if self.protocol.is_http() => Parcel::Post(self.notification_post(delivery, &seen, office)),
            None => Parcel::Record(self.record(delivery, &seen, office)),
        }
    }

    fn control_parcel(&self, delivery: &Delivery, seen: &Seen, control: &Control, office: &dyn PostOffice) -> Parcel {
        let origin = office.public_url();
        if !self.protocol.is_http() {
            let text = format!("{}\n\n{}", control.text(), control.subscribe_url(&origin));
            let envelope = self.email_json(|| control_body(delivery, seen, control, office));
            return Parcel::Record(self.record_of(
                control.kind.word(),
                seen,
                delivery,
                text,
                envelope,
                &[
                    ("Token", Json::from(control.token.as_str())),
                    ("SubscribeURL", Json::from(control.subscribe_url(&origin))),
                ],
            ));
        }
        let body = Bytes::from(control_body(delivery, seen, control, office));
        let headers = self.headers(control.kind.word(), seen, CONTENT_TYPE);
        Parcel::Post(Post { url: self.endpoint.clone(), headers, body })
    }

    fn email_json(&self, envelope: impl FnOnce() -> String) -> Option<String> {
        (self.protocol == Protocol::EmailJson).then(envelope)
    }

    fn notification_post(&self, delivery: &Delivery, seen: &Seen, office: &dyn PostOffice) -> Post {
        let mut headers = self.headers("Notification", seen, &self.content_type);
        headers.push(("x-amz-sns-subscription-arn", self.subscription_arn.clone()));
        let body = if self.raw {
            headers.push(("x-amz-sns-rawdelivery", "true".to_owned()));
            self.raw_body(delivery, seen)
        } else {
            Bytes::from(self.envelope(delivery, seen, office))
        };
        Post { url: self.endpoint.clone(), headers, body }
    }

    /// Another protocol's body as it arrived, though it may be no text.
    fn raw_body(&self, delivery: &Delivery, seen: &Seen) -> Bytes {
        let message = &delivery.message;
        match message.format.tag() {
            FormatTag::AWS => Bytes::from(self.text(seen)),
            _ => message.hub().body.clone().unwrap_or_else(|| message.body.clone()),
        }
    }

    fn headers(&self, kind: &str, seen: &Seen, content_type: &str) -> Vec<(&'static str, String)> {
        vec![
            ("x-amz-sns-message-type", kind.to_owned()),
            ("x-amz-sns-message-id", uuid_text(seen.id)),
            ("x-amz-sns-topic-arn", self.topic_arn.clone()),
            ("content-type", content_type.to_owned()),
            ("user-agent", USER_AGENT.to_owned()),
        ]
    }

    /// The message's text for the protocol.
    fn text(&self, seen: &Seen) -> String {
        let texts: Option<Json> = seen.properties.structure.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let text = |name: &str| texts.as_ref()?.get(name)?.as_str();
        let text = text(self.protocol.word()).or_else(|| text("default"));
        text.map_or_else(|| seen.body.to_string(), str::to_owned)
    }

    fn envelope(&self, delivery: &Delivery, seen: &Seen, office: &dyn PostOffice) -> String {
        envelope::object(&self.members(delivery, seen, office))
    }

    fn members(&self, delivery: &Delivery, seen: &Seen, office: &dyn PostOffice) -> Members {
        let mut members = envelope::message(&self.topic_arn, delivery, seen, &self.text(seen));
        members.extend(envelope::is_replayed(delivery).then(envelope::replayed_member));
        if self.protocol != Protocol::Sqs || office.signs_in_queues() {
            envelope::sign(&mut members, office, self.version);
        }
        envelope::finish(&mut members, &office.public_url(), &self.subscription_arn, seen);
        members
    }

    fn record(&self, delivery: &Delivery, seen: &Seen, office: &dyn PostOffice) -> Record {
        let envelope = self.email_json(|| self.envelope(delivery, seen, office));
        let mut record = self.record_of("Notification", seen, delivery, self.text(seen), envelope, &[]);
        if self.protocol == Protocol::Lambda {
            record.event = Some(self.event(self.members(delivery, seen, office)));
        }
        record
    }

    /// What a function is called with.
    fn event(&self, members: Members) -> Json {
        let name = |name: &str| match name {
            "SigningCertURL" => "SigningCertUrl".to_owned(),
            "UnsubscribeURL" => "UnsubscribeUrl".to_owned(),
            other => other.to_owned(),
        };
        let message: serde_json::Map<String, Json> =
            members.into_iter().map(|(key, value)| (name(key), value)).collect();
        json!({ "Records": [{
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": self.subscription_arn,
            "Sns": message,
        }] })
    }

    fn record_of(
        &self,
        kind: &str,
        seen: &Seen,
        delivery: &Delivery,
        text: String,
        envelope: Option<String>,
        more: &[(&str, Json)],
    ) -> Record {
        let subject = seen.properties.subject.as_deref().map(str::to_owned);
        let mut json = json!({
            "Type": kind,
            "Protocol": self.protocol.word(),
            "Endpoint": self.endpoint,
            "MessageId": uuid_text(seen.id),
            "TopicArn": self.topic_arn,
            "SubscriptionArn": self.subscription_arn,
            "Subject": subject,
            "Message": text,
            "Timestamp": iso8601(delivery.message.received_at),
            "MessageAttributes": envelope::attributes(seen),
        });
        more.iter().for_each(|(name, value)| json[*name] = value.clone());
        let text = envelope.unwrap_or(text);
        Record {
            protocol: self.protocol,
            endpoint: self.endpoint.clone(),
            id: seen.id,
            subject,
            text,
            json,
            event: None,
        }
    }

    /// A word on where it goes, for the log.
    pub fn name(&self) -> &str {
        &self.subscription_arn
    }

    /// It is SNS's own question or goodbye, which nobody misses.
    pub fn is_control(delivery: &Delivery) -> bool {
        see(delivery).properties.control.is_some()
    }
}

fn control_body(delivery: &Delivery, seen: &Seen, control: &Control, office: &dyn PostOffice) -> String {
    let mut members = control.members(seen.id, iso8601(delivery.message.received_at), &office.public_url());
    envelope::sign(&mut members, office, control.version);
    envelope::object(&members)
}

fn retries(protocol: Protocol, http: RetryPolicy) -> RetryPolicy {
    match protocol {
        Protocol::Http | Protocol::Https => http,
        Protocol::Lambda | Protocol::Firehose | Protocol::Sqs => RetryPolicy::SERVICES,
        Protocol::Email | Protocol::EmailJson | Protocol::Sms | Protocol::Application => RetryPolicy::PEOPLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_subscriptions_send_messages_out() {
        assert!(is_outgoing(DIRECT_QUEUE) && is_outgoing("aws.sns.01234567-89ab-cdef-0123-456789abcdef"));
        for other in ["aws.sns.fifo.orders.fifo", "aws.sns.outbox", "aws.sns.", "orders", "aws.sns.archive.orders.fifo"]
        {
            assert!(!is_outgoing(other), "{other}");
        }
    }
}

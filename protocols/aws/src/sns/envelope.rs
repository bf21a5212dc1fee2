//! The JSON that goes to endpoints, and around messages in queues whose subscription has no raw delivery.
//!
//! What is in queues is signed if `aws.sign_queue_notifications` says so: it costs more than all else that a receive does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crossdock_common::event::Delivery;
use serde_json::{Value as Json, json};

use super::protocol::Protocol;
use super::subscription::Subscription;
use crate::calendar::iso8601;
use crate::call::Job;
use crate::convert::attributes::{Attribute, AttributeValue};
use crate::digest::uuid_text;
use crate::office::{PostOffice, SignatureVersion};
use crate::sqs::fifo::sequence_number;
use crate::sqs::receive::Seen;

/// What a message of the archive has.
const REPLAYED: &str = "Replayed";

/// The members that a signature is of, in their order.
const SIGNED: [&str; 8] = ["Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

/// Members in SNS's order.
pub(super) type Members = Vec<(&'static str, Json)>;

/// The notification, if the delivery came through a subscription that wants one.
pub(crate) fn notification(job: &Job, delivery: &Delivery, seen: &Seen) -> Option<String> {
    let subscription = Subscription::of_binding(delivery.binding.as_ref()?)?;
    if subscription.raw || subscription.protocol != Protocol::Sqs {
        return None;
    }
    let topic = job.place.topic_arn(&subscription.topic);
    let mut members = message(&topic, delivery, seen, &seen.body);
    members.extend(subscription.is_replay.then(replayed_member));
    let office = job.environment.office.as_deref().filter(|office| office.signs_in_queues());
    let origin = match office {
        Some(office) => {
            let version = office.signature_version(&job.environment.namespace.vhost, &subscription.topic);
            sign(&mut members, office, version);
            &office.public_url()
        }
        None => &job.origin,
    };
    finish(&mut members, origin, &subscription.arn(job), seen);
    Some(object(&members))
}

/// What a message of the archive has beside its own attributes, where nothing is around it.
pub(crate) fn replayed(delivery: &Delivery) -> Option<Attribute> {
    is_replayed(delivery).then(|| Attribute::text(REPLAYED, "String", "true"))
}

/// The same in the envelope. It is not signed.
pub(super) fn replayed_member() -> (&'static str, Json) {
    (REPLAYED, Json::from("true"))
}

/// Whether a message comes from the archive.
pub(super) fn is_replayed(delivery: &Delivery) -> bool {
    delivery.binding.as_ref().and_then(|binding| Subscription::of_binding(binding)).is_some_and(|one| one.is_replay)
}

/// Everything that is signed, and the place of a message of a FIFO topic, which is not.
pub(super) fn message(topic_arn: &str, delivery: &Delivery, seen: &Seen, body: &str) -> Members {
    let text = |text: &str| Json::from(text);
    let mut members = vec![("Type", text("Notification")), ("MessageId", text(&uuid_text(seen.id)))];
    members.extend(seen.properties.sequence.map(|place| ("SequenceNumber", text(&sequence_number(place)))));
    members.push(("TopicArn", text(topic_arn)));
    members.extend(seen.properties.subject.as_ref().map(|subject| ("Subject", text(subject))));
    members.push(("Message", text(body)));
    members.push(("Timestamp", text(&iso8601(delivery.message.received_at))));
    members
}

/// What comes behind the signature.
pub(super) fn finish(members: &mut Members, origin: &str, subscription_arn: &str, seen: &Seen) {
    let url = format!("{origin}/?Action=Unsubscribe&SubscriptionArn={subscription_arn}");
    members.push(("UnsubscribeURL", Json::from(url)));
    if !seen.attributes.is_empty() {
        members.push(("MessageAttributes", attributes(seen)));
    }
}

/// The message's attributes, each with type and value.
pub(super) fn attributes(seen: &Seen) -> Json {
    Json::Object(seen.attributes.iter().map(attribute).collect())
}

fn attribute(attribute: &Attribute) -> (String, Json) {
    let value = match &attribute.value {
        AttributeValue::Text(text) => text.to_string(),
        AttributeValue::Binary(bytes) => BASE64.encode(bytes),
    };
    (attribute.name.to_string(), json!({ "Type": &*attribute.data_type, "Value": value }))
}

/// Adds the signature of what is there, if there is a key.
pub(super) fn sign(members: &mut Members, office: &dyn PostOffice, version: SignatureVersion) {
    let Some(path) = office.certificate_path() else { return };
    let Some(signature) = office.sign(version, &canonical(members)) else { return };
    members.push(("SignatureVersion", Json::from(version.text())));
    members.push(("Signature", Json::from(signature)));
    members.push(("SigningCertURL", Json::from(format!("{}{path}", office.public_url()))));
}

/// What is signed: names and values of these members in the order of the names, each with a line feed behind it.
fn canonical(members: &Members) -> String {
    let value = |name: &str| members.iter().find(|(known, _)| *known == name);
    SIGNED
        .iter()
        .filter_map(|name| value(name))
        .map(|(name, value)| format!("{name}\n{}\n", value.as_str().unwrap_or_default()))
        .collect()
}

/// A JSON object whose members keep their order, in SNS's layout.
pub(super) fn object(members: &[(&str, Json)]) -> String {
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("  {} : {value}", Json::from(*name))).collect();
    format!("{{\n{}\n}}", members.join(",\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_string_is_sorted() {
        let members = vec![
            ("Type", Json::from("Notification")),
            ("MessageId", Json::from("id")),
            ("SequenceNumber", Json::from("is not signed")),
            ("TopicArn", Json::from("arn")),
            ("Subject", Json::from("s")),
            ("Message", Json::from("line 1\nline 2")),
            ("Timestamp", Json::from("then")),
        ];
        let expected = "Message\nline 1\nline 2\nMessageId\nid\nSubject\ns\nTimestamp\nthen\nTopicArn\narn\n\
                        Type\nNotification\n";
        assert_eq!(canonical(&members), expected);
    }
}

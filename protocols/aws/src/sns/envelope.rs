//! The JSON that a subscription without raw delivery puts around a message.
//!
//! It is not signed: there is no certificate yet whose URL could stand in it. So `SignatureVersion`, `Signature` and
//! `SigningCertURL` are left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crossdock_common::event::Delivery;
use serde_json::{Value as Json, json};

use super::subscription::Subscription;
use crate::calendar::iso8601;
use crate::call::Job;
use crate::convert::attributes::{Attribute, AttributeValue};
use crate::digest::uuid_text;
use crate::sqs::receive::Seen;

/// The notification, if the delivery came through a subscription that wants one.
pub(crate) fn notification(job: &Job, delivery: &Delivery, seen: &Seen) -> Option<String> {
    let subscription = Subscription::of_binding(delivery.binding.as_ref()?)?;
    if subscription.raw {
        return None;
    }
    let text = |text: &str| Json::from(text);
    let arn = subscription.arn(job);
    let mut members = vec![
        ("Type", text("Notification")),
        ("MessageId", text(&uuid_text(seen.id))),
        ("TopicArn", text(&job.place.topic_arn(&subscription.topic))),
    ];
    members.extend(seen.properties.subject.as_ref().map(|subject| ("Subject", text(subject))));
    members.push(("Message", text(&seen.body)));
    members.push(("Timestamp", text(&iso8601(delivery.message.received_at))));
    let url = format!("{}/?Action=Unsubscribe&SubscriptionArn={arn}", job.origin);
    members.push(("UnsubscribeURL", text(&url)));
    if !seen.attributes.is_empty() {
        members.push(("MessageAttributes", Json::Object(seen.attributes.iter().map(attribute).collect())));
    }
    Some(object(&members))
}

fn attribute(attribute: &Attribute) -> (String, Json) {
    let value = match &attribute.value {
        AttributeValue::Text(text) => text.to_string(),
        AttributeValue::Binary(bytes) => BASE64.encode(bytes),
    };
    (attribute.name.to_string(), json!({ "Type": &*attribute.data_type, "Value": value }))
}

/// A JSON object whose members keep their order, in SNS's layout.
fn object(members: &[(&str, Json)]) -> String {
    let members: Vec<String> =
        members.iter().map(|(name, value)| format!("  {} : {value}", Json::from(*name))).collect();
    format!("{{\n{}\n}}", members.join(",\n"))
}

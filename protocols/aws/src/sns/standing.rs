//! Subscriptions of queues outlive their queue, and ask its policy: where their messages go follows from the queue as it is now.
//!
//! The core asks whenever a queue comes, goes or is changed, not for each message. So nothing of a delivery's own circumstances is looked
//! at: a condition on the time finds none.

use crossdock_common::Name;
use crossdock_common::definition::{BindingSpec, QueueSpec, Standing};

use super::redrive;
use super::subscription::Subscription;
use crate::access::SNS;
use crate::arn::{Place, place_of_queue};
use crate::policy::{Caller, Context, Decision, Policy, Question};
use crate::sqs::attributes::policy_in;
use crate::wire::Service;

/// A subscription of a queue of its own place; what goes out goes with its hidden queue.
fn of_queue(binding: &BindingSpec) -> Option<Subscription> {
    Subscription::of_binding(binding).filter(|subscription| !subscription.has_hidden_queue())
}

/// What is to be done when the queue is gone or does not take the topic's messages: the RedrivePolicy says it.
pub(crate) fn standing(binding: &BindingSpec) -> Option<Standing> {
    let policy = of_queue(binding)?.outward.redrive_policy;
    let arn = policy.and_then(|policy| redrive::target(&policy));
    let otherwise = arn.as_deref().and_then(|arn| arn.rsplit(':').next()).map(Name::from);
    Some(Standing { otherwise })
}

/// Whether the policy of the queue lets SNS deliver. One without a policy does, and so does one whose policy does not speak of it.
pub(crate) fn admits(binding: &BindingSpec, queue: &QueueSpec) -> bool {
    // Most policies of queues allow SNS something, and nothing more.
    let denies = |policy: &&str| policy.contains("Deny") || policy.contains('\\');
    if policy_in(&queue.attributes).filter(denies).is_none() {
        return true;
    }
    let Some(subscription) = of_queue(binding) else { return true };
    let Some(place) = place_of_queue(&subscription.endpoint) else { return true };
    let topic_arn = place.topic_arn(&subscription.topic);
    decide(queue, &place, &topic_arn, Context::default()) != Decision::Denied
}

/// What the policy of a queue of that place says of SNS's deliveries of a topic.
pub(super) fn decide(queue: &QueueSpec, place: &Place, topic_arn: &str, context: Context) -> Decision {
    let policy = policy_in(&queue.attributes).and_then(|policy| Policy::parse(policy, Service::Sqs).ok());
    let Some(policy) = policy else { return Decision::Silent };
    let context = circumstances(context, place, topic_arn);
    let (caller, action, resource) = (&Caller::Service(SNS), "sqs:SendMessage", &place.queue_arn(&queue.name));
    policy.decide(&Question { caller, owner: &place.account, action, resource, context: &context })
}

/// A delivery inside the broker crosses no network that somebody could listen to.
fn circumstances(context: Context, place: &Place, topic_arn: &str) -> Context {
    context
        .with("aws:SourceArn", topic_arn)
        .with("aws:SourceAccount", topic_arn.split(':').nth(4).unwrap_or_default())
        .with("aws:ResourceAccount", place.account.as_str())
        .with("aws:RequestedRegion", place.region.as_str())
        .with("aws:PrincipalIsAWSService", "true")
        .with("aws:PrincipalServiceName", SNS)
        .with("aws:SecureTransport", "true")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use crossdock_common::{Text, Value};
    use serde_json::json;

    use super::*;
    use crate::sns::filter::Scope;
    use crate::sns::protocol::Protocol;
    use crate::sns::subscription::Outward;
    use crate::sqs::attributes::keep;

    const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:orders";
    const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:prices";

    fn subscription(endpoint: &str, redrive_policy: Option<&str>) -> Subscription {
        Subscription {
            topic: "prices".into(),
            queue: "orders".into(),
            protocol: Protocol::Sqs,
            key: Bytes::new(),
            id: "1".to_owned(),
            subscriber: "user".to_owned(),
            endpoint: endpoint.to_owned(),
            raw: false,
            filter: None,
            scope: Scope::default(),
            replay: None,
            is_replay: false,
            outward: Outward { redrive_policy: redrive_policy.map(str::to_owned), ..Outward::default() },
            known: None,
        }
    }

    fn queue(name: &str, policy: &str) -> QueueSpec {
        let mut queue = QueueSpec { name: name.into(), ..QueueSpec::default() };
        keep(&mut queue.attributes, "Policy", policy);
        queue
    }

    #[test]
    fn the_policy_decides() {
        let binding = subscription(QUEUE, None).to_binding();
        let deny = |more: &serde_json::Value| {
            let mut statement =
                json!({ "Effect": "Deny", "Principal": "*", "Action": "sqs:SendMessage", "Resource": QUEUE });
            let (Some(all), Some(more)) = (statement.as_object_mut(), more.as_object()) else { return String::new() };
            all.extend(more.clone());
            json!({ "Statement": [statement] }).to_string()
        };
        let condition = |operator: &str, key: &str, value: &str| json!({ "Condition": { operator: { key: value } } });
        for (more, admitted) in [
            (json!({}), false),
            (json!({ "Principal": { "Service": "sns.amazonaws.com" } }), false),
            (json!({ "Principal": { "Service": "s3.amazonaws.com" } }), true),
            (json!({ "Effect": "Allow" }), true),
            (json!({ "Action": "sqs:ReceiveMessage" }), true),
            (json!({ "Resource": "arn:aws:sqs:us-east-1:000000000000:other" }), true),
            (condition("ArnEquals", "aws:SourceArn", TOPIC), false),
            (condition("ArnEquals", "aws:SourceArn", "arn:aws:sns:us-east-1:000000000000:other"), true),
            (condition("ArnNotEquals", "aws:SourceArn", TOPIC), true),
            (condition("StringEquals", "aws:SourceAccount", "000000000000"), false),
            (condition("StringNotEquals", "aws:SourceAccount", "000000000000"), true),
            (condition("Bool", "aws:SecureTransport", "false"), true),
            (condition("DateGreaterThan", "aws:CurrentTime", "2000-01-01T00:00:00Z"), true),
        ] {
            assert_eq!(admits(&binding, &queue("orders", &deny(&more))), admitted, "{more}");
        }
        let escaped = deny(&json!({})).replace("\"Deny\"", "\"\\u0044eny\"");
        assert!(!admits(&binding, &queue("orders", &escaped)));
        assert!(admits(&binding, &queue("orders", "Deny, but no policy")));
        assert!(admits(&binding, &queue("orders", "")));
    }

    #[test]
    fn letters_go_where_the_redrive_policy_says() {
        let standing_of = |redrive| standing(&subscription(QUEUE, redrive).to_binding());
        assert_eq!(standing_of(None), Some(Standing { otherwise: None }));
        let redrive = json!({ "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:letters" }).to_string();
        assert_eq!(standing_of(Some(redrive.as_str())), Some(Standing { otherwise: Some("letters".into()) }));
        let mut outward = subscription(QUEUE, None);
        outward.queue = "aws.sns.01234567-89ab-cdef-0123-456789abcdef".into();
        assert_eq!(standing(&outward.to_binding()), None, "its queue is the subscription's own");
        let mut other = subscription(QUEUE, None).to_binding();
        other.attributes = vec![(Text::from_static("other"), Value::Bool(true))];
        assert_eq!(standing(&other), None, "another protocol's");
    }
}

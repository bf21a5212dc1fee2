//! Topics that other accounts subscribe: what the core is told to let through for each action, and for whom.

use bytes::Bytes;
use crossdock_aws::Request;
use crossdock_common::definition::{BindingSpec, Destination};
use crossdock_common::refusal::Resource;
use crossdock_common::warrant::Right;
use crossdock_common::{Text, Value};
use serde_json::json as json_value;

use crate::access::{Guarded, HOME, OTHER, caller, of_topic};
use crate::core::form;

const ID: &str = "01234567-89ab-cdef-0123-456789abcdef";
const TOPIC: &str = "arn:aws:sns:us-east-1:000000000000:t";

/// A binding with these entries, as SNS keeps a subscription, or as somebody writes whose protocol only knows arguments.
fn binding(owner: Option<&str>, is_forged: bool) -> BindingSpec {
    let text = |name: &'static str, text: &str| (Text::from_static(name), Value::string(text));
    let mut kept = vec![text("id", ID), text("subscriber", "bills"), text("endpoint", "https://example.com/")];
    kept.extend([
        text("protocol", "https"),
        text("region", "us-east-1"),
        (Text::from_static("raw"), Value::Bool(false)),
    ]);
    kept.extend(owner.map(|owner| text("owner", owner)));
    let kept = vec![(Text::from_static("sns-subscription"), Value::Map(kept))];
    let (arguments, attributes) = if is_forged { (kept, Vec::new()) } else { (Vec::new(), kept) };
    let destination = Destination::Queue(format!("aws.sns.{ID}").as_str().into());
    BindingSpec { source: "t".into(), destination, key: Bytes::new(), arguments, announced: true, attributes }
}

/// Topic `t` of account HOME has this subscription, and no policy that gives anything.
fn with(binding: BindingSpec) -> Guarded {
    let mut guarded = Guarded::sharing(&json_value!({ "AWS": OTHER }), &json_value!("sqs:SendMessage"));
    guarded.bindings = vec![binding];
    guarded
}

fn of_subscription(action: &str) -> Request {
    let value = "&AttributeName=RawMessageDelivery&AttributeValue=true";
    let arn = format!("{TOPIC}:{ID}").replace(':', "%3A");
    form("/", &format!("Action={action}&Version=2010-03-31&SubscriptionArn={arn}{value}"))
}

#[test]
fn who_subscribes_is_lent_one_queue() {
    let shared = Guarded::sharing(&json_value!({ "AWS": OTHER }), &json_value!("sns:Subscribe"));
    let subscribe =
        of_topic("Subscribe", HOME, "&Protocol=lambda&Endpoint=arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Af");
    let outcome = shared.ask("bills", OTHER, &subscribe);
    assert_eq!(outcome.response.status, 200, "{}", outcome.text());
    let rights = outcome.rights();
    let (topic, queue) = rights.split_at(rights.len() - 2);
    let read = ("/".to_owned(), Resource::Exchange, "t".to_owned(), Right::Read);
    assert!(topic.iter().all(|one| *one == read), "{rights:?}");
    let name = queue[0].2.clone();
    assert!(name.starts_with("aws.sns.") && outcome.text().contains(&name["aws.sns.".len()..]), "{name}");
    let own = |right| ("/".to_owned(), Resource::Queue, name.clone(), right);
    assert_eq!(queue, [own(Right::Keep), own(Right::Write)]);
    for (user, account) in [("limited", OTHER), ("poor", HOME)] {
        let outcome = shared.ask(user, account, &subscribe);
        assert_eq!((outcome.code().as_str(), outcome.warrants.len()), ("AuthorizationError", 0), "{user}");
    }
    let outcome = shared.ask_as(caller("bills", OTHER, false), &subscribe);
    assert_eq!((outcome.code().as_str(), outcome.warrants.len()), ("AuthorizationError", 0), "nobody signed");
}

#[test]
fn a_subscription_is_its_accounts() {
    let others = with(binding(Some(OTHER), false));
    for (action, lent) in
        [("GetSubscriptionAttributes", false), ("SetSubscriptionAttributes", true), ("Unsubscribe", true)]
    {
        let outcome = others.ask("bills", OTHER, &of_subscription(action));
        let is_lent = outcome.warrants.iter().any(|warrant| warrant.right == Right::Keep);
        assert_eq!(is_lent, lent, "{action}: {}", outcome.text());
        let is_its = |name: &str| name == "t" || name == format!("aws.sns.{ID}") || name == "aws.sns.direct";
        assert!(outcome.warrants.iter().all(|one| is_its(&one.name) && one.vhost.as_str() == "/"));
        for (user, account) in [("third", "222222222222"), ("eve", HOME), ("limited", OTHER)] {
            let outcome = others.ask(user, account, &of_subscription(action));
            assert!(outcome.response.status >= 400 && outcome.warrants.is_empty(), "{user} {action}");
        }
        // The topic's account's own one is nobody's else.
        let outcome = with(binding(None, false)).ask("bills", OTHER, &of_subscription(action));
        assert_eq!((outcome.code().as_str(), outcome.warrants.len()), ("AuthorizationError", 0), "{action}");
    }
}

/// Fields that an action does not have are no part of the question.
#[test]
fn a_request_is_about_what_its_action_says() {
    let others = with(binding(Some(OTHER), false));
    let arn = |arn: &str| arn.replace(':', "%3A");
    let own = format!("&TopicArn={}", arn(&TOPIC.replace(HOME, OTHER)));
    for action in ["GetSubscriptionAttributes", "SetSubscriptionAttributes", "Unsubscribe"] {
        let mut request = of_subscription(action);
        request.body = [&request.body[..], own.as_bytes()].concat().into();
        let outcome = others.ask("bills", OTHER, &request);
        assert_eq!(outcome.response.status, 200, "{action}: {}", outcome.text());
        assert!(!outcome.warrants.is_empty(), "{action}");
    }
    for action in ["ListTopics", "ListSubscriptions", "CreateTopic&Name=t"] {
        let subscription = arn(&format!("{TOPIC}:{ID}"));
        let body = format!("Action={action}&Version=2010-03-31&SubscriptionArn={subscription}");
        let outcome = others.ask("bills", OTHER, &form("/", &body));
        assert_eq!(outcome.vhosts(), [format!("aws/{OTHER}")], "{action}: {}", outcome.text());
    }
}

#[test]
fn arguments_make_no_subscription() {
    let forged = with(binding(Some(OTHER), true));
    let outcome = forged.ask("bills", OTHER, &of_subscription("GetSubscriptionAttributes"));
    assert_eq!((outcome.code().as_str(), outcome.warrants.len()), ("NotFound", 0));
    let outcome = forged.ask("bills", OTHER, &of_subscription("Unsubscribe"));
    assert_eq!((outcome.response.status, outcome.warrants.len()), (200, 0), "ending what is not there is fine");
}

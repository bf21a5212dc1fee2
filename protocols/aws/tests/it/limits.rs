//! How many of something an account can have.

use bytes::Bytes;
use crossdock_common::Value;
use crossdock_common::definition::{BindingSpec, Destination};

use crate::core::{Core, form};

fn subscription(number: usize) -> BindingSpec {
    let kept = ["id", "subscriber", "endpoint"].map(|name| (name.into(), Value::string(number.to_string())));
    let mut kept = kept.to_vec();
    kept.push(("raw".into(), Value::Bool(false)));
    kept.push(("filter".into(), Value::string(r#"{"a":["b"]}"#)));
    BindingSpec {
        source: format!("topic-{}", number / 100).into(),
        destination: Destination::Queue(number.to_string().into()),
        key: Bytes::new(),
        arguments: Vec::new(),
        announced: true,
        attributes: vec![("sns-subscription".into(), Value::Map(kept))],
    }
}

#[test]
fn an_account_has_so_many_filter_policies() {
    let subscribe = |count: usize, attributes: &str| {
        let mut core = Core { bindings: (0..count).map(subscription).collect(), ..Core::default() };
        let (topic, queue) = ("arn:aws:sns:us-east-1:000000000000:t", "arn:aws:sqs:us-east-1:000000000000:q");
        let body = format!("Action=Subscribe&TopicArn={topic}&Protocol=sqs&Endpoint={queue}{attributes}");
        let response = core.answer(&form("/", &body));
        (response.status, String::from_utf8(response.body.to_vec()).expect("UTF-8"))
    };
    let filter = "&Attributes.entry.1.key=FilterPolicy&Attributes.entry.1.value=%7B%22a%22%3A%5B%22b%22%5D%7D";
    assert_eq!(subscribe(9_999, filter).0, 200);
    assert_eq!(subscribe(10_000, "").0, 200, "only those with a filter policy count");
    for count in [10_000, 10_001] {
        let (status, text) = subscribe(count, filter);
        assert_eq!(status, 403, "{text}");
        assert!(text.contains("<Code>FilterPolicyLimitExceeded</Code>"), "{text}");
        assert!(text.contains("An account can have at most 10000 filter policies"), "{text}");
    }
}

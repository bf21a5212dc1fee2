//! Whatever is sent, a response comes and nothing panics.

use crossdock_aws::refuse;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use crate::core::{Core, form, json, request};

const ACTIONS: [&str; 17] = [
    "CreateQueue",
    "DeleteQueue",
    "GetQueueUrl",
    "ListQueues",
    "PurgeQueue",
    "GetQueueAttributes",
    "SetQueueAttributes",
    "SendMessage",
    "SendMessageBatch",
    "ReceiveMessage",
    "DeleteMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "TagQueue",
    "UntagQueue",
    "ListQueueTags",
];

const SNS: [&str; 6] = ["CreateTopic", "Subscribe", "Publish", "PublishBatch", "SetTopicAttributes", "ListTopics"];

#[test]
fn every_cut_of_a_good_body_is_answered() {
    let body = r#"{"QueueUrl":"http://x/000000000000/q","Entries":[{"Id":"a","MessageBody":"m\u00e9","MessageAttributes":{"k":{"DataType":"String","StringValue":"v"}}}]}"#;
    for end in 0..=body.len() {
        let response = Core::default().answer(&json("SendMessageBatch", &body[..end]));
        assert_eq!(response.status == 200, end == body.len(), "{end}");
    }
    let body = "Action=Publish&Version=2010-03-31&TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A000000000000%3At&Message=%C3%A9&MessageAttributes.entry.1.Name=k&MessageAttributes.entry.1.Value.DataType=String&MessageAttributes.entry.1.Value.StringValue=v";
    for end in 0..=body.len() {
        Core::default().answer(&form("/", &body[..end]));
    }
}

#[test]
fn deep_and_wide_bodies_are_refused_or_answered() {
    let deep = "[".repeat(10_000);
    assert_eq!(Core::default().answer(&json("SendMessage", &deep)).status, 400);
    let nested = format!("{{\"Attributes\":{}{}}}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    assert_eq!(Core::default().answer(&json("CreateQueue", &nested)).status, 400);
    for (count, status) in [(9_000, 200), (100_000, 400)] {
        let keys: Vec<String> = (0..count).map(|key| format!("\"k{key}\":1")).collect();
        assert_eq!(Core::default().answer(&json("ListQueues", &format!("{{{}}}", keys.join(",")))).status, status);
    }
    let twice = r#"{"QueueName":"a","QueueName":"q","__type":"x"}"#;
    assert_eq!(Core::default().answer(&json("GetQueueUrl", twice)).status, 200);
    let wide = format!("Action=ListQueues&{}", vec!["Attribute.1.Name=a"; 10_000].join("&"));
    assert_eq!(Core::default().answer(&form("/", &wide)).status, 400);
}

/// JSON of the right names and any types.
fn any_body() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "QueueUrl",
        "QueueName",
        "Attributes",
        "Entries",
        "Id",
        "MessageBody",
        "MessageAttributes",
        "AttributeNames",
        "VisibilityTimeout",
        "ReceiptHandle",
        "DelaySeconds",
        "Tags",
        "NextToken",
        "MaxResults",
        "DataType",
        "StringValue",
    ]);
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "[a-z]{0,3}".prop_map(|text| format!("{text:?}")),
        Just("\"http://x/000000000000/q\"".to_owned()),
    ];
    let value = leaf.prop_recursive(3, 20, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|members| {
                let members: Vec<String> = members.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    });
    prop::collection::vec(value, 16).prop_map(|values| {
        let names = ["QueueName", "Attributes", "Entries", "MessageBody", "MessageAttributes", "AttributeNames"];
        let members: Vec<String> = names.iter().zip(values).map(|(name, value)| format!("{name:?}:{value}")).collect();
        format!("{{\"QueueUrl\":\"/000000000000/q\",{}}}", members.join(","))
    })
}

proptest! {
    #[test]
    fn any_json_is_answered(action in 0..ACTIONS.len(), body in any_body()) {
        let response = Core::default().answer(&json(ACTIONS[action], &body));
        prop_assert!(response.status < 500, "{body} {response:?}");
    }

    #[test]
    fn any_form_is_answered(action in 0..SNS.len(), body in "[A-Za-z0-9.=&%+]{0,80}", path in "/[a-z/]{0,10}") {
        Core::default().answer(&form(&path, &format!("Action={}&{body}", SNS[action])));
    }

    #[test]
    fn any_request_is_answered(
        path in ".{0,20}", query in ".{0,40}", target in prop::option::of(".{0,20}"), body in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let mut request = request(&format!("/{path}?{query}"), &[("content-type", "application/x-www-form-urlencoded")], "");
        let target = target.and_then(|target| HeaderValue::from_bytes(target.as_bytes()).ok());
        request.head.headers.extend(target.map(|target| (HeaderName::from_static("x-amz-target"), target)));
        request.body = body.into();
        Core::default().answer(&request);
        refuse(&request, &crossdock_aws::Failure::NotSigned, 1);
    }
}

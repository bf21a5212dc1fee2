//! Messages on their way in and out.

use bytes::Bytes;
use crossdock_common::definition::{BindingSpec, Destination};
use crossdock_common::testkit::plain_format;
use crossdock_common::{Message, Name, UnixMillis, Value};
use serde_json::{Value as Json, json as json_value};

use crate::core::{Core, bound, delivery, json};

const URL: &str = "http://localhost:9324/000000000000/q";

fn call(core: &mut Core, action: &str, mut body: Json) -> Json {
    body["QueueUrl"] = Json::from(URL);
    let response = core.answer(&json(action, &body.to_string()));
    assert_eq!(response.status, 200, "{response:?}");
    serde_json::from_slice(&response.body).expect("JSON")
}

fn receive(core: &mut Core) -> Json {
    let all = json_value!(["All"]);
    let mut answer =
        call(core, "ReceiveMessage", json_value!({ "MessageAttributeNames": all, "MessageSystemAttributeNames": all }));
    answer["Messages"][0].take()
}

fn foreign(body: &'static [u8]) -> Message {
    let mut message =
        Message::new(plain_format(), Name::default(), Bytes::from_static(b"q"), Bytes::new(), Bytes::from_static(body));
    message.user = Name::from("bob");
    message.received_at = UnixMillis(1_767_323_044_000);
    message
}

#[test]
fn what_is_sent_is_what_is_received() {
    let mut core = Core::default();
    let attributes = json_value!({ "n": { "DataType": "Number.int", "StringValue": "1.50" }, "b": { "DataType": "Binary", "BinaryValue": "AP8=" } });
    let sent = call(
        &mut core,
        "SendMessage",
        json_value!({ "MessageBody": "hello", "MessageAttributes": attributes, "DelaySeconds": 0 }),
    );
    assert_eq!(sent["MD5OfMessageBody"], "5d41402abc4b2a76b9719d911017c592");
    let message = core.published.remove(0);
    assert!(message.durable && message.exchange.is_empty() && message.routing_key == "q");
    assert_eq!(message.rare.as_ref().unwrap().delay_ms, Some(0));
    assert_eq!(message.hub().application_properties[0], ("b".into(), Value::Binary(Bytes::from_static(b"\0\xFF"))));
    core.deliveries = vec![delivery(message.to_mutable(), 1)];
    let got = receive(&mut core);
    assert_eq!((&got["MessageAttributes"], &got["Body"]), (&attributes, &Json::from("hello")));
    assert_eq!(got["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"]);
    assert_eq!(got["MessageId"], sent["MessageId"]);
    assert_eq!(got["Attributes"]["ApproximateReceiveCount"], "3");
    assert_eq!(got["Attributes"]["SenderId"], "alice");
    call(&mut core, "DeleteMessage", json_value!({ "ReceiptHandle": got["ReceiptHandle"] }));
    assert!(core.commands.last().unwrap().starts_with("Settle"), "{:?}", core.commands);
}

#[test]
fn another_protocols_bytes_come_back_as_they_were() {
    let mut core = Core { deliveries: vec![delivery(foreign(b"\xFF\0"), 9)], ..Core::default() };
    let got = receive(&mut core);
    assert_eq!(got["MessageAttributes"]["crossdock.encoding"]["StringValue"], "base64");
    assert_eq!(got["Attributes"]["SentTimestamp"], "1767323044000");
    assert_eq!(got["MessageId"], receive(&mut core)["MessageId"], "the place gives the id");
    let again = json_value!({ "MessageBody": got["Body"], "MessageAttributes": got["MessageAttributes"] });
    call(&mut core, "SendMessage", again);
    let hub = core.published[0].hub();
    assert_eq!(hub.body, Some(Bytes::from_static(b"\xFF\0")));
    assert!(hub.application_properties.is_empty() && !hub.durable && hub.message_id.is_none());
}

#[test]
fn a_subscription_puts_an_envelope_around_every_protocols_message() {
    let kept = |raw| {
        let text = |name: &'static str, value: &'static str| (name.into(), Value::string(value));
        vec![text("id", "uuid"), text("subscriber", "alice"), text("endpoint", "arn"), ("raw".into(), Value::Bool(raw))]
    };
    let binding = |raw| BindingSpec {
        source: Name::from("prices"),
        destination: Destination::Queue(Name::from("q")),
        key: Bytes::new(),
        arguments: Vec::new(),
        announced: true,
        attributes: vec![("sns-subscription".into(), Value::Map(kept(raw)))],
    };
    let deliver = |raw| vec![bound(delivery(foreign(b"42"), 1), binding(raw))];
    let mut core = Core { deliveries: deliver(false), ..Core::default() };
    let body: Json = serde_json::from_str(receive(&mut core)["Body"].as_str().unwrap()).unwrap();
    assert_eq!((&body["Type"], &body["Message"]), (&Json::from("Notification"), &Json::from("42")));
    assert_eq!(body["TopicArn"], "arn:aws:sns:us-east-1:000000000000:prices");
    assert_eq!(body["Timestamp"], "2026-01-02T03:04:04.000Z");
    core.deliveries = deliver(true);
    assert_eq!(receive(&mut core)["Body"], "42");
}

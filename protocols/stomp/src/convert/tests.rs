use bytes::Bytes;
use crossdock_common::testkit::any_value;
use crossdock_common::{Hub, Table, Text, Value};
use proptest::prelude::*;

use super::*;
use crate::frame::Escaping;

fn headers(lines: &str) -> Headers {
    Headers::parse(Bytes::copy_from_slice(lines.as_bytes()), Escaping::V1_2).unwrap()
}

fn sorted(properties: &Bytes) -> Vec<(String, String)> {
    let mut lines: Vec<_> = stored_lines(properties).map(|(name, value)| (name.into(), value.into())).collect();
    lines.sort();
    lines
}

fn any_name() -> impl Strategy<Value = String> {
    let known = vec![
        "priority",
        "persistent",
        "type",
        "timestamp",
        "destination",
        "receipt",
        "message-id",
        "cluster-id",
        "crossdock.header.x",
        "correlation-id",
        "expiration",
        "reply-to",
    ];
    prop_oneof!["[a-z\u{0}:\\\\\r\n%=é]{0,6}", prop::sample::select(known).prop_map(str::to_owned)]
}

fn any_text() -> impl Strategy<Value = Option<Text>> {
    prop::option::of("[ a-z\u{0}:\\\\\r\n%é0-9]{0,8}".prop_map(Text::from))
}

fn any_properties() -> impl Strategy<Value = Table> {
    let value = prop_oneof![any_value(), "[0-9]{1,3}|true|a\u{0}b".prop_map(Value::string)];
    prop::collection::hash_map(any_name(), value, 0..6)
        .prop_map(|map| map.into_iter().map(|(name, value)| (Text::from(name), value)).collect())
}

prop_compose! {
    fn any_hub()(
        durable: bool, priority: Option<u8>, ttl_ms in prop::option::of(0..i64::MAX as u64),
        message_id in prop::option::of(any_value()), correlation_id in prop::option::of(any_value()),
        creation_time_ms in prop::option::of(prop_oneof![any::<i64>(), (0..4_000_000_000i64).prop_map(|s| s * 1000)]),
        group_sequence: Option<u32>, texts in prop::collection::vec(any_text(), 8),
        application_properties in any_properties(),
    ) -> Hub {
        let mut texts = texts.into_iter();
        let mut text = || texts.next().flatten();
        Hub {
            durable, priority, ttl_ms, message_id, correlation_id, creation_time_ms, group_sequence,
            user_id: text(), subject: text(), message_type: text(), reply_to: text(), content_type: text(),
            content_encoding: text(), group_id: text(), app_id: text(), application_properties, body: None,
        }
    }
}

/// The order of headers with the same name is kept, that of others is not.
fn by_name(mut hub: Hub) -> Hub {
    hub.application_properties.sort_by(|(one, _), (other, _)| one.cmp(other));
    hub
}

proptest! {
    #[test]
    fn hub_to_stomp_to_hub_is_lossless(hub in any_hub()) {
        let properties = from_hub(&hub);
        prop_assert!(!properties.contains(&0));
        prop_assert_eq!(by_name(hub), by_name(to_hub(&properties)));
    }

    #[test]
    fn stomp_to_hub_to_stomp_keeps_every_header(
        own in prop::collection::vec(("[a-z:\\\\\r\n]{1,8}", "[ -~\r\né]{0,12}"), 0..8),
        priority: Option<u8>, persistent in prop::option::of(prop::sample::select(vec!["true", "false"])),
        correlation_id in prop::option::of("[a-z:]{0,9}"), timestamp in prop::option::of(0..u32::MAX),
    ) {
        let mut block = String::new();
        let mut names = std::collections::HashSet::new();
        let is_plain = |name: &str| !OF_THE_FRAME.contains(&name) && name != "ack";
        for (name, value) in own.iter().filter(|(name, _)| is_plain(name) && names.insert(name.clone())) {
            push_line(&mut block, name, value);
        }
        priority.iter().for_each(|p| push_line(&mut block, "priority", &p.to_string()));
        persistent.iter().for_each(|p| push_line(&mut block, "persistent", p));
        correlation_id.iter().for_each(|id| push_line(&mut block, "correlation-id", id));
        timestamp.iter().for_each(|t| push_line(&mut block, "timestamp", &t.to_string()));
        let properties = Bytes::from(block);
        prop_assert_eq!(sorted(&properties), sorted(&from_hub(&to_hub(&properties))));
    }
}

#[test]
fn what_concerns_the_frame_is_not_stored() {
    let send = headers("destination:/queue/q\ncontent-length:3\nreceipt:1\ntransaction:t\nfoo:b\\car\nreply-to:old\n");
    assert_eq!(&properties(&send, None)[..], b"foo:b\\car\nreply-to:old\n");
    assert_eq!(&properties(&send, Some("amq.gen-1"))[..], b"foo:b\\car\nreply-to:amq.gen-1\n");
}

#[test]
fn a_colon_that_was_not_escaped_is_stored_escaped() {
    assert_eq!(&properties(&headers("url:http://x\n"), None)[..], b"url:http\\c//x\n");
}

#[test]
fn repeated_headers_keep_the_first_as_property() {
    let hub = to_hub(b"priority:5\npriority:6\n");
    assert_eq!(hub.priority, Some(5));
    assert_eq!(hub.application_properties, [(Text::from("priority"), Value::string("6"))]);
    let properties = from_hub(&hub);
    assert_eq!(&properties[..], b"priority:5\ncrossdock.header-2.priority:6\n", "for readers that keep the first only");
    assert_eq!(to_hub(&properties), hub);
}

#[test]
fn rabbitmqs_names_are_the_properties() {
    let hub = to_hub(b"content-type:text/plain\npersistent:true\nexpiration:60000\namqp-message-id:m\ncluster-id:c\n");
    assert_eq!(hub.content_type.as_deref(), Some("text/plain"));
    assert!(hub.durable);
    assert_eq!((hub.ttl_ms, hub.message_id.clone()), (Some(60_000), Some(Value::string("m"))));
    assert_eq!(hub.application_properties, [(Text::from("crossdock.cluster-id"), Value::string("c"))]);
}

#[test]
fn every_header_of_a_name_arrives() {
    let header = |name: &'static str, value: &'static str| (Text::from_static(name), Value::string(value));
    let names = [header("a", "1"), header("crossdock.header-2.a", "4"), header("a", "2%\0"), header("a", "3")];
    let hub = Hub { application_properties: names.to_vec(), ..Hub::default() };
    let properties = from_hub(&hub);
    let first = "a:1\ncrossdock.header.crossdock.header-2.a:4\n";
    let more = ["crossdock.header-2.a:2%25%00\n", "crossdock.header-3.a:3\n"];
    assert_eq!(properties, [first, more[0], more[1]].concat());
    assert_eq!(to_hub(&properties), hub);
    assert_eq!(to_hub([more[1], more[0], first].concat().as_bytes()), hub, "clients sort headers");
}

#[test]
fn what_readers_are_told_to_reply_to_is_the_queue_again() {
    for (header, queue) in [
        ("q", "q"),
        ("/reply-queue/q", "q"),
        ("/reply-queue/a%25/b", "a%/b"),
        ("/queue/q", "q"),
        ("/amq/queue/q", "q"),
        ("/topic/a.b", "/exchanges/amq.topic/a.b"),
        ("/exchange/e/k", "/exchanges/e/k"),
        ("/exchange/e", "/exchanges/e/"),
        ("/topic/a/b", "/topic/a/b"),
        ("/temp-queue/x", "/temp-queue/x"),
    ] {
        let hub = to_hub(format!("reply-to:{header}\n").as_bytes());
        assert_eq!(hub.reply_to.as_deref(), Some(queue));
        assert_eq!(to_hub(&from_hub(&hub)), hub);
    }
    for other in ["/reply-queue/q", "/queue/q", "/exchanges/amq.topic/", "/exchanges/e/%61"] {
        let hub = Hub { reply_to: Some(other.into()), ..Hub::default() };
        assert_eq!(to_hub(&from_hub(&hub)), hub);
    }
}

#[test]
fn nobody_speaks_for_another_user_through_the_envelope() {
    for (user, is_own) in [("root", true), ("guest", false)] {
        let section = Bytes::from_static(b"crossdock.user-id:root\n");
        let mut message = Message::new(&FORMAT, "x".into(), Bytes::new(), section, Bytes::new());
        message.user = user.into();
        let hub = FORMAT.to_hub(&message);
        assert_eq!((hub.user_id.is_some(), hub.application_properties.is_empty()), (is_own, is_own));
    }
}

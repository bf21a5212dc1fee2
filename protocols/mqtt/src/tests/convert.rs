use bytes::Bytes;
use crossdock_common::testkit::any_value;
use crossdock_common::{Format, FormatTag, Hub, Message, Text, Value};
use proptest::prelude::*;

use crate::packet::Qos;
use crate::packet::properties::{Properties, Property};
use crate::{FORMAT, convert, from_hub};

fn stored(section: Bytes, durable: bool, ttl_ms: Option<u64>) -> Message {
    let mut message = Message::new(&FORMAT, "amq.topic".into(), Bytes::from_static(b"k"), section, Bytes::new());
    (message.durable, message.ttl_ms) = (durable, ttl_ms);
    message
}

/// A string that MQTT can carry.
fn mqtt_text() -> impl Strategy<Value = String> {
    "[a-zA-Z%=,.é ]{0,12}"
}

fn any_text() -> impl Strategy<Value = Option<Text>> {
    prop::option::of("[^\u{1}]{0,12}".prop_map(Text::from))
}

prop_compose! {
    fn any_section()(
        qos in 0u8..3,
        format in prop::option::of(0u8..2),
        content_type in prop::option::of(mqtt_text()),
        response_topic in prop::option::of("[a-z/]{1,12}"),
        correlation in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
        users in prop::collection::vec((mqtt_text(), mqtt_text()), 0..6),
    ) -> Vec<u8> {
        let mut section = vec![qos];
        format.iter().for_each(|&format| Property::PayloadFormat(format).put(&mut section));
        content_type.iter().for_each(|text| Property::ContentType(text).put(&mut section));
        response_topic.iter().for_each(|text| Property::ResponseTopic(text).put(&mut section));
        correlation.iter().for_each(|bytes| Property::CorrelationData(bytes).put(&mut section));
        users.iter().for_each(|(name, value)| Property::User(name, value).put(&mut section));
        section
    }
}

prop_compose! {
    fn any_hub()(
        durable: bool,
        priority: Option<u8>,
        ttl_ms in prop::option::of(0..i64::MAX as u64),
        (message_id, correlation_id) in (prop::option::of(any_value()), prop::option::of(any_value())),
        (user_id, subject, message_type, reply_to) in (any_text(), any_text(), any_text(), any_text()),
        (content_type, content_encoding, group_id, app_id) in (any_text(), any_text(), any_text(), any_text()),
        creation_time_ms: Option<i64>,
        group_sequence: Option<u32>,
        headers in prop::collection::btree_map("[a-z%=,\u{0}]{1,8}", any_value(), 0..6),
    ) -> Hub {
        let application_properties = headers.into_iter().map(|(name, value)| (Text::from(name), value)).collect();
        Hub {
            durable, priority, ttl_ms, message_id, user_id, subject, message_type, reply_to, correlation_id,
            content_type, content_encoding, creation_time_ms, group_id, group_sequence, app_id,
            application_properties, body: None,
        }
    }
}

proptest! {
    #[test]
    fn mqtt_to_hub_to_mqtt(section in any_section()) {
        let message = stored(Bytes::from(section.clone()), section[0] > 0, None);
        prop_assert_eq!(&from_hub(&FORMAT.to_hub(&message), "amq.topic")[..], &section[..]);
    }

    #[test]
    fn hub_to_mqtt_to_hub(hub in any_hub()) {
        let section = from_hub(&hub, "amq.topic");
        prop_assert_eq!(Properties::stored(&section[1..]).with_bytes().map(|(bytes, _)| bytes.len()).sum::<usize>(), section.len() - 1);
        let mut message = stored(section, hub.durable, hub.ttl_ms);
        message.user = hub.user_id.as_deref().unwrap_or_default().into();
        prop_assert_eq!(FORMAT.to_hub(&message), hub);
    }

    #[test]
    fn any_stored_bytes_are_harmless(section in prop::collection::vec(any::<u8>(), 0..100)) {
        let message = stored(section.into(), true, None);
        from_hub(&FORMAT.to_hub(&message), "amq.topic");
    }
}

#[test]
fn a_reply_to_that_is_no_topic_travels_in_the_envelope() {
    let hub = Hub { reply_to: Some("amq.rabbitmq.reply-to.g1+#".into()), ..Hub::default() };
    let section = from_hub(&hub, "amq.topic");
    let found: Vec<_> = Properties::stored(&section[1..]).iter().collect();
    assert_eq!(found, [Property::User("crossdock.reply-to", "amq.rabbitmq.reply-to.g1+#")]);
}

#[test]
fn a_reply_to_of_another_protocol_is_a_topic_that_leads_there() {
    for (reply_to, topic) in [("amq.gen-1", "$queue/amq.gen-1"), ("/exchanges/amq.topic/a.b", "a/b")] {
        let hub = Hub { reply_to: Some(reply_to.into()), ..Hub::default() };
        let section = from_hub(&hub, "amq.topic");
        assert_eq!(Properties::stored(&section[1..]).iter().next(), Some(Property::ResponseTopic(topic)));
        assert_eq!(FORMAT.to_hub(&stored(section, false, None)).reply_to.as_deref(), Some(reply_to));
    }
    let elsewhere = Hub { reply_to: Some("/exchanges/other/k".into()), ..Hub::default() };
    let topic = from_hub(&elsewhere, "other");
    assert_eq!(Properties::stored(&topic[1..]).iter().next(), Some(Property::ResponseTopic("k")), "as configured");
    let section = from_hub(&elsewhere, "amq.topic");
    let found: Vec<_> = Properties::stored(&section[1..]).iter().collect();
    assert_eq!(found, [Property::User("crossdock.reply-to", "/exchanges/other/k")]);
}

#[test]
fn text_correlation_ids_come_back_as_text() {
    let hub = Hub { correlation_id: Some(Value::string("42")), ..Hub::default() };
    let section = from_hub(&hub, "amq.topic");
    assert_eq!(Properties::stored(&section[1..]).iter().next(), Some(Property::CorrelationData(b"42")));
    assert_eq!(FORMAT.to_hub(&stored(section, false, None)), hub);
}

#[test]
fn what_mqtt_cannot_hold_is_counted() {
    let long = Value::string("x".repeat(65_536));
    let hub =
        Hub { application_properties: vec![("long".into(), long), ("short".into(), Value::Null)], ..Hub::default() };
    let section = from_hub(&hub, "amq.topic");
    let found: Vec<_> = Properties::stored(&section[1..]).iter().collect();
    assert_eq!(found.last(), Some(&Property::User("crossdock.mqtt-omitted", "1")));
}

#[test]
fn qos_of_stored_messages() {
    for (first, qos) in [(0, Qos::AtMostOnce), (1, Qos::AtLeastOnce), (2, Qos::ExactlyOnce), (0b110, Qos::ExactlyOnce)]
    {
        let message = stored(Bytes::copy_from_slice(&[first]), true, None);
        assert_eq!((convert::qos(&message), convert::is_retained(&message)), (qos, first > 3));
    }
    assert_eq!(convert::qos(&stored(Bytes::new(), true, None)), Qos::AtLeastOnce);
}

/// A message of another protocol whose hub has this header.
fn foreign(header: (Text, Value)) -> Message {
    #[derive(Debug)]
    struct Foreign((Text, Value));
    impl Format for Foreign {
        fn tag(&self) -> FormatTag {
            FormatTag::AMQP_0_9_1
        }

        fn to_hub(&self, _: &Message) -> Hub {
            Hub { durable: true, application_properties: vec![self.0.clone()], ..Hub::default() }
        }
    }
    let format = Box::leak(Box::new(Foreign(header)));
    Message::new(format, "amq.topic".into(), Bytes::from_static(b"k"), Bytes::new(), Bytes::new())
}

#[test]
fn qos_2_comes_back_from_other_protocols() {
    let mark = |value| (Text::from_static("crossdock.mqtt-qos"), value);
    for (header, durable, qos) in [
        (mark(Value::I32(2)), true, Qos::ExactlyOnce),
        (mark(Value::I32(2)), false, Qos::AtMostOnce),
        (mark(Value::I32(3)), true, Qos::AtLeastOnce),
        (("other".into(), Value::I32(2)), true, Qos::AtLeastOnce),
    ] {
        let mut message = foreign(header);
        message.durable = durable;
        assert_eq!(convert::qos(&message), qos);
    }
}

#[test]
fn correlation_data_is_text_unless_it_cannot_be_or_says_so() {
    let hub = |value| Hub { correlation_id: Some(value), ..Hub::default() };
    let of = |bytes: &'static [u8]| Value::Binary(Bytes::from_static(bytes));
    let mark = |code| Some(Property::User("crossdock.mqtt-correlation", code));
    for (value, data, code) in [
        (Value::string("c-1"), &b"c-1"[..], None),
        (of(b"\0\xFF"), b"\0\xFF", None),
        (of(b"c-1"), b"c-1", mark("bytes")),
        (Value::U64(7), b"7", mark("u64")),
    ] {
        let section = from_hub(&hub(value.clone()), "amq.topic");
        let found: Vec<_> = Properties::stored(&section[1..]).iter().collect();
        let wanted: Vec<_> = [Some(Property::CorrelationData(data)), code].into_iter().flatten().collect();
        assert_eq!(found, wanted);
        assert_eq!(FORMAT.to_hub(&stored(section, false, None)), hub(value));
    }
}

#[test]
fn nobody_speaks_for_another_user_through_the_envelope() {
    let mut section = vec![1];
    Property::User("crossdock.user-id", "root").put(&mut section);
    for (user, is_own) in [("root", true), ("guest", false)] {
        let mut message = stored(Bytes::from(section.clone()), true, None);
        message.user = user.into();
        let hub = FORMAT.to_hub(&message);
        assert_eq!((hub.user_id.is_some(), hub.application_properties.is_empty()), (is_own, is_own));
    }
}

use crossdock_common::testkit::any_value;
use proptest::prelude::*;

use super::*;

/// What AMQP 0-9-1 makes of a value: it has no unsigned 64-bit type.
fn expressible(value: Value) -> Value {
    match value {
        Value::U64(n) => i64::try_from(n).map_or_else(|_| Value::string(n.to_string()), Value::I64),
        Value::List(items) => Value::List(items.into_iter().map(expressible).collect()),
        Value::Map(table) => Value::Map(table.into_iter().map(|(name, value)| (name, expressible(value))).collect()),
        other => other,
    }
}

fn text() -> impl Strategy<Value = Option<Text>> {
    prop::option::of("[a-zé]{0,200}".prop_map(Text::from))
}

fn any_headers() -> impl Strategy<Value = Table> {
    let name = prop_oneof![3 => "[ab]", 6 => "[a-z]{1,9}", 1 => "[a-z]{250,260}"];
    prop::collection::vec((name.prop_map(Text::from), any_value().prop_map(expressible)), 0..5)
}

prop_compose! {
    fn any_hub()(
        durable: bool, priority: Option<u8>, ttl_ms: Option<u64>,
        texts in prop::array::uniform9(text()), ids in prop::array::uniform2(prop::option::of(any_value())),
        creation_time_ms in prop::option::of(-1i64 << 50..1 << 50),
        group_sequence: Option<u32>, application_properties in any_headers(),
    ) -> Hub {
        let [user_id, subject, message_type, reply_to, content_type, content_encoding, group_id, app_id, cluster] = texts;
        let [message_id, correlation_id] = ids.map(|id| id.map(expressible));
        let mut names = HashSet::new();
        let (mut properties, mut further): (Table, Table) = application_properties
            .into_iter().partition(|(name, _)| name.len() <= SHORT_MAX && names.insert(name.clone()));
        let cluster = cluster.filter(|text| text.len() <= SHORT_MAX).map(Value::String);
        let cluster = cluster.map(|cluster| (Text::from_static(CLUSTER_ID), cluster));
        properties.append(&mut further);
        properties.extend(cluster);
        Hub { durable, priority, ttl_ms, message_id, user_id, subject, message_type, reply_to, correlation_id,
            content_type, content_encoding, creation_time_ms, group_id, group_sequence, app_id,
            application_properties: properties, body: None }
    }
}

proptest! {
    #[test]
    fn hub_to_amqp_and_back_is_lossless(hub in any_hub()) {
        prop_assert_eq!(to_hub(&from_hub(&hub)), hub);
    }

    #[test]
    fn amqp_to_hub_and_back_is_the_same(hub in any_hub(), seconds in prop::option::of(0u64..1 << 40)) {
        // The properties of a publisher that knows nothing of us: no envelope in its headers.
        let mut names = HashSet::new();
        let headers = encode_headers(&hub.application_properties.iter()
            .filter(|(name, _)| name.len() <= SHORT_MAX && !name.starts_with("crossdock.") && names.insert(name.clone()))
            .cloned().collect());
        let ttl = hub.ttl_ms.map(|ms| ms.to_string());
        let properties = Properties {
            content_type: short(hub.content_type.as_ref()), content_encoding: short(hub.content_encoding.as_ref()),
            headers: headers.as_deref(), delivery_mode: hub.durable.then_some(2), priority: hub.priority,
            correlation_id: short(hub.subject.as_ref()), reply_to: short(hub.reply_to.as_ref()),
            expiration: ttl.as_ref().map(String::as_bytes), message_id: short(hub.group_id.as_ref()),
            timestamp: seconds, message_type: short(hub.message_type.as_ref()), user_id: short(hub.user_id.as_ref()),
            app_id: short(hub.app_id.as_ref()), cluster_id: short(hub.app_id.as_ref()),
        };
        let bytes = Bytes::from(properties.to_vec());
        prop_assert_eq!(from_hub(&to_hub(&bytes)), bytes);
    }

    #[test]
    fn damaged_properties_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        to_hub(&Bytes::from(bytes));
    }
}

#[test]
fn what_text_cannot_say_travels_beside_it() {
    let hub = Hub {
        message_id: Some(Value::U32(7)),
        correlation_id: Some(Value::Binary(Bytes::from_static(&[0xFF]))),
        creation_time_ms: Some(1_700_000_000_123),
        subject: Some("s".into()),
        ..Hub::default()
    };
    let bytes = from_hub(&hub);
    let properties = Properties::parse(&bytes).unwrap();
    assert_eq!(properties.message_id, Some(&b"7"[..]));
    assert_eq!(properties.timestamp, Some(1_700_000_000));
    let names: Vec<_> = table::Entries(properties.headers.unwrap()).map(|entry| entry.unwrap().name).collect();
    assert_eq!(
        names,
        [&b"crossdock.message-id"[..], b"crossdock.subject", b"crossdock.correlation-id", b"crossdock.timestamp-ms"]
    );
    assert_eq!(to_hub(&bytes), hub);
}

#[test]
fn bytes_that_are_not_text_stay_bytes() {
    let properties =
        Properties { message_id: Some(&[0xFF, 0]), content_type: Some(&[b'a', 0xFF]), ..Properties::default() };
    let hub = to_hub(&properties.to_vec().into());
    assert_eq!(hub.message_id, Some(Value::Binary(Bytes::from_static(&[0xFF, 0]))));
    assert_eq!(hub.content_type.as_deref(), Some("a\u{FFFD}"));
}

#[test]
fn texts_longer_than_a_short_string_travel_in_headers() {
    for length in [254, 255, 256] {
        let hub = Hub { reply_to: Some("r".repeat(length).into()), ..Hub::default() };
        let bytes = from_hub(&hub);
        assert_eq!(Properties::parse(&bytes).unwrap().headers.is_some(), length == 256);
        assert_eq!(to_hub(&bytes), hub);
    }
}

#[test]
fn every_header_of_a_name_arrives() {
    let header = |name: &'static str, value| (Text::from_static(name), Value::I32(value));
    let application_properties = vec![header("a", 1), header("b", 2), header("a", 3), header("a", 4)];
    let bytes = from_hub(&Hub { application_properties, ..Hub::default() });
    let headers = table::decode(&bytes, Properties::parse(&bytes).unwrap().headers.unwrap(), &mut Budget::checked());
    let pair = |value| Value::List(vec![Value::string("a"), Value::I32(value)]);
    let further = (Text::from_static(FURTHER), Value::List(vec![pair(3), pair(4)]));
    assert_eq!(headers.unwrap(), [header("a", 1), header("b", 2), further]);
    let order = vec![header("a", 1), header("b", 2), header("a", 3), header("a", 4)];
    assert_eq!(to_hub(&bytes).application_properties, order);
}

#[test]
fn nobody_speaks_for_another_user_through_the_envelope() {
    let claim = vec![(Text::from_static("crossdock.user-id"), Value::string("root"))];
    let headers = encode_headers(&claim);
    // A native user id was checked when it was published: an impersonator's is not its own.
    for (user, native, seen) in [
        ("root", None, Some("root")),
        ("guest", None, None),
        ("guest", Some("guest"), Some("guest")),
        ("guest", Some("root"), Some("root")),
        ("guest", Some("other"), Some("other")),
    ] {
        let user_id = native.map(str::as_bytes);
        let properties = Properties { headers: headers.as_deref(), user_id, ..Properties::default() };
        let section = Bytes::from(properties.to_vec());
        let mut message = Message::new(&FORMAT, "x".into(), Bytes::new(), section, Bytes::new());
        message.user = user.into();
        let hub = FORMAT.to_hub(&message);
        assert_eq!(hub.user_id.as_deref(), seen);
        assert_eq!(hub.application_properties, if seen == Some("root") { Table::new() } else { claim.clone() });
    }
}

use crossdock_common::testkit::any_value;
use proptest::prelude::*;

use super::*;

fn text() -> impl Strategy<Value = Option<Text>> {
    prop::option::of("[a-zé\u{1}\u{FFFE}]{0,8}".prop_map(Text::from))
}

fn any_headers() -> impl Strategy<Value = Table> {
    let name = prop_oneof![9 => "[a-zA-Z0-9_-]{1,6}", 1 => "[a-z.=, é]{0,6}", 1 => "[a-z]{254,257}"];
    prop::collection::vec((name.prop_map(Text::from), any_value()), 0..12)
}

prop_compose! {
    fn any_hub()(
        durable: bool, priority: Option<u8>, ttl_ms in prop::option::of(0..i64::MAX as u64),
        texts in prop::array::uniform8(text()), ids in prop::array::uniform2(prop::option::of(any_value())),
        creation_time_ms in prop::option::of(-1i64 << 50..1 << 50),
        group_sequence: Option<u32>, application_properties in any_headers(),
    ) -> Hub {
        let [user_id, subject, message_type, reply_to, content_type, content_encoding, group_id, app_id] = texts;
        let [message_id, correlation_id] = ids;
        Hub { durable, priority, ttl_ms, message_id, user_id, subject, message_type, reply_to, correlation_id,
            content_type, content_encoding, creation_time_ms, group_id, group_sequence, app_id,
            application_properties, body: None }
    }
}

fn any_body() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from),
        ".{0,20}".prop_map(Bytes::from),
        "[ -~]{1,20}".prop_map(Bytes::from)
    ]
}

fn any_attribute() -> impl Strategy<Value = Attribute> {
    let value = prop_oneof![
        ("(String|String\\.json|String\\.Array)", "[ -~é]{1,12}")
            .prop_map(|(kind, text)| (kind, AttributeValue::Text(text.into()))),
        ("(Number|Number\\.int)", "-?[0-9]{1,20}(\\.[0-9]{1,4})?(e[0-9])?")
            .prop_map(|(kind, text)| (kind, AttributeValue::Text(text.into()))),
        ("(Binary|Binary\\.png)", prop::collection::vec(any::<u8>(), 1..12))
            .prop_map(|(kind, bytes)| (kind, AttributeValue::Binary(bytes.into()))),
    ];
    ("[a-z]{1,6}", value).prop_map(|(name, (kind, value))| Attribute {
        name: name.into(),
        data_type: kind.into(),
        value,
    })
}

/// What comes of a message of another protocol that an SQS client reads and sends back as it was.
fn echo(hub: &Hub, body: &Bytes) -> (Hub, Bytes, Foreign) {
    let foreign = from_hub(hub, body);
    let properties = Properties { message_id: 7, attributes: foreign.attributes.clone(), ..Properties::default() };
    let sent = Bytes::copy_from_slice(foreign.body.as_bytes());
    let mut back = to_hub(&Properties::decode(&properties.encode()), &sent, 99);
    let body = back.body.take().unwrap_or(sent);
    (back, body, foreign)
}

fn is_sendable(attribute: &Attribute) -> bool {
    let value = match &attribute.value {
        AttributeValue::Text(text) => {
            let is_right = attribute.base_type() != "Number" || is_number(text);
            !text.is_empty() && is_legal(text) && is_right
        }
        AttributeValue::Binary(bytes) => !bytes.is_empty(),
    };
    is_name(&attribute.name) && value
}

proptest! {
    #[test]
    fn hub_to_sqs_and_back_is_lossless(hub in any_hub(), body in any_body()) {
        let (back, same_body, foreign) = echo(&hub, &body);
        prop_assert_eq!(&back, &hub);
        prop_assert_eq!(same_body, body);
        prop_assert!(foreign.attributes.len() <= ATTRIBUTES_MAX && foreign.attributes.iter().all(is_sendable));
    }

    #[test]
    fn sqs_to_hub_and_back_is_the_same(
        attributes in prop::collection::vec(any_attribute(), 0..10), body in "[ -~]{1,20}", id: u128, at in 0u64..1 << 50,
    ) {
        let mut names = BTreeSet::new();
        let attributes: Vec<_> = attributes.into_iter().filter(|one| names.insert(one.name.clone())).collect();
        let body = Bytes::from(body);
        let properties = Properties { message_id: id, attributes: attributes.clone(), ..Properties::default() };
        let hub = to_hub(&properties, &body, at);
        let (back, same_body, foreign) = echo(&hub, &body);
        prop_assert_eq!(&back, &hub);
        prop_assert_eq!(same_body, body);
        if text_of(&foreign.attributes, HEADERS).is_none() {
            let own = foreign.attributes.into_iter().filter(|one| !one.name.starts_with(envelope::PREFIX));
            prop_assert_eq!(own.collect::<Vec<_>>(), attributes);
        }
    }

    #[test]
    fn properties_are_stored_as_they_are(
        attributes in prop::collection::vec(any_attribute(), 0..10), message_id: u128, subject in text(), group in text(),
    ) {
        let system_attributes = attributes.iter().take(1).cloned().collect();
        let structure = subject.clone();
        let control = group.clone();
        let (target, sequence) = (group.clone(), group.as_ref().map(|group| group.len() as u64));
        let properties =
            Properties { message_id, attributes, system_attributes, subject, group, structure, control, target, sequence };
        prop_assert_eq!(Properties::decode(&properties.encode()), properties);
    }

    #[test]
    fn damaged_properties_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        Properties::decode(&Bytes::from(bytes.clone()));
        if let Some(first) = bytes.first_mut() {
            *first = 1;
        }
        let message = Message::new(&FORMAT, Default::default(), Bytes::new(), Bytes::from(bytes), Bytes::from_static(b"%"));
        message.hub();
    }
}

fn names(hub: &Hub) -> Vec<String> {
    from_hub(hub, &Bytes::from_static(b"x")).attributes.iter().map(|one| one.name.to_string()).collect()
}

#[test]
fn ten_attributes_are_shown_and_eleven_are_packed() {
    let hub = |count: u8| Hub {
        durable: true,
        message_id: Some(Value::string("m")),
        creation_time_ms: Some(1),
        application_properties: (0..count).map(|n| (Text::from(format!("h{n}")), Value::I64(n.into()))).collect(),
        ..Hub::default()
    };
    assert_eq!((names(&hub(7)).len(), names(&hub(8)).len()), (9, 10));
    assert_eq!(names(&hub(9)), [HEADERS]);
}

#[test]
fn plain_headers_need_no_types() {
    let hub = Hub {
        durable: true,
        priority: Some(5),
        application_properties: vec![
            ("text".into(), Value::string("5")),
            ("integer".into(), Value::I64(5)),
            ("float".into(), Value::F64(1.5)),
        ],
        ..Hub::default()
    };
    assert_eq!(names(&hub), ["text", "integer", "float", "crossdock.priority", "crossdock.durable"]);
    let typed = Hub { application_properties: vec![("flag".into(), Value::Bool(true))], ..hub };
    let foreign = from_hub(&typed, &Bytes::from_static(b"\xFF"));
    assert_eq!(text_of(&foreign.attributes, TYPES), Some("flag=bool"));
    assert_eq!((&*foreign.body, text_of(&foreign.attributes, ENCODING)), ("/w==", Some("base64")));
}

#[test]
fn a_reader_of_another_protocol_sees_types_and_facts() {
    let number = Attribute::text("n", "Number", "7");
    let odd = Attribute::text("odd", "Number.int", "1.50");
    let properties = Properties { message_id: 1, attributes: vec![number, odd], ..Properties::default() };
    let hub = to_hub(&properties, &Bytes::from_static(b"x"), 1_000);
    assert_eq!(hub.message_id, Some(Value::string("00000000-0000-0000-0000-000000000001")));
    assert_eq!((hub.creation_time_ms, hub.durable), (Some(1_000), true));
    let expected: Table = vec![
        ("n".into(), Value::I64(7)),
        ("odd".into(), Value::string("1.50")),
        (AWS_TYPES.into(), Value::string("odd=Number.int")),
    ];
    assert_eq!(hub.application_properties, expected);
}

#[test]
fn nobody_speaks_for_another_user_through_the_envelope() {
    let attributes = vec![Attribute::text("crossdock.user-id", "String", "root")];
    let properties = Properties { attributes, ..Properties::default() };
    for (user, is_own) in [("root", true), ("guest", false)] {
        let mut message = Message::new(&FORMAT, "x".into(), Bytes::new(), properties.encode(), "b".into());
        message.user = user.into();
        let hub = FORMAT.to_hub(&message);
        assert_eq!((hub.user_id.is_some(), hub.application_properties.is_empty()), (is_own, is_own));
    }
}

#[test]
fn the_trace_header_reaches_other_protocols() {
    let system_attributes = vec![Attribute::text("AWSTraceHeader", "String", "Root=1")];
    let properties = Properties { system_attributes, ..Properties::default() };
    let hub = to_hub(&properties, &Bytes::from("b"), 0);
    assert_eq!(hub.application_properties, [(Text::from(TRACE), Value::string("Root=1"))]);
}

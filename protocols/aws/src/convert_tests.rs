

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

//! The envelope: how what a protocol has no place for travels through it, under names that begin with `crossdock.`.
//!
//! | name | content |
//! |---|---|
//! | `crossdock.<field>` | a hub field that the protocol has no place for ([`Field::envelope_name`]) |
//! | `crossdock.types` | the types of headers that are not strings: `name=code` joined by `,`, with `%`-escapes in names |
//!
//! The prefix is reserved: an application's own header of such a name is understood as part of the envelope.

use std::collections::HashSet;

use crate::hub::Field;
use crate::value_text::{from_text, to_text, type_code};
use crate::{Hub, Message, Table, Text, Value};

/// Every name of the envelope begins so.
pub const PREFIX: &str = "crossdock.";
/// The header that names the types of the others.
pub const TYPES: &str = "crossdock.types";

/// Headers for a protocol whose headers are strings: the application's own, then the fields that are not `native` to
/// the protocol, then the types.
pub fn to_text_headers(hub: &Hub, native: &[Field]) -> Vec<(Text, Text)> {
    let mut types = String::new();
    let mut headers = Vec::with_capacity(hub.application_properties.len() + 2);
    let fields = foreign_fields(hub, native);
    let typed = typed_names(&hub.application_properties);
    for (name, value) in hub.application_properties.iter().chain(&fields) {
        // Text needs no type, except where a header of the same name has one.
        let code = type_code(value).or_else(|| typed.contains(&**name).then_some("string"));
        if let Some(code) = code {
            push_type(&mut types, name, code);
        }
        headers.push((name.clone(), to_text(value)));
    }
    if !types.is_empty() {
        headers.push((Text::from_static(TYPES), types.into()));
    }
    headers
}

/// Headers for a protocol with typed headers: the application's own, then the fields that are not `native` to it.
pub fn to_typed_headers(hub: &Hub, native: &[Field]) -> Table {
    let mut headers = hub.application_properties.clone();
    headers.extend(foreign_fields(hub, native));
    headers
}

/// Takes string headers into the hub: what the envelope carried goes back to its field and type, the rest are the
/// application's own.
pub fn from_text_headers(hub: &mut Hub, headers: impl IntoIterator<Item = (Text, Text)> + Clone) {
    let mut types = parse_types(headers.clone());
    for (name, text) in headers {
        if &*name == TYPES {
            continue;
        }
        let value = take_type(&mut types, &name).and_then(|code| from_text(&code, &text));
        absorb(hub, name, value.unwrap_or(Value::String(text)));
    }
}

/// What the broker knows better than the sections of a message say, done last in every conversion to the hub.
///
/// A user id is a property that readers trust, since each protocol checks it where it is one: another's, which can only come from
/// the envelope, is a claim, and travels on as a header. What let a message die is not to let it die again: the core took the
/// time to live from it.
pub fn correct(hub: &mut Hub, message: &Message) {
    if let Some(claimed) = hub.user_id.take_if(|claimed| **claimed != *message.user) {
        hub.application_properties.push((Text::from_static(Field::UserId.envelope_name()), Value::String(claimed)));
    }
    if !message.deaths().is_empty() {
        hub.ttl_ms = message.ttl_ms;
    }
}

/// Takes typed headers into the hub.
pub fn from_typed_headers(hub: &mut Hub, headers: Table) {
    for (name, value) in headers {
        absorb(hub, name, value);
    }
}

fn typed_names(headers: &Table) -> HashSet<&str> {
    headers.iter().filter(|(_, value)| type_code(value).is_some()).map(|(name, _)| &**name).collect()
}

fn foreign_fields(hub: &Hub, native: &[Field]) -> Table {
    let foreign = Field::ALL.into_iter().filter(|field| !native.contains(field));
    foreign.filter_map(|field| Some((Text::from_static(field.envelope_name()), hub.field(field)?))).collect()
}

fn absorb(hub: &mut Hub, name: Text, value: Value) {
    if let Some(field) = Field::from_envelope_name(&name)
        && hub.set_field(field, value.clone())
    {
        return;
    }
    hub.application_properties.push((name, value));
}

fn push_type(types: &mut String, name: &str, code: &str) {
    if !types.is_empty() {
        types.push(',');
    }
    for character in name.chars() {
        match character {
            '%' => types.push_str("%25"),
            ',' => types.push_str("%2C"),
            '=' => types.push_str("%3D"),
            other => types.push(other),
        }
    }
    types.push('=');
    types.push_str(code);
}

fn parse_types(headers: impl IntoIterator<Item = (Text, Text)>) -> Vec<(String, String)> {
    let Some((_, types)) = headers.into_iter().find(|(name, _)| &**name == TYPES) else { return Vec::new() };
    let unescape = |name: &str| name.replace("%3D", "=").replace("%2C", ",").replace("%25", "%");
    types.split(',').filter_map(|entry| entry.split_once('=')).map(|(n, c)| (unescape(n), c.to_owned())).collect()
}

/// The type of the next header called `name`; a name that repeats has one entry for each time it is not a string.
fn take_type(types: &mut Vec<(String, String)>, name: &str) -> Option<String> {
    let index = types.iter().position(|(candidate, _)| candidate == name)?;
    Some(types.remove(index).1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testkit::any_value;

    proptest! {
        #[test]
        fn text_headers_come_back_with_their_types(
            properties in prop::collection::vec(("[a-z=%,]{1,8}", any_value()), 0..6),
            priority: Option<u8>, ttl_ms in prop::option::of(0..i64::MAX as u64), durable: bool,
        ) {
            let mut names = HashSet::new();
            let application_properties: Table = properties
                .into_iter()
                .filter(|(name, _)| names.insert(name.clone()))
                .map(|(name, value)| (Text::from(name), value))
                .collect();
            let hub = Hub { priority, ttl_ms, durable, application_properties, ..Hub::default() };
            let mut back = Hub::default();
            from_text_headers(&mut back, to_text_headers(&hub, &[]));
            prop_assert_eq!(hub, back);
        }
    }

    #[test]
    fn a_name_that_repeats_with_and_without_a_type_keeps_each() {
        let application_properties = vec![
            ("a".into(), Value::string("1")),
            ("a".into(), Value::I32(2)),
            ("b".into(), Value::string("3")),
            ("a".into(), Value::string("4")),
        ];
        let hub = Hub { application_properties, ..Hub::default() };
        let mut back = Hub::default();
        from_text_headers(&mut back, to_text_headers(&hub, &[]));
        assert_eq!(hub, back);
    }

    #[test]
    fn a_number_that_a_client_wrote_as_text_is_understood() {
        let mut hub = Hub::default();
        from_text_headers(
            &mut hub,
            [("crossdock.priority".into(), "7".into()), ("crossdock.ttl-ms".into(), "x".into())],
        );
        assert_eq!(hub.priority, Some(7));
        assert_eq!(hub.application_properties, [("crossdock.ttl-ms".into(), Value::string("x"))]);
    }

    #[test]
    fn native_fields_stay_out_of_the_envelope() {
        let hub = Hub { priority: Some(3), subject: Some("s".into()), ..Hub::default() };
        let headers = to_text_headers(&hub, &[Field::Priority]);
        assert_eq!(headers, [(Text::from("crossdock.subject"), Text::from("s"))]);
    }
}

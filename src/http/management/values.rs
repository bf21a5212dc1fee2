//! Arguments and headers as JSON, as RabbitMQ writes and reads them.

use crossdock_common::{Table, Text, UnixMillis, Value as Typed};
use serde_json::Value;

/// Bytes that are not text become text all the same: JSON has nothing else.
pub(super) fn from_table(table: &Table) -> Value {
    Value::Object(table.iter().map(|(name, value)| (name.to_string(), from_typed(value))).collect())
}

fn from_typed(value: &Typed) -> Value {
    match value {
        Typed::Null => Value::Null,
        Typed::Bool(truth) => (*truth).into(),
        Typed::F32(number) => f64::from(*number).into(),
        Typed::F64(number) => (*number).into(),
        Typed::Decimal { scale, value } => (f64::from(*value) / 10f64.powi((*scale).into())).into(),
        Typed::Timestamp(ms) => ms.div_euclid(1000).into(),
        Typed::Binary(bytes) => String::from_utf8_lossy(bytes).into_owned().into(),
        Typed::String(text) => text.to_string().into(),
        Typed::List(items) => items.iter().map(from_typed).collect(),
        Typed::Map(table) => from_table(table),
        Typed::U64(number) => (*number).into(),
        number => number.as_i64().into(),
    }
}

/// The table of an object; `None` for anything else. An empty list is an empty object: RabbitMQ cannot tell them apart, and writes both.
pub(super) fn to_table(value: &Value) -> Option<Table> {
    match value {
        Value::Object(members) => {
            Some(members.iter().map(|(name, value)| (Text::from(name.as_str()), to_typed(value))).collect())
        }
        Value::Array(items) if items.is_empty() => Some(Table::new()),
        _ => None,
    }
}

fn to_typed(value: &Value) -> Typed {
    match value {
        Value::Null => Typed::Null,
        Value::Bool(truth) => Typed::Bool(*truth),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Typed::I64(number),
            (None, Some(number)) => Typed::U64(number),
            (None, None) => Typed::F64(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Typed::String(Text::from(text.as_str())),
        Value::Array(items) => Typed::List(items.iter().map(to_typed).collect()),
        Value::Object(members) => {
            Typed::Map(members.iter().map(|(name, value)| (Text::from(name.as_str()), to_typed(value))).collect())
        }
    }
}

/// `2026-11-22T21:10:22.470+00:00`
pub(super) fn time(at: UnixMillis) -> Value {
    let text = crossdock_aws::iso8601(at);
    format!("{}+00:00", text.trim_end_matches('Z')).into()
}

/// Adds the members of one object to another.
pub(super) fn extend(value: &mut Value, more: impl Into<Value>) {
    if let (Value::Object(members), Value::Object(more)) = (value, more.into()) {
        members.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_json_can_say_comes_back() {
        let value = json!({ "a": 1, "b": true, "c": null, "d": "x", "e": [1, { "f": 1.5 }], "g": u64::MAX });
        assert_eq!(from_table(&to_table(&value).unwrap()), value);
        assert_eq!(to_table(&json!([])), Some(Table::new()));
        assert_eq!(to_table(&json!([1])), None);
        assert_eq!(to_table(&json!("x")), None);
    }

    #[test]
    fn other_types_are_shown_as_rabbitmq_shows_them() {
        let table: Table = vec![
            ("t".into(), Typed::Timestamp(123_456)),
            ("b".into(), Typed::Binary(bytes::Bytes::from_static(b"a\xff"))),
            ("d".into(), Typed::Decimal { scale: 2, value: 125 }),
        ];
        assert_eq!(from_table(&table), json!({ "t": 123, "b": "a\u{fffd}", "d": 1.25 }));
        assert_eq!(time(UnixMillis(1_440_938_160_000)), json!("2015-08-30T12:36:00.000+00:00"));
    }
}

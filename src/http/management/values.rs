//! Arguments, headers and times as RabbitMQ's management writes and reads them.

use crossdock_common::{Table, UnixMillis};
use serde_json::Value;

/// A table as an object.
pub(super) fn from_table(table: &Table) -> Value {
    crate::definitions::to_json(table).into()
}

/// The table of an object; `None` for anything else. An empty list is an empty object: RabbitMQ cannot tell them apart, and writes both.
pub(super) fn to_table(value: &Value) -> Option<Table> {
    match value {
        Value::Object(members) => Some(crate::definitions::to_table(members)),
        Value::Array(items) if items.is_empty() => Some(Table::new()),
        _ => None,
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
    fn an_empty_list_is_an_empty_table() {
        let value = json!({ "a": 1, "b": true, "c": null, "d": "x", "e": [1, { "f": 1.5 }] });
        assert_eq!(from_table(&to_table(&value).unwrap()), value);
        assert_eq!(to_table(&json!([])), Some(Table::new()));
        assert_eq!(to_table(&json!([1])), None);
        assert_eq!(to_table(&json!("x")), None);
    }

    #[test]
    fn times_are_written_as_rabbitmq_writes_them() {
        assert_eq!(time(UnixMillis(1_440_938_160_000)), json!("2015-08-30T12:36:00.000+00:00"));
    }
}

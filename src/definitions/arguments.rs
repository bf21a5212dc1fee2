//! Declaration arguments in JSON, and back.

use crossdock_common::{Table, Text, Value};
use serde_json::{Map, Value as Json};

/// The arguments as RabbitMQ's management shows them. Bytes that are no text are shown as well as possible.
pub fn to_json(table: &Table) -> Map<String, Json> {
    table.iter().map(|(name, value)| (name.to_string(), json(value))).collect()
}

/// The arguments that JSON stands for, as RabbitMQ reads them: whole numbers are `long`, others `double`.
pub fn to_table(map: &Map<String, Json>) -> Table {
    map.iter().map(|(name, json)| (Text::from(name.as_str()), value(json))).collect()
}

fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::F32(number) => f64::from(*number).into(),
        Value::F64(number) => (*number).into(),
        Value::Decimal { scale, value } => (f64::from(*value) / 10f64.powi((*scale).into())).into(),
        Value::Timestamp(milliseconds) => (milliseconds / 1000).into(),
        Value::U64(number) => (*number).into(),
        Value::Binary(bytes) => String::from_utf8_lossy(bytes).into(),
        Value::String(text) => text.to_string().into(),
        Value::List(values) => values.iter().map(json).collect(),
        Value::Map(table) => to_json(table).into(),
        whole => whole.as_i64().into(),
    }
}

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::I64(whole),
            None => Value::F64(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::string(text.as_str()),
        Json::Array(values) => Value::List(values.iter().map(value).collect()),
        Json::Object(map) => Value::Map(to_table(map)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_come_back_as_they_were() {
        let text = r#"{"a":1,"b":"x","c":true,"d":[1.5,null],"e":{"f":-7}}"#;
        let map: Map<String, Json> = serde_json::from_str(text).unwrap();
        assert_eq!(to_json(&to_table(&map)), map);
        let small = vec![(Text::from_static("n"), Value::U8(7)), (Text::from_static("t"), Value::Timestamp(5000))];
        assert_eq!(Json::from(to_json(&small)), serde_json::json!({"n": 7, "t": 5}));
    }
}

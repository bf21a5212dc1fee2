//! JSON values as Erlang shows them: RabbitMQ's error texts quote what was sent in this way.

use serde_json::Value;

/// The value as `~p` would print it.
pub(super) fn term(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => binary(text),
        Value::Array(values) => format!("[{}]", values.iter().map(term).collect::<Vec<_>>().join(",")),
        Value::Object(entries) => {
            let entry = |(name, value): (&String, &Value)| format!("{} => {}", binary(name), term(value));
            format!("#{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(","))
        }
    }
}

/// A list of pairs, as RabbitMQ keeps a JSON object.
pub(super) fn pairs<'a>(entries: impl Iterator<Item = (&'a String, &'a Value)>) -> String {
    let pair = |(name, value): (&String, &Value)| format!("{{{},{}}}", binary(name), term(value));
    format!("[{}]", entries.map(pair).collect::<Vec<_>>().join(","))
}

fn binary(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    if text.is_ascii() { format!("<<\"{escaped}\">>") } else { format!("<<\"{escaped}\"/utf8>>") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_look_as_in_erlang() {
        let value: Value = serde_json::from_str(r#"["a", 1, true, {"k": "\"é"}]"#).expect("JSON");
        assert_eq!(term(&value), r#"[<<"a">>,1,true,#{<<"k">> => <<"\"é"/utf8>>}]"#);
    }
}

//! Typed values as text, for protocols whose headers are strings, and back.
//!
//! A plain string is written as it is and needs no code. Every other type has a short code, which travels beside the text
//! (see [`crate::envelope`]).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::Value as Json;

use crate::{Text, Value};

/// The code of a type; `None` for plain strings, which need none.
pub fn type_code(value: &Value) -> Option<&'static str> {
    Some(match value {
        Value::String(_) => return None,
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::I8(_) => "i8",
        Value::U8(_) => "u8",
        Value::I16(_) => "i16",
        Value::U16(_) => "u16",
        Value::I32(_) => "i32",
        Value::U32(_) => "u32",
        Value::I64(_) => "i64",
        Value::U64(_) => "u64",
        Value::F32(_) => "f32",
        Value::F64(_) => "f64",
        Value::Decimal { .. } => "decimal",
        Value::Timestamp(_) => "timestamp-ms",
        Value::Binary(_) => "base64",
        Value::List(_) => "list",
        Value::Map(_) => "map",
    })
}

/// The text of a value: numbers in decimal, bytes in base64, lists and maps as JSON.
pub fn to_text(value: &Value) -> Text {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => Text::from_static(""),
        Value::Bool(truth) => truth.to_string().into(),
        Value::I8(n) => n.to_string().into(),
        Value::U8(n) => n.to_string().into(),
        Value::I16(n) => n.to_string().into(),
        Value::U16(n) => n.to_string().into(),
        Value::I32(n) => n.to_string().into(),
        Value::U32(n) => n.to_string().into(),
        Value::I64(n) | Value::Timestamp(n) => n.to_string().into(),
        Value::U64(n) => n.to_string().into(),
        Value::F32(n) => n.to_string().into(),
        Value::F64(n) => n.to_string().into(),
        Value::Decimal { scale, value } => format!("{value}e-{scale}").into(),
        Value::Binary(bytes) => BASE64.encode(bytes).into(),
        Value::List(_) | Value::Map(_) => to_json(value).to_string().into(),
    }
}

/// The value that `text` is under a type code; `None` if the code is unknown or the text does not fit it.
pub fn from_text(code: &str, text: &Text) -> Option<Value> {
    Some(match code {
        "string" => Value::String(text.clone()),
        "null" => Value::Null,
        "bool" => Value::Bool(text.parse().ok()?),
        "i8" => Value::I8(text.parse().ok()?),
        "u8" => Value::U8(text.parse().ok()?),
        "i16" => Value::I16(text.parse().ok()?),
        "u16" => Value::U16(text.parse().ok()?),
        "i32" => Value::I32(text.parse().ok()?),
        "u32" => Value::U32(text.parse().ok()?),
        "i64" => Value::I64(text.parse().ok()?),
        "u64" => Value::U64(text.parse().ok()?),
        "f32" => Value::F32(text.parse().ok()?),
        "f64" => Value::F64(text.parse().ok()?),
        "decimal" => decimal(text)?,
        "timestamp-ms" => Value::Timestamp(text.parse().ok()?),
        "base64" => Value::Binary(Bytes::from(BASE64.decode(text.as_bytes()).ok()?)),
        "list" | "map" => from_json(code, &serde_json::from_str(text).ok()?)?,
        _ => return None,
    })
}

fn decimal(text: &str) -> Option<Value> {
    let (value, scale) = text.split_once("e-")?;
    Some(Value::Decimal { scale: scale.parse().ok()?, value: value.parse().ok()? })
}

/// Leaves are `[code, text]`, lists `["list", [leaf…]]`, maps `["map", [[name, leaf]…]]`; a map's or list's own JSON is the
/// inner array.
fn to_json(value: &Value) -> Json {
    match value {
        Value::List(items) => Json::Array(items.iter().map(to_leaf).collect()),
        Value::Map(entries) => Json::Array(
            entries.iter().map(|(name, value)| Json::Array(vec![Json::from(&**name), to_leaf(value)])).collect(),
        ),
        leaf => Json::from(&*to_text(leaf)),
    }
}

fn to_leaf(value: &Value) -> Json {
    Json::Array(vec![Json::from(type_code(value).unwrap_or("string")), to_json(value)])
}

fn from_json(code: &str, json: &Json) -> Option<Value> {
    match code {
        "list" => json.as_array()?.iter().map(from_leaf).collect::<Option<_>>().map(Value::List),
        "map" => json.as_array()?.iter().map(from_entry).collect::<Option<_>>().map(Value::Map),
        "string" => Some(Value::string(json.as_str()?)),
        leaf => from_text(leaf, &Text::from(json.as_str()?)),
    }
}

fn from_leaf(json: &Json) -> Option<Value> {
    let [code, inner] = &json.as_array()?[..] else { return None };
    from_json(code.as_str()?, inner)
}

fn from_entry(json: &Json) -> Option<(Text, Value)> {
    let [name, leaf] = &json.as_array()?[..] else { return None };
    Some((Text::from(name.as_str()?), from_leaf(leaf)?))
}

//! AWS JSON 1.0, as SQS speaks it.

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::{Value, json};

use super::{Decoded, Fields, Protocol, Service, Shape};
use crate::error::Failure;
use crate::http::Request;
use crate::json_text::{VALUES_MAX, is_too_much};

pub(super) const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

const TARGET_PREFIX: &str = "AmazonSQS.";

pub(super) fn decode(target: &str, request: &Request) -> Result<Decoded, Failure> {
    let Some(action) = target.strip_prefix(TARGET_PREFIX) else {
        return Err(Failure::UnknownAction(target.to_owned()));
    };
    if is_too_much(&request.body) {
        return Err(Failure::Malformed(format!("The body has more than {VALUES_MAX} values.")));
    }
    // serde_json refuses nesting deeper than 128.
    let body = if request.body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(&request.body) };
    let fields = match body {
        Ok(Value::Object(fields)) => Fields(fields),
        Ok(_) => return Err(Failure::Malformed("The body is not a JSON object.".to_owned())),
        Err(error) => return Err(Failure::Malformed(format!("The body is not JSON: {error}"))),
    };
    Ok(Decoded { service: Service::Sqs, protocol: Protocol::Json, action: action.to_owned(), fields })
}

pub(super) fn encode(shape: &Shape) -> Vec<u8> {
    // Shapes have nothing that JSON has no word for.
    serde_json::to_vec(shape).unwrap_or_default()
}

pub(super) fn encode_failure(failure: &Failure) -> Vec<u8> {
    let body = json!({ "__type": failure.json_type(), "message": failure.text_for(Protocol::Json) });
    body.to_string().into_bytes()
}

impl Serialize for Shape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing => serializer.serialize_map(Some(0))?.end(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::List { items, .. } => serializer.collect_seq(items),
            Self::Map { entries, .. } => serializer.collect_map(entries.iter().map(|(name, value)| (name, value))),
            Self::Fields(fields) => serializer
                .collect_map(fields.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value))),
        }
    }
}

//! AWS JSON 1.0, as SQS speaks it.

use serde_json::{Map, Value, json};

use super::{Decoded, Fields, Protocol, Service, Shape};
use crate::error::Failure;
use crate::http::Request;

pub(super) const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

const TARGET_PREFIX: &str = "AmazonSQS.";

pub(super) fn decode(target: &str, request: &Request) -> Result<Decoded, Failure> {
    let Some(action) = target.strip_prefix(TARGET_PREFIX) else {
        return Err(Failure::UnknownAction(target.to_owned()));
    };
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
    to_json(shape).to_string().into_bytes()
}

pub(super) fn encode_failure(failure: &Failure) -> Vec<u8> {
    let body = json!({ "__type": failure.json_type(), "message": failure.text_for(Protocol::Json) });
    body.to_string().into_bytes()
}

fn to_json(shape: &Shape) -> Value {
    match shape {
        Shape::Nothing => Value::Object(Map::new()),
        Shape::Text(text) => Value::String(text.clone()),
        Shape::Bool(truth) => Value::Bool(*truth),
        Shape::Number(number) => Value::from(*number),
        Shape::List { items, .. } => Value::Array(items.iter().map(to_json).collect()),
        Shape::Map { entries, .. } => {
            Value::Object(entries.iter().map(|(name, value)| (name.clone(), to_json(value))).collect())
        }
        Shape::Fields(fields) => {
            let given = fields.iter().filter(|(_, value)| !value.is_empty());
            Value::Object(given.map(|(name, value)| ((*name).to_owned(), to_json(value))).collect())
        }
    }
}

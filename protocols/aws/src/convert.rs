//! SQS and SNS messages to and from the hub.
//!
//! | hub | SQS |
//! |---|---|
//! | application properties | message attributes: text → String, numbers → Number, bytes → Binary, the rest as String |
//! | message id, creation time | MessageId, SentTimestamp (of messages that SQS or SNS clients made) |
//! | subject, group id | SNS Subject, MessageGroupId |
//! | every other field; all fields of other protocols' messages | attributes `crossdock.*` of type String or Number |
//! | exact types that String, Number and Binary do not say | `crossdock.types`: `name=code,…` |
//! | `AWSTraceHeader` | header `crossdock.aws-trace-header` |
//! | custom type labels of SQS (`Number.int`) | header `crossdock.aws-types`: `name=label,…` |
//! | more than 10 attributes, or names and values that SQS refuses | all of them in `crossdock.headers` |
//! | a body that is no text of XML's characters, or empty | base64, with the attribute `crossdock.encoding` |
//!
//! `crossdock.headers` is a JSON array of `[name, code, text]`. A client that sends all of these back restores the original.

pub(crate) mod attributes;
pub(crate) mod properties;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use crossdock_common::definition::{BindingSpec, QueueSpec, Standing};
use crossdock_common::hub::Field;
use crossdock_common::value_text::{from_text, to_text, type_code};
use crossdock_common::{Filter, Format, FormatTag, Hub, Message, Table, Text, Value, envelope};
use serde_json::Value as Json;

use crate::digest::uuid_text;
use crate::wire::is_legal;
use attributes::{ATTRIBUTES_MAX, Attribute, AttributeValue, is_name, is_number};
use properties::Properties;

const ENCODING: &str = "crossdock.encoding";
const HEADERS: &str = "crossdock.headers";
const TYPES: &str = envelope::TYPES;
const AWS_TYPES: &str = "crossdock.aws-types";
const TRACE: &str = "crossdock.aws-trace-header";
const DURABLE: &str = "crossdock.durable";

/// Explains SQS and SNS messages.
#[derive(Debug)]
pub struct AwsFormat;

/// The instance that every SQS and SNS message refers to.
pub static FORMAT: AwsFormat = AwsFormat;

impl Format for AwsFormat {
    fn tag(&self) -> FormatTag {
        FormatTag::AWS
    }

    fn to_hub(&self, message: &Message) -> Hub {
        let properties = Properties::decode(&message.properties);
        let mut hub = to_hub(&properties, &message.body, message.received_at.0);
        envelope::correct(&mut hub, message);
        hub
    }

    fn filter(&self, attributes: &Table) -> Option<Box<dyn Filter>> {
        crate::sns::filter_of(attributes)
    }

    fn standing(&self, binding: &BindingSpec) -> Option<Standing> {
        crate::sns::standing::standing(binding)
    }

    fn admits(&self, binding: &BindingSpec, queue: &QueueSpec) -> bool {
        crate::sns::standing::admits(binding, queue)
    }
}

/// A message of another protocol as SQS shows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Foreign {
    pub body: Text,
    pub attributes: Vec<Attribute>,
}

/// Attributes and body of an SQS or SNS message to the hub.
pub(crate) fn to_hub(properties: &Properties, body: &Bytes, received_at_ms: u64) -> Hub {
    let headers = headers_of(&properties.attributes);
    let mut hub = Hub {
        durable: true,
        subject: properties.subject.clone(),
        group_id: properties.group.clone(),
        body: decoded_body(&properties.attributes, body),
        ..Hub::default()
    };
    // Whoever says `crossdock.durable` gives back another protocol's message, which has its own id and time or none.
    if !headers.iter().any(|(name, _)| &**name == DURABLE) {
        hub.message_id = Some(Value::string(uuid_text(properties.message_id)));
        hub.creation_time_ms = i64::try_from(received_at_ms).ok();
    }
    envelope::from_typed_headers(&mut hub, headers);
    hub.application_properties.extend(properties.system_attributes.iter().filter_map(trace));
    hub
}

/// `AWSTraceHeader`, the only system attribute that a client may set.
fn trace(attribute: &Attribute) -> Option<(Text, Value)> {
    match &attribute.value {
        AttributeValue::Text(text) => Some((Text::from_static(TRACE), Value::String(text.clone()))),
        AttributeValue::Binary(_) => None,
    }
}

/// Whether some attributes are the broker's own and say more than an application's would.
pub(crate) fn has_envelope(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.name.starts_with(envelope::PREFIX))
}

/// Whether the attributes say that the body is base64.
pub(crate) fn is_base64(attributes: &[Attribute]) -> bool {
    text_of(attributes, ENCODING) == Some("base64")
}

fn decoded_body(attributes: &[Attribute], body: &Bytes) -> Option<Bytes> {
    is_base64(attributes).then(|| BASE64.decode(body).ok().map(Bytes::from))?
}

fn text_of<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    let attribute = attributes.iter().find(|attribute| &*attribute.name == name)?;
    match &attribute.value {
        AttributeValue::Text(text) => Some(text),
        AttributeValue::Binary(_) => None,
    }
}

/// The typed headers that attributes mean.
fn headers_of(attributes: &[Attribute]) -> Table {
    let codes: BTreeMap<&str, &str> = pairs(text_of(attributes, TYPES).unwrap_or_default()).collect();
    let mut headers = Table::new();
    let mut labels = BTreeMap::new();
    for attribute in attributes {
        match &*attribute.name {
            TYPES => {}
            ENCODING if is_base64(attributes) => {}
            HEADERS => headers.extend(unpack(attribute)),
            name => {
                let value = value_of(attribute, codes.get(name).copied());
                if *default_type(&value) != *attribute.data_type && !codes.contains_key(name) {
                    labels.insert(name.to_owned(), attribute.data_type.clone());
                }
                headers.push((attribute.name.clone(), value));
            }
        }
    }
    headers.extend(label_header(&labels));
    headers
}

/// The header that carries the labels of types, if there are any.
fn label_header(labels: &BTreeMap<String, Text>) -> Option<(Text, Value)> {
    let labels: Vec<String> = labels.iter().map(|(name, label)| format!("{name}={label}")).collect();
    (!labels.is_empty()).then(|| (Text::from_static(AWS_TYPES), Value::string(labels.join(","))))
}

fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(',').filter_map(|pair| pair.split_once('='))
}

fn value_of(attribute: &Attribute, code: Option<&str>) -> Value {
    let text = match &attribute.value {
        AttributeValue::Binary(bytes) => return Value::Binary(bytes.clone()),
        AttributeValue::Text(text) => text,
    };
    if &*attribute.name == DURABLE
        && let Ok(durable) = text.parse()
    {
        return Value::Bool(durable);
    }
    if let Some(value) = code.and_then(|code| from_text(code, text)) {
        return value;
    }
    if attribute.base_type() == "Number" { number(text) } else { Value::String(text.clone()) }
}

/// The number that says exactly this text; the text itself where none does (`1.50`).
fn number(text: &Text) -> Value {
    let integer = text.parse().map(Value::I64).ok();
    let exact = |value: &Value| to_text(value) == *text;
    integer
        .filter(exact)
        .or_else(|| text.parse().map(Value::F64).ok().filter(exact))
        .unwrap_or_else(|| Value::String(text.clone()))
}

/// The SQS type that a value has without being told.
fn default_type(value: &Value) -> &'static str {
    match value {
        Value::Binary(_) => "Binary",
        Value::I8(_) | Value::U8(_) | Value::I16(_) | Value::U16(_) | Value::I32(_) | Value::U32(_) => "Number",
        Value::I64(_) | Value::U64(_) | Value::F32(_) | Value::F64(_) | Value::Timestamp(_) => "Number",
        _ => "String",
    }
}

/// Another protocol's message for SQS.
pub(crate) fn from_hub(hub: &Hub, body: &Bytes) -> Foreign {
    let (body, is_text) = match std::str::from_utf8(body) {
        Ok(text) if !text.is_empty() && is_legal(text) => (Text::from(text), true),
        _ => (Text::from(BASE64.encode(body)), false),
    };
    let mut headers = hub.application_properties.clone();
    let labels = take_labels(&mut headers);
    headers.extend(
        Field::ALL
            .into_iter()
            .filter(|field| *field != Field::Durable)
            .filter_map(|field| Some((Text::from_static(field.envelope_name()), hub.field(field)?))),
    );
    let has_own_facts = hub.durable && hub.message_id.is_some() && hub.creation_time_ms.is_some();
    if !has_own_facts {
        headers.push((Text::from_static(DURABLE), Value::Bool(hub.durable)));
    }
    let room = ATTRIBUTES_MAX - usize::from(!is_text);
    let mut attributes = express_all(&headers, &labels, room).unwrap_or_else(|| vec![pack(&headers, &labels)]);
    if !is_text {
        attributes.push(Attribute::text(ENCODING, "String", "base64"));
    }
    Foreign { body, attributes }
}

fn take_labels(headers: &mut Table) -> BTreeMap<String, Text> {
    let Some(at) = headers.iter().position(|(name, value)| &**name == AWS_TYPES && value.as_str().is_some()) else {
        return BTreeMap::new();
    };
    let (_, value) = headers.remove(at);
    let owned = |(name, label): (&str, &str)| (name.to_owned(), Text::from(label));
    pairs(value.as_str().unwrap_or_default()).map(owned).collect()
}

/// Headers as attributes, if SQS takes all of them.
fn express_all(headers: &Table, labels: &BTreeMap<String, Text>, room: usize) -> Option<Vec<Attribute>> {
    let mut names = BTreeSet::new();
    let mut attributes = Vec::with_capacity(headers.len());
    let mut types = Vec::new();
    if headers.len() > room {
        return None;
    }
    for (name, value) in headers {
        let reserved = [ENCODING, HEADERS, TYPES, AWS_TYPES].contains(&&**name);
        if reserved || !is_name(name) || !names.insert(name) {
            return None;
        }
        let (attribute, code) = express(name, value, labels.get(&**name))?;
        types.extend(code.map(|code| format!("{name}={code}")));
        attributes.push(attribute);
    }
    if !types.is_empty() {
        attributes.push(Attribute::text(TYPES, "String", types.join(",")));
    }
    (attributes.len() <= room).then_some(attributes)
}

/// A header as an attribute, with the code of its type where the attribute does not say it.
fn express(name: &Text, value: &Value, label: Option<&Text>) -> Option<(Attribute, Option<&'static str>)> {
    if let Value::Binary(bytes) = value {
        let data_type = label.filter(|label| label.starts_with("Binary")).cloned().unwrap_or("Binary".into());
        let attribute = Attribute { name: name.clone(), data_type, value: AttributeValue::Binary(bytes.clone()) };
        return (!bytes.is_empty()).then_some((attribute, None));
    }
    let text = to_text(value);
    if text.is_empty() || !is_legal(&text) {
        return None;
    }
    let plain = if is_number(&text) { default_type(value) } else { "String" };
    let fits = |label: &&Text| match label.split('.').next() {
        Some("Number") => is_number(&text),
        Some(base) => base == plain,
        None => false,
    };
    let data_type = label.filter(fits).cloned().unwrap_or(Text::from_static(plain));
    let attribute = Attribute { name: name.clone(), data_type, value: AttributeValue::Text(text) };
    let says_it = value_of(&attribute, None) == *value || is_number_field(name);
    let code = if says_it { None } else { type_code(value) };
    // A string that would come back as something else has no code that says so.
    (says_it || code.is_some()).then_some((attribute, code))
}

/// Fields that take any number.
fn is_number_field(name: &str) -> bool {
    let numbers = [Field::Priority, Field::Ttl, Field::GroupSequence, Field::CreationTime];
    Field::from_envelope_name(name).is_some_and(|field| numbers.contains(&field))
}

fn pack(headers: &Table, labels: &BTreeMap<String, Text>) -> Attribute {
    let leaf = |(name, value): &(Text, Value)| {
        Json::from(vec![&**name, type_code(value).unwrap_or("string"), &*to_text(value)])
    };
    let mut leaves: Vec<Json> = headers.iter().map(leaf).collect();
    leaves.extend(label_header(labels).as_ref().map(leaf));
    // JSON escapes control characters by itself; these two are not XML's either.
    let json = Json::Array(leaves).to_string().replace('\u{FFFE}', "\\ufffe").replace('\u{FFFF}', "\\uffff");
    Attribute::text(HEADERS, "String", json.replace('\u{7F}', "\\u007f"))
}

fn unpack(attribute: &Attribute) -> Table {
    let AttributeValue::Text(text) = &attribute.value else { return Table::new() };
    let Ok(Json::Array(leaves)) = serde_json::from_str(text) else { return Table::new() };
    leaves.iter().filter_map(unpack_one).collect()
}

fn unpack_one(leaf: &Json) -> Option<(Text, Value)> {
    let [name, code, text] = &leaf.as_array()?[..] else { return None };
    let text = Text::from(text.as_str()?);
    let value = match code.as_str()? {
        "string" => Value::String(text),
        code => from_text(code, &text)?,
    };
    Some((Text::from(name.as_str()?), value))
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;

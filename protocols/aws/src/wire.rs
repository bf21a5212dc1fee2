//! Encodings: every action is written once, against [`Fields`] and [`Shape`]; each wire protocol is a pair of functions here.
//!
//! | | request | response |
//! |---|---|---|
//! | AWS JSON 1.0 (SQS) | `json::decode` | `json::encode` |
//! | Query (SQS, SNS, STS) | `query::decode` | `xml::encode` |

mod fields;
mod json;
mod query;
mod shape;
mod xml;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderName, HeaderValue};
use bytes::Bytes;

pub(crate) use fields::{Fields, View};
pub(crate) use shape::Shape;

use crate::error::Failure;
use crate::http::{Request, Response, TARGET};

/// How a request was written, and how its answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Json,
    Query,
}

/// Whose action it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    Sqs,
    Sns,
    Sts,
}

impl Service {
    /// What its actions begin with in policies.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Sqs => "sqs",
            Self::Sns => "sns",
            Self::Sts => "sts",
        }
    }

    /// The namespace of its XML.
    fn namespace(self) -> &'static str {
        match self {
            Self::Sqs => "http://queue.amazonaws.com/doc/2012-11-05/",
            Self::Sns => "http://sns.amazonaws.com/doc/2010-03-31/",
            Self::Sts => "https://sts.amazonaws.com/doc/2011-06-15/",
        }
    }
}

/// A request that was understood.
pub(crate) struct Decoded {
    pub service: Service,
    pub protocol: Protocol,
    pub action: String,
    pub fields: Fields,
}

pub(crate) fn decode(request: &Request) -> Result<Decoded, Failure> {
    match request.head.header(&TARGET) {
        Some(target) => json::decode(target, request),
        None => query::decode(request),
    }
}

/// How to answer a request that may not be understood.
pub(crate) fn guess(request: &Request) -> (Service, Protocol) {
    if request.head.header(&TARGET).is_some() {
        return (Service::Sqs, Protocol::Json);
    }
    (query::service_of(request), Protocol::Query)
}

pub(crate) fn encode(service: Service, protocol: Protocol, action: &str, shape: &Shape, id: String) -> Response {
    match protocol {
        Protocol::Json => respond(200, json::CONTENT_TYPE, json::encode(shape), id),
        Protocol::Query => respond(200, xml::CONTENT_TYPE, xml::encode(service, action, shape, &id), id),
    }
}

pub(crate) fn encode_failure((service, protocol): (Service, Protocol), failure: &Failure, id: String) -> Response {
    let status = failure.status();
    match protocol {
        Protocol::Json => {
            let mut response = respond(status, json::CONTENT_TYPE, json::encode_failure(failure), id);
            let code = format!("{};{}", failure.query_code(), failure.blame());
            response.headers.push((HeaderName::from_static("x-amzn-query-error"), value(code)));
            response
        }
        Protocol::Query => respond(status, xml::CONTENT_TYPE, xml::encode_failure(service, failure, &id), id),
    }
}

fn respond(status: u16, content_type: &'static str, body: Vec<u8>, id: String) -> Response {
    let headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (HeaderName::from_static("x-amzn-requestid"), value(id)),
    ];
    Response { status, headers, body: Bytes::from(body) }
}

/// What goes into headers is ours, and ASCII.
fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Whether XML 1.0 and therefore SQS can carry the text.
pub(crate) fn is_legal(text: &str) -> bool {
    // Bytes are looked at many at a time; most texts are ASCII.
    let is_plain = |byte: u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'\x7f');
    text.bytes().fold(true, |all, byte| all & is_plain(byte)) || text.chars().all(is_legal_character)
}

/// The same of one character.
pub(crate) fn is_legal_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

//! HTTP as this crate sees it: a request that was read whole, a response that is written whole.

pub(crate) mod form;

use ::http::header::{CONTENT_TYPE, HOST};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

use crate::wire::is_legal;

/// Everything but RFC 3986's unreserved characters.
pub(crate) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What is asked of SQS.
pub(crate) const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const FORM: &str = "application/x-www-form-urlencoded";
const TRACE: HeaderName = HeaderName::from_static("x-amzn-trace-id");
/// What is longer is no trace header.
const TRACE_BYTES_MAX: usize = 1_024;
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What comes before a request's body: enough to see who claims to send it.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// `GET`, `POST` …
    pub method: Method,
    /// Path and query as they were sent, percent-encoding included.
    pub uri: Uri,
    /// Names and values. Values that are not ASCII are kept as they are.
    pub headers: HeaderMap,
}

/// A request with its whole body.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// What came before the body.
    pub head: Head,
    /// The body.
    pub body: Bytes,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

impl Head {
    /// The first header of that name, if it is text.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        std::str::from_utf8(self.headers.get(name)?.as_bytes()).ok()
    }

    /// The path as it was sent.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// What follows `?`, as it was sent.
    pub fn query(&self) -> &str {
        self.uri.query().unwrap_or_default()
    }

    /// Whether the body is a form.
    pub fn has_form(&self) -> bool {
        let is_form = |kind: &str| kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM);
        // What SDKs send to SQS is shorter.
        self.header(&CONTENT_TYPE).is_some_and(|kind| kind.len() >= FORM.len() && is_form(kind))
    }

    /// What X-Ray calls the request.
    pub(crate) fn trace(&self) -> Option<&str> {
        let is_good = |trace: &&str| (1..=TRACE_BYTES_MAX).contains(&trace.len()) && is_legal(trace);
        self.header(&TRACE).filter(is_good)
    }

    /// `http://host:port` as the client wrote it, for URLs in answers. TLS ends before this listener, if there is any.
    pub(crate) fn origin(&self) -> String {
        let scheme = match self.header(&FORWARDED_PROTO) {
            Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
            _ => "http",
        };
        let host = self.header(&HOST).filter(|host| is_host(host)).unwrap_or("localhost");
        [scheme, "://", host].concat()
    }
}

/// A Host header goes into answers, so only what may stand in one is taken.
fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
}

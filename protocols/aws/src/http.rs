//! HTTP as this crate sees it: a request that was read whole, a response that is written whole.

pub(crate) mod form;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// Everything but RFC 3986's unreserved characters.
pub(crate) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request with its whole body.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `GET`, `POST` …
    pub method: String,
    /// The path as it was sent, percent-encoding included.
    pub path: String,
    /// What follows `?`, as it was sent.
    pub query: String,
    /// Names and values in the order in which they came. Values that are not ASCII are kept as they are.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Bytes,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// The first header of that name, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// All headers of that name.
    pub(crate) fn headers_named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let named = self.headers.iter().filter(move |(candidate, _)| candidate.as_bytes().eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_slice())
    }

    /// Whether the body is a form.
    pub(crate) fn has_form(&self) -> bool {
        self.header("content-type").is_some_and(|kind| {
            kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
        })
    }

    /// `http://host:port` as the client wrote it, for URLs in answers. TLS ends before this listener, if there is any.
    pub(crate) fn origin(&self) -> String {
        let scheme = match self.header("x-forwarded-proto") {
            Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
            _ => "http",
        };
        let host = self.header("host").filter(|host| is_host(host)).unwrap_or("localhost");
        format!("{scheme}://{host}")
    }
}

/// A Host header goes into answers, so only what may stand in one is taken.
fn is_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte))
}

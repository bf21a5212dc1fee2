//! A request of any bytes: method, URI and headers a line each, the body behind an empty one.

#![no_main]

use bytes::Bytes;
use crossdock_aws::{Head, Request};
use crossdock_fuzz::caller::{Endpoint, is_signed};
use http::{HeaderName, HeaderValue, Method, Uri};
use libfuzzer_sys::fuzz_target;

/// What requests begin with.
const BEGINNINGS: [&str; 6] = [
    "",
    "GET\n/?Action=",
    "POST\n/\ncontent-type:application/x-www-form-urlencoded\n\nAction=",
    "POST\n/\ncontent-type:application/x-amz-json-1.0\nx-amz-target:AmazonSQS.",
    "POST\n/\nhost:localhost\nx-amz-date:20260102T030405Z\nauthorization:AWS4-HMAC-SHA256 Credential=guest/20260102/us-east-1/sqs/aws4_request, ",
    "GET\n/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20260102T030405Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Credential=",
];

/// What no server of HTTP lets through is not tried.
fn request(data: &[u8]) -> Option<Request> {
    let end = data.windows(2).position(|two| two == b"\n\n")?;
    let mut lines = data[..end].split(|byte| *byte == b'\n');
    let method = Method::from_bytes(lines.next()?).ok()?;
    let uri = Uri::try_from(lines.next()?).ok()?;
    let mut head = Head { method, uri, ..Head::default() };
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        head.headers.append(name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?);
    }
    Some(Request { head, body: Bytes::copy_from_slice(&data[end + 2..]) })
}

fuzz_target!(|data: &[u8]| {
    let [beginning, data @ ..] = data else { return };
    let beginning = BEGINNINGS[usize::from(*beginning) % BEGINNINGS.len()];
    let Some(request) = request(&[beginning.as_bytes(), data].concat()) else { return };
    assert!(!is_signed(&request), "{request:?}");
    Endpoint::default().answer(&request);
});

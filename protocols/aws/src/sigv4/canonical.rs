//! The canonical request: what client and server both sign.

use percent_encoding::{percent_decode_str, utf8_percent_encode};

use crate::http::{ENCODED, Request};

/// More than the canonical requests of SDKs have.
const TEXT_BYTES: usize = 1 << 10;

/// Names and values of a query, as they were sent.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

pub(super) fn request(request: &Request, signed_headers: &str, payload: &str) -> Vec<u8> {
    let mut text = Vec::with_capacity(TEXT_BYTES);
    for part in [&*request.method, &path(&request.path), &query(&request.query)] {
        text.extend_from_slice(part.as_bytes());
        text.push(b'\n');
    }
    for name in signed_headers.as_bytes().split(|byte| *byte == b';') {
        text.extend(name.iter().map(u8::to_ascii_lowercase));
        text.push(b':');
        push_header(request, name, &mut text);
        text.push(b'\n');
    }
    for part in ["\n", signed_headers, "\n", payload] {
        text.extend_from_slice(part.as_bytes());
    }
    text
}

/// Dot segments and repeated slashes go; what was sent is encoded once more, as all services but S3 do it.
fn path(path: &str) -> String {
    if path == "/" {
        return path.to_owned();
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            other => segments.push(other),
        }
    }
    let encoded: Vec<String> =
        segments.iter().map(|segment| utf8_percent_encode(segment, ENCODED).to_string()).collect();
    let slash = if path.ends_with('/') && !encoded.is_empty() { "/" } else { "" };
    format!("/{}{slash}", encoded.join("/"))
}

/// Sorted by name and value, in one spelling; the signature of a presigned request is not part of what it signs.
fn query(query: &str) -> String {
    let encode = |text: &str| {
        // What is signed is what the parameter means: a plus sign is a space there.
        let spaced = text.replace('+', "%20");
        let bytes: Vec<u8> = percent_decode_str(&spaced).collect();
        percent_encoding::percent_encode(&bytes, ENCODED).to_string()
    };
    let mut pairs: Vec<(String, String)> = pairs(query)
        .filter(|(name, _)| *name != "X-Amz-Signature")
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// All values of a header, each without spaces around it and with single ones in it.
fn push_header(request: &Request, name: &[u8], text: &mut Vec<u8>) {
    for (index, value) in request.headers_named(name).enumerate() {
        if index > 0 {
            text.push(b',');
        }
        let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        for (index, word) in words.enumerate() {
            if index > 0 {
                text.push(b' ');
            }
            text.extend_from_slice(word);
        }
    }
}

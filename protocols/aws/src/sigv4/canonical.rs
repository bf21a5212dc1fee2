//! The canonical request: what client and server both sign.

use percent_encoding::{percent_decode_str, utf8_percent_encode};

use crate::http::{ENCODED, Request};

/// More than the canonical requests of SDKs have.
const TEXT_BYTES: usize = 1 << 10;

/// Names and values of a query, as they were sent.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

pub(super) fn request(request: &Request, signed_headers: &str, payload: &str) -> String {
    let mut text = String::with_capacity(TEXT_BYTES);
    for part in [&*request.method, &path(&request.path), &query(&request.query)] {
        text.push_str(part);
        text.push('\n');
    }
    for name in signed_headers.split(';') {
        text.extend(name.chars().map(|letter| letter.to_ascii_lowercase()));
        text.push(':');
        push_header(request, name, &mut text);
        text.push('\n');
    }
    text.push('\n');
    text.push_str(signed_headers);
    text.push('\n');
    text.push_str(payload);
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
        let bytes: Vec<u8> = percent_decode_str(text).collect();
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
fn push_header(request: &Request, name: &str, text: &mut String) {
    for (index, value) in request.headers_named(name).enumerate() {
        if index > 0 {
            text.push(',');
        }
        for (index, word) in String::from_utf8_lossy(value).split_ascii_whitespace().enumerate() {
            if index > 0 {
                text.push(' ');
            }
            text.push_str(word);
        }
    }
}

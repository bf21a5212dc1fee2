//! The canonical request: what client and server both sign.

use std::borrow::Cow;
use std::collections::HashSet;

use percent_encoding::{percent_decode_str, utf8_percent_encode};

use crate::http::{ENCODED, Head};

/// More than the canonical requests of SDKs have.
const TEXT_BYTES: usize = 1 << 10;

/// Names and values of a query, as they were sent.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Whether the names ascend, as SDKs write them: then there are no two of one.
pub(super) fn are_sorted(names: &[&str]) -> bool {
    let is_lower = |name: &&str| !name.bytes().any(|byte| byte.is_ascii_uppercase());
    names.iter().all(is_lower) && names.is_sorted_by(|one, next| one < next)
}

/// Whether no name comes twice, in whatever spelling.
pub(super) fn are_different(names: &[&str]) -> bool {
    let mut seen = HashSet::new();
    names.iter().all(|name| seen.insert(name.to_ascii_lowercase()))
}

/// `signed_headers` is what the client names, as it is written and one by one.
pub(super) fn request(head: &Head, signed_headers: (&str, &[&str]), payload: &[u8]) -> Vec<u8> {
    let (names, each) = signed_headers;
    let mut text = Vec::with_capacity(TEXT_BYTES);
    for part in [head.method.as_str(), &path(head.path()), &query(head.query())] {
        text.extend_from_slice(part.as_bytes());
        text.push(b'\n');
    }
    for name in each {
        text.extend(name.bytes().map(|byte| byte.to_ascii_lowercase()));
        text.push(b':');
        push_header(head, name, &mut text);
        text.push(b'\n');
    }
    for part in [b"\n", names.as_bytes(), b"\n", payload] {
        text.extend_from_slice(part);
    }
    text
}

/// Dot segments and repeated slashes go; what was sent is encoded once more, as all services but S3 do it.
fn path(path: &str) -> Cow<'_, str> {
    if path == "/" {
        return path.into();
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
    format!("/{}{slash}", encoded.join("/")).into()
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
fn push_header(head: &Head, name: &str, text: &mut Vec<u8>) {
    for (index, value) in head.headers.get_all(name).iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        push_value(value.as_bytes(), text);
    }
}

fn push_value(value: &[u8], text: &mut Vec<u8>) {
    // Nothing that is less than a space is no space, either.
    if value.iter().all(|byte| *byte > b' ') {
        text.extend_from_slice(value);
        return;
    }
    let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            text.push(b' ');
        }
        text.extend_from_slice(word);
    }
}

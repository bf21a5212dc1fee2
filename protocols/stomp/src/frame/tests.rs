use bytes::BytesMut;
use crossdock_common::Limits;
use crossdock_common::output::OutgoingBytes;

use super::*;

fn decode(version: Option<Version>, bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
    decode_within(&Limits::default(), version, bytes)
}

fn decode_within(limits: &Limits, version: Option<Version>, bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
    let rules = version.map_or_else(|| Rules::of_stranger(limits), |version| Rules::of_version(version, limits));
    let (mut decoder, mut input, mut frames) = (Decoder::default(), BytesMut::from(bytes), Vec::new());
    while let Some(frame) = decoder.next(&mut input, &rules)? {
        frames.push(frame);
    }
    Ok(frames)
}

fn one(version: Version, bytes: &[u8]) -> Frame {
    decode(Some(version), bytes).unwrap().pop().unwrap()
}

fn error(version: Version, bytes: &[u8]) -> String {
    decode(Some(version), bytes).unwrap_err().detail
}

#[test]
fn frames_of_stomp_py_and_of_telnet_are_read() {
    let frame = &decode(None, b"STOMP\naccept-version:1.2\nhost:localhost\n\n\0\n").unwrap()[0];
    assert_eq!((frame.verb, frame.headers.get("host").as_deref()), (Verb::Connect, Some("localhost")));
    let frame = one(Version::V1_0, b"SEND\r\ndestination: /queue/a\r\n\r\nhello\r\n\0");
    assert_eq!(frame.headers.get("destination").as_deref(), Some("/queue/a"));
    assert_eq!(&frame.body[..], b"hello\r\n");
}

#[test]
fn a_body_with_nul_needs_its_length() {
    let frames = decode(Some(Version::V1_2), b"\nSEND\ncontent-length:3\n\na\0b\0\r\n\nSEND\n\nx\0").unwrap();
    assert_eq!((&frames[0].body[..], &frames[1].body[..]), (&b"a\0b"[..], &b"x"[..]));
}

#[test]
fn the_first_of_repeated_headers_counts() {
    let frame = one(Version::V1_2, b"SEND\nfoo:1\nfoo:2\ncontent-length:1\ncontent-length:9\n\nx\0");
    assert_eq!(frame.headers.get("foo").as_deref(), Some("1"));
}

#[test]
fn a_name_with_escapes_is_found_by_what_it_means() {
    let frame = one(Version::V1_2, b"SEND\n\\c\\c\\c:all\na\\cb:some\nplain:x\\ny\nplain\\c:no\n\n\0");
    for (name, value) in [(":::", Some("all")), ("a:b", Some("some")), ("plain", Some("x\ny")), ("a\\cb", None)] {
        assert_eq!(frame.headers.get(name).as_deref(), value, "{name}");
    }
}

#[test]
fn each_version_has_its_escapes() {
    let frame = b"SEND\na\\cb:1\\n\\\\\\c2\n\n\0";
    assert_eq!(one(Version::V1_2, frame).headers.get("a:b").as_deref(), Some("1\n\\:2"));
    assert_eq!(one(Version::V1_0, frame).headers.get("a\\cb").as_deref(), Some("1\\n\\\\\\c2"));
    assert_eq!(one(Version::V1_2, b"SEND\na:\\r\n\n\0").headers.get("a").as_deref(), Some("\r"));
    assert_eq!(error(Version::V1_1, b"SEND\na:\\r\n\n\0"), "header 'a' has the undefined escape '\\r'");
    assert_eq!(error(Version::V1_2, b"SEND\na:\\t\n\n\0"), "header 'a' has the undefined escape '\\t'");
    assert_eq!(error(Version::V1_2, b"SEND\na:b\\\n\n\0"), "header 'a' has the undefined escape '\\'");
}

/// ST-2.
#[test]
fn a_wrong_content_length_is_refused() {
    for length in ["-1", "", "+1", "x", "1 2", "0x1"] {
        let frame = format!("SEND\ncontent-length:{length}\n\nx\0");
        assert!(error(Version::V1_2, frame.as_bytes()).ends_with("is not a number"), "{length}");
    }
    assert!(error(Version::V1_2, b"SEND\ncontent-length:1\n\nxy\0").starts_with("no NUL after the 1 bytes"));
    for length in ["16777217", "18446744073709551616", "99999999999999999999999999"] {
        let frame = format!("SEND\ncontent-length:{length}\n\n");
        assert!(error(Version::V1_2, frame.as_bytes()).ends_with("limit of 16777216"), "{length}");
    }
}

/// ST-3.
#[test]
fn what_is_no_header_section_is_refused() {
    for frame in
        [&b"SEND\nfoo\n\n\0"[..], b"SEND\n:x\n\n\0", b"SEND\na:\0\n\n\0", b"SEND\na:\xff\n\n\0", b"SEND\na:1\0"]
    {
        assert_eq!(decode(Some(Version::V1_2), frame).unwrap_err().message, "Malformed frame");
    }
}

/// COM-2.
#[test]
fn another_protocol_is_recognised_at_its_first_bytes() {
    for bytes in [&b"\x16\x03\x01"[..], b"GET / HTTP/1.1\r\n", b"AMQP\0", b"send\n", b"\0", b"UNSUBSCRIBED", b"\rX"] {
        assert_eq!(decode(None, bytes).unwrap_err().message, "Bad command", "{bytes:?}");
    }
    assert_eq!(decode(None, b"FOO\n").unwrap_err().detail, "Could not interpret command \"FOO\"");
}

#[test]
fn limits_hold_at_the_byte() {
    let limits = Limits { header_bytes_max: 64, table_entries_max: 3, message_bytes_max: 10, ..Limits::default() };
    let fits = |bytes: &[u8]| decode_within(&limits, Some(Version::V1_2), bytes).is_ok();
    for (count, expected) in [(2, true), (3, true), (4, false)] {
        assert_eq!(fits(format!("SEND\n{}\n\0", "a:1\n".repeat(count)).as_bytes()), expected, "{count} headers");
    }
    for (size, expected) in [(63, true), (64, true), (65, false)] {
        let head = format!("SEND\na:{}\n\n\0", "x".repeat(size - 9));
        assert_eq!(head.len() - 1, size);
        assert_eq!(fits(head.as_bytes()), expected, "{size} bytes of head");
        assert_eq!(fits("x".repeat(size).to_uppercase().replacen("XXXXX", "SEND\n", 1).as_bytes()), size <= 64);
    }
    for (size, expected) in [(9, true), (10, true), (11, false)] {
        let body = "x".repeat(size);
        assert_eq!(fits(format!("SEND\n\n{body}\0").as_bytes()), expected, "{size} bytes of body");
        assert_eq!(fits(format!("SEND\n\n{body}").as_bytes()), expected, "{size} bytes of an unfinished body");
        assert_eq!(fits(format!("SEND\ncontent-length:{size}\n\n{body}\0").as_bytes()), expected);
    }
}

fn written(version: Version, name: &str, value: &str, body: &'static [u8]) -> Vec<u8> {
    let mut output = OutgoingBytes::default();
    ServerFrame::new(version, "MESSAGE").header(name, value).write(&Bytes::from_static(body), &mut output);
    output.take_all().to_vec()
}

#[test]
fn frames_are_written_as_the_version_wants_them() {
    assert_eq!(written(Version::V1_2, "a:b", "\r\n\\", b"x"), b"MESSAGE\na\\cb:\\r\\n\\\\\n\nx\0");
    assert_eq!(written(Version::V1_1, "a:b", "\r\n\\", b"x"), b"MESSAGE\na\\cb:\r\\n\\\\\n\nx\0");
    assert_eq!(written(Version::V1_0, "a", "b:c\\", b"x"), b"MESSAGE\na:b:c\\\n\nx\0");
    assert_eq!(written(Version::V1_0, "a", "b\nc", b""), b"MESSAGE\na:b\\nc\n\n\0");
}

#[test]
fn stored_lines_are_written_as_the_version_wants_them() {
    for (version, expected) in [
        (Version::V1_2, &b"a\\cb:\\r\\\\n\n"[..]),
        (Version::V1_1, b"a\\cb:\r\\\\n\n"),
        (Version::V1_0, b"a\\cb:\r\\n\n"),
    ] {
        let mut line = BytesMut::new();
        Line::stored(version, "a\\cb", "\\r\\\\n").encode(&mut line);
        assert_eq!(&line[..], expected, "{version:?}");
    }
}

#[test]
fn the_highest_common_version_is_spoken() {
    assert_eq!(Version::negotiate("1.0,1.1,1.2"), Some(Version::V1_2));
    assert_eq!(Version::negotiate("1.1, 1.0"), Some(Version::V1_1));
    assert_eq!(Version::negotiate("1.0,2.0"), Some(Version::V1_0));
    assert_eq!(Version::negotiate("2.0"), None);
    assert_eq!(Version::negotiate(""), None);
}

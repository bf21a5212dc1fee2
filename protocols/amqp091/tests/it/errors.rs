//! Every other way to be told what is wrong.

use super::support::*;

fn told(bytes: &[u8]) -> String {
    let mut rig = Rig::open();
    rig.send(bytes);
    rig.read().pop().unwrap()
}

#[test]
fn refusals_of_the_core_have_rabbitmqs_codes_and_texts() {
    let exchange =
        |name: &str, kind: &str| method(1, 40, 10, Args::new().u16(0).short(name).short(kind).u8(0).long(b""));
    let purge = |name: &str| method(1, 50, 30, Args::new().u16(0).short(name).u8(0));
    for (bytes, text) in [
        (declare_queue(1, "missing", 1), "1 channel.close 404 NOT_FOUND - no queue 'missing' in vhost '/' 50/10"),
        (
            exchange("amq.refused", "direct"),
            "1 channel.close 403 ACCESS_REFUSED - exchange name 'amq.refused' contains reserved prefix 'amq.*' 40/10",
        ),
        (exchange("x", "unknown"), "1 channel.close 406 PRECONDITION_FAILED - unknown exchange type 'unknown' 40/10"),
        (
            declare_queue(1, "locked", 0),
            "1 channel.close 405 RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'locked' in vhost '/'. It \
             could be originally declared on another connection or the exclusive property value does not match that of \
             the original declaration. 50/10",
        ),
        (
            declare_queue(1, "inequivalent", 0),
            "1 channel.close 406 PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'inequivalent' in vhost '/': \
             received 'true' but current is 'false' 50/10",
        ),
        (purge("unavailable"), "0 connection.close 541 INTERNAL_ERROR - journal failed 50/30"),
        // Errors count although no answer is wanted.
        (declare_queue(1, "missing", 0x11), "1 channel.close 404 NOT_FOUND - no queue 'missing' in vhost '/' 50/10"),
    ] {
        assert_eq!(told(&bytes), text);
    }
}

#[test]
fn frames_out_of_order_close_the_connection() {
    let publish = || publish_method(1, "x", "k", 0);
    let no_header = "0 connection.close 505 UNEXPECTED_FRAME - expected content header for class 60, got non content header \
                     frame instead 60/40";
    let no_body =
        "0 connection.close 505 UNEXPECTED_FRAME - expected content body, got non content body frame instead 60/40";
    let no_method = "0 connection.close 505 UNEXPECTED_FRAME - expected method frame, got non method frame instead 0/0";
    for (bytes, text) in [
        ([publish(), publish()].concat(), no_header),
        ([publish(), frame(3, 1, b"x")].concat(), no_header),
        ([publish(), frame(3, 1, &[0; 9000])].concat(), no_header),
        ([publish(), header(1, 5, &[0, 0]), publish()].concat(), no_body),
        ([publish(), header(1, 5, &[0, 0]), header(1, 5, &[0, 0])].concat(), no_body),
        (header(1, 5, &[0, 0]), no_method),
        (frame(3, 1, b"x"), no_method),
        (frame(3, 1, &[0; 9000]), no_method),
        (
            [publish(), frame(2, 1, &Args::new().u16(50).u16(0).u64(0).u16(0).0)].concat(),
            "0 connection.close 505 UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead \
             60/40",
        ),
        (frame(8, 1, b""), "0 connection.close 505 UNEXPECTED_FRAME - type 8, all octets = <<>> 0/0"),
        (frame(8, 9, b""), "0 connection.close 505 UNEXPECTED_FRAME - type 8, all octets = <<>> 0/0"),
        (
            frame(3, 0, b"x"),
            "0 connection.close 505 UNEXPECTED_FRAME - unexpected content body frame on channel 0 in connection state \
             running 0/0",
        ),
        (
            [publish(), header(1, 5, &[0, 0]), frame(3, 1, b"123456")].concat(),
            "0 connection.close 501 FRAME_ERROR - content body exceeds its announced size 5 60/40",
        ),
    ] {
        assert_eq!(told(&bytes), text);
    }
}

#[test]
fn channels_must_be_open() {
    for (bytes, ids) in [
        (publish(9, "x", "k", b""), "60/40"),
        (declare_queue(9, "q", 0), "50/10"),
        (close_channel(9), "20/40"),
        (frame(3, 9, b"x"), "0/0"),
        (frame(3, 9, &[0; 9000]), "0/0"),
        ([close_channel(1), Vec::new()].concat(), ""),
    ] {
        let text = format!("0 connection.close 504 CHANNEL_ERROR - expected 'channel.open' {ids}");
        let text = if ids.is_empty() { "1 channel.close-ok".into() } else { text };
        assert_eq!(told(&bytes), text);
    }
    let text = "0 connection.close 504 CHANNEL_ERROR - second 'channel.open' seen 20/10";
    assert_eq!(told(&open_channel(1)), text);
}

#[test]
fn methods_must_be_known_and_whole() {
    for (bytes, text) in [
        (method(1, 60, 999, Args::new()), "0 connection.close 540 NOT_IMPLEMENTED - unknown method 60/999 60/999"),
        (method(1, 99, 10, Args::new()), "0 connection.close 540 NOT_IMPLEMENTED - unknown method 99/10 99/10"),
        (method(0, 10, 99, Args::new()), "0 connection.close 540 NOT_IMPLEMENTED - unknown method 10/99 10/99"),
        (frame(1, 1, b"\0"), "0 connection.close 502 SYNTAX_ERROR - method frame is cut short 0/0"),
        (method(1, 60, 80, Args::new().u32(0)), "0 connection.close 502 SYNTAX_ERROR - arguments are cut short 60/80"),
        (
            method(1, 60, 80, Args::new().u64(0).u16(0)),
            "0 connection.close 502 SYNTAX_ERROR - there are bytes after the arguments 60/80",
        ),
        (
            method(1, 10, 50, Args::new().u16(0).short("").u32(0)),
            "0 connection.close 503 COMMAND_INVALID - unimplemented method 10/50",
        ),
        (
            declare_queue(0, "q", 0),
            "0 connection.close 504 CHANNEL_ERROR - unexpected method in connection state running 50/10",
        ),
        (publish_method(1, "x", "k", 2), "0 connection.close 540 NOT_IMPLEMENTED - immediate=true 60/40"),
        (
            method(1, 60, 10, Args::new().u32(7).u16(0).u8(0)),
            "0 connection.close 540 NOT_IMPLEMENTED - prefetch_size!=0 (7) 60/10",
        ),
    ] {
        assert_eq!(told(&bytes), text);
    }
}

#[test]
fn properties_are_checked_when_published() {
    for (properties, text) in [
        (
            &b"\x01\x00\x03abc"[..],
            "1 channel.close 406 PRECONDITION_FAILED - invalid expiration 'abc': no_integer 60/40",
        ),
        (
            b"\x00\x10\x04root",
            "1 channel.close 406 PRECONDITION_FAILED - user_id property set to 'root' but authenticated \
            user was 'guest' 60/40",
        ),
        (b"\x00\x01", "0 connection.close 502 SYNTAX_ERROR - unknown property flags 60/40"),
        (b"\x80\x00\x09a", "0 connection.close 502 SYNTAX_ERROR - arguments are cut short 60/40"),
        (b"\x20\x00\x00\x00\x00\x02\x01a", "0 connection.close 502 SYNTAX_ERROR - arguments are cut short 60/40"),
        (
            b"\x20\x00\x00\x00\x00\x03\x01aZ",
            "0 connection.close 502 SYNTAX_ERROR - field table has an unknown type 60/40",
        ),
    ] {
        assert_eq!(told(&publish_with(1, "x", "k", 0, properties, b"b")), text);
        // The same when the frames come one by one.
        let mut rig = Rig::open();
        rig.send(&publish_method(1, "x", "k", 0));
        rig.send(&header(1, 1, properties));
        rig.send(&frame(3, 1, b"b"));
        assert_eq!(rig.read().pop().unwrap(), text);
    }
}

#[test]
fn after_an_error_only_the_answer_counts() {
    let mut rig = Rig::open();
    rig.send(&frame(8, 1, b""));
    rig.read();
    rig.send(&[publish(1, "", "q", b"x"), declare_queue(0, "q", 0), frame(3, 0, b"x")].concat());
    assert!(rig.read().is_empty());
    rig.send(&close_connection());
    assert_eq!(rig.read(), ["0 connection.close-ok"]);
    assert_eq!(rig.close(), None);
    rig.send(&method(0, 10, 51, Args::new()));
    assert!(rig.close().is_some());
    assert!(rig.core.queues.is_empty());
}

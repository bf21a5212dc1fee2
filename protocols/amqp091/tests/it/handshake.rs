//! From the protocol header to open, and every way to fail before.

use std::sync::Arc;

use crossdock_amqp091::{ConnectionOptions, Mechanism};
use crossdock_common::output::Close;
use crossdock_common::{Limits, Machine, Name, Text};

use super::support::*;

fn rig() -> Rig {
    Rig::new(ConnectionOptions::default())
}

#[test]
fn the_server_properties_are_those_of_rabbitmq() {
    let mut rig = Rig::new(ConnectionOptions { product: Text::from_static("P"), ..ConnectionOptions::default() });
    rig.send(HEADER);
    let start = &rig.read_frames()[0].payload;
    let capabilities: &[u8] = b"\x0ccapabilitiesF\x00\x00\x00\xc7\x12publisher_confirmst\x01\
        \x1aexchange_exchange_bindingst\x01\x0abasic.nackt\x01\x16consumer_cancel_notifyt\x01\
        \x12connection.blockedt\x01\x13consumer_prioritiest\x01\x1cauthentication_failure_closet\x01\
        \x10per_consumer_qost\x01\x0fdirect_reply_tot\x01";
    assert_eq!(&start[..6], &[0, 10, 0, 10, 0, 9]);
    assert_eq!(&start[10..10 + capabilities.len()], capabilities);
    let tail = b"\x00\x00\x00\x0ePLAIN AMQPLAIN\x00\x00\x00\x05en_US";
    assert_eq!(&start[start.len() - tail.len()..], tail);
    assert!(start.windows(15).any(|part| part == b"\x07productS\x00\x00\x00\x01P\x07"));
}

#[test]
fn wrong_headers_are_answered_with_the_right_one() {
    for wrong in
        [&b"AMQP\x00\x01\x00\x00"[..], b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00", b"\x40\x02\x00\x01", b"AMQP\x01"]
    {
        let mut rig = rig();
        rig.send(wrong);
        assert_eq!(rig.read(), ["protocol header"]);
        assert!(matches!(rig.close(), Some(Close::Violation { rule: "PROTOCOL_HEADER", .. })));
    }
}

#[test]
fn plain_amqplain_external_and_anonymous_lead_in() {
    let mechanisms = vec![Mechanism::Plain, Mechanism::AmqPlain, Mechanism::External, Mechanism::Anonymous];
    let amqplain = Args::new().short("LOGIN").u8(b'S').long(b"guest").short("PASSWORD").u8(b'S').long(b"guest");
    for (name, response) in
        [("PLAIN", &b"\0guest\0guest"[..]), ("AMQPLAIN", &amqplain.0), ("EXTERNAL", b""), ("ANONYMOUS", b"")]
    {
        let certificate_name = Some(Name::from("device"));
        let options =
            ConnectionOptions { mechanisms: mechanisms.clone(), certificate_name, ..ConnectionOptions::default() };
        let mut rig = Rig::new(options);
        rig.send(&[HEADER, &start_ok(name, response)].concat());
        assert!(rig.machine.is_authenticated(), "{name}");
        rig.send(&[tune_ok(0, 0, 0), open("/")].concat());
        assert_eq!(rig.read()[1..], ["0 connection.tune 2047 131072 60", "0 connection.open-ok"]);
    }
}

#[test]
fn a_wrong_password_is_refused_as_rabbitmq_does() {
    let mut rig = rig();
    rig.send(&[HEADER, &start_ok("PLAIN", b"\0guest\0wrong")].concat());
    assert_eq!(
        rig.read()[1],
        "0 connection.close 403 ACCESS_REFUSED - Login was refused using authentication mechanism \
        PLAIN. For details see the broker logfile. 0/0"
    );
    assert_eq!(rig.close(), None);
    rig.send(&method(0, 10, 51, Args::new()));
    assert!(matches!(rig.close(), Some(Close::Refused(_))));
}

#[test]
fn a_client_that_cannot_read_a_refusal_is_just_closed() {
    let mut rig = rig();
    let start_ok = method(0, 10, 11, Args::new().long(b"").short("PLAIN").long(b"\0guest\0wrong").short("en_US"));
    rig.send(&[HEADER, &start_ok].concat());
    assert_eq!(rig.read(), ["0 connection.start"]);
    assert!(matches!(rig.close(), Some(Close::Refused(_))));
}

#[test]
fn what_was_sent_before_is_refused() {
    let refused = |bytes: Vec<u8>| {
        let mut rig = rig();
        rig.send(&[HEADER, &bytes].concat());
        rig.read().pop().unwrap()
    };
    let guest = || start_ok("PLAIN", b"\0guest\0guest");
    assert_eq!(
        refused(start_ok("SCRAM", b"")),
        "0 connection.close 503 COMMAND_INVALID - unknown authentication mechanism 'SCRAM' 10/11"
    );
    assert_eq!(
        refused(start_ok("PLAIN", b"x")),
        "0 connection.close 502 SYNTAX_ERROR - PLAIN response is invalid 10/11"
    );
    assert_eq!(
        refused(open("/")),
        "0 connection.close 504 CHANNEL_ERROR - unexpected method in connection state starting 10/40"
    );
    assert_eq!(
        refused(open_channel(1)),
        "0 connection.close 505 UNEXPECTED_FRAME - unexpected method frame on channel 1 in connection state starting 0/0"
    );
    assert_eq!(
        refused([guest(), tune_ok(0, 4095, 0)].concat()),
        "0 connection.close 530 NOT_ALLOWED - negotiated frame_max = 4095 is lower than the minimum allowed value (4096) \
         10/31"
    );
    assert_eq!(
        refused([guest(), tune_ok(3000, 0, 0)].concat()),
        "0 connection.close 530 NOT_ALLOWED - negotiated channel_max = 3000 is higher than the maximum allowed value \
         (2047) 10/31"
    );
    assert_eq!(
        refused([guest(), tune_ok(0, 0, 0), open("missing")].concat()),
        "0 connection.close 530 NOT_ALLOWED - vhost missing not found 10/40"
    );
}

#[test]
fn before_login_a_frame_has_8192_bytes_at_most() {
    for (size, fits) in [(8183u32, true), (8184, true), (8185, false)] {
        let mut rig = rig();
        rig.send(HEADER);
        rig.send(&[&[1, 0, 0][..], &size.to_be_bytes()].concat());
        assert_eq!(rig.close().is_none(), fits);
        assert_eq!(rig.machine.input_bytes_max(), 8192);
    }
}

#[test]
fn a_handshake_that_takes_too_long_is_given_up() {
    let mut rig = rig();
    rig.send(HEADER);
    let deadline = rig.machine.deadline().unwrap();
    assert_eq!(deadline.ms_since(rig.now.instant), 10_000);
    rig.now.instant = deadline;
    rig.machine.timeout(rig.now, &mut rig.output);
    assert_eq!(rig.close(), Some(&Close::TimedOut("handshake")));
}

#[test]
fn the_limits_are_proposed() {
    let limits = Limits { channels_max: 5, frame_bytes_max: 8192, heartbeat_ms: 1500, ..Limits::default() };
    let mut rig = Rig::new(ConnectionOptions { limits: Arc::new(limits), ..ConnectionOptions::default() });
    rig.send(&[HEADER, &start_ok("PLAIN", b"\0guest\0guest")].concat());
    assert_eq!(rig.read()[1], "0 connection.tune 5 8192 2");
}

#[test]
fn both_sides_can_close() {
    let mut rig = Rig::open();
    rig.send(&close_connection());
    assert_eq!(rig.read(), ["0 connection.close-ok"]);
    assert_eq!(rig.close(), Some(&Close::Normal));

    let mut rig = Rig::open();
    rig.machine.shutdown(rig.now, &mut rig.output);
    assert_eq!(
        rig.read(),
        ["0 connection.close 320 CONNECTION_FORCED - broker forced connection closure with reason 'shutdown' 0/0"]
    );
    rig.send(&publish(1, "", "q", b"late"));
    assert!(rig.core.log.is_empty(), "frames after our close are ignored");
    rig.send(&method(0, 10, 51, Args::new()));
    assert_eq!(rig.close(), Some(&Close::Shutdown));
}

#[test]
fn an_operator_ends_a_connection_and_says_why() {
    let mut rig = Rig::open();
    rig.event(crossdock_common::Event::Forced { reason: "vhost 'v' is deleted".into() });
    assert_eq!(rig.read(), ["0 connection.close 320 CONNECTION_FORCED - vhost 'v' is deleted 0/0"]);
    rig.send(&method(0, 10, 51, Args::new()));
    assert_eq!(rig.close(), Some(&Close::Shutdown));
}

#[test]
fn a_peer_that_does_not_answer_our_close_is_left() {
    let mut rig = Rig::open();
    rig.machine.shutdown(rig.now, &mut rig.output);
    rig.now.instant = rig.machine.deadline().unwrap();
    rig.machine.timeout(rig.now, &mut rig.output);
    assert_eq!(rig.close(), Some(&Close::Shutdown));
    assert_eq!(rig.machine.deadline(), None);
}

#[test]
fn publishers_are_told_to_stop_and_to_go_on() {
    use crossdock_common::Event;
    let mut rig = Rig::open();
    rig.event(Event::Blocked { reason: "low on memory" });
    assert!(rig.read().is_empty(), "it has not published");
    rig.send(&publish(1, "", "q", b"x"));
    assert_eq!(rig.read(), ["0 connection.blocked low on memory"]);
    rig.event(Event::Unblocked);
    assert_eq!(rig.read(), ["0 connection.unblocked"]);
    rig.event(Event::Unblocked);
    assert!(rig.read().is_empty());
}

#[test]
fn a_new_secret_is_acknowledged() {
    let mut rig = Rig::open();
    rig.send(&method(0, 10, 70, Args::new().long(b"token").short("refresh")));
    assert_eq!(rig.read(), ["0 connection.update-secret-ok"]);
}

#[test]
fn secrets_are_in_no_debug_text() {
    let mut rig = rig();
    rig.core.hold = true;
    rig.send(&[HEADER, &start_ok("PLAIN", b"\0guest\0s3cret")].concat());
    assert!(!rig.core.log.concat().contains("s3cret"));
}

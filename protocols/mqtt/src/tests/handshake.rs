use crossdock_common::command::{Credentials, OpenSession};
use crossdock_common::output::Close;
use crossdock_common::{Command, Event, Machine as _, Output};

use super::support::{Core, NOTHING, Tester, connect, connect_with, options, packet, text};
use crate::{ConnectionOptions, Offer, Origin};

fn opened(tester: &Tester) -> &OpenSession {
    let opened = tester.core.log.iter().find_map(|command| match command {
        Command::OpenSession { session, .. } => Some(&**session),
        _ => None,
    });
    opened.expect("a session is opened")
}

#[test]
fn mosquitto_sub_connects_with_3_1_1() {
    let mut tester = Tester::new(options());
    let connack = tester.send(b"\x10\x0F\0\x04MQTT\x04\x02\0\x3C\0\x03abc");
    assert_eq!(connack, [0x20, 2, 0, 0]);
    let session = opened(&tester);
    assert_eq!((&*session.name, session.clean, session.expiry_ms, session.window), ("abc", true, Some(0), 1_000));
    assert!(tester.machine.is_authenticated());
}

#[test]
fn a_session_for_ever_is_capped_by_the_configuration() {
    let mut tester = Tester::new(ConnectionOptions { session_expiry_ms_max: Some(5_000), ..options() });
    tester.core.session.present = true;
    assert_eq!(tester.send(&connect_with(4, 0, &[], &text("c"))), [0x20, 2, 1, 0]);
    assert_eq!((opened(&tester).clean, opened(&tester).expiry_ms), (false, Some(5_000)));
    let mut tester = Tester::new(options());
    tester.send(&connect_with(3, 0, &[], &text("c")));
    assert_eq!((opened(&tester).clean, opened(&tester).expiry_ms), (false, None));
}

#[test]
fn version_5_says_what_was_granted() {
    let mut tester = Tester::new(ConnectionOptions { session_expiry_ms_max: Some(5_000), ..options() });
    let wishes = [0x11, 0xFF, 0xFF, 0xFF, 0xFF, 0x21, 0, 10];
    let connack = tester.send(&connect_with(5, 0, &wishes, &text("")));
    let properties = [0x21, 0x03, 0xE8, 0x27, 1, 1, 0xFF, 0xFF, 0x22, 0, 64, 0x11, 0, 0, 0, 5, 0x12, 0, 37];
    assert_eq!(&connack[..5], [0x20, 3 + 19 + 37, 0, 0, 19 + 37]);
    assert_eq!(&connack[5..24], &properties[..]);
    assert!(connack[24..].starts_with(b"auto-"));
    assert_eq!((opened(&tester).window, opened(&tester).expiry_ms), (10, Some(5_000)));
}

#[test]
fn who_it_is_and_where() {
    let mut tester = Tester::new(ConnectionOptions { allow_anonymous: false, ..options() });
    tester.send(&connect_with(4, 0b1100_0010, &[], &[text("c"), text("my:vhost:joe"), text("pw")].concat()));
    let Command::Authenticate { credentials, .. } = &tester.core.log[0] else { panic!() };
    assert_eq!(*credentials, Credentials::Password { user: "joe".into(), password: "pw".into() });
    assert!(matches!(&tester.core.log[1], Command::Open { vhost, .. } if &**vhost == "my:vhost"));

    let mut tester = Tester::from_origin(options(), Origin { certificate_name: Some("cn".into()), seed: 1 });
    tester.send(&connect(4, "c"));
    assert!(matches!(&tester.core.log[0], Command::Authenticate { credentials: Credentials::Certificate, .. }));
}

#[test]
fn refusals_have_each_version_s_own_code() {
    let user = |id: &str, user: &str, password: &str| [text(id), text(user), text(password)].concat();
    for (payload, v3, v5) in [
        (user("c", "u", "bad"), 4, 0x86),
        (user("c", "nowhere:u", "pw"), 5, 0x87),
        (user("taken", "u", "pw"), 5, 0x87),
        (user(&"x".repeat(248), "u", "pw"), 2, 0x85),
        (user("a\r\nb", "u", "pw"), 2, 0x85),
        (user("c", "u\r\n", "pw"), 4, 0x86),
    ] {
        let mut tester = Tester::new(options());
        assert_eq!(tester.send(&connect_with(4, 0b1100_0010, &[], &payload)), [0x20, 2, 0, v3]);
        assert!(tester.close.is_some());
        let mut tester = Tester::new(options());
        let connack = tester.send(&connect_with(5, 0b1100_0010, &[], &payload));
        assert_eq!((connack[0], connack[3]), (0x20, v5));
        assert!(tester.close.is_some());
    }
    let mut tester = Tester::new(ConnectionOptions::default());
    assert_eq!(tester.send(&connect(4, "c")), [0x20, 2, 0, 5], "anonymous");
    let mut tester = Tester::new(options());
    assert_eq!(tester.send(&connect_with(4, 0, &[], &text(""))), [0x20, 2, 0, 2], "no id, but a session for ever");
    let mut tester = Tester::new(options());
    assert_eq!(tester.send(&connect_with(5, 2, &[0x15, 0, 1, b'm'], &text("c")))[3], 0x8C, "authentication method");
}

#[test]
fn mq_9_client_ids_at_the_limit_and_with_wildcards_are_names_like_others() {
    for id in ["x".repeat(247), "x".repeat(246), "#".into(), "+".into(), "/".into(), "a.*[(".into()] {
        assert_eq!(Tester::new(options()).send(&connect(4, &id)), [0x20, 2, 0, 0], "{id} (MQ-9)");
    }
}

#[test]
fn unknown_levels() {
    for (level, answer) in [(0, &[0x20, 2, 0, 1][..]), (2, &[0x20, 2, 0, 1]), (0x84, &[0x20, 2, 0, 1])] {
        assert_eq!(Tester::new(options()).send(&connect(level, "c")), answer);
    }
    assert_eq!(Tester::new(options()).send(&connect(6, "c"))[3], 0x84);
    let mut tester = Tester::new(options());
    assert_eq!(tester.send(&packet(0x10, b"\0\x04HTTP\x04\x02\0\0\0\0")), NOTHING, "no CONNECT at all");
    assert!(matches!(tester.close, Some(Close::Violation { .. })));
}

#[test]
fn wills_become_messages_of_the_user() {
    let will = [&[5, 0x18, 0, 0, 0, 9][..], &text("a/b"), &text("gone")].concat();
    let payload = [text("c"), will, text("u"), text("pw")].concat();
    let mut tester = Tester::new(options());
    tester.send(&connect_with(5, 0b1110_1110, &[], &payload));
    let will = opened(&tester).will.as_ref().expect("a will");
    let message = &will.publish.message;
    assert_eq!((&message.routing_key[..], &message.body[..], &*message.user), (&b"a.b"[..], &b"gone"[..], "u"));
    assert_eq!((will.delay_ms, will.publish.retain, message.durable), (9_000, true, true));
    for topic in ["a/#", "$SYS/x", ""] {
        let will = [&[0][..], &text(topic), &text("gone")].concat();
        let connack = Tester::new(options()).send(&connect_with(5, 6, &[], &[text("c"), will].concat()));
        assert_eq!(connack[3], 0x90, "{topic}");
    }
}

#[test]
fn clients_are_sent_elsewhere_when_the_broker_shuts_down() {
    let offer = Offer { server_reference: Some("b:1".into()), ..Offer::default() };
    let options = ConnectionOptions { offer: offer.into(), ..options() };
    for (level, wanted) in [(5, Some(0x9C)), (4, None)] {
        let mut tester = Tester::connected_with(options.clone(), Core::default(), &connect(level, "c"));
        let mut output = Output::default();
        tester.machine.shutdown(tester.now, &mut output);
        let answer = tester.run(output);
        assert_eq!(answer.get(2).copied(), wanted, "DISCONNECT");
        assert_eq!(answer.ends_with(b"\x1C\0\x03b:1"), wanted.is_some(), "server reference");
        assert_eq!(tester.close, Some(Close::Shutdown));
    }
}

#[test]
fn goodbyes() {
    let mut tester = Tester::connected(4);
    tester.send(&[0xE0, 0]);
    assert!(matches!(tester.core.log[..], [Command::DiscardWill]));
    assert_eq!(tester.close, Some(Close::Normal));

    let mut tester = Tester::connected(5);
    tester.send(&[0xE0, 1, 4]);
    assert!(tester.core.log.is_empty(), "with will");

    let expiring = connect_with(5, 2, &[0x11, 0, 0, 0, 1], &text("c"));
    let mut tester = Tester::connected_with(options(), Default::default(), &expiring);
    tester.send(&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 7]);
    assert!(matches!(tester.core.log[..], [Command::SessionExpiry { expiry_ms: Some(7_000) }, Command::DiscardWill]));

    let mut tester = Tester::connected(5);
    let disconnect = tester.send(&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 7]);
    assert_eq!(disconnect[2], 0x82, "expiry was 0");
    assert!(tester.core.log.is_empty());
}

#[test]
fn the_broker_s_goodbyes() {
    let mut tester = Tester::connected(5);
    assert_eq!(tester.event(Event::TakenOver)[..3], [0xE0, 38, 0x8E]);
    assert_eq!(tester.close, Some(Close::TakenOver));
    let mut tester = Tester::connected(4);
    assert_eq!(tester.event(Event::TakenOver), NOTHING);
    let mut tester = Tester::connected(5);
    let mut output = Output::default();
    tester.machine.shutdown(tester.now, &mut output);
    assert_eq!((output.bytes.take_all()[2], output.close), (0x8B, Some(Close::Shutdown)));
}

#[test]
fn silence_ends_a_connection() {
    let mut tester = Tester::new(options());
    tester.now.instant = tester.now.instant.after_ms(10_000);
    assert_eq!(tester.machine.deadline(), Some(tester.now.instant));
    tester.timeout();
    assert_eq!(tester.close, Some(Close::TimedOut("handshake")));

    let mut tester = Tester::connected(5);
    tester.now.instant = tester.now.instant.after_ms(89_999);
    assert_eq!(tester.timeout(), NOTHING);
    assert_eq!(tester.send(&[0xC0, 0]), [0xD0, 0], "a ping");
    tester.now.instant = tester.now.instant.after_ms(90_000);
    assert_eq!(tester.timeout()[2], 0x8D);
    assert!(matches!(tester.close, Some(Close::TimedOut(_))));

    let mut tester = Tester::connected(5);
    tester.send(&[0x30]);
    tester.now.instant = tester.now.instant.after_ms(90_000);
    tester.send(&[]);
    assert_eq!(tester.timeout()[2], 0x8D, "looking at half a packet again is not hearing from the client");

    let mut forever = connect(4, "c");
    (forever[10], forever[11]) = (0, 0);
    let tester = Tester::connected_with(options(), Default::default(), &forever);
    assert_eq!(tester.machine.deadline(), None, "keep-alive 0 (MQ-5)");
}

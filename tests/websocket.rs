//! WebSocket and the one port: who comes in, frames that break rules (WS-1), pages and paths that are none of ours (WS-2).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Broker, pause, wait_for};
use crate::wire::amqp::{self, Amqp};
use crate::wire::http::exchange;
use crate::wire::mqtt;
use crate::wire::websocket::{Web, ask, asking, frame, request};
use crate::wire::{connect, stomp, through_tls};

const WS: [&str; 4] =
    ["listeners.ws.enabled=true", "listeners.ws.port=0", "listeners.any.enabled=true", "listeners.any.port=0"];

fn start(settings: &[&str]) -> Broker {
    Broker::start(&[&WS[..], settings].concat())
}

fn open_stomp(broker: &Broker) -> Web {
    Web::open(broker.port("ws"), "/stomp", "v12.stomp").expect("shakes hands")
}

fn open_mqtt(broker: &Broker) -> Web {
    Web::open(broker.port("ws"), "/mqtt", "mqtt").expect("shakes hands")
}

/// The connection ends without a word; silence is none.
fn hangs_up(mut stream: TcpStream) {
    let mut rest = Vec::new();
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    assert!(rest.is_empty(), "{rest:?}");
}

#[test]
fn ws_1_every_broken_rule_has_its_code() {
    let broker = start(&[]);
    for (bytes, code) in [
        // Without a mask.
        (b"\x82\x01a".to_vec(), 1002),
        // Compressed, or with another reserved bit.
        (frame(0xc2, b"a"), 1002),
        (frame(0xa2, b"a"), 1002),
        (frame(0x83, b"a"), 1002),
        (frame(0x8f, b"a"), 1002),
        // Control frames in fragments, or too long.
        (frame(0x09, b"a"), 1002),
        (frame(0x89, &[b'a'; 126]), 1002),
        // Lengths that are written too long, or 2^63.
        (b"\x82\xfe\x00\x05".to_vec(), 1002),
        (b"\x82\xff\x80\0\0\0\0\0\0\0".to_vec(), 1002),
        (b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0".to_vec(), 1009),
        (frame(0x80, b"continues nothing"), 1002),
        ([frame(0x02, b"a"), frame(0x82, b"b")].concat(), 1002),
        (frame(0x81, b"\xff"), 1007),
        (frame(0x88, b"\x03"), 1002),
        (frame(0x88, b"\x03\xed"), 1002),
        (frame(0x88, b"\x03\xe8\xff"), 1007),
        // As it should be: the code comes back.
        (frame(0x88, b"\x03\xe8bye"), 1000),
        (frame(0x88, b"\x0f\xa0"), 4000),
        (frame(0x88, b""), 0),
    ] {
        for cut in [0, 1, bytes.len() / 2] {
            let mut web = open_stomp(&broker);
            web.send(&bytes[..cut]).expect("sends");
            web.send(&bytes[cut..]).expect("sends");
            assert_eq!(web.closed_with().expect("a close frame"), code, "{bytes:x?} cut at {cut}");
        }
    }
    assert!(broker.metric("crossdock_protocol_violations_total{protocol=\"stomp\",rule=\"WebSocket\"}") >= 16);
}

#[test]
fn ws_1_nothing_is_compressed_whatever_is_offered() {
    let broker = start(&[]);
    let offer = format!("{}Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n", asking("mqtt"));
    let (status, head, _) = ask(broker.port("ws"), &request("/mqtt", &offer)).expect("answers");
    assert_eq!((status, head.contains("extensions")), (101, false), "{head}");
}

#[test]
fn ws_1_pings_without_end_and_fragments_of_a_byte_disturb_nobody() {
    let broker = start(&[]);
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    let mut flood = open_mqtt(&broker);
    let pings = frame(0x89, &[b'p'; 125]).repeat(2_000);
    let mut writer = flood.stream.try_clone().expect("clones");
    let writing = std::thread::spawn(move || (0..10).for_each(|_| writer.write_all(&pings).expect("sends")));
    amqp.declare("beside").expect("declares");
    let mut pongs = 0;
    while !writing.is_finished() || pongs == 0 {
        assert_eq!(flood.frame().expect("a pong"), (0x8a, vec![b'p'; 125]));
        pongs += 1;
    }
    writing.join().expect("writes");
    // A packet in fragments of a byte, a ping between any two, is a packet.
    let mut slow = open_mqtt(&broker);
    let packet = mqtt::connect_packet("bytes");
    for (place, byte) in packet.iter().enumerate() {
        let first = if place == 0 {
            0x02
        } else if place + 1 == packet.len() {
            0x80
        } else {
            0x00
        };
        slow.send(
            &[frame(first, &[*byte]), frame(0x00, b"").repeat(usize::from(first == 0x00)), frame(0x8a, b"")].concat(),
        )
        .expect("sends");
    }
    assert_eq!(slow.message().expect("CONNACK"), [0x20, 2, 0, 0]);
    // So is one of several in a frame, and one that is cut between two frames.
    let more = [&[0xc0, 0][..], &mqtt::publish("a/b", 7, b"x")].concat();
    slow.send(&[frame(0x82, &more[..5]), frame(0x82, &more[5..])].concat()).expect("sends");
    let mut answer = Vec::new();
    while answer.len() < 6 {
        answer.extend(slow.message().expect("an answer"));
    }
    assert_eq!(answer, [0xd0, 0, 0x40, 2, 0, 7]);
}

#[test]
fn ws_1_frames_are_bounded_and_never_kept() {
    let broker = start(&["websocket.frame_bytes_max=\"1KiB\"", "websocket.message_bytes_max=\"2KiB\""]);
    for (frames, is_let_in) in [
        (frame(0x82, &[b'\n'; 1_024]), true),
        (frame(0x82, &[b'\n'; 1_025]), false),
        ([frame(0x02, &[b'\n'; 1_024]), frame(0x80, &[b'\n'; 1_024])].concat(), true),
        ([frame(0x02, &[b'\n'; 1_024]), frame(0x00, &[b'\n'; 1_024]), frame(0x80, b"\n")].concat(), false),
    ] {
        let mut web = open_stomp(&broker);
        web.send(&frames).expect("sends");
        web.send(&frame(0x89, b"still here")).expect("sends");
        if is_let_in {
            assert_eq!(web.frame().expect("a pong"), (0x8a, b"still here".to_vec()));
        } else {
            assert_eq!(web.closed_with().expect("a close frame"), 1009);
        }
    }
    // What is announced is not what is kept: the packet's own limit counts, before login the one of first packets.
    let broker = start(&[]);
    let mut web = open_mqtt(&broker);
    let mut announced = b"\x82\xff".to_vec();
    announced.extend(20_000_000_u64.to_be_bytes());
    announced.extend([0; 4]);
    announced.extend(b"\x10\xff\xff\xff\x7f\0\x04MQTT\x04\x02\0\0");
    web.send(&announced).expect("sends");
    assert_eq!(web.closed_with().expect("a close frame"), 1002);
}

#[test]
fn ws_2_pages_of_others_missing_sub_protocols_and_paths_that_lead_nowhere() {
    let broker = start(&["websocket.origins=[\"https://app.example\"]", "listeners.mqtt.enabled=false"]);
    let page = |origin: &str| format!("Origin: {origin}\r\n");
    let stomp = asking("v12.stomp");
    for (path, more, status) in [
        ("/stomp", stomp.clone(), 101),
        ("/stomp", stomp.clone() + &page("https://app.example"), 101),
        ("/stomp", stomp.clone() + &page("https://evil.example"), 403),
        ("/stomp", stomp.clone() + &page("https://app.example.evil.example"), 403),
        ("/stomp", stomp.clone() + &page("null"), 403),
        ("/stomp", stomp.clone() + &page("https://app.example") + &page("https://evil.example"), 403),
        ("/ws", String::new(), 400),
        ("/ws", stomp.clone(), 101),
        ("/ws", asking("nobody's"), 400),
        ("/ws", asking("mqtt"), 400),
        ("/mqtt", asking("mqtt"), 404),
        ("/else", stomp.clone(), 404),
        ("/stomp", format!("{stomp}X: {}\r\n", "x".repeat(10_000)), 431),
    ] {
        let (got, head, _) = ask(broker.port("ws"), &request(path, &more)).expect("answers");
        assert_eq!(got, status, "{path} {more} {head}");
    }
    let raw = |text: &str| ask(broker.port("ws"), text).expect("answers").0;
    let good = request("/stomp", &stomp);
    for (text, status) in [
        (good.replace("GET", "POST"), 405),
        (good.replace("HTTP/1.1", "HTTP/1.0"), 400),
        (good.replace("Upgrade: websocket\r\n", ""), 426),
        (good.replace("Version: 13", "Version: 8"), 426),
        (good.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), 400),
        (good.replace("Host: broker\r\n", ""), 400),
    ] {
        assert_eq!(raw(&text), status, "{text}");
    }
}

#[test]
fn a_handshake_has_its_time() {
    let broker = start(&["limits.handshake_timeout_ms=500"]);
    let good = request("/mqtt", &asking("mqtt"));
    for cut in [0, 1, good.len() - 2] {
        for listener in ["ws", "any"] {
            let mut stream = connect(broker.port(listener)).expect("connects");
            // At the one port, HTTP has the time that HTTP has.
            if listener == "ws" || cut == 0 {
                stream.write_all(&good.as_bytes()[..cut]).expect("sends");
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer).expect("the end");
                assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"), "{answer:?}");
            }
        }
    }
    // Whoever says nothing after it has as much time as on other ports.
    let mut web = open_mqtt(&broker);
    for _ in 0..3 {
        web.send(&frame(0x89, b"")).expect("sends");
        assert_eq!(web.frame().expect("a pong").0, 0x8a);
    }
    assert_eq!(web.closed_with().expect("a close frame"), 1008);
}

#[test]
fn mqtt_is_binary_and_stomp_is_text_if_it_can_be() {
    let broker = start(&[]);
    let mut mqtt = open_mqtt(&broker);
    mqtt.send(&frame(0x81, &mqtt::connect_packet("text"))).expect("sends");
    assert_eq!(mqtt.closed_with().expect("a close frame"), 1003);
    let mut web = open_stomp(&broker);
    let subscribe = b"SUBSCRIBE\nid:1\ndestination:/queue/kinds\nreceipt:r\n\n\0";
    web.send(&[frame(0x81, stomp::CONNECT), frame(0x82, subscribe)].concat()).expect("sends");
    assert!(web.message().expect("CONNECTED").starts_with(b"CONNECTED\n"));
    assert!(web.message().expect("RECEIPT").starts_with(b"RECEIPT\n"));
    for (body, first) in [(&b"text"[..], 0x81), (&[0xff, 0, 0xfe], 0x82), ("Grüße".as_bytes(), 0x81)] {
        let head = format!("SEND\ndestination:/queue/kinds\ncontent-length:{}\n\n", body.len());
        web.send(&frame(0x82, &[head.as_bytes(), body, b"\0"].concat())).expect("sends");
        let (kind, payload) = web.frame().expect("MESSAGE");
        assert_eq!(kind, first);
        assert!(payload.starts_with(b"MESSAGE\n") && payload.ends_with(&[body, b"\0"].concat()), "{payload:?}");
    }
}

#[test]
fn the_end_is_said_with_its_reason() {
    let mut broker = start(&[]);
    let mut polite = open_mqtt(&broker);
    polite.send(&frame(0x82, &[&mqtt::connect_packet("polite")[..], &[0xe0, 0]].concat())).expect("sends");
    assert_eq!(polite.closed_with().expect("a close frame"), 1000);
    let mut wrong = open_mqtt(&broker);
    wrong.send(&frame(0x82, b"\xff\xff\xff\xff\xff\xff")).expect("sends");
    assert_eq!(wrong.closed_with().expect("a close frame"), 1002);
    let mut watched = open_mqtt(&broker);
    watched.send(&frame(0x82, &mqtt::connect_packet("watched"))).expect("sends");
    watched.message().expect("CONNACK");
    broker.terminate();
    assert_eq!(watched.closed_with().expect("a close frame"), 1001);
    broker.wait();
}

/// STOMP: "any new data" is a heart-beat. Who sends pings is given up only when they end.
#[test]
fn pings_are_heart_beats_of_stomp() {
    let broker = start(&[]);
    let mut web = open_stomp(&broker);
    let connect = b"CONNECT\naccept-version:1.2\nlogin:guest\npasscode:guest\nheart-beat:1000,0\n\n\0";
    web.send(&frame(0x81, connect)).expect("sends");
    assert!(web.message().expect("CONNECTED").starts_with(b"CONNECTED\n"));
    for _ in 0..20 {
        pause(Duration::from_millis(200));
        web.send(&frame(0x89, b"p")).expect("sends");
        assert_eq!(web.frame().expect("a pong"), (0x8a, b"p".to_vec()));
    }
    assert_eq!(web.closed_with().expect("a close frame"), 1008);
}

#[test]
fn http_at_the_one_port_is_counted_as_what_it_is() {
    let broker = start(&[]);
    let opened =
        |protocol: &str| broker.metric(&format!("crossdock_connections_opened_total{{protocol=\"{protocol}\"}}"));
    let (aws, management) = (opened("aws"), opened("management"));
    let request = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    ask(broker.port("any"), request).expect("answers");
    assert_eq!(opened("aws"), aws + 1);
    ask(broker.port("any"), "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").expect("answers");
    // Who reads the metrics opens connections, too.
    assert!(opened("management") > management + 1);
}

/// What each protocol begins with, and what the answer begins with.
fn greetings() -> Vec<(&'static str, Vec<u8>, &'static [u8])> {
    vec![
        ("AMQP 0-9-1", amqp::opening()[..8].to_vec(), b"\x01\0\0"),
        ("AMQP 1.0", b"AMQP\0\x01\0\0".to_vec(), b"AMQP\0\0\x09\x01"),
        ("AMQP 1.0 with SASL", b"AMQP\x03\x01\0\0".to_vec(), b"AMQP\0\0\x09\x01"),
        ("MQTT", mqtt::connect_packet("any"), b"\x20\x02\0\0"),
        ("STOMP", stomp::CONNECT.to_vec(), b"CONNECTED\n"),
        ("STOMP after a line", [b"\n", stomp::CONNECT].concat(), b"CONNECTED\n"),
        ("HTTP", b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), b"HTTP/1.1 200 OK\r\n"),
        ("SQS", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".to_vec(), b"HTTP/1.1 4"),
        ("WebSocket", request("/mqtt", &asking("mqtt")).into_bytes(), b"HTTP/1.1 101 "),
    ]
}

#[test]
fn one_port_knows_everybody_by_the_first_byte() {
    let broker = start(&[]);
    for (name, greeting, expected) in greetings() {
        let mut stream = connect(broker.port("any")).expect("connects");
        for byte in greeting {
            stream.write_all(&[byte]).expect("sends");
        }
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(answer, expected, "{name}");
    }
    for stranger in [&b"\0\0\0"[..], b"\x30\x05", b"\xff", b"EHLO x\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"] {
        let mut stream = connect(broker.port("any")).expect("connects");
        stream.write_all(stranger).expect("sends");
        hangs_up(stream);
    }
    let violations = "crossdock_protocol_violations_total{protocol=\"unknown\",rule=\"one port for everything\"}";
    assert_eq!(wait_for("the last of them", || (broker.metric(violations) == 5).then_some(5)), 5);
}

#[test]
fn one_port_knows_everybody_within_tls_too() {
    let certificates = tempfile::tempdir().expect("a folder");
    let broker = Broker::start_with_tls(certificates.path(), &WS);
    for (name, greeting, expected) in greetings() {
        let plain = connect(broker.port("any")).expect("connects");
        let mut stream = through_tls(certificates.path(), plain);
        for byte in greeting {
            stream.write_all(&[byte]).expect("sends");
        }
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(answer, expected, "{name}");
    }
}

#[test]
fn one_port_leads_to_nothing_that_is_switched_off() {
    let broker = start(&["listeners.mqtt.enabled=false", "listeners.aws.enabled=false"]);
    let mut mqtt = connect(broker.port("any")).expect("connects");
    mqtt.write_all(&mqtt::connect_packet("off")).expect("sends");
    hangs_up(mqtt);
    let (status, ..) = ask(broker.port("any"), &request("/mqtt", &asking("mqtt"))).expect("answers");
    assert_eq!(status, 404);
    let (status, ..) =
        ask(broker.port("any"), "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").expect("answers");
    assert_eq!(status, 404);
    let (status, ..) = ask(broker.port("any"), "GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n").expect("answers");
    assert_eq!(status, 200);
}

/// What the AWS APIs remember for a while is the same at their own port and at the one for everything.
#[test]
fn both_doors_of_aws_remember_the_same() {
    let broker = start(&[]);
    let call = |door: &str, query: &str| {
        let head = format!("GET /?{query}&Version=2012-11-05 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        exchange(broker.port(door), head.as_bytes()).expect("answers")
    };
    assert!(call("aws", "Action=CreateQueue&QueueName=q").starts_with("HTTP/1.1 200 "));
    assert!(call("aws", "Action=PurgeQueue&QueueUrl=q").starts_with("HTTP/1.1 200 "));
    let again = call("any", "Action=PurgeQueue&QueueUrl=q");
    assert!(again.contains("AWS.SimpleQueueService.PurgeQueueInProgress"), "{again}");
}

//! Rows COM-1 to COM-4, COM-7, ST-1, ST-3, ST-4 and A09-8 of `shared/hostile-input.md` on every port, while good clients work; the
//! rows of HTTP are in the modules.

mod addresses;
mod bodies;
mod http2;
mod names;
mod signatures;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use crossdock_common::random::Random;

use crate::support::{Broker, wait_for};
use crate::wire::amqp::{self, Amqp};
use crate::wire::{connect, mqtt, stomp, websocket};

/// What a good client of each port says, from hello to a published message.
fn captures() -> Vec<(&'static str, Vec<u8>)> {
    let mut amqp = amqp::opening();
    amqp.extend(amqp::publish("nowhere", b"body"));
    let mut mqtt = mqtt::connect_packet("capture");
    mqtt.extend(mqtt::publish("a/b", 1, b"body"));
    let mut stomp = stomp::CONNECT.to_vec();
    stomp.extend(stomp::send("captured", "1", "body"));
    let body = r#"{"QueueName":"captured"}"#;
    let aws = format!(
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-amz-json-1.0\r\nx-amz-target: \
         AmazonSQS.CreateQueue\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let management = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".to_vec();
    let mut ws = websocket::request("/mqtt", &websocket::asking("mqtt")).into_bytes();
    ws.extend(websocket::frame(0x82, &mqtt));
    let any = stomp.clone();
    vec![
        ("amqp", amqp),
        ("mqtt", mqtt),
        ("stomp", stomp),
        ("ws", ws),
        ("any", any),
        ("aws", aws.into_bytes()),
        ("management", management),
    ]
}

/// A broker with every listener that is not for TLS.
fn start(settings: &[&str]) -> Broker {
    let doors =
        ["listeners.ws.enabled=true", "listeners.ws.port=0", "listeners.any.enabled=true", "listeners.any.port=0"];
    Broker::start(&[&doors[..], settings].concat())
}

/// A client that must not notice anything of what happens beside it.
struct Bystander(Amqp);

impl Bystander {
    fn new(broker: &Broker) -> Self {
        Self::over(Amqp::open(broker.port("amqp")).expect("connects"))
    }

    /// A user who may do everything.
    fn new_as(broker: &Broker, user: &str, password: &str) -> Self {
        let login = amqp::login(user, password, "/");
        Self::over(Amqp::open_as(broker.port("amqp"), &login).expect("connects"))
    }

    fn over(mut amqp: Amqp) -> Self {
        amqp.declare("bystander").expect("declares");
        amqp.select_confirms().expect("selects");
        Self(amqp)
    }

    fn works(&mut self) {
        self.0.send(&amqp::publish("bystander", b"still here")).expect("sends");
        self.0.confirm().expect("confirmed");
        assert_eq!(self.0.get("bystander").expect("gets").as_deref(), Some(&b"still here"[..]));
    }
}

/// Resident memory of the broker in KiB.
fn resident_kib(broker: &Broker) -> u64 {
    let metrics = http_get(broker, "/metrics");
    let line = metrics.lines().find(|line| line.contains("resident_memory_bytes") && !line.starts_with('#'));
    let bytes: f64 = line.and_then(|line| line.split(' ').nth(1)).and_then(|word| word.parse().ok()).expect("a number");
    bytes as u64 / 1024
}

fn http_get(broker: &Broker, path: &str) -> String {
    let mut http = crate::wire::http::Http::open(broker.port("management")).expect("connects");
    http.request(&format!("GET {path}"), "").expect("answers").1
}

/// The connection is closed by the other side. A reset is as good an end as any; silence is none.
fn ends(mut stream: TcpStream) {
    let end = stream.read_to_end(&mut Vec::new());
    let silence = |error: &std::io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    assert!(!end.as_ref().is_err_and(silence), "the connection is still open");
}

#[test]
fn com_1_slow_peers_cost_little_and_are_given_up() {
    let mut broker = start(&["limits.handshake_timeout_ms=3000", "limits.http_idle_timeout_ms=3000"]);
    let mut bystander = Bystander::new(&broker);
    let before = resident_kib(&broker);
    let mut slow = Vec::new();
    for (name, capture) in captures() {
        for _ in 0..400 {
            let mut stream = connect(broker.port(name)).expect("connects");
            stream.write_all(&capture[..1]).expect("sends one byte");
            slow.push(stream);
        }
    }
    bystander.works();
    let grown = resident_kib(&broker).saturating_sub(before);
    assert!(grown < slow.len() as u64 * 16, "{grown} KiB for {} unknown peers", slow.len());
    slow.into_iter().for_each(ends);
    bystander.works();
    assert!(broker.is_running());
}

#[test]
fn com_2_a_first_packet_that_is_no_handshake_ends_the_connection() {
    let broker = start(&["limits.handshake_timeout_ms=3000"]);
    let mut bystander = Bystander::new(&broker);
    let mut random = Random::from_seed(2);
    let noise: Vec<u8> = (0..2_000).map(|_| random.next_u64() as u8).collect();
    let client_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    let mut firsts = vec![vec![0x40, 2, 0, 1], noise, client_hello, vec![0; 100], vec![0xff; 100]];
    firsts.extend(captures().into_iter().map(|(_, capture)| capture));
    for (name, own) in captures() {
        for first in firsts.iter().filter(|first| **first != own) {
            let mut stream = connect(broker.port(name)).expect("connects");
            let _ = stream.write_all(first);
            let _ = stream.shutdown(Shutdown::Write);
            ends(stream);
        }
        bystander.works();
    }
}

#[test]
fn com_1_2_and_4_on_the_tls_ports() {
    let certificates = tempfile::tempdir().expect("a folder");
    let broker = Broker::start_with_tls(certificates.path(), &["limits.tls_handshake_timeout_ms=2000"]);
    let mut bystander = Bystander::new(&broker);
    let client_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    let ports = ["amqps", "mqtts", "stomps"];
    let slow: Vec<TcpStream> = (0..300).map(|n| connect(broker.port(ports[n % 3])).expect("connects")).collect();
    slow.iter().for_each(|mut stream| stream.write_all(&client_hello[..1]).expect("sends one byte"));
    for port in ports {
        for (_, capture) in captures() {
            attack(&broker, port, &capture);
        }
        (0..=client_hello.len()).for_each(|cut| attack(&broker, port, &client_hello[..cut]));
        bystander.works();
    }
    slow.into_iter().for_each(ends);
    bystander.works();
}

#[test]
fn com_3_a_length_that_lies_ends_in_an_error_and_costs_no_memory() {
    let broker = start(&[]);
    let mut bystander = Bystander::new(&broker);
    let before = resident_kib(&broker);
    for length in [0u32, 1, 7, 0x7fff_ffff, 0x8000_0000, u32::MAX, 131_073] {
        let mut bytes = amqp::opening();
        bytes.extend([1, 0, 1]);
        bytes.extend(length.to_be_bytes());
        bytes.extend([0; 64]);
        attack(&broker, "amqp", &bytes);
    }
    for length in
        [&[0xff, 0xff, 0xff, 0x7f][..], &[0xff, 0xff, 0xff, 0xff, 0x7f], &[0x80, 0x80, 0x80, 0x80, 1], &[0x80, 0]]
    {
        let mut bytes = mqtt::connect_packet("lies");
        bytes.push(0x30);
        bytes.extend(length);
        attack(&broker, "mqtt", &bytes);
    }
    for length in ["-1", "4294967296", "99999999999999999999", "x", "3"] {
        let mut bytes = stomp::CONNECT.to_vec();
        bytes.extend(format!("SEND\ndestination:/queue/q\ncontent-length:{length}\n\nbody\0").into_bytes());
        attack(&broker, "stomp", &bytes);
    }
    for length in ["-1", "99999999999999999999", "4294967296"] {
        let bytes = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\nbody");
        attack(&broker, "aws", bytes.as_bytes());
    }
    bystander.works();
    let grown = resident_kib(&broker).saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB");
}

fn attack(broker: &Broker, port: &str, bytes: &[u8]) {
    let mut stream = connect(broker.port(port)).expect("connects");
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    ends(stream);
}

#[test]
fn st_1_headers_without_end_are_refused_at_once() {
    let broker = Broker::start(&[]);
    let mut bystander = Bystander::new(&broker);
    let before = resident_kib(&broker);
    let endless = [&b"SEND\ndestination:/queue/q\nfoo:"[..], &vec![b'x'; 20 << 20]].concat();
    let many = [&b"SEND\ndestination:/queue/q\n"[..], &b"a:b\n".repeat(1_000_000)].concat();
    for headers in [&endless, &many] {
        for login in [&b""[..], stomp::CONNECT] {
            let mut stream = connect(broker.port("stomp")).expect("connects");
            let (beginning, rest) = headers.split_at(128 << 10);
            stream.write_all(&[login, beginning].concat()).expect("sends");
            let told = read_until(&mut stream, b"Frame too large");
            assert!(told, "the broker does not wait for the end");
            let _ = stream.write_all(rest);
            ends(stream);
        }
    }
    bystander.works();
    let grown = resident_kib(&broker).saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} KiB");
}

fn read_until(stream: &mut TcpStream, text: &[u8]) -> bool {
    let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        heard.extend_from_slice(&buffer[..count]);
        if heard.windows(text.len()).any(|part| part == text) {
            return true;
        }
    }
    false
}

#[test]
fn st_3_and_4_escapes_line_ends_and_heart_beats_that_make_no_sense() {
    let broker = Broker::start(&[]);
    let mut bystander = Bystander::new(&broker);
    let frames: [&[u8]; 6] = [
        b"SEND\ndestination:/queue/q\nfoo:\\x\n\n\0",
        b"SEND\ndestination:/queue/q\nfoo:\\\n\n\0",
        b"SEND\ndestination:/queue/q\nfoo:a\0b\n\n\0",
        b"SEND\r\ndestination:/queue/q\n\r\n\0\r\n\n\r\r\n",
        b"SEND\n:x\n\n\0",
        b"\xff\xfe\n\n\0",
    ];
    for frame in frames {
        attack(&broker, "stomp", &[stomp::CONNECT, frame].concat());
    }
    attack(&broker, "stomp", &[stomp::CONNECT, &b"\n".repeat(5 << 20)].concat());
    for beat in ["0,1", "1,0", "99999999999999999999,1", "-1,-1", "18446744073709551615,18446744073709551615", ",", "a"]
    {
        let connect = format!("CONNECT\naccept-version:1.2\nlogin:guest\npasscode:guest\nheart-beat:{beat}\n\n\0");
        attack(&broker, "stomp", connect.as_bytes());
    }
    bystander.works();
}

/// Hostile row A09-8, over STOMP.
#[test]
fn a_hostile_selector_costs_little() {
    let broker = Broker::start(&[]);
    let mut bystander = Bystander::new(&broker);
    let (pattern, text) = ("%a".repeat(1_000), "a".repeat(999));
    let mut client = stomp::Stomp::open(broker.port("stomp")).expect("connects");
    let subscribe = format!("SUBSCRIBE\nid:0\ndestination:/queue/likes\nselector:x LIKE '{pattern}'\nreceipt:s\n\n\0");
    client.send(subscribe.as_bytes()).expect("sends");
    assert_eq!(client.receipt().expect("subscribes"), "s");
    let sends = format!("SEND\ndestination:/queue/likes\nx:{text}\n\nbody\0").repeat(200);
    client.send(sends.as_bytes()).expect("sends");
    client.send(b"SEND\ndestination:/queue/likes\nreceipt:r\n\nbody\0").expect("sends");
    assert_eq!(client.receipt().expect("is served"), "r");
    bystander.works();
    for depth in [100, 1_000] {
        let nested = "(".repeat(depth);
        let frame = format!("SUBSCRIBE\nid:0\ndestination:/queue/likes\nselector:{nested}\n\n\0");
        attack(&broker, "stomp", &[stomp::CONNECT, frame.as_bytes()].concat());
    }
    bystander.works();
}

#[test]
fn com_4_captures_cut_anywhere_split_and_in_bulk() {
    let broker = start(&[]);
    let mut bystander = Bystander::new(&broker);
    for (name, capture) in captures() {
        for cut in 0..capture.len() {
            attack(&broker, name, &capture[..cut]);
        }
        let mut single = connect(broker.port(name)).expect("connects");
        for byte in &capture {
            single.write_all(&[*byte]).expect("one byte");
        }
        let _ = single.shutdown(Shutdown::Write);
        ends(single);
        bystander.works();
    }
    thousand_frames_in_one_write(&broker);
}

fn thousand_frames_in_one_write(broker: &Broker) {
    let mut client = Amqp::open(broker.port("amqp")).expect("connects");
    client.declare("bulk").expect("declares");
    client.select_confirms().expect("selects");
    let bulk: Vec<u8> = (0..1_000u32).flat_map(|n| amqp::publish("bulk", &n.to_be_bytes())).collect();
    client.send(&bulk).expect("sends");
    let mut highest = 0;
    while highest < 1_000 {
        highest = highest.max(client.confirm().expect("confirms").0);
    }
    for n in 0..1_000u32 {
        assert_eq!(client.get("bulk").expect("gets").as_deref(), Some(&n.to_be_bytes()[..]));
    }
}

#[test]
fn com_7_peers_that_vanish_in_any_state_leave_nothing_behind() {
    let mut broker = start(&[]);
    let mut bystander = Bystander::new(&broker);
    for (name, capture) in captures() {
        for round in 0..20 {
            let stream = connect(broker.port(name)).expect("connects");
            // No lingering: the close is a reset.
            rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO)).expect("sets");
            let cut = capture.len() * round / 19;
            let _ = (&stream).write_all(&capture[..cut]);
            drop(stream);
        }
    }
    vanish_while_the_broker_writes(&broker);
    bystander.works();
    wait_for("connections to be forgotten", || {
        let metrics = http_get(&broker, "/metrics");
        metrics.contains("crossdock_connections{protocol=\"amqp091\"} 1").then_some(())
    });
    assert!(broker.is_running());
}

fn vanish_while_the_broker_writes(broker: &Broker) {
    let mut filler = Amqp::open(broker.port("amqp")).expect("connects");
    filler.declare("big").expect("declares");
    filler.select_confirms().expect("selects");
    for _ in 0..200 {
        filler.send(&amqp::publish("big", &[7; 60_000])).expect("sends");
        filler.confirm().expect("confirmed");
    }
    let mut consumer = Amqp::open(broker.port("amqp")).expect("connects");
    let arguments = amqp::Arguments::default().short(0).text("big").text("c").octet(0).long(0);
    consumer.send(&amqp::method(1, 60, 20, arguments)).expect("consumes");
    consumer.expect(60, 21).expect("consume-ok");
    drop(consumer);
    wait_for("all messages to come back", || {
        let inspect = amqp::Arguments::default().short(0).text("big").octet(0b11).long(0);
        filler.send(&amqp::method(1, 50, 10, inspect)).expect("asks");
        let answer = filler.expect(50, 11).expect("declare-ok").payload;
        let tail = answer.len() - 8;
        (answer[tail..tail + 4] == 200u32.to_be_bytes()).then_some(())
    });
}

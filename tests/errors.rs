//! Wrong credentials, unknown vhosts and messages that are too large: each protocol's own error, and nobody else is disturbed.

use std::io::{Read, Write};

use crate::support::Broker;
use crate::wire::amqp::{self, Amqp};
use crate::wire::http::Http;
use crate::wire::{connect, mqtt, stomp};

/// Everything that the broker says until it hangs up.
fn said(broker: &Broker, port: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(broker.port(port)).expect("connects");
    stream.write_all(bytes).expect("sends");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn contains(answer: &[u8], text: &str) {
    let found = answer.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(found, "{text:?} is not in {}", String::from_utf8_lossy(answer));
}

#[test]
fn amqp_0_9_1() {
    let (broker, _folder) = Broker::start_guarded();
    // A client without the capability is only hung up on, as the specification says.
    let answer = said(&broker, "amqp", &amqp::login("orders", "wrong", "/"));
    assert!(!answer.windows(4).any(|window| window == [0, 10, 0, 41]), "no open-ok");
    for (vhost, text) in [
        ("absent", "NOT_ALLOWED - vhost absent not found"),
        ("other", "NOT_ALLOWED - access to vhost 'other' refused for user 'orders'"),
    ] {
        let close_ok = amqp::method(0, 10, 51, amqp::Arguments::default());
        contains(&said(&broker, "amqp", &[amqp::login("orders", "secret", vhost), close_ok].concat()), text);
    }
    let large = amqp::publish("q", &[0; 65_537]);
    closes_the_channel(
        &broker,
        &large,
        "PRECONDITION_FAILED - message size 65537 is larger than configured max size 65536",
    );
    let mut denied = amqp::method(1, 60, 40, amqp::Arguments::default().short(0).text("amq.direct").text("k").octet(0));
    denied.extend(amqp::frame(2, 1, &amqp::Arguments::default().short(60).short(0).long_long(0).short(0).0));
    let text = "ACCESS_REFUSED - write access to exchange 'amq.direct' in vhost '/' refused for user 'orders'";
    closes_the_channel(&broker, &denied, text);
}

fn closes_the_channel(broker: &Broker, bytes: &[u8], text: &str) {
    let login = amqp::login("orders", "secret", "/");
    let mut client = Amqp::open_as(broker.port("amqp"), &login).expect("connects");
    client.send(bytes).expect("sends");
    let answer = client.frame().expect("answers");
    assert_eq!(answer.method(), (20, 40), "channel.close");
    contains(&answer.payload, text);
}

#[test]
fn mqtt_3_1_1() {
    let (broker, _folder) = Broker::start_guarded();
    let wrong = said(&broker, "mqtt", &mqtt::connect_packet("guest does not exist"));
    assert!(matches!(wrong[..], [0x20, 2, 0, 4 | 5]), "{wrong:?}");
    let large = [mqtt::connect_as("large", "orders", "secret"), mqtt::publish("q", 1, &[0; 70_000])].concat();
    let answer = said(&broker, "mqtt", &large);
    assert_eq!(answer, [0x20, 2, 0, 0], "a CONNACK, then the end");
    let vhost = said(&broker, "mqtt", &mqtt::connect_as("vhost", "absent:orders", "secret"));
    assert!(matches!(vhost[..], [0x20, 2, 0, 3..=5]), "{vhost:?}");
}

#[test]
fn stomp_1_2() {
    let (broker, _folder) = Broker::start_guarded();
    let frame = |passcode: &str| {
        format!("CONNECT\naccept-version:1.2\nhost:/\nlogin:orders\npasscode:{passcode}\n\n\0").into_bytes()
    };
    contains(&said(&broker, "stomp", &frame("wrong")), "ERROR\n");
    let large = [frame("secret"), stomp::send("q", "1", &"x".repeat(70_000))].concat();
    let answer = said(&broker, "stomp", &large);
    contains(&answer, "CONNECTED\n");
    contains(&answer, "ERROR\n");
    contains(&answer, "65536");
    let denied = [frame("secret"), b"SEND\ndestination:/topic/x\nreceipt:7\n\nx\0".to_vec()].concat();
    let answer = said(&broker, "stomp", &denied);
    contains(&answer, "write access to exchange 'amq.topic'");
    contains(&answer, "receipt-id:7");
}

#[test]
fn sqs() {
    let (broker, _folder) = Broker::start_guarded();
    let mut http = Http::open(broker.port("aws")).expect("connects");
    let (status, text) = http.sqs("ListQueues", "{}").expect("answers");
    assert_eq!(status, 403, "unsigned: {text}");
}

#[test]
fn none_of_this_disturbs_anybody_else() {
    let (broker, _folder) = Broker::start_guarded();
    let mut good = Amqp::open_as(broker.port("amqp"), &amqp::login("orders", "secret", "/")).expect("connects");
    good.declare("orders").expect("declares");
    good.select_confirms().expect("selects");
    for _ in 0..20 {
        said(&broker, "amqp", &amqp::login("orders", "wrong", "/"));
        said(&broker, "mqtt", &mqtt::connect_packet("wrong"));
        said(&broker, "stomp", b"NONSENSE\n\n\0");
        good.send(&amqp::publish("orders", b"fine")).expect("sends");
        good.confirm().expect("confirms");
    }
}

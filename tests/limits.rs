//! How many may come, and how often: sessions of MQTT, and connections in a second.

use std::io::{Read, Write};

use crate::support::{Broker, wait_for};
use crate::wire::connect;
use crate::wire::http::Http;
use crate::wire::mqtt::{self, Mqtt};

/// The CONNACK's code for a session that stays.
fn ask(broker: &Broker, client_id: &str, is_v5: bool) -> u8 {
    let (_, answer) = Mqtt::ask(broker.port("mqtt"), &mqtt::connect_session(is_v5, client_id)).expect("answers");
    answer[1]
}

/// The sum of a metric's lines, when the broker lets us in to see them.
fn refused(broker: &Broker, reason: &str) -> u64 {
    let page = wait_for("the metrics", || {
        let answer = Http::open(broker.port("management")).ok()?.request("GET /metrics", "").ok()?;
        (answer.0 == 200).then_some(answer.1)
    });
    let is_wanted = |line: &&str| line.starts_with("crossdock_connections_refused_total") && line.contains(reason);
    page.lines().filter(is_wanted).filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[test]
fn there_are_at_most_so_many_sessions() {
    let mut broker = Broker::start(&["limits.sessions_max=2"]);
    assert_eq!((ask(&broker, "one", true), ask(&broker, "two", false)), (0, 0));
    assert_eq!((ask(&broker, "three", true), ask(&broker, "three", false)), (0x97, 3));
    assert_eq!((ask(&broker, "one", false), ask(&broker, "two", true)), (0, 0), "those that are there go on");
    broker.kill();
    broker.restart();
    assert_eq!((ask(&broker, "three", true), ask(&broker, "two", true)), (0x97, 0));
    // A clean session is gone when its connection is.
    drop(Mqtt::open(broker.port("mqtt"), "one").expect("connects"));
    wait_for("a place", || (ask(&broker, "three", true) == 0).then_some(()));
    assert!(broker.log().contains("there are 2 sessions, which is the limit"), "{}", broker.log());
    assert!(broker.metric("crossdock_limit_refusals_total{protocol=\"mqtt\"}") > 0);
}

#[test]
fn a_user_has_at_most_so_many_sessions() {
    let broker = Broker::start(&["limits.sessions_per_user_max=1"]);
    assert_eq!((ask(&broker, "one", true), ask(&broker, "two", true)), (0, 0x97));
    let other = mqtt::connect_as("three", "other", "secret");
    assert_eq!(Mqtt::ask(broker.port("mqtt"), &other).expect("answers").1, [0, 0]);
}

/// How many of so many connections at once get an answer.
fn served(broker: &Broker, connections: usize) -> usize {
    let streams: Vec<_> = (0..connections).map(|_| connect(broker.port("mqtt")).expect("connects")).collect();
    let is_served = |(number, mut stream): (usize, std::net::TcpStream)| {
        let hello = mqtt::connect_packet(&format!("client-{number}"));
        stream.write_all(&hello).and_then(|()| stream.read_exact(&mut [0; 4])).is_ok()
    };
    streams.into_iter().enumerate().filter_map(|each| is_served(each).then_some(())).count()
}

#[test]
fn a_listener_takes_so_many_connections_in_a_second() {
    let broker = Broker::start(&["limits.connects_per_second_max=5"]);
    let served = served(&broker, 50);
    // More than the burst only if connecting takes long.
    assert!((5..50).contains(&served), "{served}");
    assert_eq!(refused(&broker, "connects_per_second_max"), 50 - served as u64);
    wait_for("the next second", || Mqtt::open(broker.port("mqtt"), "later").ok());
}

#[test]
fn an_address_has_so_many_connections_in_a_second() {
    let broker = Broker::start(&["limits.connects_per_second_per_address_max=5"]);
    let served = served(&broker, 50);
    assert!((4..50).contains(&served), "{served}");
    let refused = refused(&broker, "per_address");
    assert!(refused >= 50 - served as u64, "{refused}");
    wait_for("the next second", || Mqtt::open(broker.port("mqtt"), "later").ok());
}

#[test]
fn what_a_client_does_not_get_is_counted() {
    let broker = Broker::start(&["mqtt.session_queue_messages_max=2"]);
    // A session of a client that takes packets of 60 bytes, and one that is away.
    let small = mqtt::connect_body(5, &[0xc0, 0, 0, 5, 0x27, 0, 0, 0, 60], "small", "guest", "guest");
    let (mut small, answer) = Mqtt::ask(broker.port("mqtt"), &small).expect("connects");
    assert_eq!(answer[1], 0);
    small.send(&mqtt::packet(0x82, b"\0\x01\0\0\x06room/a\0")).expect("subscribes");
    assert_eq!(small.packet().expect("SUBACK").0, 0x90);
    let (mut away, _) = Mqtt::open_session(broker.port("mqtt"), "away").expect("connects");
    away.subscribe("room/a", 1).expect("subscribes");
    drop(away);
    wait_for("it to be away", || (!connections(&broker).contains("\"away\"")).then_some(()));
    let mut publisher = Mqtt::open(broker.port("mqtt"), "publisher").expect("connects");
    for number in 1..=5 {
        publisher.send(&mqtt::publish("room/a", number, &[b'x'; 100])).expect("sends");
        publisher.puback().expect("PUBACK");
    }
    wait_for("five to be dropped", || connections(&broker).contains("\"too_large\":5").then_some(()));
    assert_eq!(broker.metric("crossdock_messages_dropped_total{reason=\"too_large\"}"), 5);
    assert_eq!(broker.metric("crossdock_messages_dropped_total{reason=\"queue_full\"}"), 3);
    let mut http = Http::open(broker.port("management")).expect("connects");
    let (_, queue) = http.manage("GET", "/api/queues/%2F/session.away", "").expect("answers");
    assert!(queue.contains("\"queue_full\":3"), "{queue}");
}

fn connections(broker: &Broker) -> String {
    let mut http = Http::open(broker.port("management")).expect("connects");
    http.manage("GET", "/api/connections", "").expect("answers").1
}

//! A full disk: publishers are told in their protocol's own way, consumers go on, nothing that was confirmed is lost, and it ends
//! by itself when there is space again.

use std::time::Duration;

use crate::support::small_disk::SmallDisk;
use crate::support::{Broker, wait_for};
use crate::wire::amqp::{self, Amqp, Arguments};
use crate::wire::http::Http;

const SMALL: [&str; 3] = ["store.segment_bytes=\"1MiB\"", "limits.message_bytes_max=\"256KiB\"", "core.shards=1"];

/// Without the disk alarm, which would come before the disk is full.
fn settings() -> Vec<&'static str> {
    [&SMALL[..], &["store.disk_free_bytes_min=0"]].concat()
}

#[test]
fn a_full_disk_blocks_publishers_and_nobody_else_and_ends_by_itself() {
    let Some(disk) = SmallDisk::mount() else { return };
    let mut broker = Broker::start_in(&disk.folder().join("data"), &settings());
    let mut publisher = Amqp::open(broker.port("amqp")).expect("connects");
    publisher.declare("full").expect("declares");
    publisher.select_confirms().expect("selects");
    let mut consumer = Amqp::open(broker.port("amqp")).expect("connects");
    disk.fill(2);
    let confirmed = publish_until_blocked(&broker, &mut publisher);
    assert!(confirmed > 0);
    sqs_says_unavailable(&broker);
    let first = consumer.get("full").expect("gets").expect("consumers go on");
    assert_eq!(&first[..4], &0u32.to_be_bytes());
    disk.free();
    wait_for("the broker to go on", || publishers_go_on(&broker).then_some(()));
    publisher.confirm().expect("what waited is confirmed");
    drop((publisher, consumer));
    broker.kill();
    broker.restart();
    let mut consumer = Amqp::open(broker.port("amqp")).expect("connects");
    for number in 1..confirmed {
        let body = consumer.get("full").expect("gets").unwrap_or_else(|| panic!("{number} of {confirmed} is lost"));
        assert_eq!(&body[..4], &number.to_be_bytes());
    }
}

/// Publishes one by one until a confirm does not come; gives how many came.
fn publish_until_blocked(broker: &Broker, publisher: &mut Amqp) -> u32 {
    let mut body = vec![7; 100_000];
    for number in 0u32.. {
        body[..4].copy_from_slice(&number.to_be_bytes());
        publisher.send(&amqp::publish("full", &body)).expect("sends");
        publisher.set_patience(Duration::from_millis(500));
        let confirmed = publisher.confirm().is_ok();
        publisher.set_patience(crate::support::PATIENCE);
        if !confirmed {
            wait_for("the broker to notice", || (!publishers_go_on(broker)).then_some(()));
            return number;
        }
    }
    unreachable!("the disk is finite")
}

/// Whether publishers are served. Whoever only consumes is served in any case, so the status is always 200 here.
fn publishers_go_on(broker: &Broker) -> bool {
    let mut http = Http::open(broker.port("management")).expect("connects");
    let (status, body) = http.request("GET /readyz", "").expect("answers");
    assert_eq!(status, 200, "{body}");
    body == "ok\n"
}

fn sqs_says_unavailable(broker: &Broker) {
    let mut http = Http::open(broker.port("aws")).expect("connects");
    let body = r#"{"QueueUrl":"http://localhost/000000000000/full","MessageBody":"x"}"#;
    let (status, text) = http.sqs("SendMessage", body).expect("answers");
    assert_eq!(status, 503, "{text}");
}

#[test]
fn connection_blocked_is_sent_to_a_publisher_that_understands_it() {
    let Some(disk) = SmallDisk::mount() else { return };
    let broker = Broker::start_in(&disk.folder().join("data"), &settings());
    let mut publisher = Amqp::open_with_blocked(broker.port("amqp")).expect("connects");
    publisher.declare("full").expect("declares");
    disk.fill(2);
    let body = vec![7; 100_000];
    let mut messages = 0;
    // The broker stops reading once it has said so; what is sent until then fits into buffers.
    publisher.set_patience(Duration::from_millis(20));
    let blocked = wait_for("connection.blocked", || {
        if messages < 60 {
            publisher.send(&amqp::publish("full", &body)).expect("sends");
            messages += 1;
        }
        publisher.frame().ok()
    });
    assert_eq!(blocked.method(), (10, 60));
    disk.free();
    publisher.set_patience(crate::support::PATIENCE);
    assert_eq!(publisher.frame().expect("hears").method(), (10, 61), "connection.unblocked");
    publisher
        .send(&amqp::method(1, 50, 10, Arguments::default().short(0).text("full").octet(1).long(0)))
        .expect("sends");
    publisher.expect(50, 11).expect("goes on");
}

#[test]
fn publishers_wait_before_the_disk_is_full_and_go_on_by_themselves() {
    let Some(disk) = SmallDisk::mount() else { return };
    let broker =
        Broker::start_in(&disk.folder().join("data"), &[&SMALL[..], &["store.disk_free_bytes_min=\"8MiB\""]].concat());
    let mut publisher = Amqp::open_with_blocked(broker.port("amqp")).expect("connects");
    publisher.declare("low").expect("declares");
    publisher.select_confirms().expect("selects");
    publisher.send(&amqp::publish("low", b"first")).expect("sends");
    publisher.confirm().expect("there is space");
    disk.fill(4);
    let blocked = publisher.frame().expect("hears");
    assert_eq!((blocked.method(), &blocked.payload[5..]), ((10, 60), &b"low on disk"[..]));
    let mut http = Http::open(broker.port("management")).expect("connects");
    let (status, body) = http.request("GET /readyz", "").expect("answers");
    assert_eq!(status, 200, "consumers have to get here");
    assert!(body.contains("publishers wait: less disk space is free than store.disk_free_bytes_min"), "{body}");
    sqs_says_unavailable(&broker);
    let mut consumer = Amqp::open(broker.port("amqp")).expect("connects");
    assert_eq!(consumer.get("low").expect("gets").as_deref(), Some(&b"first"[..]), "consumers go on");
    disk.free();
    assert_eq!(publisher.frame().expect("hears").method(), (10, 61), "connection.unblocked");
    publisher.send(&amqp::publish("low", b"second")).expect("sends");
    publisher.confirm().expect("goes on");
}

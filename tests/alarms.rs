//! Memory and disk alarms: publishers wait, consumers drain, and it ends by itself.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::small_disk::SmallDisk;
use crate::support::{Broker, PATIENCE, wait_for};
use crate::wire::amqp::{self, Amqp, Arguments};
use crate::wire::http::Http;
use crate::wire::mqtt::{self, Mqtt};
use crate::wire::stomp::{self, Stomp};

/// What the broker may use: a few times what it needs when idle.
const MEMORY_MIB: u64 = 96;
const BODY_BYTES: usize = 10_000;

/// A publisher that never waits for anything but its socket.
struct Flood {
    sent: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Flood {
    fn start(publisher: &Amqp, queue: &str) -> Self {
        let (sent, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, ended) = (sent.clone(), stop.clone());
        let (mut writer, message) = (publisher.writer(), amqp::publish_transient(queue, &[7; BODY_BYTES]));
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) && writer.write_all(&message).is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { sent, stop, thread }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

#[test]
fn high_memory_blocks_publishers_until_consumers_have_drained() {
    // Messages stay in memory, or writing them to disk would lift the alarm.
    let limit = format!("limits.memory_bytes_max=\"{MEMORY_MIB}MiB\"");
    let mut broker = Broker::start(&[&limit, "core.messages_memory_bytes_max=0"]);
    let mut publisher = Amqp::open_with_blocked(broker.port("amqp")).expect("connects");
    publisher.declare_transient("flood").expect("declares");
    let flood = Flood::start(&publisher, "flood");
    let blocked = publisher.frame().expect("hears");
    assert_eq!(blocked.method(), (10, 60), "connection.blocked");
    assert_eq!(&blocked.payload[5..], b"low on memory");
    assert_eq!(broker.metric("crossdock_alarms{reason=\"memory_high\"}"), 1);
    assert!(broker.metric("crossdock_memory_used_bytes") > MEMORY_MIB << 20);
    let read_bytes = || broker.metric("crossdock_received_bytes_total{protocol=\"amqp091\"}");
    let before = read_bytes();
    assert!((0..50).all(|_| read_bytes() == before), "a publisher that is blocked is not read");
    let mut http = Http::open(broker.port("management")).expect("connects");
    let body = r#"{"properties":{},"routing_key":"flood","payload":"x","payload_encoding":"string"}"#;
    let login = "authorization: Basic Z3Vlc3Q6Z3Vlc3Q=";
    let head = format!("POST /api/exchanges/%2F/amq.default/publish HTTP/1.1\r\n{login}\r\nx:");
    let (status, answer) = http.request(&head, body).expect("answers");
    assert_eq!((status, answer.contains("low on memory")), (503, true), "{answer}");
    let mut consumer = Amqp::open(broker.port("amqp")).expect("connects");
    publisher.set_patience(Duration::from_millis(1));
    let sent = flood.sent();
    let unblocked = wait_for("connection.unblocked", || {
        (0..500).for_each(|_| drop(consumer.get("flood").expect("consumers go on")));
        publisher.frame().ok()
    });
    assert_eq!(unblocked.method(), (10, 61), "connection.unblocked");
    wait_for("the publisher to go on", || (flood.sent() > sent).then_some(()));
    assert!(broker.log().contains("memory high: publishers wait"), "{}", broker.log());
    flood.stop.store(true, Ordering::Relaxed);
    publisher.set_patience(PATIENCE);
    broker.kill();
    flood.thread.join().expect("ends");
}

/// A broker on a small disk that stops publishers while 8 MiB are free.
fn on_small_disk(disk: &SmallDisk) -> Broker {
    let settings = ["store.segment_bytes=\"1MiB\"", "core.shards=1", "store.disk_free_bytes_min=\"8MiB\""];
    Broker::start_in(&disk.folder().join("data"), &[&settings[..], &["limits.message_bytes_max=\"256KiB\""]].concat())
}

fn wait_for_alarm(broker: &Broker, holds: bool) {
    let metric = "crossdock_alarms{reason=\"disk_low\"}";
    wait_for("the disk alarm to change", || (broker.metric(metric) == u64::from(holds)).then_some(()));
}

/// Bytes that were read of this protocol's clients; the same each time it is asked.
fn read_bytes(broker: &Broker, protocol: &str) -> u64 {
    let ask = || broker.metric(&format!("crossdock_received_bytes_total{{protocol=\"{protocol}\"}}"));
    let first = ask();
    assert!((0..50).all(|_| ask() == first), "{protocol}: publishers are read while there is an alarm");
    first
}

#[test]
fn mqtt_and_stomp_publishers_are_not_read_and_are_answered_when_the_alarm_is_over() {
    let Some(disk) = SmallDisk::mount() else { return };
    let broker = on_small_disk(&disk);
    let mut consumer = Amqp::open(broker.port("amqp")).expect("connects");
    consumer.declare("low").expect("declares");
    consumer.bind("amq.topic", "low", "low").expect("binds");
    let mut mqtt = Mqtt::open(broker.port("mqtt"), "publisher").expect("connects");
    let mut stomp = Stomp::open(broker.port("stomp")).expect("connects");
    mqtt.send(&mqtt::publish("low", 1, b"mqtt 1")).expect("sends");
    assert_eq!(mqtt.puback().expect("hears"), 1);
    stomp.send(&stomp::send("low", "one", "stomp 1")).expect("sends");
    assert_eq!(stomp.receipt().expect("hears"), "one");
    disk.fill(4);
    wait_for_alarm(&broker, true);
    let (of_mqtt, of_stomp) = (read_bytes(&broker, "mqtt"), read_bytes(&broker, "stomp"));
    mqtt.send(&mqtt::publish("low", 2, b"mqtt 2")).expect("sends");
    stomp.send(&stomp::send("low", "two", "stomp 2")).expect("sends");
    for expected in [&b"mqtt 1"[..], b"stomp 1"] {
        assert_eq!(consumer.get("low").expect("gets").as_deref(), Some(expected), "consumers go on");
    }
    assert_eq!((read_bytes(&broker, "mqtt"), read_bytes(&broker, "stomp")), (of_mqtt, of_stomp));
    assert_eq!(consumer.get("low").expect("gets"), None);
    disk.free();
    assert_eq!(mqtt.puback().expect("hears"), 2);
    assert_eq!(stomp.receipt().expect("hears"), "two");
    let mut rest = [(); 2].map(|()| consumer.get("low").expect("gets").expect("is there"));
    rest.sort();
    assert_eq!(rest, [b"mqtt 2".to_vec(), b"stomp 2".to_vec()]);
}

#[test]
fn sqs_and_sns_publishers_are_told_to_come_again_and_receivers_are_served() {
    let Some(disk) = SmallDisk::mount() else { return };
    let broker = on_small_disk(&disk);
    let mut aws = Http::open(broker.port("aws")).expect("connects");
    let send = r#"{"QueueUrl":"http://localhost/000000000000/low","MessageBody":"kept"}"#;
    let publish = "Action=Publish&Version=2010-03-31&TopicArn=arn:aws:sns:us-east-1:000000000000:prices&Message=x";
    assert_eq!(aws.sqs("CreateQueue", r#"{"QueueName":"low"}"#).expect("answers").0, 200);
    assert_eq!(aws.sns("Action=CreateTopic&Version=2010-03-31&Name=prices").expect("answers").0, 200);
    assert_eq!(aws.sqs("SendMessage", send).expect("answers").0, 200);
    assert_eq!(aws.sns(publish).expect("answers").0, 200);
    disk.fill(4);
    wait_for_alarm(&broker, true);
    for (status, text) in [aws.sqs("SendMessage", send), aws.sns(publish)].map(|answer| answer.expect("answers")) {
        assert_eq!(status, 503, "{text}");
    }
    let receive = r#"{"QueueUrl":"http://localhost/000000000000/low","MaxNumberOfMessages":10}"#;
    let (status, text) = aws.sqs("ReceiveMessage", receive).expect("answers");
    assert_eq!((status, text.matches("\"Body\":\"kept\"").count()), (200, 1), "{text}");
    disk.free();
    wait_for_alarm(&broker, false);
    assert_eq!(aws.sqs("SendMessage", send).expect("answers").0, 200);
    assert_eq!(aws.sns(publish).expect("answers").0, 200);
}

#[test]
fn a_publisher_is_not_read_either_while_its_transaction_is_open() {
    let Some(disk) = SmallDisk::mount() else { return };
    let broker = on_small_disk(&disk);
    let mut publisher = Amqp::open_with_blocked(broker.port("amqp")).expect("connects");
    publisher.declare("low").expect("declares");
    publisher.send(&amqp::method(1, 90, 10, Arguments::default())).expect("sends");
    publisher.expect(90, 11).expect("tx.select-ok");
    publisher.send(&amqp::publish("low", b"first")).expect("sends");
    // What is answered tells that everything before it was read.
    publisher.declare("low").expect("declares");
    disk.fill(4);
    assert_eq!(publisher.frame().expect("hears").method(), (10, 60), "connection.blocked");
    let before = read_bytes(&broker, "amqp091");
    publisher.send(&amqp::publish("low", b"second")).expect("sends");
    publisher.send(&amqp::method(1, 90, 20, Arguments::default())).expect("sends");
    assert_eq!(read_bytes(&broker, "amqp091"), before);
    disk.free();
    assert_eq!(publisher.frame().expect("hears").method(), (10, 61), "connection.unblocked");
    publisher.expect(90, 21).expect("tx.commit-ok");
    let mut consumer = Amqp::open(broker.port("amqp")).expect("connects");
    for expected in [&b"first"[..], b"second"] {
        assert_eq!(consumer.get("low").expect("gets").as_deref(), Some(expected));
    }
}

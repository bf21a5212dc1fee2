//! Data directories that earlier versions wrote (`golden-data/write.py`) open, with everything that is in them.

use std::path::Path;
use std::process::Command;

use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Broker, wait_for};
use crate::wire::http::Http;
use crate::wire::mqtt::{self, Mqtt};

/// A broker on a copy of what such a version left.
fn open(archive: &str) -> (Broker, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden-data").join(archive).with_extension("tar.gz");
    let unpacked = Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(folder.path()).status();
    assert!(unpacked.expect("tar runs").success());
    (Broker::start_in(&folder.path().join("data"), &[]), folder)
}

async fn channel(broker: &Broker) -> Channel {
    let address = format!("amqp://guest:guest@127.0.0.1:{}/%2f", broker.port("amqp"));
    let connection = Connection::connect(&address, ConnectionProperties::default()).await.expect("connects");
    let channel = connection.create_channel().await.expect("a channel");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("selects");
    channel
}

/// All messages of a queue, taken out.
async fn drain(channel: &Channel, queue: &str) -> Vec<(String, BasicProperties)> {
    let mut all = Vec::new();
    let options = BasicGetOptions { no_ack: true };
    while let Some(message) = channel.basic_get(queue.into(), options).await.expect("gets") {
        all.push((String::from_utf8(message.delivery.data).expect("text"), message.delivery.properties));
    }
    all
}

/// Publishes a durable message, which is in its queues once it is confirmed.
async fn publish(channel: &Channel, exchange: &str, key: &str) {
    let (options, durable) = (BasicPublishOptions::default(), BasicProperties::default().with_delivery_mode(2));
    let sent = channel.basic_publish(exchange.into(), key.into(), options, b"new", durable).await.expect("publishes");
    assert!(matches!(sent.await, Ok(Confirmation::Ack(_))), "{exchange}");
}

async fn bodies(channel: &Channel, queue: &str) -> Vec<String> {
    drain(channel, queue).await.into_iter().map(|(body, _)| body).collect()
}

async fn check_amqp(broker: &Broker) {
    let channel = channel(broker).await;
    let orders = drain(&channel, "orders").await;
    let numbers: Vec<String> = (2..22).map(|number| format!("order {number}")).collect();
    let large = "large ".repeat(20_000);
    let expected = numbers.iter().map(String::as_str).chain([large.as_str(), "behind the snapshot"]);
    assert!(orders.iter().map(|(body, _)| body.as_str()).eq(expected), "{:?}", orders.len());
    let properties = &orders[0].1;
    assert_eq!(properties.content_type(), &Some(ShortString::from("text/plain")));
    assert_eq!(properties.correlation_id(), &Some(ShortString::from("2")));
    let headers = properties.headers().as_ref().expect("headers").inner();
    assert!(
        matches!(
            headers.get("n"),
            Some(
                AMQPValue::LongInt(2)
                    | AMQPValue::LongLongInt(2)
                    | AMQPValue::ShortInt(2)
                    | AMQPValue::ShortShortInt(2)
            )
        ),
        "{headers:?}"
    );
    let ranks: Vec<String> = (0..6).rev().map(|rank| format!("rank {rank}")).collect();
    assert_eq!(bodies(&channel, "ranked").await, ranks);
    assert_eq!(bodies(&channel, "unsettled").await, ["held 0", "held 1", "held 2"]);
    assert_eq!(bodies(&channel, "rejecting").await, [""; 0]);
    let letters = drain(&channel, "letters").await;
    assert_eq!(letters[0].0, "letter");
    assert!(letters[0].1.headers().as_ref().is_some_and(|headers| headers.inner().contains_key("x-death")));
    for (exchange, key) in [("events", ""), ("amq.topic", "a.c")] {
        publish(&channel, exchange, key).await;
    }
    // The MQTT messages came through the same exchange.
    assert_eq!(bodies(&channel, "bound").await, ["event", "1", "2", "3", "new", "new"]);
}

fn check_mqtt(broker: &Broker) {
    let (mut session, present) = Mqtt::open_session(broker.port("mqtt"), "kept").expect("connects");
    assert!(present, "the session is there");
    for number in 1..=3 {
        let (_, topic, body) = session.message().expect("a message");
        assert_eq!((topic.as_str(), body), ("a/b", number.to_string().into_bytes()));
    }
    let mut reader = Mqtt::open(broker.port("mqtt"), "reader").expect("connects");
    reader.subscribe("kept/#", 1).expect("subscribes");
    let (first, _, body) = reader.message().expect("the retained message");
    assert_eq!((first & 1, &body[..]), (1, &b"last"[..]));
}

fn check_sqs(broker: &Broker) {
    let url = format!("http://localhost:{}/000000000000/jobs", broker.port("aws"));
    let receive = format!("{{\"QueueUrl\":\"{url}\",\"MaxNumberOfMessages\":10,\"WaitTimeSeconds\":1}}");
    let mut seen = String::new();
    wait_for("both jobs", || {
        let mut http = Http::open(broker.port("aws")).expect("connects");
        let (status, answer) = http.sqs("ReceiveMessage", &receive).expect("answers");
        assert_eq!(status, 200, "{answer}");
        seen.push_str(&answer);
        (seen.contains("\"job\"") && seen.contains("\"delayed job\"")).then_some(())
    });
}

/// What came after the first directories were written: FIFO queues, and packet ids that the core keeps.
fn check_later(broker: &Broker) {
    let url = format!("http://localhost:{}/000000000000/groups.fifo", broker.port("aws"));
    let mut http = Http::open(broker.port("aws")).expect("connects");
    let mut bodies = Vec::new();
    wait_for("three messages", || {
        let receive = json!({"QueueUrl": url, "MaxNumberOfMessages": 10}).to_string();
        let (_, answer) = http.sqs("ReceiveMessage", &receive).expect("answers");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        for message in answer["Messages"].as_array().into_iter().flatten() {
            bodies.push(message["Body"].as_str().expect("text").to_owned());
            let delete = json!({"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}).to_string();
            assert_eq!(http.sqs("DeleteMessage", &delete).expect("answers").0, 200);
        }
        (bodies.len() >= 3).then_some(())
    });
    bodies.sort_by_key(|body| body.starts_with('b'));
    assert_eq!(bodies, ["a2", "a3", "b1"]);
    let (mut session, present) = Mqtt::open_session(broker.port("mqtt"), "exactly").expect("connects");
    assert!(present, "the session is there");
    let publish_again = mqtt::packet(0x3c, b"\0\x04once\0\x07once");
    for (packet, answer) in [(publish_again, 0x50), (mqtt::packet(0x62, b"\0\x07"), 0x70)] {
        session.send(&packet).expect("sends");
        assert_eq!(session.packet().expect("an answer"), (answer, vec![0, 7]));
    }
}

async fn check(archive: &str) -> (Broker, TempDir) {
    let (broker, folder) = open(archive);
    check_mqtt(&broker);
    check_sqs(&broker);
    check_amqp(&broker).await;
    let log = broker.log();
    assert!(!log.contains("ERROR"), "{log}");
    (broker, folder)
}

async fn check_with_later(archive: &str) {
    let (broker, _folder) = check(archive).await;
    check_later(&broker);
    assert_eq!(bodies(&channel(&broker).await, "once").await, ["once"]);
}

#[tokio::test]
async fn a_directory_of_references_opens_after_a_kill() {
    check("before-release-killed").await;
}

#[tokio::test]
async fn a_directory_of_references_opens_after_a_stop() {
    check("before-release-stopped").await;
}

#[tokio::test]
async fn a_directory_with_groups_and_publications_opens_after_a_kill() {
    check_with_later("before-release-2-killed").await;
}

#[tokio::test]
async fn a_directory_with_groups_and_publications_opens_after_a_stop() {
    check_with_later("before-release-2-stopped").await;
}

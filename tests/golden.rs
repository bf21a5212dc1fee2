//! Data directories that earlier versions wrote (`golden-data/write.py`) open, with everything that is in them.

use std::path::Path;
use std::process::Command;

use lapin::options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, ShortString};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use tempfile::TempDir;

use crate::support::{Broker, wait_for};
use crate::wire::http::Http;
use crate::wire::mqtt::Mqtt;

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

async fn check(archive: &str) {
    let (broker, _folder) = open(archive);
    check_mqtt(&broker);
    check_sqs(&broker);
    check_amqp(&broker).await;
    let log = broker.log();
    assert!(!log.contains("ERROR"), "{log}");
}

#[tokio::test]
async fn a_directory_of_references_opens_after_a_kill() {
    check("before-release-killed").await;
}

#[tokio::test]
async fn a_directory_of_references_opens_after_a_stop() {
    check("before-release-stopped").await;
}

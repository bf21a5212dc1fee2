//! Delays and direct replies through lapin.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};

use crate::support::{Broker, PATIENCE};
use crate::wire::stomp::Stomp;

async fn channel(broker: &Broker) -> (Connection, Channel) {
    let address = format!("amqp://guest:guest@127.0.0.1:{}/%2f", broker.port("amqp"));
    let connection = Connection::connect(&address, ConnectionProperties::default()).await.expect("connects");
    let channel = connection.create_channel().await.expect("a channel");
    (connection, channel)
}

fn table(name: &str, value: AMQPValue) -> FieldTable {
    FieldTable::from(BTreeMap::from([(ShortString::from(name), value)]))
}

#[tokio::test]
async fn a_delayed_message_survives_a_kill_and_comes_when_it_is_due() {
    let mut broker = Broker::start(&[]);
    let (_connection, publisher) = channel(&broker).await;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let arguments = table("x-delayed-type", AMQPValue::LongString("direct".into()));
    let kind = ExchangeKind::Custom("x-delayed-message".into());
    publisher.exchange_declare("later".into(), kind, durable, arguments).await.expect("declares");
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    publisher.queue_declare("due".into(), durable, FieldTable::default()).await.expect("declares");
    let bind = QueueBindOptions::default();
    publisher.queue_bind("due".into(), "later".into(), "k".into(), bind, FieldTable::default()).await.expect("binds");
    publisher.confirm_select(ConfirmSelectOptions::default()).await.expect("selects");
    let headers = table("x-delay", AMQPValue::LongInt(3_000));
    let properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
    let publish = publisher.basic_publish("later".into(), "k".into(), BasicPublishOptions::default(), b"m", properties);
    publish.await.expect("publishes").await.expect("is confirmed");
    broker.kill();
    broker.restart();
    let (_connection, consumer) = channel(&broker).await;
    let end = std::time::Instant::now() + PATIENCE;
    let message = loop {
        let got = consumer.basic_get("due".into(), BasicGetOptions { no_ack: true }).await.expect("gets");
        match got {
            Some(message) => break message,
            None => assert!(std::time::Instant::now() < end, "it does not come"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let headers = message.properties.headers().clone().expect("headers");
    assert_eq!(headers.inner().get("x-delay"), Some(&AMQPValue::LongInt(-3_000)));
    assert_eq!(message.data, b"m");
}

#[tokio::test]
async fn a_service_that_speaks_stomp_answers_an_amqp_request_directly() {
    let broker = Broker::start(&[]);
    let mut service = Stomp::open(broker.port("stomp")).expect("connects");
    service.send(b"SUBSCRIBE\nid:1\ndestination:/queue/service\nreceipt:1\n\n\0").expect("sends");
    service.receipt().expect("hears");
    let (_connection, client) = channel(&broker).await;
    let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let mut replies = client
        .basic_consume("amq.rabbitmq.reply-to".into(), "c".into(), no_ack, FieldTable::default())
        .await
        .expect("consumes");
    let properties = BasicProperties::default().with_reply_to("amq.rabbitmq.reply-to".into());
    client
        .basic_publish("".into(), "service".into(), BasicPublishOptions::default(), b"question", properties)
        .await
        .expect("publishes");
    let question = service.frame().expect("a message");
    let address = question.lines().find_map(|line| line.strip_prefix("reply-to:")).expect("an address").to_owned();
    let name = address.strip_prefix("/reply-queue/").expect("STOMP's form of it");
    for destination in [address.clone(), format!("/amq/queue/{name}"), format!("/queue/{name}")] {
        let answer = &destination;
        service.send(format!("SEND\ndestination:{destination}\n\n{answer}\0").as_bytes()).expect("sends");
        let next = tokio::time::timeout(PATIENCE, replies.next()).await.expect("in time");
        assert_eq!(next.expect("a reply").expect("no error").data, answer.as_bytes());
    }
}

//! lapin, in this process.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};

use crate::support::Broker;

#[tokio::test]
async fn publish_with_confirms_consume_and_ack() {
    let broker = Broker::start(&[]);
    let address = format!("amqp://guest:guest@127.0.0.1:{}/%2f", broker.port("amqp"));
    let connection = Connection::connect(&address, ConnectionProperties::default()).await.expect("connects");
    let channel = connection.create_channel().await.expect("a channel");
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("lapin".into(), durable, FieldTable::default()).await.expect("declares");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("selects");
    channel.basic_qos(10, BasicQosOptions::default()).await.expect("qos");
    for number in 0..100u8 {
        let properties = BasicProperties::default().with_delivery_mode(2).with_message_id(number.to_string().into());
        let confirm = channel
            .basic_publish("".into(), "lapin".into(), BasicPublishOptions::default(), &[number], properties)
            .await
            .expect("publishes")
            .await
            .expect("an answer");
        assert!(matches!(confirm, Confirmation::Ack(None)), "{confirm:?}");
    }
    let mut consumer = channel
        .basic_consume("lapin".into(), "c".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await
        .expect("consumes");
    for number in 0..100u8 {
        let next = tokio::time::timeout(Duration::from_secs(30), consumer.next()).await;
        let delivery = next.expect("in time").expect("a delivery").expect("no error");
        assert_eq!((&delivery.data[..], delivery.redelivered), (&[number][..], false));
        delivery.ack(BasicAckOptions::default()).await.expect("acks");
    }
    connection.close(200, "done".into()).await.expect("closes");
}

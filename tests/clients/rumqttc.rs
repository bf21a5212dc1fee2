//! MQTT 3.1.1 and 5 through rumqttc.

use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS as QoS5;
use rumqttc::v5::mqttbytes::v5::{Packet as Packet5, Publish as Publish5, PublishProperties};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, QoS, v5};

use crate::support::{Broker, PATIENCE};

/// The next message; the loop also moves everything else.
async fn next(events: &mut EventLoop) -> Publish {
    let receive = async {
        loop {
            if let Event::Incoming(Packet::Publish(publish)) = events.poll().await.expect("goes on") {
                return publish;
            }
        }
    };
    tokio::time::timeout(PATIENCE, receive).await.expect("in time")
}

async fn next_5(events: &mut v5::EventLoop) -> Publish5 {
    let receive = async {
        loop {
            if let v5::Event::Incoming(Packet5::Publish(publish)) = events.poll().await.expect("goes on") {
                return publish;
            }
        }
    };
    tokio::time::timeout(PATIENCE, receive).await.expect("in time")
}

#[tokio::test]
async fn rumqttc_3_1_1() {
    let broker = Broker::start(&[]);
    let mut options = MqttOptions::new("rumqttc", "127.0.0.1", broker.port("mqtt"));
    options.set_credentials("guest", "guest").set_keep_alive(Duration::from_secs(30));
    let (client, mut events) = AsyncClient::new(options, 100);
    client.subscribe("rumqttc/+", QoS::ExactlyOnce).await.expect("asks");
    for (number, qos) in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].into_iter().enumerate() {
        client.publish(format!("rumqttc/{number}"), qos, true, format!("m{number}")).await.expect("asks");
        let publish = next(&mut events).await;
        assert_eq!((publish.qos, &publish.payload[..]), (qos, format!("m{number}").as_bytes()));
    }
}

#[tokio::test]
async fn rumqttc_5() {
    let broker = Broker::start(&[]);
    let mut options = v5::MqttOptions::new("rumqttc5", "127.0.0.1", broker.port("mqtt"));
    options.set_credentials("guest", "guest").set_keep_alive(Duration::from_secs(30));
    options.set_topic_alias_max(Some(5));
    let (client, mut events) = v5::AsyncClient::new(options, 100);
    client.subscribe("rumqttc5/#", QoS5::ExactlyOnce).await.expect("asks");
    for qos in [QoS5::AtMostOnce, QoS5::AtLeastOnce, QoS5::ExactlyOnce] {
        let properties = PublishProperties {
            content_type: Some("text/plain".to_owned()),
            user_properties: vec![("k".to_owned(), "1".to_owned()), ("k".to_owned(), "2".to_owned())],
            ..PublishProperties::default()
        };
        client.publish_with_properties("rumqttc5/x", qos, false, "m", properties.clone()).await.expect("asks");
        let publish = next_5(&mut events).await;
        let found = publish.properties.expect("properties");
        assert_eq!(
            (publish.qos, found.user_properties, found.content_type),
            (qos, properties.user_properties, properties.content_type)
        );
    }
}

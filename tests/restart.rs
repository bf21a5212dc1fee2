//! What a `kill -9` leaves of what clients were told.

use crate::support::Broker;
use crate::wire::amqp::Amqp;
use crate::wire::mqtt::{self, Mqtt};
use crate::wire::stomp::{self, Stomp};

#[test]
fn an_mqtt_session_with_its_messages_and_retained_values_survives() {
    let mut broker = Broker::start(&[]);
    let (mut session, present) = Mqtt::open_session(broker.port("mqtt"), "kept").expect("connects");
    assert!(!present);
    session.subscribe("a/+", 1).expect("subscribes");
    session.send(&mqtt::packet(0xe0, &[])).expect("says goodbye");
    let mut writer = Mqtt::open(broker.port("mqtt"), "writer").expect("connects");
    for number in 1..=3u16 {
        writer.send(&mqtt::publish("a/b", number, number.to_string().as_bytes())).expect("sends");
        assert_eq!(writer.puback().expect("hears"), number);
    }
    writer.send(&mqtt::retained("kept/value", 4, b"last")).expect("sends");
    writer.puback().expect("hears");
    broker.kill();
    broker.restart();
    let (mut session, present) = Mqtt::open_session(broker.port("mqtt"), "kept").expect("connects");
    assert!(present);
    for number in 1..=3u16 {
        let (_, topic, body) = session.message().expect("a message");
        assert_eq!((topic.as_str(), body), ("a/b", number.to_string().into_bytes()));
    }
    session.subscribe("kept/#", 1).expect("subscribes");
    let (first, _, body) = session.message().expect("the retained message");
    assert_eq!((first & 1, &body[..]), (1, &b"last"[..]));
}

#[test]
fn unacknowledged_messages_come_again() {
    let mut broker = Broker::start(&[]);
    let (mut session, _) = Mqtt::open_session(broker.port("mqtt"), "slow").expect("connects");
    session.subscribe("x", 1).expect("subscribes");
    let mut writer = Mqtt::open(broker.port("mqtt"), "writer").expect("connects");
    writer.send(&mqtt::publish("x", 1, b"once more")).expect("sends");
    writer.puback().expect("hears");
    let (_, _, body) = session.message().expect("a message");
    assert_eq!(body, b"once more");
    broker.kill();
    broker.restart();
    let (mut session, present) = Mqtt::open_session(broker.port("mqtt"), "slow").expect("connects");
    assert!(present);
    assert_eq!(session.message().expect("again").2, b"once more");
}

#[test]
fn definitions_survive_and_lead_messages_as_before() {
    let mut broker = Broker::start(&[]);
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    amqp.declare("bound").expect("declares");
    amqp.bind("amq.topic", "bound", "a.#").expect("binds");
    let mut stomp = Stomp::open(broker.port("stomp")).expect("connects");
    stomp.send(&stomp::send("made-by-stomp", "1", "before")).expect("sends");
    stomp.receipt().expect("hears");
    broker.kill();
    broker.restart();
    let mut writer = Mqtt::open(broker.port("mqtt"), "writer").expect("connects");
    writer.send(&mqtt::publish("a/b", 1, b"after")).expect("sends");
    writer.puback().expect("hears");
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    assert_eq!(amqp.get("bound").expect("gets").as_deref(), Some(&b"after"[..]));
    assert_eq!(amqp.get("made-by-stomp").expect("gets").as_deref(), Some(&b"before"[..]));
}

//! Messages that are on disk only: more than fits into memory, and large ones.

use crate::support::Broker;
use crate::wire::amqp::{self, Amqp};

/// Room for a few hundred of the messages below.
const LITTLE_MEMORY: &str = "core.messages_memory_bytes_max=\"1MiB\"";
const COUNT: u64 = 20_000;

fn body(number: u64) -> Vec<u8> {
    let mut body = format!("{number:08} ").into_bytes();
    body.resize(1_000, b'x');
    body
}

fn publish_backlog(broker: &Broker, queue: &str) {
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    amqp.declare(queue).expect("declares");
    amqp.select_confirms().expect("selects");
    for hundred in 0..COUNT / 100 {
        let batch: Vec<u8> = (0..100).flat_map(|one| amqp::publish(queue, &body(hundred * 100 + one))).collect();
        amqp.send(&batch).expect("sends");
    }
    let mut confirmed = 0;
    while confirmed < COUNT {
        let (tag, multiple) = amqp.confirm().expect("hears");
        confirmed = if multiple { confirmed.max(tag) } else { confirmed + 1 };
    }
}

fn drain(broker: &Broker, queue: &str) {
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    for number in 0..COUNT {
        let got = amqp.get(queue).expect("gets");
        assert!(got.as_deref() == Some(&body(number)), "message {number}");
    }
    assert_eq!(amqp.get(queue).expect("gets"), None);
}

#[test]
fn a_backlog_larger_than_memory_is_served_in_order() {
    let broker = Broker::start(&[LITTLE_MEMORY]);
    publish_backlog(&broker, "long");
    drain(&broker, "long");
}

#[test]
fn a_backlog_larger_than_memory_survives_kill_and_clean_stop() {
    let mut broker = Broker::start(&[LITTLE_MEMORY]);
    publish_backlog(&broker, "long");
    broker.kill();
    broker.restart();
    broker.terminate();
    broker.wait();
    broker.restart();
    drain(&broker, "long");
}

#[test]
fn what_was_handed_out_before_a_clean_stop_comes_again_and_says_so() {
    let mut broker = Broker::start(&[]);
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    amqp.declare("held").expect("declares");
    amqp.select_confirms().expect("selects");
    for text in ["seen", "unseen"] {
        amqp.send(&amqp::publish("held", text.as_bytes())).expect("sends");
        amqp.confirm().expect("hears");
    }
    assert_eq!(amqp.get_and_hold("held").expect("gets"), Some((false, b"seen".to_vec())));
    broker.terminate();
    broker.wait();
    broker.restart();
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    assert_eq!(amqp.get_and_hold("held").expect("gets"), Some((true, b"seen".to_vec())));
    assert_eq!(amqp.get_and_hold("held").expect("gets"), Some((false, b"unseen".to_vec())));
}

#[test]
fn a_large_message_is_confirmed_and_survives_with_what_came_after_it() {
    let mut broker = Broker::start(&[LITTLE_MEMORY]);
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    amqp.declare("large").expect("declares");
    amqp.select_confirms().expect("selects");
    let large: Vec<u8> = (0..9_000_001u32).map(|number| number.to_le_bytes()[(number % 3) as usize]).collect();
    amqp.send(&amqp::publish("large", &large)).expect("sends");
    amqp.send(&amqp::publish("large", b"after")).expect("sends");
    let mut confirmed = 0;
    while confirmed < 2 {
        let (tag, multiple) = amqp.confirm().expect("hears");
        confirmed = if multiple { confirmed.max(tag) } else { confirmed + 1 };
    }
    broker.kill();
    broker.restart();
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    assert!(amqp.get("large").expect("gets").as_deref() == Some(&large), "the large message");
    assert_eq!(amqp.get("large").expect("gets").as_deref(), Some(&b"after"[..]));
}

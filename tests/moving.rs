//! Connections that go to other threads when there is much to do, and come back when there is little.

use std::thread::{self, JoinHandle};

use crate::support::{Broker, pause};
use crate::wire::amqp::{Amqp, publish_transient};

const QUEUE: &str = "numbers";
/// Messages that are published at once; their bodies count up to this.
const AT_ONCE: u32 = 2_000;
/// Looks at the load until it must have been noticed.
const LOOKS_MAX: usize = 2_000;

fn moved(broker: &Broker) -> u64 {
    broker.metric("crossdock_connections_moved_total")
}

/// Reads to the end, and tells how many came. Each must be the one after the one before.
fn consumer(broker: &Broker) -> JoinHandle<u64> {
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    amqp.declare_transient(QUEUE).expect("declares");
    amqp.consume(QUEUE).expect("consumes");
    thread::spawn(move || {
        let mut count = 0;
        loop {
            let body = String::from_utf8(amqp.delivered().expect("delivers")).expect("text");
            if body == "end" {
                return count;
            }
            assert_eq!(body, (count % u64::from(AT_ONCE)).to_string());
            count += 1;
        }
    })
}

#[test]
fn connections_go_to_other_threads_and_back_and_nothing_is_lost_on_the_way() {
    if thread::available_parallelism().is_ok_and(|cores| cores.get() == 1) {
        return;
    }
    let broker = Broker::start(&[]);
    let consumer = consumer(&broker);
    let mut publisher = Amqp::open(broker.port("amqp")).expect("connects");
    let many: Vec<u8> =
        (0..AT_ONCE).flat_map(|number| publish_transient(QUEUE, number.to_string().as_bytes())).collect();
    let mut published = 0;
    let mut publish_until = |moves: u64, rest: u64| {
        for _ in 0..LOOKS_MAX {
            if moved(&broker) >= moves {
                return;
            }
            publisher.send(&many).expect("publishes");
            published += u64::from(AT_ONCE);
            pause(std::time::Duration::from_millis(rest));
        }
        panic!("moved {} times, not {moves}", moved(&broker));
    };
    publish_until(1, 0);
    let so_far = moved(&broker);
    publish_until(so_far + 1, 600);
    publisher.send(&publish_transient(QUEUE, b"end")).expect("publishes");
    assert_eq!(consumer.join().expect("consumes"), published);
}

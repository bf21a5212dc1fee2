//! Row R-10 of `shared/reliability.md`: a flood without consumers in less memory than it brings.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::control_group::ControlGroup;
use crate::support::{Broker, wait_for};
use crate::wire::amqp::{self, Amqp};

/// Half of what the row asks for.
const MEMORY_BYTES: u64 = 128 << 20;
const MESSAGES_PER_WRITE: usize = 64;
const BODY: [u8; 4_096] = [7; 4_096];

/// What the publishers bring in all. `CROSSDOCK_FLOOD_MIB` asks for more.
fn flood_bytes() -> u64 {
    let asked = std::env::var("CROSSDOCK_FLOOD_MIB").ok().and_then(|text| text.parse::<u64>().ok());
    asked.map_or(4 * MEMORY_BYTES, |mib| mib << 20)
}

/// Publishes until it is told to stop; waits for nothing but its socket.
fn flood(mut socket: TcpStream, message: &[u8], stop: &AtomicBool) {
    let many = message.repeat(MESSAGES_PER_WRITE);
    while !stop.load(Ordering::Relaxed) && socket.write_all(&many).is_ok() {}
}

fn received_bytes(broker: &Broker) -> u64 {
    broker.metric("crossdock_received_bytes_total{protocol=\"amqp091\"}")
}

#[test]
fn a_flood_of_four_times_the_memory_kills_nobody_and_consumers_are_served() {
    let Some(group) = ControlGroup::with_memory(MEMORY_BYTES) else { return };
    let mut broker = Broker::start_by(group.launcher(), &["--dev"], &[]);
    let mut consumer = Amqp::open(broker.port("amqp")).expect("connects");
    ["durable", "transient"].iter().for_each(|queue| consumer.declare(queue).expect("declares"));
    let [durable, transient] = [(); 2].map(|()| Amqp::open(broker.port("amqp")).expect("connects"));
    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| flood(durable.writer(), &amqp::publish("durable", &BODY), &stop));
        threads.spawn(|| flood(transient.writer(), &amqp::publish_transient("transient", &BODY), &stop));
        wait_for_flood(&broker, flood_bytes());
        // Publishers go on while somebody consumes what went to disk first.
        for queue in ["durable", "transient"] {
            (0..1_000).for_each(|_| assert!(consumer.get(queue).expect("consumers are served").is_some(), "{queue}"));
        }
        wait_for_flood(&broker, flood_bytes() + MEMORY_BYTES);
        stop.store(true, Ordering::Relaxed);
        // A publisher that is being stopped by an alarm is inside a write.
        for publisher in [&durable, &transient] {
            publisher.writer().shutdown(Shutdown::Both).expect("hangs up");
        }
    });
    assert!(broker.is_running());
    assert_eq!(group.kills(), 0, "the kernel killed somebody");
    broker.kill();
}

fn wait_for_flood(broker: &Broker, bytes: u64) {
    let mut last = 0;
    while last < bytes {
        // However long it takes, as long as it moves.
        last = wait_for("the flood to go on", || Some(received_bytes(broker)).filter(|now| *now > last));
    }
}

//! Memory and disk alarms: publishers wait, consumers drain, and it ends by itself.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::{Broker, PATIENCE, wait_for};
use crate::wire::amqp::{self, Amqp};
use crate::wire::http::Http;

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

fn metric(broker: &Broker, name: &str) -> u64 {
    let mut http = Http::open(broker.port("management")).expect("connects");
    let (_, page) = http.request("GET /metrics", "").expect("answers");
    let line = page.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}:\n{page}"));
    line.trim().parse().expect("a number")
}

#[test]
fn high_memory_blocks_publishers_until_consumers_have_drained() {
    let mut broker = Broker::start(&[&format!("limits.memory_bytes_max=\"{MEMORY_MIB}MiB\"")]);
    let mut publisher = Amqp::open_with_blocked(broker.port("amqp")).expect("connects");
    publisher.declare_transient("flood").expect("declares");
    let flood = Flood::start(&publisher, "flood");
    let blocked = publisher.frame().expect("hears");
    assert_eq!(blocked.method(), (10, 60), "connection.blocked");
    assert_eq!(&blocked.payload[5..], b"low on memory");
    assert_eq!(metric(&broker, "crossdock_alarms{reason=\"memory_high\"}"), 1);
    assert!(metric(&broker, "crossdock_memory_used_bytes") > MEMORY_MIB << 20);
    let read_bytes = || metric(&broker, "crossdock_received_bytes_total{protocol=\"amqp091\"}");
    let before = read_bytes();
    assert!((0..50).all(|_| read_bytes() == before), "a publisher that is blocked is not read");
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

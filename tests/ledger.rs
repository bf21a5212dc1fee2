//! The ledger: what queues accepted is held, or accounted for, also after `kill -9`.

use crate::support::{Broker, wait_for};
use crate::wire::amqp::{self, Amqp};
use crate::wire::http::Http;
use crate::wire::mqtt::{self, Mqtt};
use crate::wire::stomp::{self, Stomp};

const FATES: [&str; 6] = ["settled", "rejected", "expired", "dead_lettered", "dropped", "purged"];
const EACH: u16 = 300;

fn fate(broker: &Broker, fate: &str) -> u64 {
    broker.metric(&format!("crossdock_messages_total{{fate=\"{fate}\"}}"))
}

fn held(broker: &Broker) -> u64 {
    ["ready", "unsettled", "delayed"].iter().map(|what| broker.metric(&format!("crossdock_messages_{what}"))).sum()
}

/// All queues balance, and the sum does: accepted is what went somewhere and what is there. Messages on their way are neither,
/// so this waits until all have arrived.
fn wait_until_balanced(broker: &Broker) {
    wait_for("the ledger to balance", || {
        let gone: u64 = FATES.iter().map(|name| fate(broker, name)).sum();
        let balanced = broker.metric("crossdock_ledger_unbalanced_queues") == 0;
        (balanced && fate(broker, "accepted") == gone + held(broker)).then_some(())
    });
}

/// Each protocol publishes durable messages to queue `mixed`, all confirmed.
fn publish(broker: &Broker) {
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    amqp.select_confirms().expect("selects");
    let mut mqtt = Mqtt::open(broker.port("mqtt"), "publisher").expect("connects");
    let mut stomp = Stomp::open(broker.port("stomp")).expect("connects");
    let mut aws = Http::open(broker.port("aws")).expect("connects");
    for number in 1..=EACH {
        amqp.send(&amqp::publish("mixed", &[7; 2_000])).expect("sends");
        mqtt.send(&mqtt::publish("mixed", number, &[7; 2_000])).expect("sends");
        stomp.send(&stomp::send("mixed", &number.to_string(), "body")).expect("sends");
        let body = r#"{"QueueUrl":"http://localhost/000000000000/mixed","MessageBody":"x"}"#;
        assert_eq!(aws.sqs("SendMessage", body).expect("answers").0, 200);
    }
    while amqp.confirm().expect("confirms").0 < u64::from(EACH) {}
    (0..EACH).for_each(|_| assert!(mqtt.puback().is_ok() && stomp.receipt().is_ok()));
}

#[test]
fn after_a_mixed_load_and_kill_9_every_queue_balances_and_the_numbers_add_up() {
    let settings = ["core.shards=2", "core.messages_memory_bytes_max=\"1MiB\"", "store.segment_bytes=\"1MiB\""];
    let mut broker = Broker::start(&[&settings[..], &["limits.message_bytes_max=\"256KiB\""]].concat());
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    amqp.declare("mixed").expect("declares");
    amqp.declare("deleted").expect("declares");
    amqp.bind("amq.topic", "mixed", "mixed").expect("binds");
    amqp.bind("amq.topic", "deleted", "mixed").expect("binds");
    publish(&broker);
    let accepted = fate(&broker, "accepted");
    assert_eq!(accepted, 5 * u64::from(EACH), "four publishers, and one of them reaches two queues");
    (0..500).for_each(|_| assert!(amqp.get("mixed").expect("gets").is_some()));
    amqp.delete("deleted").expect("deletes");
    wait_until_balanced(&broker);
    assert_eq!((fate(&broker, "settled"), fate(&broker, "purged")), (500, u64::from(EACH)));
    let left = 4 * u64::from(EACH) - 500;
    assert_eq!(held(&broker), left);
    assert!(broker.metric("crossdock_messages_memory_bytes") > 0);
    assert_eq!(broker.metric("crossdock_messages_memory_max_bytes"), 1 << 20);
    let shards = ["shard-0", "shard-1"];
    let live = |broker: &Broker| -> u64 {
        shards.iter().map(|name| broker.metric(&format!("crossdock_journal_live_bytes{{journal=\"{name}\"}}"))).sum()
    };
    let before = live(&broker);
    assert!(before > left * 100, "{before}");
    broker.kill();
    broker.restart();
    wait_until_balanced(&broker);
    // What was taken without settlement just before the kill may come again.
    let back = held(&broker);
    assert!((left..=left + 500).contains(&back), "{back}");
    assert!(live(&broker) > 0);
    let segments = |name| broker.metric(&format!("crossdock_journal_segments{{journal=\"{name}\"}}"));
    assert!(shards.into_iter().map(segments).sum::<u64>() > 0);
    assert_eq!(fate(&broker, "accepted"), back, "a start counts what it finds as accepted");
    for name in shards.into_iter().chain(["definitions"]) {
        assert!(broker.metric(&format!("crossdock_journal_disk_bytes{{journal=\"{name}\"}}")) > 0);
    }
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    (0..back).for_each(|_| assert!(amqp.get("mixed").expect("gets").is_some()));
    assert_eq!(amqp.get("mixed").expect("gets"), None);
    wait_until_balanced(&broker);
    assert_eq!((fate(&broker, "settled"), held(&broker)), (back, 0));
}

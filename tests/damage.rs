//! Bits that flip while the broker runs, in files that it has read or will read.

use std::path::Path;

use crate::store::{MANY, body, damage, damage_at, dump, paged, quarantined, repaired};
use crate::support::{Broker, wait_for};
use crate::wire::amqp::{self, Amqp};

/// Takes so many messages out of `orders`; gives their numbers.
fn take(amqp: &mut Amqp, count: usize) -> Vec<u32> {
    let next = || amqp.get("orders").expect("gets");
    let taken = std::iter::from_fn(next).take(count);
    taken.map(|body| String::from_utf8_lossy(&body[1..9]).parse().expect("a number")).collect()
}

/// The lines of the log with this text.
fn lines(broker: &Broker, text: &str) -> Vec<String> {
    broker.log().lines().filter(|line| line.contains(text)).map(str::to_owned).collect()
}

fn restart(broker: &mut Broker) -> Amqp {
    broker.restart();
    Amqp::open(broker.port("amqp")).expect("connects")
}

/// The one line says where and what to do.
fn assert_helps(told: &[String], place: &str) {
    let [line] = told else { panic!("told {} times: {told:?}", told.len()) };
    let parts = [" ERROR ", "journal=\"shard-0\"", place, "`crossdock store repair`"];
    assert!(parts.iter().all(|part| line.contains(part)), "{line}");
}

fn assert_put_aside_by_repair(broker: &mut Broker, data: &Path) {
    broker.terminate();
    assert!(broker.wait().success());
    let text = repaired(data);
    assert!(text.contains("given up: 2 messages of queue orders in vhost /"), "{text}");
    assert!(quarantined(data, "segment-"));
}

#[test]
fn messages_damaged_under_a_running_broker_are_named_once_and_the_only_ones_lost() {
    let (mut broker, data) = paged();
    let mut amqp = restart(&mut broker);
    damage(&data, b"<00005000>");
    damage(&data, b"<00005001>");
    let taken = take(&mut amqp, usize::MAX);
    assert_eq!(taken, (0..MANY).filter(|number| ![5_000, 5_001].contains(number)).collect::<Vec<_>>());
    let told = lines(&broker, "cannot be read");
    assert_helps(&told, "file=\"segment-0000");
    assert!(told[0].contains(" offset="), "{told:?}");
    assert!(told[0].contains("queue=\"orders in vhost /\""), "{told:?}");
    assert_eq!(broker.metric("crossdock_messages_unreadable"), 2);
    assert_eq!(broker.metric("crossdock_journal_damaged_segments{journal=\"shard-0\"}"), 1);
    drop(amqp);
    assert_put_aside_by_repair(&mut broker, &data);
}

#[test]
fn a_damaged_segment_is_named_once_not_cleaned_and_put_aside_when_it_is_empty() {
    let (mut broker, data) = paged();
    let mut amqp = restart(&mut broker);
    let mut taken = take(&mut amqp, 200);
    // Nobody will read it again but the cleaning.
    damage(&data, b"<00000100>");
    taken.extend(take(&mut amqp, 2_400));
    let told = wait_for("a cleaning", || Some(lines(&broker, "a segment is damaged")).filter(|told| !told.is_empty()));
    assert_helps(&told, "file=\"segment-0000");
    assert!(told[0].contains(" offset="), "{told:?}");
    assert_eq!(broker.metric("crossdock_journal_damaged_segments{journal=\"shard-0\"}"), 1);
    taken.extend(take(&mut amqp, usize::MAX));
    assert_eq!(taken, (0..MANY).collect::<Vec<_>>());
    wait_for("the segment to be put aside", || quarantined(&data, "segment-").then_some(()));
    assert_eq!(lines(&broker, "a segment is damaged").len(), 1);
    assert_eq!(broker.metric("crossdock_journal_damaged_segments{journal=\"shard-0\"}"), 0);
    assert_eq!(broker.metric("crossdock_messages_unreadable"), 0);
}

#[test]
fn a_damaged_page_that_a_start_needs_is_named_and_its_segment_put_aside() {
    let (mut broker, data) = paged();
    let mut amqp = restart(&mut broker);
    assert_eq!(take(&mut amqp, 3_000), (0..3_000).collect::<Vec<_>>());
    amqp.select_confirms().expect("selects");
    amqp.send(&amqp::publish("orders", &body(MANY))).expect("sends");
    amqp.confirm().expect("what comes after the settlements is durable");
    broker.kill();
    let snapshot = dump(&[], &data).into_iter().find(|line| line["kind"] == "pages").expect("the snapshot has pages");
    // Some of its messages were settled: a start has to read it.
    damage_at(&data, &snapshot["pages"][0]);
    broker.restart();
    assert_helps(&lines(&broker, "references to stored messages cannot be read"), "segment-0000");
    assert_eq!(broker.metric("crossdock_journal_damaged_segments{journal=\"shard-0\"}"), 1);
    broker.terminate();
    assert!(broker.wait().success());
    let text = repaired(&data);
    assert!(text.contains("found again: ") && !text.contains("given up"), "{text}");
}

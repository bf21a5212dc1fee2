//! Damage under streams: in messages and in pages of references, while a cursor goes over it, and for `crossdock store`.

use std::path::Path;

use crate::store::{MANY, damage, damage_at, dump, paged_in, quarantined, repaired, run};
use crate::support::Broker;
use crate::wire::amqp::Amqp;

fn paged() -> (Broker, std::path::PathBuf) {
    paged_in(|amqp| amqp.declare_stream("orders"))
}

/// Reads the stream from the beginning to the last message: the numbers of all.
fn read(amqp: &mut Amqp) -> Vec<u32> {
    let mut numbers = Vec::new();
    let take = |body: &[u8]| {
        numbers.push(String::from_utf8_lossy(&body[1..9]).parse().expect("a number"));
        numbers.last() == Some(&(MANY - 1))
    };
    amqp.read_stream("orders", take).expect("reads");
    numbers
}

fn started(broker: &mut Broker) -> Amqp {
    broker.restart();
    Amqp::open(broker.port("amqp")).expect("connects")
}

fn all_but(missing: impl Fn(u32) -> bool) -> Vec<u32> {
    (0..MANY).filter(|number| !missing(*number)).collect()
}

/// It is named once, with what helps.
fn assert_told_once(broker: &Broker) {
    let log = broker.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("cannot be read")).collect();
    let [line] = &told[..] else { panic!("told {} times: {told:?}", told.len()) };
    let parts = [" ERROR ", "journal=\"shard-0\"", "file=\"segment-0000", " offset=", "queue=\"orders in vhost /\""];
    assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    assert_eq!(broker.metric("crossdock_journal_damaged_segments{journal=\"shard-0\"}"), 1);
}

/// The pages that the last snapshot refers to.
fn pages(data: &Path) -> Vec<serde_json::Value> {
    let lines = dump(&[], data).into_iter().filter(|line| line["kind"] == "pages");
    lines.flat_map(|line| line["pages"].as_array().cloned().unwrap_or_default()).collect()
}

#[test]
fn damaged_messages_of_a_stream_are_passed_over_by_every_cursor_and_told_once() {
    let (mut broker, data) = paged();
    let mut amqp = started(&mut broker);
    damage(&data, b"<00005000>");
    damage(&data, b"<00005001>");
    let readable = all_but(|number| [5_000, 5_001].contains(&number));
    assert_eq!(read(&mut amqp), readable);
    assert_eq!(read(&mut amqp), readable, "of another cursor");
    assert_told_once(&broker);
    drop(amqp);
    broker.terminate();
    assert!(broker.wait().success());
    let text = repaired(&data);
    assert!(text.contains("given up: 2 messages of queue orders in vhost /"), "{text}");
    assert!(quarantined(&data, "segment-"));
    assert_eq!(read(&mut started(&mut broker)), readable, "repaired");
}

#[test]
fn a_damaged_page_of_a_stream_costs_its_messages_until_a_repair_finds_them_again() {
    let (mut broker, data) = paged();
    let pages = pages(&data);
    assert!(pages.len() > 1, "{pages:?}");
    let mut amqp = started(&mut broker);
    let position = |field: &str| u32::try_from(pages[1][field].as_u64().expect("a number")).expect("small");
    damage_at(&data, &pages[1]);
    let missing = position("first_position")..=position("last_position");
    let readable = all_but(|number| missing.contains(&(number + 1)));
    assert_eq!(read(&mut amqp), readable);
    assert_eq!(read(&mut amqp), readable, "of another cursor");
    assert_told_once(&broker);
    drop(amqp);
    broker.terminate();
    assert!(broker.wait().success());
    let (code, text) = run(&["check"], &data);
    let hurt = format!("hurt: queue orders in vhost /: references to {} messages cannot be read", missing.count());
    assert!(code == 1 && text.contains(&hurt), "{text}");
    let text = repaired(&data);
    assert!(text.contains("found again: ") && !text.contains("given up"), "{text}");
    assert_eq!(read(&mut started(&mut broker)), all_but(|_| false), "repaired");
}

#[test]
fn a_damaged_snapshot_of_a_stream_is_repaired_and_offsets_stay() {
    let (mut broker, data) = paged();
    let folder = std::fs::read_dir(data.join("shard-0")).expect("a folder");
    let mut files = folder.map(|entry| entry.expect("an entry").path());
    let path = files.find(|path| path.to_string_lossy().contains("snapshot-")).expect("a snapshot");
    let mut bytes = std::fs::read(&path).expect("readable");
    let middle = bytes.len() / 2;
    bytes[..middle].fill(0);
    std::fs::write(&path, bytes).expect("writes");
    let (code, text) = run(&["check"], &data);
    assert_eq!(code, 1, "{text}");
    let text = repaired(&data);
    assert!(text.contains("will look for all messages in shard-0 that are not settled"), "{text}");
    assert_eq!(read(&mut started(&mut broker)), all_but(|_| false));
}

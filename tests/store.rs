//! `crossdock store`: what it says of a data directory, and that it changes nothing unasked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Broker, binary};
use crate::wire::amqp::{self, Amqp};

pub fn run(arguments: &[&str], data: &Path) -> (i32, String) {
    let output = Command::new(binary()).arg("store").args(arguments).arg(data).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

/// A broker with messages `first`, `second` and `third` in queue `orders`, durable, and its data directory.
fn filled() -> (Broker, PathBuf) {
    filled_by(Broker::start(&["core.shards=1"]))
}

fn filled_by(broker: Broker) -> (Broker, PathBuf) {
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    amqp.declare("orders").expect("declares");
    amqp.select_confirms().expect("selects");
    for body in ["first", "second", "third"] {
        amqp.send(&amqp::publish("orders", body.as_bytes())).expect("sends");
        amqp.confirm().expect("confirms");
    }
    let data = broker.folder().join("data");
    (broker, data)
}

/// All files with their contents.
pub fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).expect("readable") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = std::fs::read(&path).expect("readable");
            found.insert(path, bytes);
        }
    }
    found
}

/// Flips a bit where the text is, in whatever file of the shard holds it.
pub fn damage(data: &Path, text: &[u8]) {
    let position = |bytes: &[u8]| bytes.windows(text.len()).position(|window| window == text);
    let shard = files(&data.join("shard-0"));
    let (path, bytes, at) =
        shard.into_iter().find_map(|(path, bytes)| position(&bytes).map(|at| (path, bytes, at))).expect("is there");
    let mut damaged = bytes;
    damaged[at] ^= 1;
    std::fs::write(path, damaged).expect("writes");
}

#[test]
fn check_tells_sound_from_damaged_and_changes_nothing() {
    let (mut broker, data) = filled();
    let (code, text) = run(&["check"], &data);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("in use by another process"), "{text}");
    broker.terminate();
    assert!(broker.wait().success());
    let before = files(&data);
    let (code, text) = run(&["check"], &data);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("definitions  sound") && text.contains("shard-0      sound"), "{text}");
    assert!(files(&data) == before, "something was changed");
    damage(&data, b"second");
    let before = files(&data);
    let (code, text) = run(&["check"], &data);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("shard-0      DAMAGED") && text.contains("hurt: queue orders in vhost /: record"), "{text}");
    assert!(text.contains("1 of 2 journals are damaged"), "{text}");
    assert!(files(&data) == before, "something was changed");
}

/// Messages in a queue so long that most of it, and references to it, are on disk only.
pub const MANY: u32 = 12_000;
/// Bodies begin with their number.
const BODY_BYTES: usize = 200;

/// A broker with a long queue `orders`, stopped: a snapshot refers to pages, and covers segments. Beside it, its data directory.
pub fn paged() -> (Broker, PathBuf) {
    paged_in(|amqp| amqp.declare("orders"))
}

/// The same with another kind of queue.
pub fn paged_in(declare: impl FnOnce(&mut Amqp) -> std::io::Result<()>) -> (Broker, PathBuf) {
    let settings = [
        "core.shards=1",
        "core.messages_memory_bytes_max=\"1MiB\"",
        "store.segment_bytes=\"1MiB\"",
        "limits.message_bytes_max=\"256KiB\"",
    ];
    let mut broker = Broker::start(&settings);
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    declare(&mut amqp).expect("declares");
    amqp.select_confirms().expect("selects");
    for number in 0..MANY {
        amqp.send(&amqp::publish("orders", &body(number))).expect("sends");
    }
    while amqp.confirm().expect("confirms").0 < u64::from(MANY) {}
    drop(amqp);
    broker.terminate();
    assert!(broker.wait().success());
    let data = broker.folder().join("data");
    (broker, data)
}

pub fn body(number: u32) -> Vec<u8> {
    let mut body = vec![b'.'; BODY_BYTES];
    body[..10].copy_from_slice(format!("<{number:08}>").as_bytes());
    body
}

/// Starts the broker and takes everything out of `orders`: the numbers of the messages.
fn served(broker: &mut Broker) -> Vec<u32> {
    broker.restart();
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    let mut numbers = Vec::new();
    while let Some(body) = amqp.get("orders").expect("gets") {
        let text = String::from_utf8_lossy(&body[1..9]).into_owned();
        numbers.push(text.parse().expect("a number"));
    }
    numbers
}

/// The lines of a dump.
pub fn dump(arguments: &[&str], data: &Path) -> Vec<Value> {
    let (code, text) = run(&[&["dump"], arguments].concat(), data);
    assert_eq!(code, 0, "{text}");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Flips a bit of the payload that is at this place of a segment.
pub fn damage_at(data: &Path, place: &Value) {
    let number = |field: &str| place[field].as_u64().unwrap_or_else(|| panic!("{field}: {place}"));
    let path = data.join("shard-0").join(format!("segment-{:020}", number("segment")));
    let mut bytes = std::fs::read(&path).expect("readable");
    bytes[number("offset") as usize] ^= 1;
    std::fs::write(path, bytes).expect("writes");
}

/// Repairs, and the directory is sound.
pub fn repaired(data: &Path) -> String {
    let (code, text) = run(&["repair", "--yes"], data);
    assert_eq!(code, 0, "{text}");
    let (code, checked) = run(&["check"], data);
    assert_eq!(code, 0, "{text}{checked}");
    assert_eq!(run(&["repair", "--yes"], data), (0, "nothing to repair\n".to_owned()));
    text
}

pub fn quarantined(data: &Path, name: &str) -> bool {
    let Ok(folder) = std::fs::read_dir(data.join("shard-0/quarantine")) else { return false };
    folder.flatten().any(|entry| entry.file_name().to_str().is_some_and(|found| found.starts_with(name)))
}

#[test]
fn a_message_lost_in_a_covered_segment_is_named_given_up_and_the_only_one() {
    let (mut broker, data) = paged();
    let (code, text) = run(&["check"], &data);
    assert_eq!(code, 0, "{text}");
    damage(&data, b"<00005000>");
    let (code, text) = run(&["check"], &data);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("hurt: queue orders in vhost /: record"), "{text}");
    assert!(text.contains("lost: queue orders in vhost /: 1 messages that should be there cannot be read"), "{text}");
    let before = files(&data);
    let (code, text) = run(&["repair"], &data);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("would give up 1 messages of queue orders in vhost /"), "{text}");
    assert!(files(&data) == before, "something was changed");
    let text = repaired(&data);
    assert!(text.contains("given up: 1 messages of queue orders in vhost /"), "{text}");
    assert!(quarantined(&data, "segment-"));
    assert_eq!(served(&mut broker), (0..MANY).filter(|number| *number != 5_000).collect::<Vec<_>>());
}

#[test]
fn a_large_message_is_lost_with_any_of_its_pieces_and_moved_with_all() {
    let (mut broker, data) = filled();
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    amqp.select_confirms().expect("selects");
    let (mut broken, whole) = (vec![1; 3 << 20], vec![2; 3 << 20]);
    broken[1 << 20..][..7].copy_from_slice(b"<piece>");
    for body in [&broken, &whole] {
        amqp.send(&amqp::publish("orders", body)).expect("sends");
        amqp.confirm().expect("confirms");
    }
    drop(amqp);
    broker.terminate();
    assert!(broker.wait().success());
    let (code, text) = run(&["check"], &data);
    assert_eq!(code, 0, "{text}");
    damage(&data, b"<piece>");
    let (code, text) = run(&["check"], &data);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("lost: queue orders in vhost /: 1 messages that should be there cannot be read"), "{text}");
    let text = repaired(&data);
    assert!(text.contains("given up: 1 messages of queue orders in vhost /"), "{text}");
    broker.restart();
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    let mut next = || amqp.get("orders").expect("gets").expect("is there");
    assert_eq!([next(), next(), next()], [&b"first"[..], b"second", b"third"]);
    assert!(next() == whole, "the large message is another");
    assert_eq!(amqp.get("orders").expect("gets"), None);
}

#[test]
fn what_a_damaged_page_stood_for_is_found_again() {
    let (mut broker, data) = paged();
    let snapshot = dump(&[], &data).into_iter().find(|line| line["kind"] == "pages").expect("the snapshot has pages");
    let pages = snapshot["pages"].as_array().expect("a list").clone();
    assert!(pages.len() > 1, "{snapshot}");
    let count = pages[1]["messages"].as_u64().expect("a number");
    damage_at(&data, &pages[1]);
    let (code, text) = run(&["check"], &data);
    assert_eq!(code, 1, "{text}");
    let hurt = format!("hurt: queue orders in vhost /: references to {count} messages cannot be read");
    assert!(text.contains(&hurt), "{text}");
    let text = repaired(&data);
    assert!(text.contains(&format!("found again: {count} messages of queue orders in vhost /")), "{text}");
    assert!(!text.contains("given up"), "{text}");
    assert_eq!(served(&mut broker), (0..MANY).collect::<Vec<_>>());
}

#[test]
fn what_was_settled_does_not_come_again_with_a_damaged_page() {
    const TAKEN: u32 = 3_000;
    let (mut broker, data) = paged();
    broker.restart();
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    (0..TAKEN).for_each(|_| assert!(amqp.get("orders").expect("gets").is_some()));
    amqp.select_confirms().expect("selects");
    amqp.send(&amqp::publish("orders", &body(MANY))).expect("sends");
    amqp.confirm().expect("what comes after the settlements is durable");
    broker.kill();
    let snapshot = dump(&[], &data).into_iter().find(|line| line["kind"] == "pages").expect("the snapshot has pages");
    let page = &snapshot["pages"][0];
    let position = |field: &str| page[field].as_u64().expect("a number");
    assert!(position("first_position") < u64::from(TAKEN) && u64::from(TAKEN) < position("last_position"), "{page}");
    damage_at(&data, page);
    let text = repaired(&data);
    assert!(text.contains("found again: "), "{text}");
    assert_eq!(served(&mut broker), (TAKEN..=MANY).collect::<Vec<_>>());
}

#[test]
fn what_a_damaged_snapshot_referred_to_is_found_again() {
    let (mut broker, data) = paged();
    let snapshot = files(&data.join("shard-0")).into_keys().find(|path| path.to_string_lossy().contains("snapshot-"));
    let path = snapshot.expect("a snapshot");
    let mut bytes = std::fs::read(&path).expect("readable");
    let middle = bytes.len() / 2;
    bytes[..middle].fill(0);
    std::fs::write(&path, bytes).expect("writes");
    let (code, text) = run(&["check"], &data);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains(" in snapshot-"), "{text}");
    let text = repaired(&data);
    assert!(text.contains("will look for all messages in shard-0 that are not settled"), "{text}");
    assert!(quarantined(&data, "snapshot-"));
    assert_eq!(served(&mut broker), (0..MANY).collect::<Vec<_>>());
}

#[test]
fn a_torn_end_is_no_damage_and_is_cut() {
    let broker = Broker::start(&["core.shards=1"]);
    let meta = broker.folder().join("data/shard-0/journal.meta");
    // Without the seal nothing proves that the last batch was ever finished.
    let unsealed = std::fs::read(&meta).expect("readable");
    let (mut broker, data) = filled_by(broker);
    broker.kill();
    std::fs::write(&meta, unsealed).expect("writes");
    damage(&data, b"third");
    let (code, text) = run(&["check"], &data);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("shard-0      sound") && text.contains("torn end: "), "{text}");
    let text = repaired(&data);
    assert!(text.contains("will cut ") && text.contains("from shard-0"), "{text}");
    broker.restart();
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    let mut next = || amqp.get("orders").expect("gets");
    assert_eq!([next(), next(), next()], [Some(b"first".to_vec()), Some(b"second".to_vec()), None]);
}

#[test]
fn what_is_no_data_directory_cannot_be_used() {
    let folder = tempfile::tempdir().expect("a folder");
    for command in ["check", "repair", "dump"] {
        let (code, text) = run(&[command], folder.path());
        assert_eq!(code, 2, "{command}: {text}");
        assert!(text.contains("holds no journals"), "{text}");
    }
    assert!(files(folder.path()).is_empty());
}

#[test]
fn dump_prints_every_record_as_json_and_bodies_only_when_asked() {
    let (mut broker, data) = filled();
    broker.kill();
    let of_kind = |lines: &[Value], kind: &str| -> Vec<Value> {
        lines.iter().filter(|line| line["kind"] == kind).cloned().collect()
    };
    let all = dump(&[], &data);
    let queue = &of_kind(&all, "queue")[0];
    assert_eq!((queue["partition"].as_str(), queue["about"]["name"].as_str()), (Some("definitions"), Some("orders")));
    let messages = of_kind(&all, "message");
    assert_eq!(messages.len(), 3);
    let second = &messages[1];
    assert_eq!((second["partition"].as_str(), second["body_bytes"].as_u64()), (Some("shard-0"), Some(6)));
    let place = &second["places"][0];
    assert_eq!((place["queue"].as_str(), place["position"].as_u64()), (Some("orders"), Some(2)));
    assert!(second.get("body").is_none(), "{second}");
    let messages = of_kind(&dump(&["--bodies"], &data), "message");
    assert_eq!(messages[1]["body"], "c2Vjb25k");
}

#[test]
fn repair_changes_nothing_unasked_and_then_keeps_what_is_readable() {
    let (mut broker, data) = filled();
    broker.kill();
    damage(&data, b"second");
    let before = files(&data);
    let (code, text) = run(&["repair"], &data);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("would give up what is unreadable of queue orders in vhost /"), "{text}");
    assert!(files(&data) == before, "something was changed");
    let (code, text) = run(&["repair", "--yes"], &data);
    assert_eq!(code, 0, "{text}");
    let (code, text) = run(&["check"], &data);
    assert_eq!(code, 0, "{text}");
    assert_eq!(run(&["repair", "--yes"], &data), (0, "nothing to repair\n".to_owned()));
    broker.restart();
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    let mut next = || amqp.get("orders").expect("gets");
    assert_eq!([next(), next(), next()], [Some(b"first".to_vec()), Some(b"third".to_vec()), None]);
}

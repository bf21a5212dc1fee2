//! `crossdock store`: what it says of a data directory, and that it changes nothing unasked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Broker, binary};
use crate::wire::amqp::{self, Amqp};

fn run(arguments: &[&str], data: &Path) -> (i32, String) {
    let output = Command::new(binary()).arg("store").args(arguments).arg(data).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

/// A broker with messages `first`, `second` and `third` in queue `orders`, durable, and its data directory.
fn filled() -> (Broker, PathBuf) {
    let broker = Broker::start(&["core.shards=1"]);
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
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
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
fn damage(data: &Path, text: &[u8]) {
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
    let lines = |arguments: &[&str]| -> Vec<Value> {
        let (code, text) = run(arguments, &data);
        assert_eq!(code, 0, "{text}");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    let of_kind = |lines: &[Value], kind: &str| -> Vec<Value> {
        lines.iter().filter(|line| line["kind"] == kind).cloned().collect()
    };
    let all = lines(&["dump"]);
    let queue = &of_kind(&all, "queue")[0];
    assert_eq!((queue["partition"].as_str(), queue["about"]["name"].as_str()), (Some("definitions"), Some("orders")));
    let messages = of_kind(&all, "message");
    assert_eq!(messages.len(), 3);
    let second = &messages[1];
    assert_eq!((second["partition"].as_str(), second["body_bytes"].as_u64()), (Some("shard-0"), Some(6)));
    let place = &second["places"][0];
    assert_eq!((place["queue"].as_str(), place["position"].as_u64()), (Some("orders"), Some(2)));
    assert!(second.get("body").is_none(), "{second}");
    let messages = of_kind(&lines(&["dump", "--bodies"]), "message");
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

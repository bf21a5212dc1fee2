//! Encryption at rest: what is in a data directory says nothing without its key, and nothing is lost or touched for want of one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::store::{files, run};
use crate::support::{Broker, binary};
use crate::wire::amqp::{self, Amqp};

/// Something that is in a file or is not.
const BODY: &str = "a body that can be recognised";
const QUEUE: &str = "queue-with-a-recognisable-name";

struct Keys(TempDir);

impl Keys {
    fn new() -> Self {
        let keys = Self(tempfile::tempdir().expect("a folder"));
        ["one", "two"].iter().zip(1..).for_each(|(name, number)| keys.write(name, number));
        keys
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, number: u8) {
        let path = self.path(name);
        std::fs::write(&path, [number; 32]).expect("writes");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("sets");
    }

    /// The setting that encrypts with a key.
    fn sealing(&self, name: &str) -> String {
        format!("store.encryption.key_file={:?}", self.path(name))
    }

    /// The setting that knows keys.
    fn opening(&self, names: &[&str]) -> String {
        let paths: Vec<_> = names.iter().map(|name| self.path(name)).collect();
        format!("store.encryption.old_key_files={paths:?}")
    }
}

/// Publishes so many, each confirmed with the last.
fn publish(broker: &Broker, count: usize) {
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    amqp.declare(QUEUE).expect("declares");
    amqp.select_confirms().expect("selects");
    let frames: Vec<u8> = (0..count).flat_map(|_| amqp::publish(QUEUE, BODY.repeat(30).as_bytes())).collect();
    amqp.send(&frames).expect("sends");
    while amqp.confirm().expect("confirms").0 < count as u64 {}
}

fn drain(broker: &Broker) -> usize {
    let mut amqp = Amqp::open(broker.port("amqp")).expect("connects");
    let mut count = 0;
    while let Some(body) = amqp.get(QUEUE).expect("gets") {
        assert_eq!(body, BODY.repeat(30).as_bytes());
        count += 1;
    }
    count
}

fn files_with(data: &Path, text: &str) -> Vec<PathBuf> {
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    files(data).into_iter().filter(|(_, bytes)| holds(bytes)).map(|(path, _)| path).collect()
}

fn stop(broker: &mut Broker) {
    broker.terminate();
    assert!(broker.wait().success(), "{}", broker.log());
}

/// Beyond the memory of the queue, so that pages are written, too.
const SMALL: [&str; 4] = [
    "core.shards=1",
    "core.messages_memory_bytes_max=\"1MiB\"",
    "store.segment_bytes=\"1MiB\"",
    "limits.message_bytes_max=\"256KiB\"",
];

#[test]
fn no_file_holds_a_message_or_a_name_and_kill_9_loses_none() {
    let keys = Keys::new();
    let sealing = keys.sealing("one");
    for (key, is_sealed) in [(None, false), (Some(sealing.as_str()), true)] {
        let settings: Vec<&str> = SMALL.into_iter().chain(key).collect();
        let mut broker = Broker::start(&settings);
        let data = broker.folder().join("data");
        publish(&broker, 3_000);
        broker.kill();
        let looked_for = [BODY, QUEUE];
        assert!(looked_for.iter().all(|text| files_with(&data, text).is_empty() == is_sealed));
        broker.restart();
        publish(&broker, 10);
        // Its end writes snapshots.
        stop(&mut broker);
        assert!(looked_for.iter().all(|text| files_with(&data, text).is_empty() == is_sealed));
        broker.restart();
        assert_eq!(drain(&broker), 3_010);
    }
}

#[test]
fn with_another_key_or_none_it_does_not_start_and_changes_nothing() {
    let keys = Keys::new();
    let mut broker = Broker::start(&["core.shards=1", &keys.sealing("one")]);
    let data = broker.folder().join("data");
    publish(&broker, 1);
    broker.kill();
    let before = files(&data);
    keys.write("one", 7);
    broker.begin_restart();
    assert_eq!(broker.wait().code(), Some(2), "{}", broker.log());
    let log = broker.log();
    for part in [
        "crossdock: cannot open the journal in ",
        "definitions",
        " cannot be read: it is encrypted with key ",
        ", and the only key configured is ",
        ": name the file of that key in store.encryption.key_file or store.encryption.old_key_files; nothing has been changed",
    ] {
        assert!(log.contains(part), "{part} in {log}");
    }
    for (settings, said) in
        [(vec![], "and no key is configured"), (vec![keys.sealing("two")], "the only key configured")]
    {
        let settings = settings.iter().flat_map(|setting| ["--set", setting.as_str()]);
        let output = Command::new(binary()).args(["store", "check"]).args(settings).arg(&data).output().expect("runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(said), "{text}");
    }
    assert!(files(&data) == before, "something was changed");
    keys.write("one", 1);
    broker.restart();
    assert_eq!(drain(&broker), 1);
}

#[test]
fn it_is_turned_on_rotated_and_turned_off_for_a_folder_that_exists() {
    let (keys, folder) = (Keys::new(), tempfile::tempdir().expect("a folder"));
    let data = folder.path().join("data");
    let [one, two] = ["one", "two"].map(|name| keys.sealing(name));
    let [old_one, old] = [keys.opening(&["one"]), keys.opening(&["one", "two"])];
    let lives: [&[&str]; 4] = [&[], &[&one], &[&two, &old_one], &[&old]];
    for settings in lives {
        let mut broker = Broker::start_in(&data, &[&["core.shards=1"], settings].concat());
        publish(&broker, 5);
        broker.kill();
    }
    let arguments = ["--set", &two, "--set", &old_one];
    let output = Command::new(binary()).args(["store", "check"]).args(arguments).arg(&data).output().expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let (_, shard) = text.split_once("shard-0").expect("there is one");
    assert_eq!(shard.matches("  encrypted with key").count(), 2, "{text}");
    assert_eq!(shard.matches("  not encrypted: ").count(), 1, "{text}");
    let mut broker = Broker::start_in(&data, &["core.shards=1", &two, &old_one]);
    assert!(broker.log().contains("files that are encrypted, by key, and that are not"), "{}", broker.log());
    assert_eq!(drain(&broker), 20);
    stop(&mut broker);
}

#[test]
fn a_folder_is_encrypted_rotated_and_decrypted_at_once() {
    let (keys, folder) = (Keys::new(), tempfile::tempdir().expect("a folder"));
    let data = folder.path().join("data");
    let settings = |more: &[String]| -> Vec<String> {
        SMALL.iter().map(|&setting| setting.to_owned()).chain(more.iter().cloned()).collect()
    };
    let start = |more: &[String]| {
        let settings = settings(more);
        Broker::start_in(&data, &settings.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let command = |name: &str, settings: &[String]| {
        let settings = settings.iter().flat_map(|setting| ["--set", setting]);
        let arguments: Vec<&str> = std::iter::once(name).chain(settings).collect();
        run(&arguments, &data)
    };
    let mut broker = start(&[]);
    publish(&broker, 3_000);
    let (code, text) = command("encrypt", &[keys.sealing("one")]);
    assert!(code == 2 && text.contains("is in use by another process"), "{text}");
    broker.kill();
    let before = files(&data);
    let (code, text) = command("encrypt", &[]);
    assert!(code == 2 && text.contains("there is no key to encrypt with"), "{text}");
    let (code, text) = command("decrypt", &[keys.sealing("one")]);
    assert!(code == 2 && text.contains("name the file in store.encryption.old_key_files instead"), "{text}");
    assert!(files(&data) == before, "nothing has changed");
    let lives = [
        ("encrypt", vec![keys.sealing("one")]),
        ("encrypt", vec![keys.sealing("two"), keys.opening(&["one"])]),
        ("decrypt", vec![keys.opening(&["two"])]),
    ];
    for ((name, settings), count) in lives.into_iter().zip([3_010, 3_020, 3_030]) {
        let (code, text) = command(name, &settings);
        assert!(code == 0 && text.contains("shard-0") && !text.contains(" 0 files "), "{text}");
        let (code, text) = command(name, &settings);
        assert!(code == 0 && text.matches(" 0 files ").count() == 2, "{text}");
        assert!([BODY, QUEUE].iter().all(|text| files_with(&data, text).is_empty() == (name == "encrypt")));
        // The key that was needed before is not any more.
        let broker_settings = if name == "encrypt" { settings[..1].to_vec() } else { Vec::new() };
        let mut broker = start(&broker_settings);
        publish(&broker, 10);
        if count == 3_030 {
            assert_eq!(drain(&broker), count);
        }
        broker.kill();
    }
}

#[test]
fn what_is_damaged_is_not_encrypted() {
    let (keys, folder) = (Keys::new(), tempfile::tempdir().expect("a folder"));
    let data = folder.path().join("data");
    let mut broker = Broker::start_in(&data, &["core.shards=1"]);
    publish(&broker, 100);
    stop(&mut broker);
    let (path, mut bytes) = files(&data)
        .into_iter()
        .find(|(path, bytes)| {
            path.to_string_lossy().contains("segment-") && bytes.windows(4).any(|four| four == b"body")
        })
        .expect("there is one");
    let at = bytes.windows(4).position(|four| four == b"body").expect("it is there");
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).expect("writes");
    let (code, text) = run(&["encrypt", "--set", &keys.sealing("one")], &data);
    assert!(code == 1 && text.contains("has to be repaired first (crossdock store repair)"), "{text}");
    assert!(!files_with(&data, BODY).is_empty());
}

#[test]
fn a_key_that_is_none_is_a_mistake_in_the_configuration() {
    let keys = Keys::new();
    std::fs::set_permissions(keys.path("two"), PermissionsExt::from_mode(0o644)).expect("sets");
    let check = |setting: &str| {
        let output = Command::new(binary()).args(["check-config", "--set", setting]).output().expect("runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = check(&keys.sealing("two"));
    let expected = "two: others than its owner may read it (mode 0644): chmod 600";
    assert!(code == Some(2) && text.contains(expected), "{text}");
    let (code, text) = check(&keys.opening(&["missing"]));
    assert!(code == Some(2) && text.starts_with("store.encryption.old_key_files: "), "{text}");
    let (code, text) = check("store.encryption.keyfile=\"x\"");
    assert!(code == Some(2) && text.contains("did you mean `key_file`?"), "{text}");
    assert_eq!(check(&keys.sealing("one")).0, Some(0));
    let (code, text) = run(&["check"], keys.0.path());
    assert!(code == 2 && text.contains("holds no journals of a broker"), "{text}");
}

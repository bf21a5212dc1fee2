//! The corpus: sequences of MQTT packets, written from the specifications' statements, played against the program (and against a
//! foreign broker, to see where it differs). `mqtt/write` writes the files in `mqtt/corpus`, `docs/mqtt.md` lists what they cover.

mod corpus;
mod foreign;
mod hostile;
mod page;
mod pattern;
mod play;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::support::Broker;
use corpus::Chapter;
use foreign::Foreign;
use play::Target;

/// Sequences of a chapter that are played at the same time.
const AT_ONCE: usize = 8;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("mqtt")
}

/// The program as a chapter wants it, which can be killed and started again.
struct Own {
    broker: Mutex<Broker>,
    /// Its configuration file.
    _folder: tempfile::TempDir,
}

impl Own {
    fn start(chapter: &Chapter) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // What the broker says of itself would come between.
        let quiet = std::iter::once("mqtt.sys_interval_ms=0");
        let settings: Vec<&str> = quiet.chain(chapter.settings.iter().map(String::as_str)).collect();
        let broker = match &chapter.config {
            Some(text) => {
                let file = folder.path().join("crossdock.toml");
                std::fs::write(&file, text).expect("writes");
                Broker::start_with(&["--config", file.to_str().expect("UTF-8")], &settings)
            }
            None => Broker::start(&settings),
        };
        Self { broker: Mutex::new(broker), _folder: folder }
    }
}

impl Target for Own {
    fn port(&self, _: u8) -> u16 {
        self.broker.lock().expect("whole").port("mqtt")
    }

    fn restart(&self) {
        let mut broker = self.broker.lock().expect("whole");
        broker.kill();
        broker.restart();
    }
}

/// Plays whole chapters at the same time, each against a broker of its own.
#[test]
fn every_sequence_of_the_corpus() {
    let chapters = corpus::read(&folder().join("corpus"));
    let failures: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = chapters.iter().map(|chapter| scope.spawn(|| play_chapter(chapter))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("plays")).collect()
    });
    let count: usize = chapters.iter().map(|chapter| chapter.sequences.len()).sum();
    assert!(failures.is_empty(), "{} of {count} sequences:\n{}", failures.len(), failures.join("\n"));
}

fn play_chapter(chapter: &Chapter) -> Vec<String> {
    let wanted = std::env::var("CROSSDOCK_CORPUS").unwrap_or_default();
    let sequences: Vec<_> = chapter.sequences.iter().filter(|sequence| sequence.id.contains(&wanted)).collect();
    if sequences.is_empty() {
        return Vec::new();
    }
    let own = Own::start(chapter);
    // Sequences that wait do so together; a broker that is killed is one sequence's own.
    let at_once = if sequences.iter().any(|sequence| sequence.restarts()) { 1 } else { AT_ONCE };
    std::thread::scope(|scope| {
        let share = |first: usize| {
            let (own, sequences) = (&own, &sequences);
            let play = move || sequences.iter().skip(first).step_by(at_once).map(|sequence| play::play(own, sequence));
            scope.spawn(move || play().filter_map(Result::err).collect::<Vec<_>>())
        };
        let threads: Vec<_> = (0..at_once).map(share).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("plays")).collect()
    })
}

/// Mosquitto passes what is not in `mosquitto.txt`, and differs where that says so.
#[test]
fn mosquitto_differs_only_where_the_reason_is_known() {
    if !Path::new(foreign::MOSQUITTO).exists() {
        return eprintln!("SKIPPED: {} is missing", foreign::MOSQUITTO);
    }
    differs_only_where_known(Foreign::mosquitto, &[3, 4, 5], "mosquitto.txt");
}

/// So does rumqttd.
#[test]
fn rumqttd_differs_only_where_the_reason_is_known() {
    differs_only_where_known(Foreign::rumqttd, &[4, 5], "rumqttd.txt");
}

fn differs_only_where_known(start: fn() -> Foreign, versions: &[u8], file: &str) {
    let known = foreign::differences(&folder().join(file));
    let unexpected = foreign::unexpected(start, versions, &corpus::read(&folder().join("corpus")), &known);
    assert!(
        unexpected.is_empty(),
        "{} differences that are not in {file}:\n{}",
        unexpected.len(),
        unexpected.join("\n")
    );
}

#[test]
fn the_corpus_is_what_its_writer_writes() {
    let Ok(checked) = Command::new("python3").arg(folder().join("write")).arg("--check").output() else {
        return eprintln!("SKIPPED: no python3");
    };
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn the_page_lists_every_statement_and_its_sequences() {
    page::check(&corpus::read(&folder().join("corpus")), &folder(), &folder().join("../../docs/mqtt.md"));
}

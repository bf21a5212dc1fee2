//! The part of `docs/mqtt.md` that says which sequences a statement is tested by.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::corpus::Chapter;
use super::foreign::{self, Difference};

const BEGIN: &str = "<!-- written by the corpus -->\n";
const END: &str = "<!-- end of what the corpus wrote -->\n";
/// More sequences of one statement are counted only.
const SHOWN_MAX: usize = 3;

/// The page says what the corpus says; `CROSSDOCK_WRITE_DOCS=1` makes it so.
pub fn check(chapters: &[Chapter], folder: &Path, page: &Path) {
    let text = std::fs::read_to_string(page).expect("the page");
    let (head, rest) = text.split_once(BEGIN).expect("where the list begins");
    let (found, tail) = rest.split_once(END).expect("where the list ends");
    let wanted = list(chapters, folder);
    if std::env::var_os("CROSSDOCK_WRITE_DOCS").is_some() {
        std::fs::write(page, [head, BEGIN, &wanted, END, tail].concat()).expect("writes");
        return;
    }
    assert!(
        found == wanted,
        "docs/mqtt.md is not what the corpus says: CROSSDOCK_WRITE_DOCS=1 cargo test -p crossdock-tests mqtt"
    );
}

fn list(chapters: &[Chapter], folder: &Path) -> String {
    let mut out = String::from("| chapter | sequences | about |\n|---|---|---|\n");
    for chapter in chapters {
        let _ = writeln!(out, "| `{}` | {} | {} |", chapter.name, chapter.sequences.len(), chapter.title);
    }
    let count: usize = chapters.iter().map(|chapter| chapter.sequences.len()).sum();
    let _ = writeln!(out, "| all | {count} | |");
    for (broker, file) in [("Mosquitto 2.0.11", "mosquitto.txt"), ("rumqttd 0.20", "rumqttd.txt")] {
        out += &differences(broker, chapters, &foreign::differences(&folder.join(file)));
    }
    let mut tested = tested(chapters);
    for version in ["3.1.1", "5"] {
        let _ = write!(out, "\n### MQTT {version}\n\n| statement | about | sequences |\n|---|---|---|\n");
        let file = folder.join(format!("statements-{version}.txt"));
        for line in std::fs::read_to_string(file).expect("statements").lines() {
            let _ = writeln!(out, "{}", row(version, line, &mut tested));
        }
    }
    assert!(tested.is_empty(), "statements that are none: {:?}", tested.keys());
    out
}

/// In what another broker differs.
fn differences(broker: &str, chapters: &[Chapter], known: &[Difference]) -> String {
    let ids = || chapters.iter().flat_map(|chapter| &chapter.sequences).map(|sequence| sequence.id.as_str());
    let mut out = format!("\n### {broker}\n\n| what it does | sequences |\n|---|---|\n");
    for row in known {
        let differing: Vec<&str> = ids().filter(|id| row.matches(id)).collect();
        let _ = writeln!(out, "| {} | {} |", row.reason, shown(&differing));
    }
    out
}

/// Sequences by the statement that they are for.
fn tested(chapters: &[Chapter]) -> BTreeMap<String, Vec<&str>> {
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for sequence in chapters.iter().flat_map(|chapter| &chapter.sequences) {
        for statement in &sequence.statements {
            found.entry(statement.clone()).or_default().push(&sequence.id);
        }
    }
    found
}

/// A line of the statements' file is number, words, and for those without sequences, why.
fn row(version: &str, line: &str, tested: &mut BTreeMap<String, Vec<&str>>) -> String {
    let mut fields = line.split(" | ");
    let (number, about) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    let sequences = tested.remove(&format!("{version}:MQTT-{number}"));
    let by = match (sequences, fields.next()) {
        (Some(sequences), _) => shown(&sequences),
        (None, Some("client")) => "for clients".to_owned(),
        (None, Some(note)) => note.strip_prefix("elsewhere: ").unwrap_or(note).to_owned(),
        (None, None) => panic!("no sequence for MQTT-{number} of {version}"),
    };
    format!("| MQTT-{number} | {about} | {by} |")
}

fn shown(sequences: &[&str]) -> String {
    let first: Vec<String> = sequences.iter().take(SHOWN_MAX).map(|id| format!("`{id}`")).collect();
    let more = sequences.len().saturating_sub(SHOWN_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    first.join(", ") + &more
}

//! The part of `docs/mqtt.md` that says which sequences a statement is tested by.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::corpus::Chapter;

const BEGIN: &str = "<!-- written by the corpus -->\n";
const END: &str = "<!-- end of what the corpus wrote -->\n";
/// More sequences of one statement are counted only.
const SHOWN_MAX: usize = 3;

/// The page says what the corpus says; `CROSSDOCK_WRITE_DOCS=1` makes it so.
pub fn check(chapters: &[Chapter], page: &Path) {
    let text = std::fs::read_to_string(page).expect("the page");
    let (head, rest) = text.split_once(BEGIN).expect("where the list begins");
    let (found, tail) = rest.split_once(END).expect("where the list ends");
    let wanted = list(chapters);
    if std::env::var_os("CROSSDOCK_WRITE_DOCS").is_some() {
        std::fs::write(page, [head, BEGIN, &wanted, END, tail].concat()).expect("writes");
        return;
    }
    assert!(
        found == wanted,
        "docs/mqtt.md is not what the corpus says: CROSSDOCK_WRITE_DOCS=1 cargo test -p crossdock-tests mqtt"
    );
}

fn list(chapters: &[Chapter]) -> String {
    let mut out = String::from("| chapter | sequences | about |\n|---|---|---|\n");
    for chapter in chapters {
        let _ = writeln!(out, "| `{}` | {} | {} |", chapter.name, chapter.sequences.len(), chapter.title);
    }
    let count: usize = chapters.iter().map(|chapter| chapter.sequences.len()).sum();
    let _ = writeln!(out, "| all | {count} | |");
    let tested = tested(chapters);
    for (version, name) in [("3.1.1", "MQTT 3.1.1"), ("5", "MQTT 5")] {
        let _ = write!(out, "\n### {name}\n\n| statement | sequences |\n|---|---|\n");
        let of_version = tested.iter().filter(|((_, of), _)| *of == version);
        for ((number, _), sequences) in of_version {
            let _ = writeln!(out, "| {} | {} |", shown_number(number), shown(sequences));
        }
    }
    out
}

/// Numbers sort as numbers, so they are kept in pieces.
type Statement<'a> = ((Vec<u32>, &'a str), Vec<&'a str>);

fn tested(chapters: &[Chapter]) -> Vec<Statement<'_>> {
    let mut found: BTreeMap<(Vec<u32>, &str), Vec<&str>> = BTreeMap::new();
    for sequence in chapters.iter().flat_map(|chapter| &chapter.sequences) {
        for statement in &sequence.statements {
            let (version, number) = statement.split_once(":MQTT-").expect("version:MQTT-number");
            let pieces = number.split(['.', '-']).map(|piece| piece.parse().expect("a number")).collect();
            found.entry((pieces, version)).or_default().push(&sequence.id);
        }
    }
    found.into_iter().collect()
}

fn shown_number(pieces: &[u32]) -> String {
    match pieces {
        [a, b, c, d] => format!("MQTT-{a}.{b}.{c}-{d}"),
        other => panic!("no statement: {other:?}"),
    }
}

fn shown(sequences: &[&str]) -> String {
    let first: Vec<String> = sequences.iter().take(SHOWN_MAX).map(|id| format!("`{id}`")).collect();
    let more = sequences.len().saturating_sub(SHOWN_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    first.join(", ") + &more
}

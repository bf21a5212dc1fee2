//! The files of the corpus.

use std::path::Path;

use serde_json::Value;

/// One file: sequences that one broker is played.
pub struct Chapter {
    pub name: String,
    pub title: String,
    /// Settings beside the defaults.
    pub settings: Vec<String>,
    /// A configuration file in place of development mode.
    pub config: Option<String>,
    pub sequences: Vec<Sequence>,
}

/// What clients send, and what must come back.
pub struct Sequence {
    pub id: String,
    /// The protocol level: 3, 4 or 5.
    pub version: u8,
    /// `3.1.1:MQTT-x.y.z-n` or `5:MQTT-x.y.z-n`.
    pub statements: Vec<String>,
    pub steps: Vec<Value>,
}

impl Sequence {
    /// The broker is killed and started again on the way.
    pub fn restarts(&self) -> bool {
        self.steps.iter().any(|step| step["restart"].as_bool() == Some(true))
    }
}

pub fn read(folder: &Path) -> Vec<Chapter> {
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect();
    files.sort();
    files.iter().map(|file| chapter(&std::fs::read_to_string(file).expect("reads"))).collect()
}

fn chapter(text: &str) -> Chapter {
    let file: Value = serde_json::from_str(text).expect("JSON");
    Chapter {
        name: word(&file["chapter"]),
        title: word(&file["title"]),
        settings: words(&file["settings"]),
        config: file["config"].as_str().map(str::to_owned),
        sequences: list(&file["sequences"]).iter().map(sequence).collect(),
    }
}

fn sequence(found: &Value) -> Sequence {
    Sequence {
        id: word(&found["id"]),
        version: u8::try_from(found["version"].as_u64().expect("a version")).expect("small"),
        statements: words(&found["statements"]),
        steps: list(&found["steps"]).to_vec(),
    }
}

pub fn word(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

pub fn words(value: &Value) -> Vec<String> {
    list(value).iter().map(word).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

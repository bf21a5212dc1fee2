//! `mosquitto.conf` as a source of settings: directives that mean the same become settings, the others are named with the reason.
//!
//! What would let somebody in, or let somebody do more, if it were passed over is an error.

mod convert;
mod directives;
mod lines;
mod listeners;

use std::fmt;
use std::path::Path;

use super::problem::{Problems, nearest_name};
use super::tree::Origin;
use directives::{Directive, KNOWN, meaning};
use lines::Line;
use listeners::Listeners;

/// A setting that a directive says.
pub struct Imported {
    pub setting: String,
    pub value: String,
    pub origin: Origin,
}

/// A directive that changes nothing here, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    pub origin: Origin,
    pub directive: String,
    pub why: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.origin, self.directive, self.why)
    }
}

/// What a file says.
#[derive(Default)]
pub struct MosquittoConf {
    pub imported: Vec<Imported>,
    pub notes: Vec<Note>,
}

/// Reads the file, and those of its `include_dir`.
pub fn read(path: &Path, problems: &mut Problems) -> MosquittoConf {
    let mut reading = Reading::default();
    for line in lines::read(path, problems) {
        reading.take(&line, problems);
    }
    reading.listeners.finish(&mut reading.conf, problems);
    reading.conf
}

#[derive(Default)]
struct Reading {
    conf: MosquittoConf,
    listeners: Listeners,
    /// Directives that follow belong to a bridge.
    in_bridge: bool,
}

impl Reading {
    fn take(&mut self, line: &Line, problems: &mut Problems) {
        let name = line.directive.as_str();
        if matches!(name, "connection" | "listener") {
            self.in_bridge = name == "connection";
        }
        if self.in_bridge && (name == "connection" || directives::is_of_bridge(name)) {
            if name == "connection" {
                self.conf.note(line, "bridges are not carried over, nor is what follows about this one");
            }
            return;
        }
        match meaning(name) {
            Some(Directive::Listener) => self.listeners.take(line, problems),
            Some(Directive::Setting(setting, convert)) => match convert(&line.value) {
                Ok(Some(value)) if self.conf.says_otherwise(setting, &value) => problems.push(
                    line.origin.clone(),
                    name,
                    "another one stands above: users are the broker's, not a listener's; put them into one file",
                ),
                Ok(Some(value)) => self.conf.set(line, setting, value),
                Ok(None) => {}
                Err(expected) => problems.push(line.origin.clone(), name, format!("expected {expected}")),
            },
            Some(Directive::Ignored(why)) => self.conf.note(line, why),
            Some(Directive::Unsafe(why)) => problems.push(line.origin.clone(), name, why),
            None => problems.push(line.origin.clone(), name, unknown(name)),
        }
    }
}

impl MosquittoConf {
    fn set(&mut self, line: &Line, setting: &str, value: String) {
        self.imported.push(Imported { setting: setting.to_owned(), value, origin: line.origin.clone() });
    }

    /// Whether another file of users or topics was named already: which of them counts is not to be guessed.
    fn says_otherwise(&self, setting: &str, value: &str) -> bool {
        let is_of_users = matches!(setting, "mqtt.password_file" | "mqtt.acl_file");
        is_of_users && self.imported.iter().any(|known| known.setting == setting && known.value != value)
    }

    fn note(&mut self, line: &Line, why: impl Into<String>) {
        let directive = line.directive.clone();
        self.notes.push(Note { origin: line.origin.clone(), directive, why: why.into() });
    }
}

fn unknown(name: &str) -> String {
    let nearest = nearest_name(name, &KNOWN).map(|nearest| format!("; did you mean {nearest}?"));
    format!("no directive of Mosquitto{}", nearest.unwrap_or_default())
}

#[cfg(test)]
mod tests;

//! Lays the sources over each other and turns the result into [`Settings`], or into everything that is wrong with it.

use std::ffi::OsString;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::mosquitto;
use super::problem::{ConfigurationError, Problem, Problems};
use super::rules;
use super::section::read_section;
use super::settings::Settings;
use super::tree::{self, Node, Origin, Value};

/// Variables with this prefix are settings: `CROSSDOCK__LISTENERS__MQTT__PORT` is `listeners.mqtt.port`.
const ENVIRONMENT_PREFIX: &str = "CROSSDOCK__";

/// A path that were changed to fit would be another path, so this is refused.
const NOT_UTF8: &str = "expected UTF-8 text";

/// Largest configuration file, in bytes. A larger one is some other file, given by mistake.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Where settings come from, weakest first.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A configuration file of Mosquitto.
    pub mosquitto_conf: Option<PathBuf>,
    /// The configuration file. A file that is named but cannot be read is an error, never a reason to run on defaults.
    pub file: Option<PathBuf>,
    /// Environment variables, all of them; only `CROSSDOCK__…` and `STATE_DIRECTORY` are looked at.
    pub environment: Vec<(OsString, OsString)>,
    /// `KEY=VALUE`, as given with `--set`, later ones winning.
    pub assignments: Vec<String>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--dev`.
    pub dev: bool,
}

/// Reads all sources.
///
/// # Errors
/// Everything that is wrong, at once: syntax, unknown keys, types, ranges and rules between settings.
pub fn load(sources: &Sources) -> Result<Settings, ConfigurationError> {
    let mut problems = Problems::default();
    let tree = merge(sources, &mut problems);
    let settings = read_section(&tree, "", Settings::default(), &mut problems);
    let is_read = problems.is_empty();
    rules::check_values(&settings, &tree, &mut problems);
    if is_read {
        rules::check_relations(&settings, &tree, &mut problems);
    }
    problems.into_result(settings)
}

/// What of settings that were loaded from there is probably not meant so.
pub fn warnings(sources: &Sources, settings: &Settings) -> Vec<Problem> {
    rules::warnings(settings, &merge(sources, &mut Problems::default()))
}

fn merge(sources: &Sources, problems: &mut Problems) -> Node {
    let mut tree = Node::empty_table(Origin::Default);
    add_state_directory(&mut tree, sources, problems);
    add_mosquitto(&mut tree, sources, problems);
    add_file(&mut tree, sources, problems);
    add_environment(&mut tree, sources, problems);
    add_assignments(&mut tree, sources, problems);
    add_options(&mut tree, sources, problems);
    tree
}

fn text(text: &str) -> Value {
    Value::Text(Zeroizing::new(text.to_owned()))
}

/// systemd passes a colon-separated list; ours is the first.
fn add_state_directory(tree: &mut Node, sources: &Sources, problems: &mut Problems) {
    let Some((name, value)) = sources.environment.iter().find(|(name, _)| name == "STATE_DIRECTORY") else { return };
    let origin = Origin::Environment(name.to_string_lossy().into_owned());
    match value.to_str().map(|directories| directories.split(':').next().unwrap_or_default()) {
        Some("") => {}
        Some(first) => tree.insert("data_dir", &origin, text(first)),
        None => problems.push(origin, "data_dir", NOT_UTF8),
    }
}

fn add_mosquitto(tree: &mut Node, sources: &Sources, problems: &mut Problems) {
    let Some(path) = &sources.mosquitto_conf else { return };
    for one in mosquitto::read(path, problems).imported {
        tree.insert(&one.setting, &one.origin, text(&one.value));
    }
}

/// What of the file of Mosquitto changes nothing, and why.
pub fn mosquitto_notes(sources: &Sources) -> Vec<mosquitto::Note> {
    let path = sources.mosquitto_conf.as_ref();
    path.map(|path| mosquitto::read(path, &mut Problems::default()).notes).unwrap_or_default()
}

fn add_file(tree: &mut Node, sources: &Sources, problems: &mut Problems) {
    let Some(path) = &sources.file else { return };
    match read_file(path) {
        Ok(text) => {
            let (root, errors) = tree::parse_file(path, &text);
            tree.overlay(root);
            errors.into_iter().for_each(|(origin, message)| problems.push(origin, "", message));
        }
        Err(reason) => {
            let origin = Origin::CommandLine(path.display().to_string());
            problems.push(origin, "", format!("cannot read the configuration file: {reason}"));
        }
    }
}

fn read_file(path: &PathBuf) -> Result<Zeroizing<String>, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > FILE_BYTES_MAX {
        return Err(format!("it has {length} bytes, expected at most {FILE_BYTES_MAX}"));
    }
    std::fs::read_to_string(path).map(Zeroizing::new).map_err(|error| error.to_string())
}

fn add_environment(tree: &mut Node, sources: &Sources, problems: &mut Problems) {
    for (name, value) in &sources.environment {
        let name = name.to_string_lossy();
        let Some(path) = setting_of_variable(&name) else { continue };
        let origin = Origin::Environment(name.clone().into_owned());
        match value.to_str() {
            Some(value) if is_path(&path) => tree.insert(&path, &origin, text(value)),
            Some(_) => problems.push(origin, "", "expected a name such as CROSSDOCK__LISTENERS__MQTT__PORT"),
            None => problems.push(origin, path, NOT_UTF8),
        }
    }
}

fn setting_of_variable(name: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    Some(upper.strip_prefix(ENVIRONMENT_PREFIX)?.to_ascii_lowercase().replace("__", "."))
}

fn is_path(path: &str) -> bool {
    path.split('.').all(|key| !key.is_empty())
}

/// Only the key of an assignment is ever quoted in a complaint; one without `=` is not, as it may be anything.
fn add_assignments(tree: &mut Node, sources: &Sources, problems: &mut Problems) {
    for (index, assignment) in sources.assignments.iter().enumerate() {
        let (key, value) = assignment.split_once('=').unwrap_or_default();
        let key = key.trim();
        if is_path(key) {
            tree.insert(key, &Origin::CommandLine(format!("--set {key}")), text(value));
        } else {
            let origin = Origin::CommandLine(format!("--set (number {})", index + 1));
            problems.push(origin, "", "expected KEY=VALUE, such as listeners.mqtt.port=1884");
        }
    }
}

fn add_options(tree: &mut Node, sources: &Sources, problems: &mut Problems) {
    if let Some(directory) = &sources.data_dir {
        let origin = Origin::CommandLine("--data-dir".into());
        match directory.to_str() {
            Some(directory) => tree.insert("data_dir", &origin, text(directory)),
            None => problems.push(origin, "data_dir", NOT_UTF8),
        }
    }
    if sources.dev {
        tree.insert("dev", &Origin::CommandLine("--dev".into()), Value::Boolean(true));
    }
}

#[cfg(test)]
mod tests;

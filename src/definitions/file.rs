//! From a file's text to entries.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::entries::{Entry, Section};
use crate::administration::VhostRecord;

/// What a file declares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definitions {
    /// The version of RabbitMQ that wrote it, if it says so.
    pub version: Option<String>,
    pub entries: Vec<Entry>,
    /// What is in the file and cannot be understood: where, and why.
    pub unreadable: Vec<(Section, String, String)>,
    /// Keys of the file that nobody knows.
    pub unknown: Vec<String>,
    /// The vhost of a file of one vhost, as far as the file describes it.
    pub(super) own_vhost: Option<VhostRecord>,
}

/// Why a text is no definitions file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionsError {
    #[error("not JSON: {0}")]
    Json(String),
    #[error("a definitions file is a JSON object, such as RabbitMQ's /api/definitions gives")]
    NoObject,
    #[error("{0} is not a list")]
    NoList(&'static str),
    #[error("this file is of one vhost and does not say which; name the vhost to import it into")]
    NoVhost,
}

/// Keys that say something about the file itself.
const HEADER_KEYS: [&str; 8] = [
    "rabbit_version",
    "rabbitmq_version",
    "product_name",
    "product_version",
    "rabbitmq_definition_format",
    "original_cluster_name",
    "original_vhost_name",
    "explanation",
];

/// Keys of a file of one vhost that say something about the vhost (RabbitMQ 4).
const VHOST_KEYS: [&str; 5] = ["description", "tags", "default_queue_type", "metadata", "limits"];

impl Definitions {
    /// Reads a file. With `vhost`, only what belongs to that vhost is taken; a file of one vhost is taken as that vhost's.
    ///
    /// # Errors
    /// It is no such file; a single entry that is not understood is none.
    pub fn parse(text: &str, vhost: Option<&str>) -> Result<Self, DefinitionsError> {
        let value: Value = serde_json::from_str(text).map_err(|error| DefinitionsError::Json(error.to_string()))?;
        Self::of(value, vhost)
    }

    /// The same of JSON that was read already.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn of(value: Value, vhost: Option<&str>) -> Result<Self, DefinitionsError> {
        let Value::Object(mut file) = value else { return Err(DefinitionsError::NoObject) };
        let of_one_vhost = !file.contains_key("vhosts") && !file.contains_key("users");
        let mut definitions = Self { version: version(&file), ..Self::default() };
        for section in Section::ALL {
            let Some(entries) = file.remove(section.key()) else { continue };
            let Value::Array(entries) = entries else { return Err(DefinitionsError::NoList(section.key())) };
            for entry in entries {
                definitions.take(section, entry, vhost.filter(|_| of_one_vhost));
            }
        }
        if let (Some(vhost), true) = (vhost, of_one_vhost) {
            definitions.own_vhost = own_vhost(&mut file, vhost);
        }
        definitions.unknown = file.into_iter().map(|(key, _)| key).filter(|key| !is_header(key)).collect();
        if let Some(vhost) = vhost {
            definitions.entries.retain(|entry| entry.vhost() == Some(vhost));
        } else if definitions.entries.iter().any(|entry| entry.vhost() == Some("")) {
            return Err(DefinitionsError::NoVhost);
        }
        Ok(definitions)
    }

    fn take(&mut self, section: Section, mut value: Value, vhost: Option<&str>) {
        if let (Some(vhost), Value::Object(entry)) = (vhost, &mut value)
            && !matches!(section, Section::Users | Section::Vhosts | Section::GlobalParameters)
        {
            entry.insert("vhost".to_owned(), vhost.into());
        }
        let name = value.get("name").or_else(|| value.get("user")).and_then(Value::as_str).unwrap_or("?").to_owned();
        match entry(section, value) {
            Ok(entry) => self.entries.push(entry),
            Err(error) => self.unreadable.push((section, name, error.to_string())),
        }
    }
}

/// The vhost that the file is of, under the name that it is imported as.
fn own_vhost(file: &mut Map<String, Value>, name: &str) -> Option<VhostRecord> {
    let facts = VHOST_KEYS.iter().filter_map(|&key| file.remove_entry(key));
    let mut vhost: Map<String, Value> = facts.collect();
    vhost.insert("name".to_owned(), name.into());
    match entry(Section::Vhosts, vhost.into()) {
        Ok(Entry::Vhost(vhost)) => Some(vhost),
        _ => None,
    }
}

fn is_header(key: &str) -> bool {
    HEADER_KEYS.contains(&key)
}

fn version(file: &Map<String, Value>) -> Option<String> {
    let version = file.get("rabbitmq_version").or_else(|| file.get("rabbit_version"))?;
    version.as_str().map(str::to_owned)
}

fn entry(section: Section, value: Value) -> Result<Entry, serde_json::Error> {
    fn read<T: DeserializeOwned>(value: Value, wrap: fn(T) -> Entry) -> Result<Entry, serde_json::Error> {
        serde_json::from_value(value).map(wrap)
    }
    match section {
        Section::Vhosts => read(with_metadata(value), |vhost: VhostRecord| Entry::Vhost(defined(vhost))),
        Section::Users => read(value, Entry::User),
        Section::Permissions => read(value, Entry::Permission),
        Section::TopicPermissions => read(value, Entry::TopicPermission),
        Section::GlobalParameters => read(value, Entry::GlobalParameter),
        Section::Parameters => read(value, Entry::Parameter),
        Section::Policies => read(value, Entry::Policy),
        Section::Exchanges => read(value, Entry::Exchange),
        Section::Queues => read(value, Entry::Queue),
        Section::Bindings => read(value, Entry::Binding),
    }
}

/// RabbitMQ 4 says a vhost's facts twice; what stands outside `metadata` goes before.
fn with_metadata(mut vhost: Value) -> Value {
    let Some(entry) = vhost.as_object_mut() else { return vhost };
    if let Some(Value::Object(metadata)) = entry.remove("metadata") {
        for (key, value) in metadata {
            entry.entry(key).or_insert(value);
        }
    }
    entry.retain(|_, value| !value.is_null());
    // As rabbit-hole writes them.
    if let Some(tags) = entry.get_mut("tags")
        && let Value::String(words) = tags
    {
        *tags = words.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    }
    vhost
}

/// "undefined" is how RabbitMQ writes that there is none.
fn defined(mut vhost: VhostRecord) -> VhostRecord {
    vhost.default_queue_type = vhost.default_queue_type.filter(|kind| kind != "undefined");
    vhost
}

//! What is declared, as it is kept and as it is shown. The words are those of RabbitMQ's definitions files.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use crossdock_common::Name;
use crossdock_core::DocumentChange;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AdministrationError, Change};
use crate::auth::UserRecord;

/// Longest record with its key, in bytes as it is kept. The journal of the definitions takes no batch beyond its segments (4 MiB), and nothing
/// after one that it does not take.
const RECORD_BYTES_MAX: usize = 256 << 10;

/// A virtual host's own facts; its exchanges and queues are the core's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VhostRecord {
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub tags: Vec<String>,
    /// The `x-queue-type` of declarations that have none.
    #[serde(default)]
    pub default_queue_type: Option<String>,
    /// Kept and shown; nothing is traced.
    #[serde(default)]
    pub tracing: bool,
    /// It is not deleted before somebody takes this back.
    #[serde(default)]
    pub protected_from_deletion: bool,
}

/// What a user may do in a vhost. An empty expression allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionRecord {
    pub user: String,
    pub vhost: String,
    pub configure: String,
    pub write: String,
    pub read: String,
}

/// Which routing keys a user may use with a topic exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicPermissionRecord {
    pub user: String,
    pub vhost: String,
    pub exchange: String,
    pub write: String,
    pub read: String,
}

/// A policy or an operator policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PolicyRecord {
    pub vhost: String,
    pub name: String,
    pub pattern: String,
    /// `queues`, `exchanges`, `all`, `classic_queues`, `quorum_queues` or `streams`.
    #[serde(default = "all")]
    pub apply_to: String,
    pub definition: Map<String, Value>,
    #[serde(default)]
    pub priority: i64,
}

fn all() -> String {
    "all".to_owned()
}

/// The limits of a vhost or a user, by RabbitMQ's names; a negative number is no limit.
pub type Limits = BTreeMap<String, i64>;

/// Limits as they are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LimitsRecord {
    /// The vhost or the user.
    pub name: String,
    pub limits: Limits,
}

/// A runtime parameter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ParameterRecord {
    pub component: String,
    pub vhost: String,
    pub name: String,
    pub value: Value,
}

/// A global runtime parameter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GlobalParameterRecord {
    pub name: String,
    pub value: Value,
}

/// Something that is kept under a key.
pub(super) trait Record: Clone + PartialEq + Serialize + DeserializeOwned {
    fn key(&self) -> Key;
}

pub(super) type Key = Vec<String>;

pub(super) fn key(parts: &[&str]) -> Key {
    parts.iter().map(|&part| part.to_owned()).collect()
}

macro_rules! keyed {
    ($($record:ty: $($field:ident),+;)+) => { $(
        impl Record for $record {
            fn key(&self) -> Key {
                vec![$(self.$field.clone()),+]
            }
        }
    )+ };
}

keyed! {
    VhostRecord: name;
    UserRecord: name;
    PermissionRecord: vhost, user;
    TopicPermissionRecord: vhost, user, exchange;
    PolicyRecord: vhost, name;
    LimitsRecord: name;
    ParameterRecord: component, vhost, name;
    GlobalParameterRecord: name;
}

/// All records of a kind, and what has to be written when they change.
pub(super) struct Records<R> {
    kind: &'static str,
    all: BTreeMap<Key, R>,
}

impl<R: Record> Records<R> {
    /// Those that were kept. What is not understood is passed over, and said.
    pub(super) fn load(kind: &'static str, documents: &dyn Fn(&str) -> Vec<(Name, Bytes)>) -> Self {
        let mut records = Self { kind, all: BTreeMap::new() };
        for (name, document) in documents(kind) {
            match serde_json::from_slice::<R>(&document) {
                Ok(record) => drop(records.all.insert(record.key(), record)),
                Err(error) => tracing::error!(kind, %name, %error, "a stored declaration is passed over"),
            }
        }
        records
    }

    pub(super) fn get(&self, parts: &[&str]) -> Option<&R> {
        self.all.get(&key(parts))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &R> {
        self.all.values()
    }

    /// # Errors
    /// The record is too long to be kept.
    pub(super) fn put(&mut self, record: R, changes: &mut Vec<DocumentChange>) -> Result<Change, AdministrationError> {
        let key = record.key();
        let change = match self.all.get(&key) {
            Some(known) if *known == record => return Ok(Change::Unchanged),
            Some(_) => Change::Updated,
            None => Change::Created,
        };
        // A record is made of texts and numbers: nothing in it cannot be written.
        let document = serde_json::to_vec(&record).unwrap_or_default();
        // The key is among the record's members.
        if document.len() > RECORD_BYTES_MAX {
            return Err(AdministrationError::Invalid(format!(
                "the declaration is longer than {RECORD_BYTES_MAX} bytes"
            )));
        }
        changes.push(self.document(&key, Some(document.into())));
        self.all.insert(key, record);
        Ok(change)
    }

    pub(super) fn remove(&mut self, parts: &[&str], changes: &mut Vec<DocumentChange>) -> Option<R> {
        let key = key(parts);
        let removed = self.all.remove(&key)?;
        changes.push(self.document(&key, None));
        Some(removed)
    }

    pub(super) fn remove_all(&mut self, concerns: impl Fn(&R) -> bool, changes: &mut Vec<DocumentChange>) {
        let doomed: BTreeSet<Key> =
            self.all.iter().filter(|(_, record)| concerns(record)).map(|(key, _)| key.clone()).collect();
        self.all.retain(|key, _| !doomed.contains(key));
        changes.extend(doomed.iter().map(|key| self.document(key, None)));
    }

    fn document(&self, key: &Key, document: Option<Bytes>) -> DocumentChange {
        let key = match key.as_slice() {
            [name] => Name::from(name.as_str()),
            parts => Name::from(Value::from(parts).to_string()),
        };
        DocumentChange { kind: self.kind, key, document }
    }
}

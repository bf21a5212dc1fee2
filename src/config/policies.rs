//! Policies and permissions of the configuration as they are declared at run time, too.

use serde_json::{Map, Number, Value as Json};

use super::scalar::{Scalar, quoted};
use super::settings::{Durability, PolicySettings, UserSettings};
use super::tree::Value;
use crate::administration::{PermissionRecord, PolicyKind, PolicyRecord, validate_policy};

/// What a policy says, in RabbitMQ's words.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct PolicyDefinitionSettings(pub Map<String, Json>);

impl PolicySettings {
    /// The policy at that place of the configuration.
    pub fn record(&self, index: usize) -> PolicyRecord {
        let mut definition = self.definition.0.clone();
        if let Some(durability) = self.durability {
            definition.insert("durability".to_owned(), durability.word().into());
        }
        PolicyRecord {
            vhost: self.vhost.clone(),
            name: self.name.clone().unwrap_or_else(|| format!("policies[{index}]")),
            pattern: self.pattern.clone(),
            apply_to: self.apply_to.clone(),
            definition,
            priority: self.priority.into(),
        }
    }

    /// Whether it can be used.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub(super) fn check(&self, index: usize) -> Result<(), String> {
        let kind = if self.operator { PolicyKind::Operator } else { PolicyKind::Policy };
        let first_line = |error: String| error.lines().nth(2).unwrap_or(&error).to_owned();
        validate_policy(kind, &self.record(index)).map_err(first_line)
    }
}

impl UserSettings {
    /// What the user may do.
    pub fn permission_records(&self) -> impl Iterator<Item = PermissionRecord> {
        self.permissions.iter().map(|permission| PermissionRecord {
            user: self.name.clone(),
            vhost: permission.vhost.clone(),
            configure: permission.configure.clone(),
            write: permission.write.clone(),
            read: permission.read.clone(),
        })
    }
}

impl Scalar for PolicyDefinitionSettings {
    fn expected() -> String {
        "a table of texts and numbers".into()
    }

    fn parse(value: &Value) -> Option<Self> {
        let Value::Table(entries) = value else { return None };
        let entry = |(name, entry): (&String, &super::tree::Entry)| Some((name.clone(), json(&entry.node.value)?));
        entries.iter().map(entry).collect::<Option<_>>().map(Self)
    }

    fn to_toml(&self) -> Option<String> {
        let entry = |(name, value): (&String, &Json)| format!("{} = {value}", quoted(name));
        Some(format!("{{ {} }}", self.0.iter().map(entry).collect::<Vec<_>>().join(", ")))
    }
}

fn json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::String(text) | Value::Text(text) => Json::String(text.to_string()),
        Value::Integer(integer) => Json::Number(Number::from(*integer)),
        Value::Boolean(boolean) => Json::Bool(*boolean),
        Value::Array(nodes) => Json::Array(nodes.iter().map(|node| json(&node.value)).collect::<Option<_>>()?),
        Value::Table(_) | Value::Unusable(_) => return None,
    })
}

impl From<Durability> for crossdock_common::definition::Durability {
    fn from(durability: Durability) -> Self {
        match durability {
            Durability::Fsync => Self::Fsync,
            Durability::Os => Self::Os,
            Durability::Memory => Self::Memory,
        }
    }
}

//! What a definitions file is made of.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::administration::{
    GlobalParameterRecord, Limits, ParameterRecord, PermissionRecord, PolicyRecord, TopicPermissionRecord, VhostRecord,
};

/// The sections of a file, in the order in which they are carried out: what is needed comes before what needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    Vhosts,
    Users,
    Permissions,
    TopicPermissions,
    GlobalParameters,
    Parameters,
    Policies,
    Exchanges,
    Queues,
    Bindings,
}

impl Section {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Vhosts,
        Self::Users,
        Self::Permissions,
        Self::TopicPermissions,
        Self::GlobalParameters,
        Self::Parameters,
        Self::Policies,
        Self::Exchanges,
        Self::Queues,
        Self::Bindings,
    ];

    /// Its key in the file.
    pub fn key(self) -> &'static str {
        match self {
            Self::Vhosts => "vhosts",
            Self::Users => "users",
            Self::Permissions => "permissions",
            Self::TopicPermissions => "topic_permissions",
            Self::GlobalParameters => "global_parameters",
            Self::Parameters => "parameters",
            Self::Policies => "policies",
            Self::Exchanges => "exchanges",
            Self::Queues => "queues",
            Self::Bindings => "bindings",
        }
    }
}

/// One thing that a file declares.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    Vhost(VhostRecord),
    User(UserEntry),
    Permission(PermissionRecord),
    TopicPermission(TopicPermissionRecord),
    GlobalParameter(GlobalParameterRecord),
    Parameter(ParameterRecord),
    Policy(PolicyRecord),
    Exchange(ExchangeEntry),
    Queue(QueueEntry),
    Binding(BindingEntry),
}

/// A user.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct UserEntry {
    pub name: String,
    /// Empty: no password opens.
    #[serde(default)]
    pub password_hash: String,
    #[serde(default, deserialize_with = "tags")]
    pub tags: Vec<String>,
    #[serde(default)]
    pub limits: Limits,
}

impl std::fmt::Debug for UserEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, tags, limits, .. } = self;
        write!(f, "UserEntry({name:?}, {tags:?}, {limits:?})")
    }
}

/// An exchange.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExchangeEntry {
    pub name: String,
    #[serde(default)]
    pub vhost: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub durable: bool,
    pub auto_delete: bool,
    #[serde(default)]
    pub internal: bool,
    #[serde(default)]
    pub arguments: Map<String, Value>,
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueEntry {
    pub name: String,
    #[serde(default)]
    pub vhost: String,
    pub durable: bool,
    pub auto_delete: bool,
    #[serde(default)]
    pub arguments: Map<String, Value>,
}

/// A binding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BindingEntry {
    pub source: String,
    #[serde(default)]
    pub vhost: String,
    pub destination: String,
    /// `queue` or `exchange`.
    pub destination_type: String,
    #[serde(default)]
    pub routing_key: String,
    #[serde(default)]
    pub arguments: Map<String, Value>,
}

/// RabbitMQ up to 3.8 wrote tags as one text with commas.
pub(super) fn tags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Tags {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Tags::deserialize(deserializer)? {
        Tags::List(tags) => tags,
        Tags::Text(text) => text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
    })
}

impl Entry {
    /// Where it stands in a file.
    pub fn section(&self) -> Section {
        match self {
            Self::Vhost(_) => Section::Vhosts,
            Self::User(_) => Section::Users,
            Self::Permission(_) => Section::Permissions,
            Self::TopicPermission(_) => Section::TopicPermissions,
            Self::GlobalParameter(_) => Section::GlobalParameters,
            Self::Parameter(_) => Section::Parameters,
            Self::Policy(_) => Section::Policies,
            Self::Exchange(_) => Section::Exchanges,
            Self::Queue(_) => Section::Queues,
            Self::Binding(_) => Section::Bindings,
        }
    }

    /// The vhost that it belongs to; a vhost belongs to itself.
    pub fn vhost(&self) -> Option<&str> {
        Some(match self {
            Self::Vhost(vhost) => &vhost.name,
            Self::User(_) | Self::GlobalParameter(_) => return None,
            Self::Permission(permission) => &permission.vhost,
            Self::TopicPermission(permission) => &permission.vhost,
            Self::Parameter(parameter) => &parameter.vhost,
            Self::Policy(policy) => &policy.vhost,
            Self::Exchange(exchange) => &exchange.vhost,
            Self::Queue(queue) => &queue.vhost,
            Self::Binding(binding) => &binding.vhost,
        })
    }

    /// What tells it from others of its section: also how it is called in a report.
    pub fn identity(&self) -> String {
        match self {
            Self::Vhost(VhostRecord { name, .. })
            | Self::User(UserEntry { name, .. })
            | Self::GlobalParameter(GlobalParameterRecord { name, .. }) => name.clone(),
            Self::Permission(PermissionRecord { user, vhost, .. }) => format!("{user} in {vhost}"),
            Self::TopicPermission(TopicPermissionRecord { user, vhost, exchange, .. }) => {
                format!("{user} in {vhost}, exchange {exchange}")
            }
            Self::Parameter(ParameterRecord { component, vhost, name, .. }) => format!("{component} {name} in {vhost}"),
            Self::Policy(PolicyRecord { name, vhost, .. })
            | Self::Exchange(ExchangeEntry { name, vhost, .. })
            | Self::Queue(QueueEntry { name, vhost, .. }) => format!("{name} in {vhost}"),
            Self::Binding(binding) => binding.identity(),
        }
    }
}

impl BindingEntry {
    fn identity(&self) -> String {
        let Self { source, vhost, destination, destination_type, routing_key, arguments } = self;
        let arguments = match arguments.is_empty() {
            true => String::new(),
            // The map is sorted: the same arguments give the same text.
            false => format!(", {}", Value::from(arguments.clone())),
        };
        format!("{source} to {destination_type} {destination} in {vhost}, key '{routing_key}'{arguments}")
    }
}

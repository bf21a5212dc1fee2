//! What is there, as a definitions file.

use crossdock_common::definition::{BindingSpec, Definition, Destination, ExchangeInfo, QueueInfo};
use crossdock_common::event::Reply;
use crossdock_common::{Name, Now};
use serde_json::{Map, Value, json};

use super::arguments::to_json;
use super::entries::{BindingEntry, Entry, ExchangeEntry, QueueEntry, Section, UserEntry};
use super::file::Definitions;
use crate::administration::{Administration, PolicyKind};

/// The release of RabbitMQ whose files these are: tools compare it with what they need.
pub const COMPATIBLE_VERSION: &str = "3.13.7";

/// What there is: everything, or what belongs to a vhost. Exclusive queues and queues of sessions are left out: they are their
/// clients'. So is what RabbitMQ's format has no words for, such as tags of SQS queues.
pub fn export(administration: &Administration, now: Now, vhost: Option<&str>) -> Definitions {
    let mut entries = Vec::new();
    entries.extend(administration.vhosts().into_iter().map(|(record, _)| Entry::Vhost(record)));
    entries.extend(administration.users().into_iter().map(|(user, _)| {
        Entry::User(UserEntry {
            password_hash: user.password_hash.map(|hash| hash.expose().to_owned()).unwrap_or_default(),
            limits: administration.limits_of_user(&user.name),
            name: user.name,
            tags: user.tags,
        })
    }));
    entries.extend(administration.permissions().into_iter().map(|(record, _)| Entry::Permission(record)));
    entries.extend(administration.topic_permissions().into_iter().map(Entry::TopicPermission));
    entries.extend(administration.global_parameters().into_iter().map(Entry::GlobalParameter));
    entries.extend(administration.parameters().into_iter().map(Entry::Parameter));
    entries.extend(administration.policies(PolicyKind::Policy).into_iter().map(|(record, _)| Entry::Policy(record)));
    for (record, _) in administration.vhosts() {
        if vhost.is_none_or(|vhost| vhost == record.name) {
            topology(administration, now, &record.name, &mut entries);
        }
    }
    if let Some(vhost) = vhost {
        entries.retain(|entry| entry.vhost() == Some(vhost));
    }
    entries.sort_by_key(Entry::section);
    Definitions { version: Some(COMPATIBLE_VERSION.to_owned()), entries, ..Definitions::default() }
}

fn topology(administration: &Administration, now: Now, vhost: &str, entries: &mut Vec<Entry>) {
    let broker = administration.broker();
    let ask = |definition| broker.administer(now, &Name::from(vhost), definition).0;
    let (prefix, after, count_max) = (Name::default(), None, usize::MAX);
    if let Ok(Reply::Exchanges(exchanges)) = ask(Definition::ListExchanges { prefix, after, count_max }) {
        let own = exchanges.into_iter().filter(|info| !is_predeclared(&info.spec.name));
        entries.extend(own.map(|info| exchange(vhost, info)));
    }
    let of_sessions = broker.session_queues(&Name::from(vhost));
    let is_a_clients = |name: &Name| of_sessions.contains(name);
    // Others know no bindings to queues that are not there.
    let is_waited_for = |binding: &BindingSpec| matches!(&binding.destination, Destination::Queue(name) if !broker.has_queue(&Name::from(vhost), name));
    let (prefix, after) = (Name::default(), None);
    if let Ok(Reply::Queues(queues)) = ask(Definition::ListQueues { prefix, after, count_max }) {
        let own = queues.into_iter().filter(|info| !info.spec.exclusive && !is_a_clients(&info.spec.name));
        entries.extend(own.map(|info| queue(vhost, info)));
    }
    if let Ok(Reply::Bindings(bindings)) = ask(Definition::ListBindings { source: None }) {
        let own = bindings
            .into_iter()
            .filter(|binding| !matches!(&binding.destination, Destination::Queue(name) if is_a_clients(name)))
            .filter(|binding| !is_waited_for(binding));
        entries.extend(own.map(|spec| binding(vhost, &spec)));
    }
}

/// Every vhost has it: it need not be declared.
pub(super) fn is_predeclared(exchange: &str) -> bool {
    exchange.is_empty() || exchange.starts_with("amq.")
}

fn exchange(vhost: &str, info: ExchangeInfo) -> Entry {
    let spec = info.spec;
    Entry::Exchange(ExchangeEntry {
        name: spec.name.to_string(),
        vhost: vhost.to_owned(),
        kind: spec.kind.to_string(),
        durable: spec.durable,
        auto_delete: spec.auto_delete,
        internal: spec.internal,
        arguments: to_json(&spec.arguments),
    })
}

fn queue(vhost: &str, info: QueueInfo) -> Entry {
    let spec = info.spec;
    Entry::Queue(QueueEntry {
        name: spec.name.to_string(),
        vhost: vhost.to_owned(),
        durable: spec.durable,
        auto_delete: spec.auto_delete,
        arguments: to_json(&spec.arguments),
    })
}

fn binding(vhost: &str, spec: &BindingSpec) -> Entry {
    let (destination_type, destination) = match &spec.destination {
        Destination::Queue(name) => ("queue", name),
        Destination::Exchange(name) => ("exchange", name),
    };
    Entry::Binding(BindingEntry {
        source: spec.source.to_string(),
        vhost: vhost.to_owned(),
        destination: destination.to_string(),
        destination_type: destination_type.to_owned(),
        routing_key: String::from_utf8_lossy(&spec.key).into_owned(),
        arguments: to_json(&spec.arguments),
    })
}

impl Definitions {
    /// The file, as RabbitMQ writes it. One of a vhost has neither users nor vhosts, and its queues do not name their vhost.
    pub fn to_file(&self, of_one_vhost: bool) -> Value {
        let mut file = Map::new();
        let version = self.version.as_deref().unwrap_or(COMPATIBLE_VERSION);
        file.insert("rabbit_version".to_owned(), version.into());
        if !of_one_vhost {
            file.insert("rabbitmq_version".to_owned(), version.into());
            file.insert("product_name".to_owned(), "Crossdock".into());
            file.insert("product_version".to_owned(), env!("CARGO_PKG_VERSION").into());
        }
        for section in Section::ALL {
            if of_one_vhost && !is_of_one_vhost(section) {
                continue;
            }
            let entries = self.entries.iter().filter(|entry| entry.section() == section);
            let written: Vec<Value> = entries.map(|entry| written(entry, of_one_vhost)).collect();
            file.insert(section.key().to_owned(), written.into());
        }
        file.into()
    }
}

fn is_of_one_vhost(section: Section) -> bool {
    matches!(
        section,
        Section::Parameters | Section::Policies | Section::Exchanges | Section::Queues | Section::Bindings
    )
}

fn written(entry: &Entry, of_one_vhost: bool) -> Value {
    let value = match entry {
        Entry::Vhost(record) => {
            let mut facts = json!({
                "description": record.description,
                "tags": record.tags,
                "default_queue_type": record.default_queue_type.as_deref().unwrap_or("undefined"),
            });
            let mut vhost = facts.clone();
            if record.protected_from_deletion {
                facts["protected_from_deletion"] = true.into();
            }
            vhost["name"] = record.name.as_str().into();
            vhost["tracing"] = record.tracing.into();
            vhost["metadata"] = facts;
            Ok(vhost)
        }
        Entry::User(user) => serde_json::to_value(user).map(|mut value| {
            value["hashing_algorithm"] = hashing_algorithm(&user.password_hash).into();
            value
        }),
        Entry::Permission(record) => serde_json::to_value(record),
        Entry::TopicPermission(record) => serde_json::to_value(record),
        Entry::GlobalParameter(record) => serde_json::to_value(record),
        Entry::Parameter(record) => serde_json::to_value(record),
        Entry::Policy(record) => serde_json::to_value(record),
        Entry::Exchange(exchange) => serde_json::to_value(exchange),
        Entry::Queue(queue) => serde_json::to_value(queue),
        Entry::Binding(binding) => serde_json::to_value(binding),
    };
    // They are texts, numbers and lists: nothing in them cannot be written.
    let mut value = value.unwrap_or_default();
    let names_vhost = matches!(entry, Entry::Parameter(_) | Entry::Policy(_));
    if of_one_vhost
        && !names_vhost
        && let Some(entry) = value.as_object_mut()
    {
        entry.remove("vhost");
    }
    value
}

/// How the hash was made, in RabbitMQ's words; it does not know argon2id.
fn hashing_algorithm(hash: &str) -> &'static str {
    match hash.len() {
        _ if hash.starts_with("$argon2id$") => "argon2id",
        ..=28 => "rabbit_password_hashing_md5",
        29..=48 => "rabbit_password_hashing_sha256",
        _ => "rabbit_password_hashing_sha512",
    }
}

//! Carries a plan out.

use crossdock_common::definition::{BindingSpec, Definition, Destination, ExchangeSpec, QueueSpec};
use crossdock_common::{Now, Refusal, Table};
use crossdock_core::{validate_exchange, validate_queue};

use super::arguments::to_table;
use super::entries::{BindingEntry, Entry, ExchangeEntry, QueueEntry, Section, UserEntry};
use super::plan::{Fate, Plan};
use crate::administration::{Administration, AdministrationError, Change, Made};
use crate::auth::{PasswordHash, UserRecord};

/// Longest routing key or name of an argument, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Longest arguments of a declaration, in bytes of JSON.
const ARGUMENTS_BYTES_MAX: usize = 1 << 20;

/// Does what the plan says, and waits until all of it is durable. What is refused after all is dropped in the plan that comes
/// back.
///
/// # Errors
/// [`AdministrationError::Unavailable`] when the journal has failed.
pub async fn apply(mut plan: Plan, administration: &Administration, now: Now) -> Result<Plan, AdministrationError> {
    let mut last: Option<Made> = None;
    let mut bulk = Some(administration.in_bulk());
    for step in &mut plan.steps {
        let Some(entry) = step.entry.take() else { continue };
        if step.section >= Section::Exchanges {
            // Policies and limits are in effect before the queues come that they concern.
            bulk = None;
        }
        match carry_out(entry, administration, now) {
            Ok(made) => last = Some(last.map_or(made, |last| last.and(made))),
            Err(error @ AdministrationError::Unavailable(_)) => return Err(error),
            Err(error) => {
                step.fate = Fate::Dropped;
                step.why = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            }
        }
    }
    drop(bulk);
    if let Some(last) = last {
        administration.durable(last).await?;
    }
    Ok(plan)
}

/// Whether the core would take the declaration.
pub(super) fn check(entry: &Entry) -> Result<(), Refusal> {
    match entry {
        Entry::Exchange(exchange) => validate_exchange(&exchange_spec(exchange)),
        Entry::Queue(queue) => validate_queue(&queue_spec(queue), &queue.vhost.as_str().into()),
        _ => Ok(()),
    }
}

/// Names and keys that AMQP can say, and arguments that the journal of the definitions takes: after a batch beyond its segments (4 MiB) it
/// takes nothing more.
fn expect_short(entry: &Entry) -> Result<(), AdministrationError> {
    let (key, arguments) = match entry {
        Entry::Exchange(exchange) => ("", &exchange.arguments),
        Entry::Queue(queue) => ("", &queue.arguments),
        Entry::Binding(binding) => (binding.routing_key.as_str(), &binding.arguments),
        _ => return Ok(()),
    };
    let mut names = arguments.keys().map(String::as_str).chain([key]);
    if names.any(|name| name.len() > NAME_BYTES_MAX) {
        return Err(AdministrationError::Invalid(format!("a key is longer than {NAME_BYTES_MAX} bytes")));
    }
    if serde_json::Value::from(arguments.clone()).to_string().len() > ARGUMENTS_BYTES_MAX {
        return Err(AdministrationError::Invalid(format!("the arguments are longer than {ARGUMENTS_BYTES_MAX} bytes")));
    }
    Ok(())
}

fn carry_out(entry: Entry, administration: &Administration, now: Now) -> Result<Made, AdministrationError> {
    expect_short(&entry)?;
    let define = |vhost: &str, definition| {
        let (result, sequence) = administration.broker().administer(now, &vhost.into(), definition);
        let refused = |refusal: Refusal| AdministrationError::Invalid(refusal.to_string());
        result.map(|_| Made::of_definition(Change::Created, sequence)).map_err(refused)
    };
    match entry {
        Entry::Vhost(record) => administration.put_vhost(record),
        Entry::User(user) => put_user(user, administration),
        Entry::Permission(record) => administration.put_permission(record),
        Entry::TopicPermission(record) => administration.put_topic_permission(record),
        Entry::GlobalParameter(record) => administration.put_global_parameter(record),
        Entry::Parameter(record) => administration.put_parameter(record),
        Entry::Policy(record) => administration.put_policy(crate::administration::PolicyKind::Policy, record),
        Entry::Exchange(exchange) => {
            define(&exchange.vhost, Definition::DeclareExchange { spec: exchange_spec(&exchange), passive: false })
        }
        Entry::Queue(queue) => {
            define(&queue.vhost, Definition::DeclareQueue { spec: queue_spec(&queue), passive: false })
        }
        Entry::Binding(binding) => define(&binding.vhost, Definition::Bind(binding_spec(&binding))),
    }
}

fn put_user(user: UserEntry, administration: &Administration) -> Result<Made, AdministrationError> {
    let invalid = |error: crate::auth::PasswordHashError| AdministrationError::Invalid(error.to_string());
    let hash = Some(user.password_hash.as_str()).filter(|hash| !hash.is_empty());
    let password_hash = hash.map(PasswordHash::parse).transpose().map_err(invalid)?;
    let made = administration.put_user(UserRecord { name: user.name.clone(), password_hash, tags: user.tags })?;
    let limits = user.limits.into_iter().map(|(name, limit)| (name, limit.into())).collect();
    Ok(made.and(administration.put_user_limits(&user.name, &serde_json::Value::Object(limits))?))
}

fn exchange_spec(exchange: &ExchangeEntry) -> ExchangeSpec {
    ExchangeSpec {
        name: exchange.name.as_str().into(),
        kind: exchange.kind.as_str().into(),
        durable: exchange.durable,
        auto_delete: exchange.auto_delete,
        internal: exchange.internal,
        arguments: to_table(&exchange.arguments),
        attributes: Table::new(),
    }
}

fn queue_spec(queue: &QueueEntry) -> QueueSpec {
    QueueSpec {
        name: queue.name.as_str().into(),
        durable: queue.durable,
        auto_delete: queue.auto_delete,
        arguments: to_table(&queue.arguments),
        ..QueueSpec::default()
    }
}

fn binding_spec(binding: &BindingEntry) -> BindingSpec {
    let destination = binding.destination.as_str().into();
    BindingSpec {
        source: binding.source.as_str().into(),
        destination: match binding.destination_type.as_str() {
            "exchange" => Destination::Exchange(destination),
            _ => Destination::Queue(destination),
        },
        key: binding.routing_key.as_bytes().to_vec().into(),
        arguments: to_table(&binding.arguments),
        announced: false,
        attributes: Table::new(),
    }
}

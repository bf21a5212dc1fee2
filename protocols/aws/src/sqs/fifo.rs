//! What FIFO queues have and others do not: a name of their own, attributes, and what SendMessage must say.

use crossdock_common::Text;
use crossdock_common::definition::{DeduplicationScope, QueueInfo, QueueSettings, QueueSpec};
use crossdock_common::message::Deduplication;
use sha2::{Digest, Sha256};

use super::attributes::{kept, kept_in};
use super::send::identifier;
use crate::arn::is_queue_name;
use crate::digest::hex;
use crate::error::Failure;
use crate::wire::View;

/// Added to a message's place: AWS's sequence numbers have 20 digits.
const SEQUENCE_BASE: u64 = 10_000_000_000_000_000_000;

const NO_IDENTITY: &str =
    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly";

const SCOPE: &str = "DeduplicationScope";
const THROUGHPUT: &str = "FifoThroughputLimit";
const PER_GROUP: &str = "perMessageGroupId";

/// Attributes that only FIFO queues have, with their defaults.
pub(super) const ATTRIBUTES: [(&str, &str); 4] =
    [("FifoQueue", "true"), ("ContentBasedDeduplication", "false"), (SCOPE, "queue"), (THROUGHPUT, "perQueue")];

pub(crate) fn is_fifo(info: &QueueInfo) -> bool {
    info.spec.settings.fifo.is_some()
}

/// CreateQueue: a FIFO queue is called so, and no other is.
pub(super) fn check_name(name: &str, is_fifo: bool) -> Result<(), Failure> {
    let is_called_so = name.ends_with(".fifo");
    let rule = match is_fifo {
        _ if is_called_so == is_fifo && is_queue_name(name) => return Ok(()),
        true => {
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo \
             suffix and be 1 to 80 in length"
        }
        false => "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
    };
    Err(Failure::Invalid(rule.to_owned()))
}

/// Refuses what an attribute of [`ATTRIBUTES`] cannot be.
pub(super) fn check(name: &str, value: &str, is_fifo: bool) -> Result<(), Failure> {
    let is_legal = match name {
        "FifoQueue" if is_fifo => value == "true",
        "ContentBasedDeduplication" if is_fifo => ["true", "false"].contains(&value),
        SCOPE if is_fifo => DeduplicationScope::from_word(value).is_some(),
        THROUGHPUT if is_fifo => ["perQueue", PER_GROUP].contains(&value),
        "FifoQueue" | "ContentBasedDeduplication" => return Err(Failure::UnknownAttribute(name.to_owned())),
        _ => {
            let text = format!("You can specify the {name} only when FifoQueue is set to true.");
            return Err(Failure::AttributeName(text));
        }
    };
    if is_legal { Ok(()) } else { Err(Failure::AttributeValue(name.to_owned())) }
}

/// Refuses a throughput of each group where identities are of the whole queue. Whoever changes neither has nothing to do with it.
pub(super) fn check_together(spec: &QueueSpec, given: &[(&str, &str)]) -> Result<(), Failure> {
    let is_given = given.iter().any(|(name, _)| [SCOPE, THROUGHPUT].contains(name));
    let is_of_groups = kept_in(&spec.attributes, THROUGHPUT) == Some(PER_GROUP);
    let scope = spec.settings.fifo.map(|fifo| fifo.deduplication_scope);
    if is_given && is_of_groups && scope != Some(DeduplicationScope::MessageGroup) {
        return Err(Failure::AttributeValue(THROUGHPUT.to_owned()));
    }
    Ok(())
}

/// What an attribute means to the core.
pub(super) fn set(settings: &mut QueueSettings, name: &str, value: &str) {
    match name {
        "FifoQueue" => drop(settings.fifo.get_or_insert_default()),
        SCOPE => {
            let scope = DeduplicationScope::from_word(value).unwrap_or_default();
            settings.fifo.get_or_insert_default().deduplication_scope = scope;
        }
        _ => {}
    }
}

/// The value of one of [`ATTRIBUTES`], if the queue has them.
pub(super) fn value(info: &QueueInfo, name: &str) -> Option<String> {
    let fifo = info.spec.settings.fifo?;
    if name == SCOPE {
        return Some(fifo.deduplication_scope.word().to_owned());
    }
    let (_, default) = ATTRIBUTES.iter().find(|(known, _)| *known == name)?;
    Some(kept(info, name).unwrap_or(default).to_owned())
}

fn has_content_identity(info: &QueueInfo) -> bool {
    kept(info, "ContentBasedDeduplication") == Some("true")
}

/// SendMessageBatch: what one entry does not say refuses all of them. AWS has another code for the group here than SendMessage has.
pub(super) fn check_entries(info: &QueueInfo, entries: &[(&str, View<'_>)]) -> Result<(), Failure> {
    if !is_fifo(info) {
        return Ok(());
    }
    for (_, entry) in entries {
        if entry.text("MessageGroupId")?.is_none() {
            return Err(Failure::Invalid(Failure::MissingParameter("MessageGroupId").text()));
        }
        if !has_content_identity(info) && entry.text("MessageDeduplicationId")?.is_none() {
            return Err(Failure::Invalid(NO_IDENTITY.to_owned()));
        }
    }
    Ok(())
}

/// What SendMessage says of the message's group and identity, which FIFO queues need and others may not have.
pub(super) fn identity(
    view: View<'_>,
    info: &QueueInfo,
    group: Option<&Text>,
    message_id: u128,
) -> Result<Option<Deduplication>, Failure> {
    let given = view.text("MessageDeduplicationId")?;
    if !is_fifo(info) {
        return given.map_or(Ok(None), |id| Err(not_of_this_type(id, "MessageDeduplicationId")));
    }
    if group.is_none() {
        return Err(Failure::MissingParameter("MessageGroupId"));
    }
    if let Some(seconds) = view.integer("DelaySeconds")?.filter(|seconds| *seconds != 0) {
        return Err(not_of_this_type(seconds, "DelaySeconds"));
    }
    let id = match given {
        Some(id) => identifier(id, "MessageDeduplicationId")?,
        None if has_content_identity(info) => {
            hex(&Sha256::digest(view.text("MessageBody")?.unwrap_or_default())).into()
        }
        None => return Err(Failure::Invalid(NO_IDENTITY.to_owned())),
    };
    Ok(Some(Deduplication { id, message_id }))
}

pub(super) fn not_of_this_type(value: impl std::fmt::Display, parameter: &str) -> Failure {
    Failure::value(value, parameter, "The request include parameter that is not valid for this queue type.")
}

/// The sequence number of a place in a queue.
pub(crate) fn sequence_number(position: u64) -> String {
    SEQUENCE_BASE.saturating_add(position).to_string()
}

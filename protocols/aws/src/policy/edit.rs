//! A policy's statements by their labels: AddPermission and RemovePermission.

use serde_json::{Value as Json, json};

/// Some accounts may do some things: a statement with a label.
pub(crate) struct Permission<'a> {
    pub label: &'a str,
    /// 12 digits each.
    pub accounts: &'a [&'a str],
    /// `SQS` or `SNS`.
    pub prefix: &'a str,
    /// Without the prefix.
    pub actions: &'a [&'a str],
    /// The ARN of what they are allowed to use.
    pub resource: &'a str,
}

/// The policy with a statement more; `None` if it has one of that label.
pub(crate) fn with_permission(policy: Json, permission: &Permission<'_>) -> Option<Json> {
    let Permission { label, accounts, prefix, actions, resource } = permission;
    let mut statements = statements(&policy);
    if statements.iter().any(|statement| statement["Sid"] == *label) {
        return None;
    }
    let roots = accounts.iter().map(|account| format!("arn:aws:iam::{account}:root")).collect();
    let actions = actions.iter().map(|action| format!("{prefix}:{action}")).collect();
    statements.push(json!({
        "Sid": label,
        "Effect": "Allow",
        "Principal": { "AWS": one_or_many(roots) },
        "Action": one_or_many(actions),
        "Resource": resource,
    }));
    Some(with_statements(policy, statements))
}

/// The policy without the statement of that label, and whether there was one.
pub(crate) fn without_permission(policy: Json, label: &str) -> (Json, bool) {
    let mut statements = statements(&policy);
    let before = statements.len();
    statements.retain(|statement| statement["Sid"] != label);
    let is_gone = statements.len() < before;
    (with_statements(policy, statements), is_gone)
}

/// Whether there is no statement left.
pub(crate) fn is_empty(policy: &Json) -> bool {
    statements(policy).is_empty()
}

fn statements(policy: &Json) -> Vec<Json> {
    match &policy["Statement"] {
        Json::Array(statements) => statements.clone(),
        Json::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

fn with_statements(mut policy: Json, statements: Vec<Json>) -> Json {
    policy["Statement"] = Json::Array(statements);
    policy
}

fn one_or_many(mut texts: Vec<String>) -> Json {
    if texts.len() == 1 { Json::from(texts.remove(0)) } else { Json::from(texts) }
}

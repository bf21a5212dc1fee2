//! Policies and operator policies, and which of them apply.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use bytes::Bytes;
use crossdock_common::Name;
use crossdock_core::AppliedNames;
use serde_json::{Map, Value, json};

use super::Management;
use super::answer::{Answer, Failure};
use super::call::{Call, Document};
use super::changes::{delete, put};
use super::queues::existing_vhost;
use crate::administration::{PolicyKind, PolicyRecord, merge};

pub(super) fn routes() -> Router<Arc<Management>> {
    Router::new()
        .route("/policies", get(list))
        .route("/policies/{vhost}", get(list_vhost))
        .route("/policies/{vhost}/{name}", get(one).put(change).delete(remove))
        .route("/operator-policies", get(list_operator))
        .route("/operator-policies/{vhost}", get(list_operator_vhost))
        .route("/operator-policies/{vhost}/{name}", get(one_operator).put(change_operator).delete(remove_operator))
}

fn answer(call: &Call, kind: PolicyKind, vhost: Option<&str>) -> Answer {
    let vhosts = call.vhosts(vhost)?;
    let is_seen = |record: &PolicyRecord| vhosts.iter().any(|vhost| **vhost == *record.vhost);
    let all = call.engine.administration.policies(kind).into_iter().map(|(record, _)| record);
    call.listing()?.answer(all.filter(is_seen).collect(), |record: &PolicyRecord| &record.name, show)
}

fn show(record: &PolicyRecord) -> Value {
    json!({
        "vhost": record.vhost, "name": record.name, "pattern": record.pattern, "apply-to": record.apply_to,
        "definition": record.definition, "priority": record.priority,
    })
}

async fn list(call: Call) -> Answer {
    answer(&call, PolicyKind::Policy, None)
}

async fn list_vhost(call: Call, Path(vhost): Path<String>) -> Answer {
    answer(&call, PolicyKind::Policy, Some(&vhost))
}

async fn list_operator(call: Call) -> Answer {
    answer(&call, PolicyKind::Operator, None)
}

async fn list_operator_vhost(call: Call, Path(vhost): Path<String>) -> Answer {
    answer(&call, PolicyKind::Operator, Some(&vhost))
}

async fn one(call: Call, Path((vhost, name)): Path<(String, String)>) -> Answer {
    find(&call, PolicyKind::Policy, &vhost, &name)
}

async fn one_operator(call: Call, Path((vhost, name)): Path<(String, String)>) -> Answer {
    find(&call, PolicyKind::Operator, &vhost, &name)
}

fn find(call: &Call, kind: PolicyKind, vhost: &str, name: &str) -> Answer {
    call.vhost(vhost)?;
    let all = call.engine.administration.policies(kind);
    let found = all.iter().find(|(record, _)| record.vhost == vhost && record.name == name);
    let (record, _) = found.ok_or_else(Failure::no_object)?;
    call.listing()?.one(show(record))
}

async fn change(call: Call, Path((vhost, name)): Path<(String, String)>, body: Bytes) -> Answer {
    call.visitor.expect_policymaker()?;
    let record = record(&call, &vhost, name, &body)?;
    put(&call, call.engine.administration.put_policy(PolicyKind::Policy, record)).await
}

/// What bounds policymakers is for administrators to say.
async fn change_operator(call: Call, Path((vhost, name)): Path<(String, String)>, body: Bytes) -> Answer {
    call.visitor.expect_administrator()?;
    let record = record(&call, &vhost, name, &body)?;
    put(&call, call.engine.administration.put_policy(PolicyKind::Operator, record)).await
}

fn record(call: &Call, vhost: &str, name: String, body: &Bytes) -> Result<PolicyRecord, Failure> {
    let vhost = existing_vhost(call, vhost)?.to_string();
    let document = Document::parse(body)?;
    document.require(&["pattern", "definition"])?;
    let invalid = |text: String| Failure::bad_request(format!("Validation failed\n\n{text}\n"));
    let definition = match document.get("definition") {
        Some(Value::Object(members)) => members.clone(),
        _ => return Err(invalid("definition should be an object".to_owned())),
    };
    let priority = match document.get("priority") {
        None | Some(Value::Null) => 0,
        Some(value) => document.number("priority").ok_or_else(|| {
            let shown = value.as_str().map_or_else(|| value.to_string(), |text| format!("<<\"{text}\">>"));
            invalid(format!("priority should be a number, actually was {shown}"))
        })?,
    };
    let apply_to = if document.get("apply-to").is_none() { "all" } else { document.text("apply-to") };
    // An empty pattern means everything: what is no text must not become one.
    let Some(Value::String(pattern)) = document.get("pattern") else {
        return Err(invalid("pattern should be a binary".to_owned()));
    };
    let (pattern, apply_to) = (pattern.clone(), apply_to.to_owned());
    Ok(PolicyRecord { vhost, name, pattern, apply_to, definition, priority })
}

async fn remove(call: Call, Path((vhost, name)): Path<(String, String)>) -> Answer {
    call.visitor.expect_policymaker()?;
    call.vhost(&vhost)?;
    delete(&call, call.engine.administration.delete_policy(PolicyKind::Policy, &vhost, &name)).await
}

async fn remove_operator(call: Call, Path((vhost, name)): Path<(String, String)>) -> Answer {
    call.visitor.expect_administrator()?;
    call.vhost(&vhost)?;
    delete(&call, call.engine.administration.delete_policy(PolicyKind::Operator, &vhost, &name)).await
}

/// The definitions of all policies, looked up for every queue and exchange of a list.
pub(super) struct Definitions([HashMap<(String, String), Map<String, Value>>; 2]);

impl Definitions {
    pub(super) fn of(call: &Call) -> Self {
        Self([PolicyKind::Policy, PolicyKind::Operator].map(|kind| {
            let all = call.engine.administration.policies(kind).into_iter();
            all.map(|(record, _)| ((record.vhost, record.name), record.definition)).collect()
        }))
    }

    /// What RabbitMQ says about the policies that apply.
    pub(super) fn show(&self, vhost: &Name, applied: &AppliedNames) -> Value {
        let Self([policies, operator]) = self;
        let key = |name: &Name| (vhost.to_string(), name.to_string());
        let policy = applied.policy.as_ref().and_then(|name| policies.get(&key(name)));
        let operator_policy = applied.operator_policy.as_ref().and_then(|name| operator.get(&key(name)));
        json!({
            "policy": applied.policy.as_ref().map(Name::as_str),
            "operator_policy": applied.operator_policy.as_ref().map(Name::as_str),
            "effective_policy_definition": merge(policy, operator_policy),
        })
    }
}

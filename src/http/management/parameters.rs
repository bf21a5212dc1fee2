//! Runtime parameters, and limits of vhosts and users.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Value, json};

use super::Management;
use super::answer::{Answer, Failure, done};
use super::call::{Call, Document};
use super::changes::{delete, keep, put};
use super::queues::existing_vhost;
use crate::administration::{GlobalParameterRecord, Limits, ParameterRecord};

pub(super) fn routes() -> Router<Arc<Management>> {
    Router::new()
        .route("/parameters", get(list))
        .route("/parameters/{component}", get(list_component))
        .route("/parameters/{component}/{vhost}", get(list_vhost))
        .route("/parameters/{component}/{vhost}/{name}", get(one).put(change).delete(remove))
        .route("/global-parameters", get(list_global))
        .route("/global-parameters/{name}", get(one_global).put(change_global).delete(remove_global))
        .route("/vhost-limits", get(vhost_limits))
        .route("/vhost-limits/{vhost}", get(limits_of_vhost))
        .route("/vhost-limits/{vhost}/{limit}", axum::routing::put(change_vhost_limit).delete(remove_vhost_limit))
        .route("/user-limits", get(user_limits))
        .route("/user-limits/{user}", get(limits_of_user))
        .route("/user-limits/{user}/{limit}", axum::routing::put(change_user_limit).delete(remove_user_limit))
}

fn answer(call: &Call, component: Option<&str>, vhost: Option<&str>) -> Answer {
    call.visitor.expect_policymaker()?;
    let vhosts = call.vhosts(vhost)?;
    let is_seen = |record: &ParameterRecord| {
        component.is_none_or(|component| record.component == component)
            && vhosts.iter().any(|vhost| **vhost == *record.vhost)
    };
    let all = call.engine.administration.parameters().into_iter().filter(is_seen).collect();
    call.listing()?.answer(all, |record: &ParameterRecord| &record.name, show)
}

fn show(record: &ParameterRecord) -> Value {
    json!({ "component": record.component, "vhost": record.vhost, "name": record.name, "value": record.value })
}

async fn list(call: Call) -> Answer {
    answer(&call, None, None)
}

async fn list_component(call: Call, Path(component): Path<String>) -> Answer {
    answer(&call, Some(&component), None)
}

async fn list_vhost(call: Call, Path((component, vhost)): Path<(String, String)>) -> Answer {
    answer(&call, Some(&component), Some(&vhost))
}

async fn one(call: Call, Path((component, vhost, name)): Path<(String, String, String)>) -> Answer {
    call.visitor.expect_policymaker()?;
    call.vhost(&vhost)?;
    let is_it =
        |record: &ParameterRecord| record.component == component && record.vhost == vhost && record.name == name;
    let found = call.engine.administration.parameters().into_iter().find(is_it).ok_or_else(Failure::no_object)?;
    call.listing()?.one(show(&found))
}

async fn change(call: Call, Path((component, vhost, name)): Path<(String, String, String)>, body: Bytes) -> Answer {
    call.visitor.expect_policymaker()?;
    // What bounds policymakers is not theirs to say by another path.
    if matches!(component.as_str(), "operator_policy" | "vhost-limits") {
        call.visitor.expect_administrator()?;
    }
    let vhost = existing_vhost(&call, &vhost)?.to_string();
    let record = ParameterRecord { component, vhost, name, value: value(&body)? };
    put(&call, call.engine.administration.put_parameter(record)).await
}

/// What a parameter or limit is set to.
fn value(body: &Bytes) -> Result<Value, Failure> {
    let document = Document::parse(body)?;
    document.require(&["value"])?;
    Ok(document.get("value").cloned().unwrap_or_default())
}

async fn remove(call: Call, Path((component, vhost, name)): Path<(String, String, String)>) -> Answer {
    call.visitor.expect_policymaker()?;
    if matches!(component.as_str(), "operator_policy" | "vhost-limits") {
        call.visitor.expect_administrator()?;
    }
    call.vhost(&vhost)?;
    delete(&call, call.engine.administration.delete_parameter(&component, &vhost, &name)).await
}

fn show_global(record: &GlobalParameterRecord) -> Value {
    json!({ "name": record.name, "value": record.value })
}

async fn list_global(call: Call) -> Answer {
    call.visitor.expect_policymaker()?;
    let all = call.engine.administration.global_parameters();
    call.listing()?.answer(all, |record| &record.name, show_global)
}

async fn one_global(call: Call, Path(name): Path<String>) -> Answer {
    call.visitor.expect_policymaker()?;
    let value = call.engine.administration.global_parameter(&name).ok_or_else(Failure::no_object)?;
    call.listing()?.one(show_global(&GlobalParameterRecord { name, value }))
}

async fn change_global(call: Call, Path(name): Path<String>, body: Bytes) -> Answer {
    call.visitor.expect_administrator()?;
    let record = GlobalParameterRecord { name, value: value(&body)? };
    put(&call, call.engine.administration.put_global_parameter(record)).await
}

async fn remove_global(call: Call, Path(name): Path<String>) -> Answer {
    call.visitor.expect_administrator()?;
    delete(&call, call.engine.administration.delete_global_parameter(&name)).await
}

fn answer_limits(call: &Call, whose: &'static str, mut all: Vec<(String, Limits)>) -> Answer {
    all.retain(|(_, limits)| !limits.is_empty());
    call.listing()?.answer(all, |(name, _)| name, |(name, limits)| json!({ whose: name, "value": limits }))
}

/// Of the vhosts that the visitor sees.
async fn vhost_limits(call: Call) -> Answer {
    let mut all = call.engine.administration.vhost_limits();
    all.retain(|(vhost, _)| call.visitor.is_monitor() || call.visitor.sees(&call.engine, &vhost.as_str().into()));
    answer_limits(&call, "vhost", all)
}

async fn limits_of_vhost(call: Call, Path(vhost): Path<String>) -> Answer {
    call.vhost(&vhost)?;
    let limits = call.engine.administration.limits_of_vhost(&vhost);
    answer_limits(&call, "vhost", vec![(vhost, limits)])
}

async fn change_vhost_limit(call: Call, Path((vhost, limit)): Path<(String, String)>, body: Bytes) -> Answer {
    call.visitor.expect_administrator()?;
    let vhost = existing_vhost(&call, &vhost)?;
    keep(&call, call.engine.administration.put_vhost_limit(&vhost, &limit, &value(&body)?)).await?;
    done()
}

async fn remove_vhost_limit(call: Call, Path((vhost, limit)): Path<(String, String)>) -> Answer {
    call.visitor.expect_administrator()?;
    let vhost = existing_vhost(&call, &vhost)?;
    keep(&call, call.engine.administration.delete_vhost_limit(&vhost, Some(&limit))).await?;
    done()
}

async fn user_limits(call: Call) -> Answer {
    let all = call.engine.administration.user_limits();
    answer_limits(&call, "user", all)
}

async fn limits_of_user(call: Call, Path(user): Path<String>) -> Answer {
    if call.engine.administration.user(&user).is_none() {
        return Err(Failure::no_object());
    }
    let limits = call.engine.administration.limits_of_user(&user);
    answer_limits(&call, "user", vec![(user, limits)])
}

async fn change_user_limit(call: Call, Path((user, limit)): Path<(String, String)>, body: Bytes) -> Answer {
    call.visitor.expect_administrator()?;
    expect_user(&call, &user)?;
    keep(&call, call.engine.administration.put_user_limit(&user, &limit, &value(&body)?)).await?;
    done()
}

async fn remove_user_limit(call: Call, Path((user, limit)): Path<(String, String)>) -> Answer {
    call.visitor.expect_administrator()?;
    expect_user(&call, &user)?;
    keep(&call, call.engine.administration.delete_user_limit(&user, Some(&limit))).await?;
    done()
}

fn expect_user(call: &Call, user: &str) -> Result<(), Failure> {
    call.engine.administration.user(user).map(drop).ok_or_else(|| Failure::not_found("user_not_found"))
}

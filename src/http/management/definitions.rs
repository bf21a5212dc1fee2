//! Definitions as files: everything, or one vhost.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::Management;
use super::answer::{Answer, Failure, done, json_text, ok};
use super::call::Call;
use crate::definitions::{Definitions, Fate, Plan, Step, apply, export, plan};

pub(super) fn routes() -> Router<Arc<Management>> {
    Router::new().route("/definitions", get(all).post(import)).route("/definitions/{vhost}", get(one).post(import_into))
}

async fn all(call: Call) -> Answer {
    call.visitor.expect_administrator()?;
    write(call, None).await
}

async fn one(call: Call, Path(vhost): Path<String>) -> Answer {
    call.visitor.expect_administrator()?;
    let vhost = call.vhost(&vhost)?.to_string();
    write(call, Some(vhost)).await
}

async fn write(call: Call, vhost: Option<String>) -> Answer {
    let download = call.query.get("download").map(str::to_owned);
    let file = move |call: &Call| {
        let definitions = export(&call.engine.administration, call.now, vhost.as_deref());
        Ok(definitions.to_file(vhost.is_some()).to_string())
    };
    let mut response = json_text(call.aside(file).await?);
    let disposition = download.and_then(|name| HeaderValue::from_str(&format!("attachment; filename={name}")).ok());
    if let Some(disposition) = disposition {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

async fn import(call: Call, body: Bytes) -> Answer {
    read(call, None, body).await
}

async fn import_into(call: Call, Path(vhost): Path<String>, body: Bytes) -> Answer {
    let vhost = super::queues::existing_vhost(&call, &vhost)?.to_string();
    read(call, Some(vhost), body).await
}

/// 204 when everything is there now; 200 and what was left out, and why, when something was; 400 when nothing was taken.
async fn read(call: Call, vhost: Option<String>, body: Bytes) -> Answer {
    call.visitor.expect_administrator()?;
    let value: Value = serde_json::from_slice(&body).map_err(|_| Failure::bad_request("failed_to_parse_json"))?;
    let done_plan = call
        .aside(move |call| {
            let definitions = Definitions::of(value, vhost.as_deref());
            let definitions = definitions.map_err(|error| Failure::bad_request(error.to_string()))?;
            let plan = plan(definitions, &call.engine.administration, call.now);
            Ok(Handle::current().block_on(apply(plan, &call.engine.administration, call.now))?)
        })
        .await?;
    answer(&done_plan)
}

fn answer(plan: &Plan) -> Answer {
    let dropped = plan.steps.iter().filter(|step| step.fate == Fate::Dropped);
    let dropped: Vec<Value> = dropped.map(show).collect();
    if dropped.is_empty() {
        return done();
    }
    if dropped.len() == plan.steps.len() {
        return Err(Failure::bad_request(json!({ "dropped": dropped })));
    }
    ok(&json!({ "dropped": dropped }))
}

fn show(step: &Step) -> Value {
    json!({ "section": step.section.key(), "name": step.identity, "reason": step.why })
}

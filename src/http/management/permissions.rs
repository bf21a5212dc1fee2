//! Who may do what: administrators see and say it.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use bytes::Bytes;
use serde_json::{Value, json};

use super::Management;
use super::answer::{Answer, Failure};
use super::call::{Call, Document};
use super::changes::{delete, put};
use crate::administration::{AdministrationError, Made, PermissionRecord, TopicPermissionRecord};

pub(super) fn routes() -> Router<Arc<Management>> {
    Router::new()
        .route("/permissions", get(list))
        .route("/permissions/{vhost}/{user}", get(one).put(change).delete(remove))
        .route("/vhosts/{vhost}/permissions", get(of_vhost))
        .route("/users/{user}/permissions", get(of_user))
        .route("/topic-permissions", get(topics))
        .route("/topic-permissions/{vhost}/{user}", get(topics_of).put(change_topic).delete(remove_topics))
        .route("/topic-permissions/{vhost}/{user}/{exchange}", axum::routing::delete(remove_topic))
        .route("/vhosts/{vhost}/topic-permissions", get(topics_of_vhost))
        .route("/users/{user}/topic-permissions", get(topics_of_user))
}

fn show(record: &PermissionRecord) -> Value {
    json!({
        "user": record.user, "vhost": record.vhost, "configure": record.configure, "write": record.write,
        "read": record.read,
    })
}

fn show_topic(record: &TopicPermissionRecord) -> Value {
    json!({
        "user": record.user, "vhost": record.vhost, "exchange": record.exchange, "write": record.write,
        "read": record.read,
    })
}

fn answer(call: &Call, is_listed: impl Fn(&PermissionRecord) -> bool) -> Answer {
    call.visitor.expect_administrator()?;
    let all = call.engine.administration.permissions().into_iter().map(|(record, _)| record);
    call.listing()?.answer(all.filter(is_listed).collect(), |record: &PermissionRecord| &record.user, show)
}

fn answer_topics(call: &Call, is_listed: impl Fn(&TopicPermissionRecord) -> bool) -> Answer {
    call.visitor.expect_administrator()?;
    let all = call.engine.administration.topic_permissions().into_iter();
    call.listing()?.answer(all.filter(is_listed).collect(), |record: &TopicPermissionRecord| &record.user, show_topic)
}

async fn list(call: Call) -> Answer {
    answer(&call, |_| true)
}

async fn of_vhost(call: Call, Path(vhost): Path<String>) -> Answer {
    expect_vhost(&call, &vhost)?;
    answer(&call, |record| record.vhost == vhost)
}

async fn of_user(call: Call, Path(user): Path<String>) -> Answer {
    expect_user(&call, &user)?;
    answer(&call, |record| record.user == user)
}

async fn topics(call: Call) -> Answer {
    answer_topics(&call, |_| true)
}

async fn topics_of_vhost(call: Call, Path(vhost): Path<String>) -> Answer {
    expect_vhost(&call, &vhost)?;
    answer_topics(&call, |record| record.vhost == vhost)
}

async fn topics_of_user(call: Call, Path(user): Path<String>) -> Answer {
    expect_user(&call, &user)?;
    answer_topics(&call, |record| record.user == user)
}

fn expect_vhost(call: &Call, vhost: &str) -> Result<(), Failure> {
    if call.engine.broker.has_vhost(&vhost.into()) { Ok(()) } else { Err(Failure::no_object()) }
}

fn expect_user(call: &Call, user: &str) -> Result<(), Failure> {
    call.visitor.expect_administrator()?;
    call.engine.administration.user(user).map(drop).ok_or_else(Failure::no_object)
}

async fn one(call: Call, Path((vhost, user)): Path<(String, String)>) -> Answer {
    call.visitor.expect_administrator()?;
    let all = call.engine.administration.permissions();
    let found = all.iter().find(|(record, _)| record.vhost == vhost && record.user == user);
    let (record, _) = found.ok_or_else(Failure::no_object)?;
    call.listing()?.one(show(record))
}

async fn change(call: Call, Path((vhost, user)): Path<(String, String)>, body: Bytes) -> Answer {
    call.visitor.expect_administrator()?;
    let document = Document::parse(&body)?;
    document.require(&["configure", "write", "read"])?;
    let text = |name| document.text(name).to_owned();
    let record =
        PermissionRecord { vhost, user, configure: text("configure"), write: text("write"), read: text("read") };
    put(&call, both_ends(call.engine.administration.put_permission(record))?).await
}

/// RabbitMQ's word for a vhost or user that is missing.
fn both_ends(change: Result<Made, AdministrationError>) -> Result<Result<Made, AdministrationError>, Failure> {
    match change {
        Err(AdministrationError::NotFound(_)) => Err(Failure::bad_request("vhost_or_user_not_found")),
        change => Ok(change),
    }
}

async fn remove(call: Call, Path((vhost, user)): Path<(String, String)>) -> Answer {
    call.visitor.expect_administrator()?;
    delete(&call, call.engine.administration.delete_permission(&vhost, &user)).await
}

async fn topics_of(call: Call, Path((vhost, user)): Path<(String, String)>) -> Answer {
    call.visitor.expect_administrator()?;
    let is_theirs = |record: &TopicPermissionRecord| record.vhost == vhost && record.user == user;
    if !call.engine.administration.topic_permissions().iter().any(is_theirs) {
        return Err(Failure::no_object());
    }
    answer_topics(&call, is_theirs)
}

async fn change_topic(call: Call, Path((vhost, user)): Path<(String, String)>, body: Bytes) -> Answer {
    call.visitor.expect_administrator()?;
    let document = Document::parse(&body)?;
    document.require(&["exchange", "write", "read"])?;
    let text = |name| document.text(name).to_owned();
    let record =
        TopicPermissionRecord { vhost, user, exchange: text("exchange"), write: text("write"), read: text("read") };
    put(&call, both_ends(call.engine.administration.put_topic_permission(record))?).await
}

async fn remove_topics(call: Call, Path((vhost, user)): Path<(String, String)>) -> Answer {
    call.visitor.expect_administrator()?;
    delete(&call, call.engine.administration.delete_topic_permissions(&vhost, &user, None)).await
}

async fn remove_topic(call: Call, Path((vhost, user, exchange)): Path<(String, String, String)>) -> Answer {
    call.visitor.expect_administrator()?;
    delete(&call, call.engine.administration.delete_topic_permissions(&vhost, &user, Some(&exchange))).await
}

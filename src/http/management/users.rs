//! Users. Only administrators see them.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::Management;
use super::answer::{Answer, Failure, done, ok};
use super::call::{Call, Document};
use super::changes::{delete, keep, put};
use crate::administration::Limits;
use crate::auth::{PasswordHash, UserRecord};

/// The word for hashes in RabbitMQ's form.
const SALTED_DIGEST: &str = "rabbit_password_hashing_sha256";
/// The word for ours.
const ARGON2: &str = "argon2id";

pub(super) fn routes() -> Router<Arc<Management>> {
    Router::new()
        .route("/users", get(list))
        .route("/users/without-permissions", get(list_without_permissions))
        .route("/users/bulk-delete", post(remove_several))
        .route("/users/{name}", get(one).put(change).delete(remove))
        .route("/auth/hash_password/{password}", get(hash))
}

async fn list(call: Call) -> Answer {
    call.visitor.expect_administrator()?;
    answer(&call, |_| true)
}

async fn list_without_permissions(call: Call) -> Answer {
    call.visitor.expect_administrator()?;
    let permissions = call.engine.administration.permissions();
    answer(&call, |user| !permissions.iter().any(|(record, _)| record.user == user.name))
}

fn answer(call: &Call, is_listed: impl Fn(&UserRecord) -> bool) -> Answer {
    let limits: HashMap<String, Limits> = call.engine.administration.user_limits().into_iter().collect();
    let users = call.engine.administration.users().into_iter().map(|(user, _)| user).filter(is_listed).collect();
    call.listing()?.answer(users, |user: &UserRecord| &user.name, |user| show(user, limits.get(&user.name)))
}

async fn one(call: Call, Path(name): Path<String>) -> Answer {
    call.visitor.expect_administrator()?;
    let (user, _) = call.engine.administration.user(&name).ok_or_else(Failure::no_object)?;
    let limits = call.engine.administration.limits_of_user(&name);
    call.listing()?.one(show(&user, Some(&limits)))
}

fn show(user: &UserRecord, limits: Option<&Limits>) -> Value {
    let hash = user.password_hash.as_ref().map_or("", PasswordHash::expose);
    let algorithm = if hash.starts_with('$') { ARGON2 } else { SALTED_DIGEST };
    json!({
        "name": user.name, "tags": user.tags, "password_hash": hash, "hashing_algorithm": algorithm,
        "limits": limits.cloned().unwrap_or_default(),
    })
}

/// As in RabbitMQ a user who is given no password has none, also one who had.
async fn change(call: Call, Path(name): Path<String>, body: Bytes) -> Answer {
    call.visitor.expect_administrator()?;
    let document = Document::parse(&body)?;
    let tags = document.get("tags").or_else(|| document.get("administrator"));
    let tags = tags_of(tags.ok_or_else(|| Failure::bad_request("tags_not_present"))?)?;
    let password_hash = password_hash(&document).await?;
    put(&call, call.engine.administration.put_user(UserRecord { name, password_hash, tags })).await
}

/// A list, or words between commas.
pub(super) fn tags_of(value: &Value) -> Result<Vec<String>, Failure> {
    match value {
        Value::String(words) => {
            Ok(words.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect())
        }
        Value::Array(words) => {
            let word = |word: &Value| word.as_str().map(str::to_owned);
            words.iter().map(word).collect::<Option<_>>().ok_or_else(|| Failure::bad_request("tags_must_be_strings"))
        }
        _ => Err(Failure::bad_request("tags_must_be_strings")),
    }
}

async fn password_hash(document: &Document) -> Result<Option<PasswordHash>, Failure> {
    match (document.get("password"), document.get("password_hash")) {
        (Some(_), Some(_)) => Err(Failure::bad_request("both_password_and_password_hash_are_provided")),
        (Some(password), None) => {
            let password = password.as_str().unwrap_or_default().to_owned();
            if password.is_empty() {
                return Err(Failure::bad_request("blank_password"));
            }
            hash_of(password).await.map(Some)
        }
        (None, Some(hash)) => given_hash(hash.as_str().unwrap_or_default()),
        (None, None) => Ok(None),
    }
}

/// Hashing takes 20 ms.
async fn hash_of(password: String) -> Result<PasswordHash, Failure> {
    let hashed = tokio::task::spawn_blocking(move || PasswordHash::create(password.as_bytes())).await;
    match hashed {
        Ok(hashed) => hashed.map_err(|error| Failure::bad_request(error.to_string())),
        Err(_) => Err(Failure::unavailable("a defect: see the log")),
    }
}

fn given_hash(text: &str) -> Result<Option<PasswordHash>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    if !text.starts_with('$') && STANDARD.decode(text).is_err() {
        return Err(Failure::bad_request(json!(["not_base64", text])));
    }
    PasswordHash::parse(text).map(Some).map_err(|error| Failure::bad_request(error.to_string()))
}

async fn remove(call: Call, Path(name): Path<String>) -> Answer {
    call.visitor.expect_administrator()?;
    delete(&call, call.engine.administration.delete_user(&name)).await
}

/// All of them, or none if one is not there.
async fn remove_several(call: Call, body: Bytes) -> Answer {
    call.visitor.expect_administrator()?;
    let document = Document::parse(&body)?;
    document.require(&["users"])?;
    let names: Vec<&str> =
        document.get("users").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if let Some(missing) = names.iter().find(|name| call.engine.administration.user(name).is_none()) {
        return Err(Failure::bad_request(json!(["no_such_user", missing])));
    }
    for name in names {
        keep(&call, call.engine.administration.delete_user(name)).await?;
    }
    done()
}

/// What a user's `password_hash` would be.
async fn hash(call: Call, Path(password): Path<String>) -> Answer {
    call.visitor.expect_administrator()?;
    let hash = hash_of(password).await?;
    ok(&json!({ "ok": hash.expose() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_words_or_a_list() {
        assert_eq!(tags_of(&json!("management, policymaker")).unwrap(), ["management", "policymaker"]);
        assert_eq!(tags_of(&json!(["a", "b"])).unwrap(), ["a", "b"]);
        assert_eq!(tags_of(&json!("")).unwrap(), Vec::<String>::new());
        assert!(tags_of(&json!([1])).is_err() && tags_of(&json!(true)).is_err());
    }

    #[test]
    fn a_hash_is_rabbitmqs_or_ours_or_none() {
        assert_eq!(given_hash("").unwrap(), None);
        assert!(given_hash("kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR").unwrap().is_some());
        assert_eq!(given_hash("zz"), Err(Failure::bad_request(json!(["not_base64", "zz"]))));
        assert!(given_hash("aGVsbG8=").is_err() && given_hash("$argon2id$").is_err());
    }
}

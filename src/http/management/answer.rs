//! Answers: JSON, and what went wrong in RabbitMQ's words.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use crossdock_common::Refusal;
use crossdock_common::refusal::Resource;
use serde_json::{Value, json};

/// What a handler gives.
pub(super) type Answer = Result<Response, Failure>;

/// Why a request is not done.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    status: StatusCode,
    body: Value,
}

impl Failure {
    fn new(status: StatusCode, error: &str, reason: impl Into<Value>) -> Self {
        Self { status, body: json!({ "error": error, "reason": reason.into() }) }
    }

    /// 400.
    pub(super) fn bad_request(reason: impl Into<Value>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", reason)
    }

    /// 400 with another word than `bad_request`.
    pub(super) fn invalid(error: &str, reason: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, reason)
    }

    /// 404 for a thing that is not there.
    pub(super) fn no_object() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Object Not Found", "Not Found")
    }

    /// 404 for what a request refers to.
    pub(super) fn not_found(reason: impl Into<Value>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", reason)
    }

    /// 401 for somebody who is known.
    pub(super) fn not_authorised(reason: impl Into<Value>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not_authorised", reason)
    }

    /// 403 for what nobody may change while the broker runs.
    pub(super) fn forbidden(reason: impl Into<Value>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", reason)
    }

    /// 401 for somebody who is not.
    pub(super) fn login_failed() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not_authorized", "Login failed")
    }

    /// 408 for a body that does not come.
    pub(super) fn too_slow() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "bad_request", "the body did not come in time")
    }

    /// 412 for what is to stay as it is.
    pub(super) fn precondition_failed(reason: impl Into<Value>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", reason)
    }

    /// 413.
    pub(super) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "bad_request", "Exceeded HTTP request body size limit")
    }

    /// 503.
    pub(super) fn unavailable(reason: impl Into<Value>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", reason)
    }

    /// A health check that found something.
    pub(super) fn unhealthy(body: Value) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, body }
    }
}

/// What the core refused, with AMQP's code names where RabbitMQ has them.
impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::NotFound { resource: Resource::Vhost, .. } | Refusal::VhostNotFound { .. } => {
                Self::not_found("vhost_not_found")
            }
            Refusal::NotFound { .. } => Self::not_found(text),
            Refusal::VhostRefused { .. } | Refusal::InvalidCredentials => Self::not_authorised("Access refused."),
            Refusal::AccessRefused { .. } | Refusal::Forbidden(_) | Refusal::ExclusiveUse { .. } => {
                Self::not_authorised(format!("ACCESS_REFUSED - {text}"))
            }
            Refusal::ResourceLocked { .. } => Self::bad_request(format!("RESOURCE_LOCKED - {text}")),
            Refusal::Unavailable(_) => Self::unavailable(text),
            _ => Self::bad_request(text),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, json_text(self.body.to_string())).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let realm = HeaderValue::from_static("Basic realm=\"RabbitMQ Management\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
        }
        response
    }
}

/// 200 with JSON.
#[allow(clippy::unnecessary_wraps, reason = "every handler gives an answer")]
pub(super) fn ok(body: &Value) -> Answer {
    Ok(json_text(body.to_string()))
}

/// 200 with JSON that is written already.
pub(super) fn json_text(text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::VARY, HeaderValue::from_static("accept, accept-encoding, origin")),
    ];
    (headers, text).into_response()
}

/// 201 for a new thing, 204 for one that was there.
pub(super) fn made(is_new: bool) -> Answer {
    Ok(if is_new { StatusCode::CREATED } else { StatusCode::NO_CONTENT }.into_response())
}

/// 204.
pub(super) fn done() -> Answer {
    made(false)
}

/// 201 and where the new thing is.
pub(super) fn made_at(location: &str) -> Answer {
    let location = HeaderValue::from_str(location).map_err(|_| Failure::bad_request("not a name for a header"))?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)]).into_response())
}

/// A path that is nothing.
pub(super) async fn nothing() -> Failure {
    Failure::no_object()
}

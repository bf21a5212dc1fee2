//! The management listener: health, metrics, and RabbitMQ's management API under `/api`. Health and metrics need no login and tell nothing
//! about messages; everything under `/api` does.

mod access;
mod answer;
mod bindings;
mod call;
mod changes;
mod channels;
mod connections;
mod definitions;
mod exchanges;
mod health;
mod listing;
mod messages;
mod nodes;
mod overview;
mod parameters;
mod permissions;
mod policies;
mod prometheus;
mod queues;
mod rates;
mod session;
mod users;
mod values;
mod vhosts;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use crossdock_common::Limits;
use tower_service::Service as _;

use crate::broker::{Engine, Health, Startup};
use crate::config::{Settings, TlsSettings};
use crate::net::{Listening, machine_limits};
use crate::telemetry::Metrics;
use answer::Failure;
use rates::Rates;

/// A message's body in JSON, base64 or with every byte escaped, and room for its properties.
const SPELLING_MAX: usize = 2;
const PROPERTIES_BYTES: usize = 1 << 20;

/// What the listener knows: it answers from the first moment, when there is no engine yet.
pub struct Management {
    startup: Arc<Startup>,
    metrics: Arc<Metrics>,
    rates: Arc<Rates>,
    listening: OnceLock<Vec<Listening>>,
    node: String,
    data_dir: String,
    limits: Limits,
    connections_max: usize,
    tls: TlsSettings,
}

impl Management {
    /// Knows nothing of what listens yet.
    pub fn new(startup: Arc<Startup>, metrics: Arc<Metrics>, settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            startup,
            metrics,
            rates: Arc::default(),
            listening: OnceLock::new(),
            node: settings.node_name.clone(),
            data_dir: settings.data_dir.display().to_string(),
            limits: machine_limits(settings),
            connections_max: settings.limits.connections_max as usize,
            tls: settings.tls.clone(),
        })
    }

    /// All listeners run.
    pub fn set_listeners(&self, listening: &[Listening]) {
        self.listening.get_or_init(|| listening.to_vec());
    }

    /// The longest body of a request.
    fn body_bytes_max(&self) -> usize {
        self.limits.message_bytes_max * SPELLING_MAX + PROPERTIES_BYTES
    }

    fn listeners(&self) -> &[Listening] {
        self.listening.get().map_or(&[], Vec::as_slice)
    }

    fn engine(&self) -> Result<Arc<Engine>, Failure> {
        self.startup.engine().cloned().ok_or_else(|| Failure::unavailable("the broker is starting"))
    }
}

/// `/livez`: the process answers. `/readyz`: 200 while clients are served, also when publishers have to wait (the body says
/// why); 503 while journals are replayed, when one has failed, and while the broker is being stopped. `/metrics`: its numbers,
/// `/metrics/per-object` with those of every queue.
/// `/api`: RabbitMQ's management API, with or without a slash at the end.
pub fn router(management: Arc<Management>) -> Router {
    let routes = routes(management);
    Router::new().fallback(move |request| without_last_slash(routes.clone(), request))
}

async fn without_last_slash(mut routes: Router, mut request: Request) -> Response {
    let trimmed = request
        .uri()
        .path()
        .strip_suffix('/')
        .filter(|path| !path.is_empty())
        .map(|path| request.uri().query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}")));
    if let Some(uri) = trimmed.and_then(|path| path.parse().ok()) {
        *request.uri_mut() = uri;
    }
    match routes.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn routes(management: Arc<Management>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(prometheus::page))
        .route("/metrics/per-object", get(prometheus::page_per_queue))
        .nest("/api", api(&management))
        .with_state(management)
}

fn api(management: &Arc<Management>) -> Router<Arc<Management>> {
    overview::routes()
        .merge(nodes::routes())
        .merge(health::routes())
        .merge(vhosts::routes())
        .merge(connections::routes())
        .merge(channels::routes())
        .merge(exchanges::routes())
        .merge(queues::routes())
        .merge(bindings::routes())
        .merge(messages::routes())
        .merge(users::routes())
        .merge(permissions::routes())
        .merge(policies::routes())
        .merge(parameters::routes())
        .merge(definitions::routes())
        .fallback(answer::nothing)
        .layer(axum::middleware::from_fn_with_state(management.clone(), access::admit))
        .layer(DefaultBodyLimit::disable())
}

async fn ready(State(management): State<Arc<Management>>) -> Response {
    let Some(engine) = management.startup.engine() else {
        return recovering(&management.startup);
    };
    match engine.health() {
        Health::Ready => "ok\n".into_response(),
        // A load balancer that takes the broker out would keep away the consumers that drain it.
        Health::PublishersWait(why) => format!("publishers wait: {why}\n").into_response(),
        Health::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

fn recovering(startup: &Startup) -> Response {
    let progress = serde_json::to_string(&startup.progress()).unwrap_or_default();
    (StatusCode::SERVICE_UNAVAILABLE, [(header::CONTENT_TYPE, "application/json")], progress).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(startup: Arc<Startup>) -> (StatusCode, String) {
        let management = Management::new(startup, Arc::default(), &Settings::default());
        let response = ready(State(management)).await;
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn while_journals_are_replayed_it_is_not_ready_and_says_how_far_it_is() {
        let startup = Arc::new(Startup::default());
        let (status, body) = answer(startup.clone()).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body, r#"{"state":"recovering","records":0,"done_bytes":0,"total_bytes":0,"partitions":[]}"#);
        let folder = tempfile::tempdir().unwrap();
        startup.begin(folder.path(), 0);
        let (_, body) = answer(startup).await;
        assert!(
            body.ends_with(r#""partitions":[{"name":"definitions","records":0,"done_bytes":0,"total_bytes":1}]}"#),
            "{body}"
        );
    }
}

//! The management listener: health and metrics. They need no login and tell nothing about messages.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::broker::{Health, Startup};
use crate::telemetry::Metrics;

/// The content type of Prometheus' text format.
const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the listener knows: it answers from the first moment, when there is no engine yet.
#[derive(Clone)]
struct Known {
    startup: Arc<Startup>,
    metrics: Arc<Metrics>,
}

/// `/livez`: the process answers. `/readyz`: 200 while clients are served, also when publishers have to wait (the body says
/// why); 503 while journals are replayed, when one has failed, and while the broker is being stopped. `/metrics`: its numbers.
pub fn router(startup: Arc<Startup>, metrics: Arc<Metrics>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_page))
        .with_state(Known { startup, metrics })
}

async fn ready(State(known): State<Known>) -> Response {
    let Some(engine) = known.startup.engine() else {
        return recovering(&known.startup);
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

async fn metrics_page(State(known): State<Known>) -> impl IntoResponse {
    if let Some(engine) = known.startup.engine() {
        engine.measure();
    }
    ([(header::CONTENT_TYPE, METRICS_CONTENT_TYPE)], known.metrics.encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(startup: Arc<Startup>) -> (StatusCode, String) {
        let known = Known { startup, metrics: Arc::default() };
        let response = ready(State(known)).await;
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

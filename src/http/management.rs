//! The management listener: health and metrics. They need no login and tell nothing about messages.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::broker::{Engine, Health};

/// The content type of Prometheus' text format.
const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `/livez`: the process answers. `/readyz`: it can do its work. `/metrics`: its numbers.
pub fn router(engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(engine)
}

async fn ready(State(engine): State<Arc<Engine>>) -> (StatusCode, String) {
    match engine.health() {
        Health::Ready => (StatusCode::OK, "ok\n".to_owned()),
        Health::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn metrics(State(engine): State<Arc<Engine>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, METRICS_CONTENT_TYPE)], engine.metrics.encode())
}

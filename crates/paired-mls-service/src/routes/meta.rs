//! What is about the service itself.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, Uri, header},
    response::IntoResponse,
};
use paired_mls_api::ServiceView;

use crate::{AppState, logic::Failure, metrics::Holds, openapi};

pub(super) async fn service(State(state): State<AppState>) -> Json<ServiceView> {
    Json(ServiceView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        names: state.authorities.to_vec(),
        limits: state.limits.now().shown(),
    })
}

pub(super) async fn openapi() -> Json<serde_json::Value> {
    Json(openapi::document())
}

pub(super) async fn live() -> StatusCode {
    StatusCode::NO_CONTENT
}

pub(super) async fn ready(State(state): State<AppState>) -> Result<StatusCode, Failure> {
    state.store.ready().await.map_err(Failure::Store)?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn metrics(State(state): State<AppState>) -> impl IntoResponse {
    let held = Holds {
        bodies: state.bodies.held(),
        answers: state.answers.held(),
        connections: state.store.connections(),
    };
    let text = state.metrics.text(held).expect("text can be written to a string");
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, media_type)], text)
}

/// Says it if somebody expects the service below a path.
pub(super) async fn not_found(uri: Uri) -> Failure {
    match uri.path().split_once("/v1/") {
        Some((prefix, _)) if !prefix.is_empty() => Failure::Prefix(prefix.to_owned()),
        _ => Failure::NotFound,
    }
}

pub(super) async fn method() -> Failure {
    Failure::Method
}

//! What happens around every handler.

use std::{sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, header},
    middleware::Next,
    response::Response,
};
use paired_mls_api::{INCARNATION, Problem};

use crate::{
    AppState,
    edge::{Connection, hold},
};

/// Counts and logs a request, its route and never what is in it, gives it a number, and keeps it under
/// way on its connection until the client has the answer.
pub(super) async fn observe(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = route.unwrap_or("none").to_owned();
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let flight = connection.as_ref().map(Connection::request);
    let number = number();
    let device = tracing::field::Empty;
    let span = tracing::info_span!("request", method, route, request = number, device);
    let mut response = tracing::Instrument::instrument(next.run(request), span.clone()).await;
    let (status, took) = (response.status().as_u16(), started.elapsed());
    state.metrics.request(method, &route, status, took);
    {
        let _entered = span.enter();
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(status, milliseconds, "served");
    }
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        problem.request = Some(number.clone());
        if let Ok(json) = serde_json::to_vec(&problem) {
            *response.body_mut() = Body::from(json);
        }
    }
    if let Ok(number) = HeaderValue::from_str(&number) {
        response.headers_mut().insert("x-request-id", number);
    }
    match (connection, flight) {
        (Some(connection), Some(flight)) => hold(&connection, flight, response),
        _ => response,
    }
}

/// A number for a request that no other has, as far as anybody will see.
fn number() -> String {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Err(_) => "none".to_owned(),
    }
}

/// The name of a method, of a closed set: anybody can invent further ones.
fn known_method(method: &Method) -> &'static str {
    let known = ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
    known.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// Answers are for one device: no cache keeps them, and no browser guesses what they are. They say of which
/// incarnation they are.
pub(super) async fn headers(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(incarnation) = HeaderValue::from_str(&state.incarnation()) {
        headers.insert(INCARNATION, incarnation);
    }
    response
}

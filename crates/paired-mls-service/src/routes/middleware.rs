//! What happens around every handler.

use std::time::Instant;

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest, MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::Response,
};
use paired_mls_api::{Fields, Target};

use crate::{
    AppState,
    logic::{self, Failure, Incoming},
};

/// A request with its body read.
pub(super) struct Buffered {
    pub(super) parts: Parts,
    pub(super) body: Bytes,
}

impl Buffered {
    async fn read(state: &AppState, request: Request) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let limit = state.limits.body;
        let body = to_bytes(body, limit).await.map_err(|_| Failure::TooLarge(limit))?;
        Ok(Self { parts, body })
    }

    /// What of it a signature is about.
    pub(super) fn incoming(&self) -> Result<Incoming<'_>, Failure> {
        let Parts { method, uri, headers, .. } = &self.parts;
        // HTTP/2 has :authority in its target, HTTP/1.1 a header.
        let authority = match uri.authority() {
            Some(authority) => authority.as_str(),
            None => one(headers, header::HOST.as_str())?,
        };
        let target = Target {
            method: method.as_str(),
            authority,
            path: uri.path(),
            query: uri.query().unwrap_or_default(),
        };
        let fields = Fields {
            content_digest: one(headers, "content-digest")?.to_owned(),
            signature_input: one(headers, "signature-input")?.to_owned(),
            signature: one(headers, "signature")?.to_owned(),
        };
        Ok(Incoming { target, fields, body: &self.body })
    }
}

impl FromRequest<AppState> for Buffered {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Failure> {
        Self::read(state, request).await
    }
}

/// The value of a header that is there exactly once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Failure> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Failure::NoSignature);
    };
    value.to_str().map_err(|_| Failure::NoSignature)
}

/// Lets a request in that a registered device has signed.
pub(super) async fn authenticate(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let buffered = Buffered::read(&state, request).await?;
    let caller = logic::authenticate(&state, &buffered.incoming()?).await?;
    tracing::Span::current().record("device", tracing::field::display(&caller.device));
    let Buffered { mut parts, body } = buffered;
    parts.extensions.insert(caller);
    Ok(next.run(Request::from_parts(parts, Body::from(body))).await)
}

/// Counts and logs a request: its route, and never what is in it.
pub(super) async fn observe(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = route.unwrap_or("none").to_owned();
    let span = tracing::info_span!("request", method, route, device = tracing::field::Empty);
    let response = tracing::Instrument::instrument(next.run(request), span.clone()).await;
    let (status, took) = (response.status().as_u16(), started.elapsed());
    state.metrics.request(method, &route, status, took);
    let _entered = span.enter();
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(status, milliseconds, "served");
    response
}

/// The name of a method, of a closed set: anybody can invent further ones.
fn known_method(method: &Method) -> &'static str {
    let known = ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
    known.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

/// Answers are for one device: no cache keeps them, and no browser guesses what they are.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

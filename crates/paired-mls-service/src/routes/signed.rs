//! Signed requests.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody as _, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use paired_mls_api::{DeviceId, Fields, INCARNATION, Target};
use tokio::time::timeout;

use crate::{
    AppState,
    edge::{Connection, Place, Share, TooMany},
    logic::{self, Caller, Failure, Forwarded, Head, Introduced, Introduction},
    metrics::Refused,
};

/// What is read of a body that nobody wants, so that its sender reads the answer.
const LEFTOVER: usize = 64 << 10;

/// How long that is waited for.
const LEFTOVER_TIME: Duration = Duration::from_secs(2);

/// What a signature is about, apart from the body.
fn head(parts: &Parts) -> Result<Head<'_>, Failure> {
    let Parts { method, uri, headers, .. } = parts;
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
    let forwarded = Forwarded {
        host: one(headers, "x-forwarded-host").ok(),
        prefix: one(headers, "x-forwarded-prefix").ok(),
    };
    Ok(Head { target, fields, forwarded })
}

/// Reads a body, of `limit` bytes at most, in time, and within what all bodies may take. The second is
/// held for as long as the body is.
async fn read(
    state: &AppState,
    body: Body,
    limit: usize,
) -> Result<(Bytes, Option<Share>), Failure> {
    if body.is_end_stream() {
        return Ok((Bytes::new(), None));
    }
    let hint = body.size_hint();
    let limit_u64 = u64::try_from(limit).unwrap_or(u64::MAX);
    if hint.lower() > limit_u64 {
        return Err(Failure::TooLarge(limit));
    }
    // One that does not say how long it is may be as long as any.
    let length = hint.upper().unwrap_or(limit_u64).min(limit_u64);
    let length = usize::try_from(length).unwrap_or(limit);
    let time = Duration::from_secs(state.limits.now().body_seconds);
    let share = match state.bodies.take_now(length) {
        Some(share) => share,
        // The other half of the time is for the body.
        None => state.bodies.take_within(length, time / 2).await.ok_or_else(|| {
            state.metrics.refused(Refused::Bodies);
            Failure::Crowded
        })?,
    };
    match timeout(time, to_bytes(body, limit)).await {
        Ok(Ok(body)) => Ok((body, Some(share))),
        Ok(Err(error)) if is_too_long(&error) => Err(Failure::TooLarge(limit)),
        Ok(Err(_)) => Err(Failure::Malformed("body")),
        Err(_) => {
            state.metrics.refused(Refused::BodyTime);
            Err(Failure::SlowBody(state.limits.now().body_seconds))
        }
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// Passes over what is left of a body, as far as it is short.
async fn pass_over(body: Body) {
    let mut body = Limited::new(body, LEFTOVER);
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    // Whoever sends more may miss the answer.
    let _over = timeout(LEFTOVER_TIME, rest).await;
}

/// Serves a request in the time that it has.
async fn in_time<T>(state: &AppState, serving: impl Future<Output = T>) -> Result<T, Failure> {
    let time = Duration::from_secs(state.limits.now().request_seconds);
    timeout(time, serving).await.map_err(|_| {
        state.metrics.refused(Refused::RequestTime);
        Failure::Slow
    })
}

/// The value of a header that is there exactly once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Failure> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(Failure::NoSignature);
    };
    value.to_str().map_err(|_| Failure::NoSignature)
}

/// Whose key signs the requests of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignedBy {
    /// That of a registered device: the head says which, and the body is read last.
    Device,
    /// One that the body names, which is read first, and has to be short.
    Introduced(Introduction),
}

/// The longest body that is read before its signature is verified, in bytes.
const INTRODUCTION: usize = 4 << 10;

/// The one way of all signed requests: lets in whoever has signed it and may make one more, spends the nonce, and
/// serves it in its time.
pub(super) async fn authenticate(
    State((state, by)): State<(AppState, SignedBy)>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let (mut parts, mut body) = request.into_parts();
    let admitted = async {
        let head = head(&parts)?;
        let (signed, signer, read) = match by {
            SignedBy::Device => {
                let (caller, signed) = in_time(&state, logic::admit(&state, &head)).await??;
                (signed, Signer::Device(caller), None)
            }
            SignedBy::Introduced(what) => {
                let signed = logic::fresh(&state, &head)?;
                let limit = INTRODUCTION.min(state.limits.now().body);
                let read = read(&state, std::mem::take(&mut body), limit).await?;
                let known = logic::introduced(&state, what, &head, &signed, &read.0);
                let known = in_time(&state, known).await??;
                (signed, Signer::Introduced(known), Some(read))
            }
        };
        let turn = one_more(&state, &parts, signed.device())?;
        Ok((signed, signer, read, turn))
    };
    let (signed, signer, read_first, turn) = match admitted.await {
        Ok(admitted) => admitted,
        Err(failure) => {
            pass_over(body).await;
            return Err(spent_all_the_same(&state, &parts, failure).await);
        }
    };
    match signer {
        Signer::Device(caller) => {
            tracing::Span::current().record("device", tracing::field::display(&caller.device));
            parts.extensions.insert(caller);
        }
        Signer::Introduced(key) => _ = parts.extensions.insert(key),
    }
    let (body, share) = match read_first {
        Some(read) => read,
        None => match read(&state, body, state.limits.now().body).await {
            Ok(read) => read,
            Err(failure) => return Err(spent_all_the_same(&state, &parts, failure).await),
        },
    };
    let nonce = logic::complete(&state, &signed, &body)?;
    let reads = reads(&parts.method);
    // What is refused here has spent its nonce: the header is not signed, and somebody else may leave it out.
    let known = same_incarnation(&state, &parts.headers);
    let request = Request::from_parts(parts, Body::from(body));
    let answer = async move {
        match known {
            Ok(()) => next.run(request).await,
            Err(failure) => failure.into_response(),
        }
    };
    if reads {
        let serve = async {
            state.store.read_once(&nonce).await?;
            Ok(answer.await)
        };
        return in_time(&state, serve).await?;
    }
    // What has begun to change something is not cut off, whoever goes away.
    let store = Arc::clone(&state.store);
    let serve = async move {
        let _held = (turn, share);
        store.once_for(nonce, answer).await
    };
    let serve = tokio::spawn(tracing::Instrument::in_current_span(serve));
    let served = in_time(&state, serve).await?;
    Ok(served.map_err(|_| Failure::Broken)??)
}

/// Spends the nonce of a request that its sender was refused for a reason that passes, after its signature was
/// verified: so that it does not take effect later, because somebody else sends it again. What only reads has none.
async fn spent_all_the_same(state: &AppState, parts: &Parts, failure: Failure) -> Failure {
    if !failure.passes() || reads(&parts.method) {
        return failure;
    }
    let spent = async {
        let nonce = logic::nonce(state, &logic::fresh(state, &head(parts)?)?);
        Ok(state.store.once_for(nonce, std::future::ready(())).await?)
    };
    match in_time(state, spent).await {
        Ok(Ok(())) => failure,
        Ok(Err(other)) | Err(other) => other,
    }
}

/// Whether a request of this method changes nothing.
fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Who has signed a request.
enum Signer {
    Device(Caller),
    Introduced(Introduced),
}

/// Lets the holder of a key make one more request at once, on a connection that is one of its own from now on.
fn one_more(
    state: &AppState,
    parts: &Parts,
    device: &DeviceId,
) -> Result<Place<DeviceId>, Failure> {
    if let Some(connection) = parts.extensions.get::<Arc<Connection>>() {
        let belongs = connection.belongs_to(device, &state.connections_of);
        belongs.map_err(|too_many| {
            state.metrics.refused(Refused::ConnectionsOfDevice);
            match too_many {
                TooMany::Connections => Failure::Connected(state.limits.now().device_connections),
                TooMany::Devices => Failure::Crowd(Connection::DEVICES),
            }
        })?;
    }
    state.requests_of.take(device).ok_or_else(|| {
        state.metrics.refused(Refused::RequestsOfDevice);
        Failure::AtOnce(state.limits.now().device_requests)
    })
}

/// Refuses a client that knows the service as it was before a backup was restored: what it goes on from may not
/// be there. One that does not say what it knows is not refused.
fn same_incarnation(state: &AppState, headers: &HeaderMap) -> Result<(), Failure> {
    let mut known = headers.get_all(INCARNATION).iter();
    match known.all(|known| known.as_bytes() == state.incarnation().as_bytes()) {
        true => Ok(()),
        false => Err(Failure::OtherIncarnation),
    }
}

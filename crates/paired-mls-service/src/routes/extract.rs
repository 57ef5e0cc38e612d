//! What handlers take. Whatever cannot be read is a problem document.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    sync::Arc,
};

use axum::{
    body::{Bytes, to_bytes},
    extract::{FromRequest, FromRequestParts, Path, Query, Request, WebSocketUpgrade},
    http::{HeaderMap, header, request::Parts},
};
use paired_mls_api::{JSON, MLS_MESSAGE, PAIRING_MESSAGE};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    AppState,
    edge::Connection,
    logic::{Caller, Failure, Introduced, Wanted},
};

impl FromRequestParts<AppState> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Failure> {
        parts.extensions.get().cloned().ok_or(Failure::NoSignature)
    }
}

impl FromRequestParts<AppState> for Introduced {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Failure> {
        parts.extensions.get().cloned().ok_or(Failure::NoSignature)
    }
}

/// The id in the path.
pub(super) struct Id<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<AppState> for Id<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Failure> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(id)).map_err(|_| Failure::Malformed("id in the path"))
    }
}

/// A JSON body.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<AppState> for JsonBody<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Failure> {
        let body = body(request, state, JSON).await?;
        serde_json::from_slice(&body).map(Self).map_err(|_| Failure::Malformed("body"))
    }
}

/// A body that is one MLS message.
pub(super) struct MlsBody(pub(super) Bytes);

impl FromRequest<AppState> for MlsBody {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Failure> {
        body(request, state, MLS_MESSAGE).await.map(Self)
    }
}

/// A body that is one message of the pairing protocol.
pub(super) struct PairingBody(pub(super) Bytes);

impl FromRequest<AppState> for PairingBody {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Failure> {
        body(request, state, PAIRING_MESSAGE).await.map(Self)
    }
}

/// A body that is opaque: an envelope.
pub(super) struct OctetBody(pub(super) Bytes);

impl FromRequest<AppState> for OctetBody {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Failure> {
        body(request, state, "application/octet-stream").await.map(Self)
    }
}

async fn body(
    request: Request,
    state: &AppState,
    media_type: &'static str,
) -> Result<Bytes, Failure> {
    if !is(request.headers(), media_type) {
        return Err(Failure::MediaType(media_type));
    }
    // It was read, and bounded, when the signature was checked.
    let body = to_bytes(request.into_body(), state.limits.now().body).await;
    body.map_err(|_| Failure::TooLarge(state.limits.now().body))
}

/// Whether the body has this media type, whatever its parameters.
fn is(headers: &HeaderMap, media_type: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(media_type))
}

/// The connection that a request has come by, unless it has come without a socket.
pub(super) struct By(pub(super) Option<Arc<Connection>>);

impl FromRequestParts<AppState> for By {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Failure> {
        Ok(Self(parts.extensions.get().cloned()))
    }
}

/// A request that becomes a WebSocket.
pub(super) struct Upgrade(pub(super) WebSocketUpgrade);

impl FromRequestParts<AppState> for Upgrade {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Failure> {
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await;
        upgrade.map(Self).map_err(|_| Failure::Malformed("upgrade to a WebSocket (RFC 6455)"))
    }
}

/// A query.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<AppState> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Failure> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(params)| Self(params)).map_err(|_| Failure::Malformed("query"))
    }
}

/// A position in a log or mailbox: none is 2^63 or more.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(try_from = "u64")]
pub(super) struct Position(pub(super) u64);

impl TryFrom<u64> for Position {
    type Error = &'static str;

    fn try_from(position: u64) -> Result<Self, Self::Error> {
        match i64::try_from(position) {
            Ok(_) => Ok(Self(position)),
            Err(_) => Err("the position is 2^63 or more"),
        }
    }
}

/// Where to read on.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cursor {
    #[serde(default)]
    pub(super) after: Position,
    limit: Option<NonZeroU32>,
    bytes: Option<NonZeroUsize>,
}

impl Cursor {
    /// How much is wanted.
    pub(super) fn wanted(&self) -> Wanted {
        let (count, bytes) = (self.limit.map(NonZeroU32::get), self.bytes.map(NonZeroUsize::get));
        Wanted { count, bytes }
    }
}

/// Where to resume a subscription: behind the last event that the client has seen, or the query.
pub(super) struct Resume(pub(super) u64);

impl FromRequestParts<AppState> for Resume {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Failure> {
        let Params(cursor) = Params::<Cursor>::from_request_parts(parts, state).await?;
        let Some(last) = parts.headers.get("last-event-id") else {
            return Ok(Self(cursor.after.0));
        };
        let last = last.to_str().ok().and_then(|last| last.parse::<u64>().ok());
        let last = last.and_then(|last| Position::try_from(last).ok());
        last.map(|Position(last)| Self(last)).ok_or(Failure::Malformed("header Last-Event-ID"))
    }
}

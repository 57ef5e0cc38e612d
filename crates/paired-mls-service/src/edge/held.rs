//! Answers that count as under way until the client has them.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    response::Response,
};
use http_body::{Frame, SizeHint};

use super::{Connection, Flight, Share};

/// Marks an answer that has no end: a subscription.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Endless;

/// Keeps a request under way until its answer is over, and each part of the answer until it has left
/// this process, with the memory that was set aside for it.
pub(crate) fn hold(
    connection: &Arc<Connection>,
    request: Flight,
    mut answer: Response,
) -> Response {
    let extensions = answer.extensions_mut();
    let flight = match extensions.remove::<Endless>() {
        Some(Endless) => Connection::endless(connection),
        None => request,
    };
    let share = extensions.remove::<Arc<Share>>();
    let connection = Arc::clone(connection);
    answer.map(|inner| Body::new(Held { inner, connection, share, _flight: flight }))
}

struct Held {
    inner: Body,
    connection: Arc<Connection>,
    share: Option<Arc<Share>>,
    _flight: Flight,
}

/// Bytes on their way. Whoever has taken them over drops them.
struct Part {
    bytes: Bytes,
    _share: Option<Arc<Share>>,
    _flight: Flight,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(context));
        let (connection, share) = (&self.connection, &self.share);
        Poll::Ready(frame.map(|frame| {
            let part = |bytes| {
                let part =
                    Part { bytes, _share: share.clone(), _flight: Connection::part(connection) };
                Bytes::from_owner(part)
            };
            frame.map(|frame| frame.map_data(part))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

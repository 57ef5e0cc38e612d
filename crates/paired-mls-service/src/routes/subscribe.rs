//! The two forms of a subscription.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::{
        WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::HeaderValue,
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::{
    AppState,
    edge::{Connection, Endless},
    feed::{Events, Rendered},
};

/// How often something is sent on a connection that is silent, so that nobody on the way ends it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Server-Sent Events: the position is the id, so that a client resumes by itself.
pub(super) fn server_sent(events: Events) -> Response {
    let event = |Rendered { position, event, json, .. }: Rendered| {
        Ok::<_, Infallible>(Event::default().id(position.to_string()).event(event).data(json))
    };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(events.map(event)).keep_alive(keep_alive).into_response();
    // A proxy that collected events would keep them back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.extensions_mut().insert(Endless);
    response
}

/// The longest message and frame that a client may send, in bytes: it has nothing to say.
const SAYS: usize = 1024;

/// What is read and written at once, in bytes. It is set aside for each connection.
const BUFFER: usize = 4096;

/// One text message for each event. What the client sends is not looked at.
pub(super) fn web_socket(
    state: &AppState,
    connection: Option<Arc<Connection>>,
    upgrade: WebSocketUpgrade,
    events: Events,
) -> Response {
    let patience = Duration::from_secs(state.limits.now().answer_seconds);
    let flight = connection.as_ref().map(Connection::endless);
    upgrade
        .max_message_size(SAYS)
        .max_frame_size(SAYS)
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .on_upgrade(move |socket| async move {
            let _flight = flight;
            deliver(socket, events, patience).await;
        })
}

async fn deliver(mut socket: WebSocket, mut events: Events, patience: Duration) {
    loop {
        let message = tokio::select! {
            event = events.next() => match event {
                Some(Rendered { json, .. }) => Message::Text((&*json).into()),
                None => break,
            },
            received = socket.recv() => match received {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
            () = tokio::time::sleep(KEEP_ALIVE) => Message::Ping(Default::default()),
        };
        // One that does not read is given up.
        let Ok(Ok(())) = timeout(patience, socket.send(message)).await else { return };
    }
    // The other side may be gone: then there is nothing to close.
    let _closed = timeout(patience, socket.send(Message::Close(None))).await;
}

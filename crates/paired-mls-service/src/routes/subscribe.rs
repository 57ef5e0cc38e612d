//! The two forms of a subscription.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{
        WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::StreamExt as _;

use crate::feed::{Events, Rendered};

/// How often something is sent on a connection that is silent, so that nobody on the way ends it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Server-Sent Events: the position is the id, so that a client resumes by itself.
pub(super) fn server_sent(events: Events) -> Response {
    let event = |Rendered { position, event, json }: Rendered| {
        Ok::<_, Infallible>(Event::default().id(position.to_string()).event(event).data(json))
    };
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Sse::new(events.map(event)).keep_alive(keep_alive).into_response()
}

/// One text message for each event. What the client sends is not looked at.
pub(super) fn web_socket(upgrade: WebSocketUpgrade, events: Events) -> Response {
    upgrade.max_message_size(1024).on_upgrade(|socket| deliver(socket, events))
}

async fn deliver(mut socket: WebSocket, mut events: Events) {
    loop {
        let sent = tokio::select! {
            event = events.next() => match event {
                Some(Rendered { json, .. }) => socket.send(Message::Text((&*json).into())).await,
                None => break,
            },
            received = socket.recv() => match received {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
            () = tokio::time::sleep(KEEP_ALIVE) => {
                socket.send(Message::Ping(Default::default())).await
            }
        };
        if sent.is_err() {
            return;
        }
    }
    // The other side may be gone: then there is nothing to close.
    let _closed = socket.send(Message::Close(None)).await;
}

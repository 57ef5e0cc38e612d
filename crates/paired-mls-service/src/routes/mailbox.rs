//! Mailboxes.

use axum::{extract::State, http::StatusCode, response::Response};
use paired_mls_api::{DeviceId, MailboxPage};
use serde::Deserialize;

use super::{
    extract::{By, Cursor, Id, OctetBody, Params, Position, Resume, Upgrade},
    subscribe,
};
use crate::{
    AppState, feed,
    logic::{self, Caller, Failure, Page},
};

pub(super) async fn post(
    State(state): State<AppState>,
    caller: Caller,
    Id(device): Id<DeviceId>,
    OctetBody(envelope): OctetBody,
) -> Result<StatusCode, Failure> {
    logic::post(&state, &caller, device, envelope.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn items(
    State(state): State<AppState>,
    caller: Caller,
    Params(cursor): Params<Cursor>,
) -> Result<Page<MailboxPage>, Failure> {
    logic::items(&state, &caller, cursor.after.0, cursor.wanted()).await
}

/// Up to where the items were fetched.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fetched {
    through: Position,
}

pub(super) async fn ack(
    State(state): State<AppState>,
    caller: Caller,
    Params(Fetched { through }): Params<Fetched>,
) -> Result<StatusCode, Failure> {
    logic::ack(&state, &caller, through.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn events(
    State(state): State<AppState>,
    caller: Caller,
    Resume(after): Resume,
) -> Result<Response, Failure> {
    feed::mailbox_events(&state, &caller, after).await.map(subscribe::server_sent)
}

pub(super) async fn socket(
    State(state): State<AppState>,
    caller: Caller,
    Resume(after): Resume,
    By(connection): By,
    Upgrade(upgrade): Upgrade,
) -> Result<Response, Failure> {
    let events = feed::mailbox_events(&state, &caller, after).await?;
    Ok(subscribe::web_socket(&state, connection, upgrade, events))
}

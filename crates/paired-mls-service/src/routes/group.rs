//! Groups.

use axum::{
    Json,
    extract::{State, WebSocketUpgrade},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use paired_mls_api::{CreateGroup, GroupId, GroupView, LogPage, PublishCommit, RosterRepair};

use super::{
    answer::{LongMls, published},
    extract::{By, Cursor, Id, JsonBody, MlsBody, Params, Resume},
    subscribe,
};
use crate::{
    AppState, feed,
    logic::{self, Caller, Failure, Page},
};

pub(super) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    JsonBody(request): JsonBody<CreateGroup>,
) -> Result<(StatusCode, Json<GroupView>), Failure> {
    let group = logic::create(&state, &caller, request).await?;
    Ok((StatusCode::CREATED, Json(group)))
}

pub(super) async fn view(
    State(state): State<AppState>,
    caller: Caller,
    Id(group): Id<GroupId>,
) -> Result<Json<GroupView>, Failure> {
    logic::view(&state, &caller, group).await.map(Json)
}

pub(super) async fn publish_commit(
    State(state): State<AppState>,
    caller: Caller,
    Id(group): Id<GroupId>,
    JsonBody(request): JsonBody<PublishCommit>,
) -> Result<impl IntoResponse, Failure> {
    logic::publish_commit(&state, &caller, &group, request).await.map(published)
}

pub(super) async fn publish_message(
    State(state): State<AppState>,
    caller: Caller,
    Id(group): Id<GroupId>,
    MlsBody(message): MlsBody,
) -> Result<impl IntoResponse, Failure> {
    logic::publish_message(&state, &caller, &group, &message).await.map(published)
}

pub(super) async fn log(
    State(state): State<AppState>,
    caller: Caller,
    Id(group): Id<GroupId>,
    Params(cursor): Params<Cursor>,
) -> Result<Page<LogPage>, Failure> {
    logic::log(&state, &caller, &group, cursor.after.0, cursor.wanted()).await
}

pub(super) async fn group_info(
    State(state): State<AppState>,
    caller: Caller,
    Id(group): Id<GroupId>,
) -> Result<LongMls, Failure> {
    logic::group_info(&state, &caller, &group).await.map(LongMls)
}

pub(super) async fn set_group_info(
    State(state): State<AppState>,
    caller: Caller,
    Id(group): Id<GroupId>,
    MlsBody(group_info): MlsBody,
) -> Result<StatusCode, Failure> {
    logic::set_group_info(&state, &caller, &group, &group_info).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn repair(
    State(state): State<AppState>,
    caller: Caller,
    Id(group): Id<GroupId>,
    JsonBody(request): JsonBody<RosterRepair>,
) -> Result<StatusCode, Failure> {
    logic::repair(&state, &caller, &group, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn events(
    State(state): State<AppState>,
    caller: Caller,
    Id(group): Id<GroupId>,
    Resume(after): Resume,
) -> Result<Response, Failure> {
    feed::group_events(&state, &caller, group, after).await.map(subscribe::server_sent)
}

pub(super) async fn socket(
    State(state): State<AppState>,
    caller: Caller,
    Id(group): Id<GroupId>,
    Resume(after): Resume,
    By(connection): By,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Failure> {
    let events = feed::group_events(&state, &caller, group, after).await?;
    Ok(subscribe::web_socket(&state, connection, upgrade, events))
}

//! Groups.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use paired_mls_api::{
    CreateGroup, GroupId, GroupView, LogPage, PublishCommit, RosterRepair, RosterRepaired,
};

use super::{
    answer::{LongMls, published},
    extract::{By, Cursor, Id, JsonBody, MlsBody, Params, Resume, Upgrade},
    subscribe,
};
use crate::{
    AppState, feed,
    logic::{self, Caller, Failure, Page, told_if_ended},
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
    let answer = logic::view(&state, &caller, group.clone()).await;
    told_if_ended(&state, &caller.user, &group, answer).await.map(Json)
}

pub(super) async fn publish_commit(
    State(state): State<AppState>,
    caller: Caller,
    Id(group): Id<GroupId>,
    JsonBody(request): JsonBody<PublishCommit>,
) -> Result<impl IntoResponse, Failure> {
    let answer = logic::publish_commit(&state, &caller, &group, request).await;
    told_if_ended(&state, &caller.user, &group, answer).await.map(published)
}

pub(super) async fn publish_message(
    State(state): State<AppState>,
    caller: Caller,
    Id(group): Id<GroupId>,
    MlsBody(message): MlsBody,
) -> Result<impl IntoResponse, Failure> {
    let answer = logic::publish_message(&state, &caller, &group, &message).await;
    told_if_ended(&state, &caller.user, &group, answer).await.map(published)
}

pub(super) async fn log(
    State(state): State<AppState>,
    caller: Caller,
    Id(group): Id<GroupId>,
    Params(cursor): Params<Cursor>,
) -> Result<Page<LogPage>, Failure> {
    let answer = logic::log(&state, &caller, &group, cursor.after.0, cursor.wanted()).await;
    told_if_ended(&state, &caller.user, &group, answer).await
}

pub(super) async fn group_info(
    State(state): State<AppState>,
    caller: Caller,
    Id(group): Id<GroupId>,
) -> Result<LongMls, Failure> {
    let answer = logic::group_info(&state, &caller, &group).await;
    told_if_ended(&state, &caller.user, &group, answer).await.map(LongMls)
}

pub(super) async fn set_group_info(
    State(state): State<AppState>,
    caller: Caller,
    Id(group): Id<GroupId>,
    MlsBody(group_info): MlsBody,
) -> Result<StatusCode, Failure> {
    let answer = logic::set_group_info(&state, &caller, &group, &group_info).await;
    told_if_ended(&state, &caller.user, &group, answer).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn repair(
    State(state): State<AppState>,
    caller: Caller,
    Id(group): Id<GroupId>,
    JsonBody(request): JsonBody<RosterRepair>,
) -> Result<Json<RosterRepaired>, Failure> {
    let answer = logic::repair(&state, &caller, &group, request).await;
    told_if_ended(&state, &caller.user, &group, answer).await.map(Json)
}

pub(super) async fn events(
    State(state): State<AppState>,
    caller: Caller,
    Id(group): Id<GroupId>,
    Resume(after): Resume,
) -> Result<Response, Failure> {
    let answer = feed::group_events(&state, &caller, group.clone(), after).await;
    told_if_ended(&state, &caller.user, &group, answer).await.map(subscribe::server_sent)
}

pub(super) async fn socket(
    State(state): State<AppState>,
    caller: Caller,
    Id(group): Id<GroupId>,
    Resume(after): Resume,
    By(connection): By,
    Upgrade(upgrade): Upgrade,
) -> Result<Response, Failure> {
    let events = feed::group_events(&state, &caller, group.clone(), after).await;
    let events = told_if_ended(&state, &caller.user, &group, events).await?;
    Ok(subscribe::web_socket(&state, connection, upgrade, events))
}

//! Users and devices.

use axum::{Json, extract::State, http::StatusCode};
use paired_mls_api::{
    Approval, ApprovalView, DeviceId, DeviceView, RegisterDevice, RevokeDevice, UserId, UserView,
};

use super::extract::{Id, JsonBody};
use crate::{
    AppState,
    logic::{self, Caller, Failure},
};

pub(super) async fn register(
    State(state): State<AppState>,
    JsonBody(device): JsonBody<RegisterDevice>,
) -> Result<(StatusCode, Json<DeviceView>), Failure> {
    let device = logic::register(&state, device).await?;
    Ok((StatusCode::CREATED, Json(device)))
}

pub(super) async fn device(
    State(state): State<AppState>,
    Id(device): Id<DeviceId>,
) -> Result<Json<DeviceView>, Failure> {
    logic::device(&state, &device).await.map(Json)
}

pub(super) async fn revoke(
    State(state): State<AppState>,
    caller: Caller,
    Id(device): Id<DeviceId>,
) -> Result<Json<RevokeDevice>, Failure> {
    logic::revoke(&state, &caller, &device).await.map(Json)
}

pub(super) async fn user(
    State(state): State<AppState>,
    Id(user): Id<UserId>,
) -> Result<Json<UserView>, Failure> {
    logic::user(&state, user).await.map(Json)
}

pub(super) async fn approve(
    State(state): State<AppState>,
    caller: Caller,
    JsonBody(Approval { device }): JsonBody<Approval>,
) -> Result<StatusCode, Failure> {
    logic::approve(&state, &caller, &device).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn approvals(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<Vec<ApprovalView>>, Failure> {
    logic::approvals(&state, &caller).await.map(Json)
}

pub(super) async fn disapprove(
    State(state): State<AppState>,
    caller: Caller,
    Id(device): Id<DeviceId>,
) -> Result<StatusCode, Failure> {
    logic::disapprove(&state, &caller, &device).await?;
    Ok(StatusCode::NO_CONTENT)
}

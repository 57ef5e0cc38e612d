//! Users and devices.

use axum::{Json, extract::State, http::StatusCode};
use paired_mls_api::{
    Approval, DeviceId, DeviceView, RegisterDevice, RevokeDevice, UserId, UserView,
};

use super::{
    extract::{Id, JsonBody},
    middleware::Buffered,
};
use crate::{
    AppState,
    logic::{self, Caller, Failure},
};

pub(super) async fn register(
    State(state): State<AppState>,
    request: Buffered,
) -> Result<(StatusCode, Json<DeviceView>), Failure> {
    let body = serde_json::from_slice::<RegisterDevice>(&request.body);
    let body = body.map_err(|_| Failure::Malformed("body"))?;
    let device = logic::register(&state, &request.incoming()?, body).await?;
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

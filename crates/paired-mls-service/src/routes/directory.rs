//! Users and devices.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use paired_mls_api::{
    Approval, ApprovalView, DeviceId, DeviceView, RevokeDevice, UserId, UserView,
};

use super::{
    extract::{By, Id, JsonBody},
    signed::{belongs, head, in_time, read},
};
use crate::{
    AppState,
    logic::{self, Caller, Failure},
};

/// A registration is not longer: its key is known only when its body was read.
const REGISTRATION: usize = 4 << 10;

pub(super) async fn register(
    State(state): State<AppState>,
    By(connection): By,
    request: Request,
) -> Result<(StatusCode, Json<DeviceView>), Failure> {
    let (parts, body) = request.into_parts();
    let head = head(&parts)?;
    let signed = logic::fresh(&state, &head)?;
    let (body, _share) = read(&state, body, REGISTRATION.min(state.limits.now().body)).await?;
    let device = in_time(&state, logic::register(&state, &head, &signed, &body)).await??;
    if let Some(connection) = connection {
        // It is registered. One connection too many ends soon by itself.
        let _counted = belongs(&state, &connection, &device.device);
    }
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

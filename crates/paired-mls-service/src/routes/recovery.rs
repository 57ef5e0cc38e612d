//! Recovery keys.

use axum::{Json, extract::State, http::StatusCode};
use paired_mls_api::{Recover, Recovered, RecoveryKey, RecoveryKeyView};

use super::extract::JsonBody;
use crate::{
    AppState,
    logic::{self, Caller, Failure, Introduced},
};

pub(super) async fn recover(
    State(state): State<AppState>,
    by: Introduced,
    JsonBody(recover): JsonBody<Recover>,
) -> Result<Json<Recovered>, Failure> {
    logic::recover(&state, &by, &recover).await.map(Json)
}

pub(super) async fn key(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<RecoveryKeyView>, Failure> {
    logic::recovery_key(&state, &caller).await.map(Json)
}

pub(super) async fn set_key(
    State(state): State<AppState>,
    caller: Caller,
    JsonBody(key): JsonBody<RecoveryKey>,
) -> Result<StatusCode, Failure> {
    logic::set_recovery_key(&state, &caller, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn drop_key(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<StatusCode, Failure> {
    logic::drop_recovery_key(&state, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

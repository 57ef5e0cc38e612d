//! Recovery keys.

use axum::{
    Json,
    extract::{Request, State},
    http::StatusCode,
};
use paired_mls_api::{Recovered, RecoveryKey, RecoveryKeyView};

use super::{
    extract::JsonBody,
    signed::{head, in_time, read},
};
use crate::{
    AppState,
    logic::{self, Caller, Failure},
};

/// A recovery is not longer: its key is known only when its body was read.
const RECOVERY: usize = 4 << 10;

pub(super) async fn recover(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<Recovered>, Failure> {
    let (parts, body) = request.into_parts();
    let head = head(&parts)?;
    let signed = logic::fresh(&state, &head)?;
    let (body, _share) = read(&state, body, RECOVERY.min(state.limits.now().body)).await?;
    let recovered = in_time(&state, logic::recover(&state, &head, &signed, &body)).await??;
    Ok(Json(recovered))
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

//! KeyPackages.

use axum::{Json, extract::State, http::StatusCode};
use paired_mls_api::{DeviceId, KeyPackageCount, KeyPackageUpload};
use serde::Deserialize;

use super::{
    answer::Mls,
    extract::{Id, JsonBody, Params},
};
use crate::{
    AppState,
    logic::{self, Caller, Failure},
};

pub(super) async fn upload(
    State(state): State<AppState>,
    caller: Caller,
    JsonBody(request): JsonBody<KeyPackageUpload>,
) -> Result<StatusCode, Failure> {
    logic::upload(&state, &caller, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn count(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<Vec<KeyPackageCount>>, Failure> {
    logic::count(&state, &caller).await.map(Json)
}

pub(super) async fn withdraw(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<StatusCode, Failure> {
    logic::withdraw(&state, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which suite is wanted.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    suite: u16,
}

pub(super) async fn claim(
    State(state): State<AppState>,
    caller: Caller,
    Id(device): Id<DeviceId>,
    Params(Wanted { suite }): Params<Wanted>,
) -> Result<Mls, Failure> {
    logic::claim(&state, &caller, &device, suite).await.map(Mls)
}

//! Pairings of standard mode.

use axum::{Json, extract::State, http::StatusCode};
use paired_mls_api::{Base64Url, PairingState, PairingView};

use super::extract::{Id, PairingBody};
use crate::{
    AppState,
    logic::{self, Caller, Failure},
};

pub(super) async fn ask(
    State(state): State<AppState>,
    caller: Caller,
    PairingBody(request): PairingBody,
) -> Result<(StatusCode, Json<PairingView>), Failure> {
    let pairing = logic::ask(&state, &caller, &request).await?;
    let status = match pairing.state {
        PairingState::Pending => StatusCode::ACCEPTED,
        PairingState::Registered => StatusCode::OK,
    };
    Ok((status, Json(pairing)))
}

pub(super) async fn look(
    State(state): State<AppState>,
    caller: Caller,
    Id(Base64Url(pairing)): Id<Base64Url>,
) -> Result<Json<PairingView>, Failure> {
    logic::look(&state, &caller, &pairing).await.map(Json)
}

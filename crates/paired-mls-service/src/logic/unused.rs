//! What is used, and what has ended because nobody used it.

use paired_mls_api::{DeviceId, GroupId, UserId};

use super::{Caller, Failure, failure::Over};
use crate::{
    AppState,
    clock::DAY,
    store::{Group, HasEnded, NoteUse, Subject, Used},
};

/// Notes that a user makes a request, once in a day.
pub(super) async fn use_user(state: &AppState, caller: &Caller) {
    note(state, Used::User(&caller.user), caller.used_day).await;
}

/// Notes that a member reads a group, once in a day.
pub(crate) async fn use_group(state: &AppState, group: &GroupId, found: &Group) {
    note(state, Used::Group(group), found.used_day).await;
}

/// What cannot be written now is written with the next request: nothing ends while the database fails.
async fn note(state: &AppState, of: Used<'_>, used_day: Option<u64>) {
    let day = state.clock.now() / DAY;
    if used_day.is_some_and(|used_day| used_day < day) {
        let _failed = state.store.run(&NoteUse { of, day }).await;
    }
}

/// Why a device is not known: perhaps because its user has ended.
pub(super) async fn unknown_device(state: &AppState, device: &DeviceId) -> Failure {
    match state.store.run(&HasEnded(Subject::Device(device))).await {
        Ok(true) => Failure::Ended(Over::Device),
        Ok(false) => Failure::UnknownDevice,
        Err(error) => error.into(),
    }
}

/// Why a pairing is not there, for a device.
pub(super) async fn no_pairing(state: &AppState, pairing: &[u8], caller: &Caller) -> Failure {
    match state.store.run(&HasEnded(Subject::Pairing(pairing, &caller.device))).await {
        Ok(true) => Failure::Ended(Over::Pairing),
        Ok(false) => Failure::NotFound,
        Err(error) => error.into(),
    }
}

/// What is answered of a group. One that has ended is told from one that never was, to those who were in it.
pub(crate) async fn told_if_ended<T>(
    state: &AppState,
    user: &UserId,
    group: &GroupId,
    answer: Result<T, Failure>,
) -> Result<T, Failure> {
    let Err(Failure::NotFound) = answer else { return answer };
    match state.store.run(&HasEnded(Subject::Group(group, user))).await? {
        true => Err(Failure::Ended(Over::Group)),
        false => answer,
    }
}

//! Users and devices.

use paired_mls_api::{
    ApprovalView, DeviceId, DeviceView, RevokeDevice as Revoked, UserId, UserView,
};

use super::{Caller, Failure};
use crate::{
    AppState,
    store::{
        APPROVED, ApprovalsOf, Approve, Device, DeviceById, DevicesOfUser, RevokeDevice,
        WithdrawApproval,
    },
};

fn show(device: Device) -> DeviceView {
    let Device { device, user, scheme, signature_key, revoked_at, .. } = device;
    DeviceView { device, user, scheme, signature_key: signature_key.into(), revoked_at }
}

/// What is known of a device.
pub(crate) async fn device(state: &AppState, device: &DeviceId) -> Result<DeviceView, Failure> {
    state.store.run(&DeviceById(device)).await?.map(show).ok_or(Failure::NotFound)
}

/// What is known of a user.
pub(crate) async fn user(state: &AppState, user: UserId) -> Result<UserView, Failure> {
    let devices = state.store.run(&DevicesOfUser(&user)).await?;
    if devices.is_empty() {
        return Err(Failure::NotFound);
    }
    Ok(UserView { user, devices: devices.into_iter().map(show).collect() })
}

/// Lets a further device of the caller's user register, for a day.
pub(crate) async fn approve(
    state: &AppState,
    caller: &Caller,
    device: &DeviceId,
) -> Result<(), Failure> {
    let now = state.clock.now();
    let (user, by, limit) = (&caller.user, &caller.device, state.limits.now().devices);
    let approve =
        Approve { user, device, by, now, expires_at: now.saturating_add(APPROVED), limit };
    if state.store.run(&approve).await? { Ok(()) } else { Err(Failure::Full(None)) }
}

/// The approvals of the caller's user that no device has used.
pub(crate) async fn approvals(
    state: &AppState,
    caller: &Caller,
) -> Result<Vec<ApprovalView>, Failure> {
    let approvals = ApprovalsOf { user: &caller.user, now: state.clock.now() };
    Ok(state.store.run(&approvals).await?)
}

/// Takes an approval of the caller's user back.
pub(crate) async fn disapprove(
    state: &AppState,
    caller: &Caller,
    device: &DeviceId,
) -> Result<(), Failure> {
    Ok(state.store.run(&WithdrawApproval { user: &caller.user, device }).await?)
}

/// Revokes a device of the caller's user.
pub(crate) async fn revoke(
    state: &AppState,
    caller: &Caller,
    device: &DeviceId,
) -> Result<Revoked, Failure> {
    let now = state.clock.now();
    let revoke = RevokeDevice { user: &caller.user, device, now };
    let revoked_at = state.store.run(&revoke).await?.ok_or(Failure::NotFound)?;
    Ok(Revoked { revoked_at })
}

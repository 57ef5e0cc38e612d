//! Recovery keys.

use paired_mls_api::{Recover, Recovered, RecoveryKey, RecoveryKeyView, SignatureScheme};

use super::{
    Caller, Failure,
    auth::{Introduced, NO_KEY},
};
use crate::{
    AppState,
    store::{APPROVED, RecoverUser, Recovery, RecoveryKeyOf, SetRecoveryKey},
};

/// What a recovery key signs with.
pub(super) const RECOVERY: SignatureScheme = SignatureScheme::Ed25519;

/// The key that has to sign a recovery. Whoever does not have it learns neither whether there is one, nor whether
/// there is such a user.
pub(super) async fn key_of(state: &AppState, recover: &Recover) -> Result<Vec<u8>, Failure> {
    let key = state.store.run(&RecoveryKeyOf(&recover.user)).await?;
    key.ok_or(Failure::NotRecoverable)
}

/// Lets a device register, by the recovery key that has signed the request.
pub(crate) async fn recover(
    state: &AppState,
    by: &Introduced,
    recover: &Recover,
) -> Result<Recovered, Failure> {
    let Recover { user, device, old_devices } = recover;
    let now = state.clock.now();
    let recover = RecoverUser {
        user,
        device,
        key: &by.key,
        old: *old_devices,
        now,
        expires_at: now.saturating_add(APPROVED),
    };
    match state.store.run(&recover).await? {
        Recovery::Approved(revoked) => Ok(Recovered { revoked }),
        Recovery::Banned => Err(Failure::Banned),
        Recovery::OtherKey => Err(Failure::NotRecoverable),
    }
}

/// The recovery key of the caller's account.
pub(crate) async fn recovery_key(
    state: &AppState,
    caller: &Caller,
) -> Result<RecoveryKeyView, Failure> {
    let key = state.store.run(&RecoveryKeyOf(&caller.user)).await?;
    Ok(RecoveryKeyView { signature_key: key.map(Into::into) })
}

/// Gives the caller's account a recovery key in place of the one that it has.
pub(crate) async fn set_recovery_key(
    state: &AppState,
    caller: &Caller,
    key: &RecoveryKey,
) -> Result<(), Failure> {
    let key = key.signature_key.0.as_slice();
    RECOVERY.check_key(key).map_err(|_| NO_KEY)?;
    Ok(state.store.run(&SetRecoveryKey { user: &caller.user, key: Some(key) }).await?)
}

/// Takes the recovery key of the caller's account away.
pub(crate) async fn drop_recovery_key(state: &AppState, caller: &Caller) -> Result<(), Failure> {
    Ok(state.store.run(&SetRecoveryKey { user: &caller.user, key: None }).await?)
}

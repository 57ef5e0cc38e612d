//! Recovery keys.

use paired_mls_api::{
    DeviceId, Recover, Recovered, RecoveryKey, RecoveryKeyView, SignatureScheme, SignedRequest,
};

use super::{
    Caller, Failure,
    auth::{Head, complete, verify, within_rate},
};
use crate::{
    AppState,
    store::{APPROVED, RecoverUser, Recovery, RecoveryKeyOf, SetRecoveryKey},
};

/// What a recovery key signs with.
const SCHEME: SignatureScheme = SignatureScheme::Ed25519;

/// Lets a device register, by the recovery key that signs the request. Whoever does not have the key learns
/// neither whether there is one, nor whether there is such a user.
pub(crate) async fn recover(
    state: &AppState,
    head: &Head<'_>,
    signed: &SignedRequest,
    body: &[u8],
) -> Result<Recovered, Failure> {
    let request = serde_json::from_slice::<Recover>(body);
    let Recover { user, device, old_devices } = request.map_err(|_| Failure::Malformed("body"))?;
    let key = state.store.run(&RecoveryKeyOf(&user)).await?.ok_or(Failure::NotRecoverable)?;
    if *signed.device() != DeviceId::of_key(SCHEME, &key) {
        return Err(Failure::NotRecoverable);
    }
    verify(state, head, signed, SCHEME, &key)?;
    within_rate(state, signed.device())?;
    let nonce = complete(state, signed, body)?;
    let now = state.clock.now();
    let recover = RecoverUser {
        user: &user,
        device: &device,
        key: &key,
        old: old_devices,
        now,
        expires_at: now.saturating_add(APPROVED),
    };
    match state.store.once_for(nonce, state.store.run(&recover)).await?? {
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
    if key.len() != SCHEME.key_len() {
        return Err(Failure::Malformed("recovery key"));
    }
    Ok(state.store.run(&SetRecoveryKey { user: &caller.user, key: Some(key) }).await?)
}

/// Takes the recovery key of the caller's account away.
pub(crate) async fn drop_recovery_key(state: &AppState, caller: &Caller) -> Result<(), Failure> {
    Ok(state.store.run(&SetRecoveryKey { user: &caller.user, key: None }).await?)
}

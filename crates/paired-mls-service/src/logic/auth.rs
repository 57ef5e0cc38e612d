//! Who makes a request: signatures, freshness, replays.

use paired_mls_api::{
    DeviceId, DeviceView, Fields, RegisterDevice, SignatureScheme, SignedRequest, Target,
};

use super::{Caller, Failure, failure::Rule};
use crate::{
    AppState,
    store::{DeviceById, Registration, SpendNonce, TakeDevice},
};

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) target: Target<'a>,
    pub(crate) fields: Fields,
    pub(crate) body: &'a [u8],
}

/// Finds out which device makes a request, and lets each request in once.
pub(crate) async fn authenticate(
    state: &AppState,
    incoming: &Incoming<'_>,
) -> Result<Caller, Failure> {
    let signed = SignedRequest::read(&incoming.fields)?;
    let found = state.store.run(&DeviceById(signed.device())).await?;
    let caller = found.filter(|device| device.revoked_at.is_none());
    let caller = caller.ok_or(Failure::UnknownDevice)?;
    admit(state, incoming, &signed, caller.scheme, &caller.signature_key).await?;
    Ok(caller)
}

/// Registers the device that signs the request with the key that is in it.
pub(crate) async fn register(
    state: &AppState,
    incoming: &Incoming<'_>,
    request: RegisterDevice,
) -> Result<DeviceView, Failure> {
    let signed = SignedRequest::read(&incoming.fields)?;
    let RegisterDevice { user, scheme, signature_key } = &request;
    let device = request.device();
    if *signed.device() != device || signature_key.0.len() != scheme.key_len() {
        return Err(Failure::Malformed("signature key, or it is not the one of the signature,"));
    }
    admit(state, incoming, &signed, *scheme, &signature_key.0).await?;
    let taken = TakeDevice {
        user,
        device: &device,
        scheme: *scheme,
        signature_key: &signature_key.0,
        limit: state.limits.devices,
    };
    match state.store.run(&taken).await? {
        Registration::Registered => {}
        Registration::Revoked => return Err(Failure::UnknownDevice),
        Registration::OtherUser => return Err(Rule::OtherUser.into()),
        Registration::NotApproved => return Err(Failure::NotApproved(device)),
        Registration::Full => return Err(Failure::Full(None)),
    }
    let RegisterDevice { user, scheme, signature_key } = request;
    Ok(DeviceView { device, user, scheme, signature_key, revoked_at: None })
}

async fn admit(
    state: &AppState,
    incoming: &Incoming<'_>,
    signed: &SignedRequest,
    scheme: SignatureScheme,
    key: &[u8],
) -> Result<(), Failure> {
    let names = &state.authorities;
    if !names.is_empty() && !names.iter().any(|name| name == incoming.target.authority) {
        return Err(Failure::Authority);
    }
    let window = state.limits.signature_window;
    let (now, created) = (state.clock.now(), signed.created());
    if created.saturating_add(window) < now || created > now.saturating_add(window / 4) {
        return Err(Failure::NotFresh(window));
    }
    signed.verify(incoming.target, incoming.body, scheme, key)?;
    within_rate(state, signed.device())?;
    let nonce = SpendNonce {
        device: signed.device(),
        nonce: signed.nonce(),
        expires_at: created.saturating_add(window).saturating_add(window),
    };
    if state.store.run(&nonce).await? { Ok(()) } else { Err(Failure::Replayed) }
}

fn within_rate(state: &AppState, device: &DeviceId) -> Result<(), Failure> {
    state.rate.check(device).map_err(Failure::TooFast)
}

//! Who makes a request: signatures, freshness, replays.

use paired_mls_api::{
    DeviceId, DeviceView, Fields, RegisterDevice, SignatureError, SignatureScheme, SignedRequest,
    Target,
};
use serde::de::DeserializeOwned;

use super::{
    Caller, Failure,
    failure::{Over, Rule},
    recovery::{RECOVERY, key_of},
    unused::{unknown_device, use_user},
};
use crate::{
    AppState,
    metrics::Refused,
    store::{DeviceById, Nonce, Registration, TakeDevice},
};

/// The head of a request, as it came.
#[derive(Debug)]
pub(crate) struct Head<'a> {
    pub(crate) target: Target<'a>,
    pub(crate) fields: Fields,
    /// What a proxy says of the name and the path that it has changed.
    pub(crate) forwarded: Forwarded<'a>,
}

/// What a proxy says that it has changed. It serves to explain a refusal, and for nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Forwarded<'a> {
    pub(crate) host: Option<&'a str>,
    pub(crate) prefix: Option<&'a str>,
}

/// How many names are tried to explain a refusal.
const NAMES: usize = 8;

/// Finds out which device makes a request, from its head alone: the signature is over the digest of the
/// body, which is not read for anybody else. [`complete`] has to follow.
pub(crate) async fn admit(
    state: &AppState,
    head: &Head<'_>,
) -> Result<(Caller, SignedRequest), Failure> {
    let signed = fresh(state, head)?;
    let caller = state.store.run(&DeviceById(signed.device())).await?;
    let Some(caller) = caller else { return Err(unknown_device(state, signed.device()).await) };
    verify(state, head, &signed, caller.scheme, &caller.signature_key)?;
    if let Some(at) = caller.revoked_at {
        return Err(Failure::Revoked { at });
    }
    if caller.banned_at.is_some() {
        return Err(Failure::Banned);
    }
    within_rate(state, signed.device())?;
    use_user(state, &caller).await;
    Ok((caller, signed))
}

/// Reads the signature of a request, if it is of now.
pub(crate) fn fresh(state: &AppState, head: &Head<'_>) -> Result<SignedRequest, Failure> {
    let signed = SignedRequest::read(&head.fields)?;
    let window = state.limits.now().signature_window;
    let (now, created) = (state.clock.now(), signed.created());
    if created.saturating_add(window) < now || created > now.saturating_add(window / 4) {
        return Err(Failure::NotFresh(window));
    }
    Ok(signed)
}

/// Compares the body with what was signed. What is returned has to be spent.
pub(crate) fn complete(
    state: &AppState,
    signed: &SignedRequest,
    body: &[u8],
) -> Result<Nonce, Failure> {
    signed.verify_body(body)?;
    Ok(nonce(state, signed))
}

/// The nonce of a request.
pub(crate) fn nonce(state: &AppState, signed: &SignedRequest) -> Nonce {
    let window = state.limits.now().signature_window;
    Nonce {
        device: signed.device().clone(),
        nonce: signed.nonce().to_owned(),
        expires_at: signed.created().saturating_add(window).saturating_add(window),
    }
}

/// What is signed by a key that its body names, because no device of that key is registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Introduction {
    /// By the key of the device that registers.
    Registration,
    /// By the recovery key of the user that is named.
    Recovery,
}

/// The key that has signed such a request.
#[derive(Clone, Debug)]
pub(crate) struct Introduced {
    pub(crate) key: Vec<u8>,
}

/// Verifies a request by the key that its body names.
pub(crate) async fn introduced(
    state: &AppState,
    what: Introduction,
    head: &Head<'_>,
    signed: &SignedRequest,
    body: &[u8],
) -> Result<Introduced, Failure> {
    let (scheme, key) = match what {
        Introduction::Registration => {
            let RegisterDevice { scheme, signature_key, .. } = read(body)?;
            (scheme, signature_key.0)
        }
        Introduction::Recovery => (RECOVERY, key_of(state, &read(body)?).await?),
    };
    if *signed.device() != DeviceId::of_key(scheme, &key) {
        return Err(match what {
            Introduction::Registration => NOT_THE_KEY,
            Introduction::Recovery => Failure::NotRecoverable,
        });
    }
    verify(state, head, signed, scheme, &key)?;
    signed.verify_body(body)?;
    within_rate(state, signed.device())?;
    Ok(Introduced { key })
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|_| Failure::Malformed("body"))
}

const NOT_THE_KEY: Failure =
    Failure::Malformed("signature key, or it is not the one of the signature,");

/// Who has the private half of a key that is refused so, if anybody, is not known.
pub(super) const NO_KEY: Failure = Failure::Malformed(
    "signature key, which is none of its scheme, or one for which anybody can sign: make another one; it",
);

/// Registers the device whose key has signed the request.
pub(crate) async fn register(
    state: &AppState,
    request: RegisterDevice,
) -> Result<DeviceView, Failure> {
    let device = request.device();
    let RegisterDevice { user, scheme, signature_key } = request;
    scheme.check_key(&signature_key.0).map_err(|_| NO_KEY)?;
    let taken = TakeDevice {
        user: &user,
        device: &device,
        scheme,
        signature_key: &signature_key.0,
        limit: state.limits.now().devices,
        now: state.clock.now(),
    };
    match state.store.run(&taken).await? {
        Registration::Registered => {}
        Registration::Revoked { at } => return Err(Failure::Revoked { at }),
        Registration::OtherUser => return Err(Rule::OtherUser.into()),
        Registration::Ended => return Err(Failure::Ended(Over::Name)),
        Registration::Banned => return Err(Failure::Banned),
        Registration::NotApproved => return Err(Failure::NotApproved(device)),
        Registration::Full => return Err(Failure::Full(None)),
    }
    Ok(DeviceView { device, user, scheme, signature_key, revoked_at: None })
}

/// Verifies the signature over the head, for a name of this service.
fn verify(
    state: &AppState,
    head: &Head<'_>,
    signed: &SignedRequest,
    scheme: SignatureScheme,
    key: &[u8],
) -> Result<(), Failure> {
    let (names, seen) = (&state.authorities, head.target.authority);
    let is_for = |target| signed.verify_head(target, scheme, key);
    let ours = names.is_empty() || names.iter().any(|name| name == seen);
    let verified = is_for(head.target);
    let failed = match verified {
        Ok(()) if ours => return Ok(()),
        Ok(()) => None,
        Err(failed) => Some(failed),
    };
    // Somebody between the client and the service may have changed something: say what.
    let named = |authority| Target { authority, ..head.target };
    let candidates = names.iter().take(NAMES).map(String::as_str).chain(head.forwarded.host);
    let signed_for = match failed {
        None => Some(seen),
        Some(_) => candidates.filter(|name| *name != seen).find(|name| is_for(named(name)).is_ok()),
    };
    if let Some(signed) = signed_for {
        let names = names.join(", ");
        return Err(Failure::Authority { signed: signed.into(), seen: seen.into(), names });
    }
    if let Some(prefix) = head.forwarded.prefix {
        let path = format!("{}{}", prefix.trim_end_matches('/'), head.target.path);
        if is_for(Target { path: &path, ..head.target }).is_ok() {
            return Err(Failure::Prefix(prefix.to_owned()));
        }
    }
    Err(failed.unwrap_or(SignatureError::Invalid).into())
}

fn within_rate(state: &AppState, device: &DeviceId) -> Result<(), Failure> {
    state.rate.check(device).map_err(|seconds| {
        state.metrics.refused(Refused::Rate);
        Failure::TooFast(seconds)
    })
}

//! Whose a leaf is.

use paired_mls::{
    leaf::SignatureKeys,
    wire::{KeyPackage, LeafNode},
};
use paired_mls_api::{DeviceId, SignatureScheme, UserId};

use super::{
    super::{
        Caller, Failure,
        failure::{MessageFault, Rule},
    },
    base::Seat,
};
use crate::{
    AppState,
    store::{ArePaired, Device, DeviceById},
};

/// The devices that have the signature keys of a leaf. None for a scheme that no device can have here.
pub(in super::super) fn devices(signature_key: &[u8]) -> Vec<DeviceId> {
    let decode = |scheme: SignatureScheme| {
        let keys = SignatureKeys::decode(signature_key, scheme.key_len()).ok()?;
        Some(keys.keys().iter().map(|key| DeviceId::of_key(scheme, key)).collect())
    };
    SignatureScheme::ALL.into_iter().find_map(decode).unwrap_or_default()
}

async fn device(state: &AppState, device: &DeviceId) -> Result<Option<Device>, Failure> {
    let device = state.store.run(&DeviceById(device)).await?;
    Ok(device.filter(|device| device.revoked_at.is_none()))
}

/// Checks that a leaf is one that the caller may have: it names the caller's user, or that of a partner
/// behind the same leaf, and each of its signature keys is that of a device of the account, or of one
/// in a registered pairing with the caller.
pub(in super::super) async fn own_leaf(
    state: &AppState,
    caller: &Caller,
    leaf: &LeafNode,
) -> Result<(), Failure> {
    let identity = leaf.credential().identity().ok_or(Rule::ForeignLeaf)?;
    check(state, caller, identity, leaf.signature_key()).await
}

async fn check(
    state: &AppState,
    caller: &Caller,
    identity: &[u8],
    signature_key: &[u8],
) -> Result<(), Failure> {
    let listed = devices(signature_key);
    let owners = owners(state, caller, &listed).await?.ok_or(Rule::ForeignLeaf)?;
    // Behind a leaf of two users, each of them commits.
    let shared =
        listed.contains(&caller.device) && owners.iter().any(|owner| owner.as_bytes() == identity);
    match identity == caller.user.as_bytes() || shared {
        true => Ok(()),
        false => Err(Rule::ForeignLeaf.into()),
    }
}

/// The users of devices, if each is registered and of the caller's account, or in a registered pairing with
/// the caller.
pub(in super::super) async fn owners(
    state: &AppState,
    caller: &Caller,
    listed: &[DeviceId],
) -> Result<Option<Vec<UserId>>, Failure> {
    let mut users = Vec::new();
    for id in listed {
        let Some(device) = device(state, id).await? else { return Ok(None) };
        let (one, other) = (&caller.device, &device.device);
        if device.user != caller.user && !state.store.run(&ArePaired { one, other }).await? {
            return Ok(None);
        }
        users.push(device.user);
    }
    Ok(Some(users).filter(|users| !users.is_empty()))
}

/// Whether a seat is the caller's.
pub(in super::super) fn is_own(caller: &Caller, seat: &Seat) -> bool {
    seat.identity == caller.user.as_bytes() || devices(&seat.signature_key).contains(&caller.device)
}

/// Checks that a KeyPackage that is to be added is of devices which the service knows, and names the
/// user of one of them.
pub(in super::super) async fn known_newcomer(
    state: &AppState,
    key_package: &KeyPackage,
) -> Result<Vec<UserId>, Failure> {
    let leaf = key_package.leaf_node();
    let identity = leaf.credential().identity().ok_or(MessageFault::Credential)?;
    let mut users = Vec::new();
    for id in devices(leaf.signature_key()) {
        users.push(device(state, &id).await?.ok_or(Rule::UnknownNewcomer)?.user);
    }
    match users.iter().any(|user| user.as_bytes() == identity) {
        true => Ok(users),
        false => Err(Rule::UnknownNewcomer.into()),
    }
}

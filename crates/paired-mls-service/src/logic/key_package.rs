//! KeyPackages: validated when they come, so that nobody claims one in vain.

use openmls::prelude::{KeyPackageIn, ProtocolVersion, tls_codec::DeserializeBytes as _};
use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    leaf::SignatureKeys,
    wire::{KeyPackage, LeafNodeSource, MlsMessage},
};
use paired_mls_api::{DeviceId, KeyPackageCount, KeyPackageUpload, SignatureScheme};
use paired_mls_openmls::KeyVectorCrypto;

use super::{
    Caller, Failure,
    failure::{MessageFault, Rule},
    message::digest,
    pairing::registered,
};
use crate::{
    AppState,
    store::{
        ClaimKeyPackage, CountKeyPackages, DeviceById, NewKeyPackage, PairingsOfDevice,
        StoreKeyPackages, Stored, Use, WithdrawKeyPackages,
    },
};

/// The two octets each of version and wire format that an `MLSMessage` begins with.
const MESSAGE_HEADER: usize = 4;

/// Takes KeyPackages of the caller.
pub(crate) async fn upload(
    state: &AppState,
    caller: &Caller,
    request: KeyPackageUpload,
) -> Result<(), Failure> {
    let once = request.key_packages.into_iter().map(|message| (message.0, Use::Once));
    let last = request.last_resort.into_iter().map(|message| (message.0, Use::LastResort));
    let messages: Vec<_> = once.chain(last).collect();
    if u64::try_from(messages.len()).is_ok_and(|count| count > state.limits.key_packages) {
        return Err(Failure::Full(None));
    }
    let mut key_packages = Vec::new();
    for (message, use_) in messages {
        key_packages.push(validate(state, caller, message, use_).await?);
    }
    let limit = state.limits.key_packages;
    let store = StoreKeyPackages { device: &caller.device, key_packages: &key_packages, limit };
    match state.store.run(&store).await? {
        Stored::All => Ok(()),
        Stored::Full => Err(Failure::Full(None)),
        Stored::Known => Err(Failure::Exists),
    }
}

async fn validate(
    state: &AppState,
    caller: &Caller,
    message: Vec<u8>,
    use_: Use,
) -> Result<NewKeyPackage, Failure> {
    let MlsMessage::KeyPackage(key_package) = MlsMessage::decode(&message)? else {
        return Err(MessageFault::NotA("KeyPackage").into());
    };
    let leaf = key_package.leaf_node();
    if leaf.credential().identity() != Some(caller.user.as_bytes()) {
        return Err(MessageFault::Credential.into());
    }
    let LeafNodeSource::KeyPackage(lifetime) = leaf.source() else {
        return Err(MessageFault::KeyPackage.into());
    };
    if !(lifetime.not_before()..=lifetime.not_after()).contains(&state.clock.now()) {
        return Err(MessageFault::Lifetime.into());
    }
    // What does not fit a column lasts longer than the service will.
    let not_after = lifetime.not_after().min(i64::MAX as u64);
    check_keys(state, caller, &key_package).await?;
    let body = message.get(MESSAGE_HEADER..).unwrap_or_default().to_vec();
    let verified = tokio::task::spawn_blocking(move || verify(&body)).await;
    verified.map_err(|_| MessageFault::KeyPackage)??;
    let suite = key_package.cipher_suite();
    Ok(NewKeyPackage { digest: digest(&message), suite, use_, not_after, message })
}

/// The signatures, and what else RFC 9420 section 10.1 asks for.
fn verify(key_package: &[u8]) -> Result<(), MessageFault> {
    let key_package = KeyPackageIn::tls_deserialize_exact_bytes(key_package)
        .map_err(|_| MessageFault::KeyPackage)?;
    // Also leaves with the signature keys of several devices.
    let crypto = KeyVectorCrypto::new(RustCrypto::default());
    let verified = key_package.validate(&crypto, ProtocolVersion::Mls10);
    verified.map(|_| ()).map_err(|_| MessageFault::KeyPackage)
}

/// Each signature key of the leaf has to be that of a device of the account, or of one in a registered
/// pairing with the caller. Hidden pairings share a key of the account's own.
async fn check_keys(
    state: &AppState,
    caller: &Caller,
    key_package: &KeyPackage,
) -> Result<(), Failure> {
    let scheme = SignatureScheme::of_suite(key_package.cipher_suite())
        .map_err(|_| MessageFault::KeyPackage)?;
    let keys = SignatureKeys::decode(key_package.leaf_node().signature_key(), scheme.key_len())
        .map_err(|_| MessageFault::KeyPackage)?;
    for key in keys.keys() {
        let device = state.store.run(&DeviceById(&DeviceId::of_key(scheme, key))).await?;
        let device = device.filter(|device| device.revoked_at.is_none());
        let device = device.ok_or(Rule::ForeignKey)?;
        if device.user != caller.user && !paired(state, caller, key).await? {
            return Err(Rule::ForeignKey.into());
        }
    }
    Ok(())
}

async fn paired(state: &AppState, caller: &Caller, key: &[u8]) -> Result<bool, Failure> {
    for stored in state.store.run(&PairingsOfDevice(&caller.device)).await? {
        let pairing = registered(state, &stored).await?;
        if pairing.is_some_and(|pairing| pairing.signature_keys().any(|listed| listed == key)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Gives out one KeyPackage of a device.
pub(crate) async fn claim(
    state: &AppState,
    device: &DeviceId,
    suite: u16,
) -> Result<Vec<u8>, Failure> {
    let claim = ClaimKeyPackage { device, suite, now: state.clock.now() };
    state.store.run(&claim).await?.ok_or(Failure::NotFound)
}

/// Drops those of the caller: from the answer on, nobody is given one. Devices that come to share a leaf
/// stop to offer leaves of their own.
pub(crate) async fn withdraw(state: &AppState, caller: &Caller) -> Result<(), Failure> {
    Ok(state.store.run(&WithdrawKeyPackages { device: &caller.device }).await?)
}

/// How many are left.
pub(crate) async fn count(
    state: &AppState,
    caller: &Caller,
) -> Result<Vec<KeyPackageCount>, Failure> {
    let count = CountKeyPackages { device: &caller.device, now: state.clock.now() };
    Ok(state.store.run(&count).await?)
}

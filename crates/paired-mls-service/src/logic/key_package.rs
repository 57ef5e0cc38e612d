//! KeyPackages: validated when they come, so that nobody claims one in vain.

use openmls::prelude::{
    KeyPackageIn, KeyPackageVerifyError, ProtocolVersion, tls_codec::DeserializeBytes as _,
};
use openmls_rust_crypto::RustCrypto;
use paired_mls::wire::{ExtensionType, KeyPackage, LeafNodeSource, MlsMessage};
use paired_mls_api::{DeviceId, KeyPackageCount, KeyPackageUpload, SignatureScheme};
use paired_mls_openmls::KeyVectorCrypto;

use super::{
    Caller, Failure,
    failure::{MessageFault, Reserve, Rule},
    message::digest,
    public::{devices, owners},
};
use crate::{
    AppState,
    store::{
        ClaimKeyPackage, Claimed, CountKeyPackages, NewKeyPackage, StoreKeyPackages, Stored, Use,
        WithdrawKeyPackages,
    },
};

/// The longest lifetime that OpenMLS takes, in seconds: 84 days and an hour.
const LONGEST_LIFETIME: u64 = (84 * 24 + 1) * 60 * 60;
/// The extensions up to this code point need not be listed (RFC 9420 section 7.2).
const DEFAULT_EXTENSIONS: u16 = 5;
/// How long the claims of an account from one device are counted together, in seconds: a day.
const CLAIMS: u64 = 24 * 60 * 60;

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
    if u64::try_from(messages.len()).is_ok_and(|count| count > state.limits.now().key_packages) {
        return Err(Failure::Full(None));
    }
    let mut key_packages = Vec::new();
    for (message, use_) in messages {
        key_packages.push(validate(state, caller, message, use_).await?);
    }
    let (device, now) = (&caller.device, state.clock.now());
    let (limit, bytes) = (state.limits.now().key_packages, state.limits.now().key_package_bytes);
    let store = StoreKeyPackages { device, key_packages: &key_packages, now, limit, bytes };
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
    // One that begins later is kept until then: a device that only receives publishes for years ahead.
    let (not_before, not_after) = (lifetime.not_before(), lifetime.not_after());
    let lasts = not_after.checked_sub(not_before).filter(|lasts| *lasts <= LONGEST_LIFETIME);
    if lasts.is_none() || not_after < state.clock.now() || not_after > i64::MAX as u64 {
        return Err(MessageFault::Lifetime.into());
    }
    check_extensions(&key_package)?;
    check_keys(state, caller, &key_package).await?;
    let body = message.get(MESSAGE_HEADER..).unwrap_or_default().to_vec();
    let verified = tokio::task::spawn_blocking(move || verify(&body)).await;
    verified.map_err(|_| MessageFault::KeyPackage)??;
    let suite = key_package.cipher_suite();
    let digest = digest(&message);
    Ok(NewKeyPackage { digest, suite, use_, not_before, not_after, message })
}

/// The signatures, and what else RFC 9420 section 10.1 asks for.
fn verify(key_package: &[u8]) -> Result<(), MessageFault> {
    let key_package = KeyPackageIn::tls_deserialize_exact_bytes(key_package)
        .map_err(|_| MessageFault::KeyPackage)?;
    // Also leaves with the signature keys of several devices.
    let crypto = KeyVectorCrypto::new(RustCrypto::default());
    match key_package.validate(&crypto, ProtocolVersion::Mls10) {
        // The lifetime is looked at last, by the clock of the operating system; the service has its own.
        Ok(_) | Err(KeyPackageVerifyError::LifetimeError(_)) => Ok(()),
        Err(_) => Err(MessageFault::KeyPackage),
    }
}

/// What no member could add is not taken: each extension is one that the leaf says it supports (RFC 9420
/// section 10.1), and none has a GREASE type (section 13.5). RFC 9420 allows these, and OpenMLS 0.9.2 refuses to
/// add a leaf or KeyPackage with one, since it compares the extension with the listed types under
/// another name.
fn check_extensions(key_package: &KeyPackage) -> Result<(), MessageFault> {
    let leaf = key_package.leaf_node();
    let listed = leaf.capabilities().extensions();
    for extension in key_package.extensions().iter().chain(leaf.extensions()) {
        let ExtensionType(code_point) = extension.extension_type();
        if is_grease(code_point) {
            return Err(MessageFault::Grease);
        }
        if code_point > DEFAULT_EXTENSIONS && !listed.contains(&code_point) {
            return Err(MessageFault::KeyPackage);
        }
    }
    Ok(())
}

/// `0x?A?A` with two equal digits (RFC 9420 section 13.5); `0xFAFA` is none.
fn is_grease(code_point: u16) -> bool {
    let [high, low] = code_point.to_be_bytes();
    high == low && high & 0x0F == 0x0A && high != 0xFA
}

/// Each signature key of the leaf has to be that of a device of the account, or of one in a registered
/// pairing with the caller. Hidden pairings share a key of the account's own.
async fn check_keys(
    state: &AppState,
    caller: &Caller,
    key_package: &KeyPackage,
) -> Result<(), Failure> {
    SignatureScheme::of_suite(key_package.cipher_suite()).map_err(|_| MessageFault::KeyPackage)?;
    let listed = devices(key_package.leaf_node().signature_key());
    if listed.is_empty() {
        return Err(MessageFault::KeyPackage.into());
    }
    owners(state, caller, &listed).await?.map(|_| ()).ok_or_else(|| Rule::ForeignKey.into())
}

/// Gives out one KeyPackage of a device.
pub(crate) async fn claim(
    state: &AppState,
    caller: &Caller,
    device: &DeviceId,
    suite: u16,
) -> Result<Vec<u8>, Failure> {
    let now = state.clock.now();
    let counted = [b"claim".as_slice(), device.as_bytes(), caller.user.as_bytes()].concat();
    let claim = ClaimKeyPackage {
        device,
        suite,
        by: &caller.user,
        by_device: &caller.device,
        claim: &digest(&counted),
        limit: state.limits.now().claims,
        now,
        expires_at: now.saturating_add(CLAIMS),
    };
    match state.store.run(&claim).await? {
        Claimed::KeyPackage(key_package) => Ok(key_package),
        Claimed::None => Err(Failure::NotFound),
        Claimed::TooMany => Err(Failure::Reserved(Reserve::Claims)),
        Claimed::Reserved => Err(Failure::Reserved(Reserve::Stock)),
    }
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

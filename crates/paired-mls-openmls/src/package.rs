//! KeyPackages from the tape: whoever steals the MLS state of a device does not have their private keys.
//!
//! A device stores of them what is public. The private keys are derived when a Welcome comes, and its
//! partners can derive them too: that is how a forged KeyPackage is told from a real one.

use std::collections::BTreeMap;

use openmls::prelude::{
    Capabilities, Ciphersuite, CredentialWithKey, ExtensionType, Extensions, KeyPackage,
    KeyPackageBuilder, KeyPackageIn, KeyPackageRef, LeafNode, Lifetime, MlsGroup, MlsMessageBodyIn,
    ProtocolVersion, Welcome,
};
use openmls_traits::{crypto::OpenMlsCrypto as _, storage::StorageProvider as _};
use paired_mls::{
    Index, PairingId, Secret,
    leaf::{LeafPackage, LeafPackages, LeafRandomness, LeafUse, MAX_SKIP, PACKAGES_GROUP_ID},
    wire::{self, SignContent},
};
use paired_mls_group::{Recorded, Replay};
use tls_codec::{Serialize as _, VLByteSlice, VLBytes};

use crate::{
    Device, Error, PeerError, Platform, UsageError,
    gate::check_newcomer,
    group::parse,
    identity::admit,
    leaf::again,
    outgoing::message_bytes,
    provider::undone,
    steer::{KEY_PACKAGE, SteeredProvider, SteeredSigner, blame},
};

/// How long after the end of a KeyPackage its device can still open a Welcome to it, in seconds: a year. OpenMLS
/// makes none of more than 84 days.
const LATE_WELCOME: u64 = 366 * 24 * 60 * 60;

/// How often a KeyPackage may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageKind {
    /// For one group.
    Once,
    /// For any number of groups, where the delivery service has run out of others (RFC 9420
    /// section 16.8). Its tape value stays on the tape.
    LastResort,
}

impl PackageKind {
    pub(crate) fn mark(
        self,
        builder: KeyPackageBuilder,
        capabilities: Capabilities,
    ) -> KeyPackageBuilder {
        match self {
            Self::Once => builder.leaf_node_capabilities(capabilities),
            Self::LastResort => builder
                .mark_as_last_resort()
                .leaf_node_capabilities(with_last_resort(&capabilities)),
        }
    }
}

/// Makes a KeyPackage; returns its `MLSMessage`. Of its private keys nothing is stored.
pub(crate) fn publish<P: Platform>(
    device: &Device<P>,
    pairing: PairingId,
    kind: PackageKind,
    lifetime: Lifetime,
    capabilities: Capabilities,
) -> Result<Vec<u8>, Error> {
    let ciphersuite = ciphersuite(device, pairing)?;
    // Long after its end a KeyPackage that nobody has used leads nowhere any more.
    let own = device.vault().pairing_info(pairing)?.own_device;
    let deadline = device.now().saturating_sub(LATE_WELCOME);
    give_up(device, pairing, |package| package.index.device() == own, deadline)?;
    let tape = device.vault().open_group(pairing, PACKAGES_GROUP_ID)?;
    let index = device.vault().reserve(&tape, LeafPackages::context().epoch)?.index;
    let replay = replay(device, pairing, index, Vec::new())?;
    let builder = KeyPackage::builder().key_package_lifetime(lifetime);
    let builder = kind.mark(builder, capabilities);
    // OpenMLS stores the private keys: that is undone.
    let key_package = undone(device.provider(), || {
        let provider = SteeredProvider::new(device.provider(), &replay, KEY_PACKAGE);
        let signer = SteeredSigner::new(device, &replay);
        let bundle = builder
            .build(ciphersuite, &provider, &signer, device.credential().clone())
            .map_err(blame(&replay, "make a KeyPackage"))?;
        message_bytes(bundle.into_key_package().into())
    })?;
    keep(device, pairing, LeafPackage { index, key_package: key_package.clone() })?;
    Ok(key_package)
}

/// Finds the tape position that a KeyPackage was made with: both of its HPKE keys are from there. Its age is
/// no matter.
///
/// # Errors
///
/// [`PeerError::NotFromTheTape`] if there is none: then it is a forgery.
pub(crate) fn authenticate<P: Platform>(
    device: &Device<P>,
    pairing: PairingId,
    key_package: &[u8],
) -> Result<Index, Error> {
    let vault = device.vault();
    let kept = vault.load_leaf_packages(pairing)?.0;
    if let Some(known) = kept.iter().find(|known| known.key_package == key_package) {
        return Ok(known.index);
    }
    let parsed = read(key_package)?;
    let ciphersuite = ciphersuite_of(&parsed)?;
    let crypto = device.provider().crypto();
    let is_key = |material: &Secret, public_key: &[u8]| {
        let pair = crypto.derive_hpke_keypair(ciphersuite.hpke_config(), material.expose());
        pair.is_ok_and(|pair| pair.public == public_key)
    };
    let (tape, context) = (vault.open_group(pairing, PACKAGES_GROUP_ID)?, LeafPackages::context());
    let made_with = |randomness: &LeafRandomness| {
        let length = randomness.public_draw().len();
        let is_init = is_key(randomness.public_draw(), parsed.init_key());
        let leaf = randomness.draw(1, length);
        is_init && leaf.is_some_and(|leaf| is_key(leaf, parsed.leaf_node().encryption_key()))
    };
    let at = |index| {
        let value = vault.preview(&tape, LeafPackages::spot(index)).ok()?;
        let randomness = LeafRandomness::derive(value, LeafUse::KeyPackage, &context).ok()?;
        made_with(&randomness).then_some(index)
    };
    let found = vault.recognise(&tape, LeafUse::KeyPackage, &context, |material| {
        is_key(material, parsed.init_key())
    })?;
    let beyond = || beyond(&kept).find_map(at);
    let index = found.and_then(|spot| at(spot.index)).or_else(beyond);
    Ok(index.ok_or(PeerError::NotFromTheTape)?)
}

/// The positions after the last KeyPackage of each device that is kept, as many as are looked at in any
/// lane: those before it may be outstanding, however many they are.
fn beyond(kept: &[LeafPackage]) -> impl Iterator<Item = Index> {
    let mut last = BTreeMap::new();
    for package in kept {
        let position = last.entry(package.index.device()).or_insert(0);
        *position = package.index.position().max(*position);
    }
    last.into_iter().flat_map(|(device, position)| {
        let following = (1..=MAX_SKIP as u64).map(move |n| position.saturating_add(n));
        following.filter_map(move |position| Index::new(device, position))
    })
}

/// The KeyPackages of clients that are to be added to a group, each an `MLSMessage`.
pub(crate) fn newcomers<P: Platform>(
    mls: &MlsGroup,
    device: &Device<P>,
    key_packages: &[Vec<u8>],
) -> Result<Vec<KeyPackage>, Error> {
    let adds = key_packages.iter().map(|bytes| {
        let key_package = validate(device, bytes)?;
        check_newcomer(mls, &key_package)?;
        admit(device, mls, &key_package)?;
        Ok(key_package)
    });
    adds.collect()
}

/// Keeps a KeyPackage for later.
pub(crate) fn keep<P: Platform>(
    device: &Device<P>,
    pairing: PairingId,
    package: LeafPackage,
) -> Result<(), Error> {
    let mut packages = device.vault().load_leaf_packages(pairing)?;
    if !packages.0.contains(&package) {
        packages.0.push(package);
        device.vault().store_leaf_packages(pairing, &packages)?;
    }
    Ok(())
}

/// The kept KeyPackage that a Welcome is for, by its reference and whatever its age: a Welcome may be late.
pub(crate) fn package_for<P: Platform>(
    device: &Device<P>,
    pairing: PairingId,
    welcome: &Welcome,
) -> Result<LeafPackage, Error> {
    for package in device.vault().load_leaf_packages(pairing)?.0 {
        let reference = reference(device, &package.key_package)?;
        let mut named = welcome.secrets().iter();
        if named.any(|secrets| secrets.new_member().as_slice() == reference) {
            return Ok(package);
        }
    }
    Err(UsageError::NoTapeKeyPackage.into())
}

/// Makes a KeyPackage again, so that its private keys are in the MLS storage; in a transaction.
pub(crate) fn restore<P: Platform>(
    device: &Device<P>,
    pairing: PairingId,
    credential: &CredentialWithKey,
    package: &LeafPackage,
) -> Result<(), Error> {
    let parsed = read(&package.key_package)?;
    let leaf = parsed.leaf_node();
    let wire::LeafNodeSource::KeyPackage(lifetime) = leaf.source() else {
        return Err(PeerError::NotFromTheTape.into());
    };
    let lifetime = Lifetime::init(lifetime.not_before(), lifetime.not_after());
    let capabilities: Capabilities = again(leaf.capabilities())?;
    let of_package: Extensions<KeyPackage> = again(&parsed.extensions())?;
    let of_leaf: Extensions<LeafNode> = again(&leaf.extensions())?;
    let recorded = signatures(&package.key_package)?;
    let replay = replay(device, pairing, package.index, recorded)?;
    let provider = SteeredProvider::new(device.provider(), &replay, KEY_PACKAGE);
    let signer = SteeredSigner::new(device, &replay);
    let bundle = KeyPackage::builder()
        .key_package_lifetime(lifetime)
        .key_package_extensions(of_package)
        .leaf_node_capabilities(capabilities)
        .leaf_node_extensions(of_leaf)
        .build(ciphersuite_of(&parsed)?, &provider, &signer, credential.clone())
        .map_err(blame(&replay, "make a KeyPackage"))
        .map_err(Error::received)?;
    let same = message_bytes(bundle.into_key_package().into())? == package.key_package;
    same.then_some(()).ok_or(PeerError::NotFromTheTape.into())
}

/// Removes a KeyPackage from the MLS storage, also one of the last resort, which OpenMLS keeps.
pub(crate) fn erase<P: Platform>(device: &Device<P>, package: &LeafPackage) -> Result<(), Error> {
    let reference = VLBytes::new(reference(device, &package.key_package)?);
    let reference: KeyPackageRef = again(&reference)?;
    let storage = device.provider().storage();
    storage.delete_key_package(&reference).map_err(Error::storage("erase a KeyPackage"))
}

/// A KeyPackage has been used: it is given up, unless it is one of the last resort.
pub(crate) fn spend<P: Platform>(
    device: &Device<P>,
    pairing: PairingId,
    index: Index,
) -> Result<(), Error> {
    let vault = device.vault();
    let mut packages = vault.load_leaf_packages(pairing)?;
    if let Some(kept) = packages.0.iter().find(|kept| kept.index == index) {
        if read(&kept.key_package)?.is_last_resort() {
            return Ok(());
        }
        packages.0.retain(|kept| kept.index != index);
        vault.store_leaf_packages(pairing, &packages)?;
    }
    let tape = vault.open_group(pairing, PACKAGES_GROUP_ID)?;
    Ok(vault.burn(&tape, LeafPackages::spot(index))?)
}

/// Parses a KeyPackage of somebody who is to be added, and checks its signatures and its lifetime.
pub(crate) fn validate<P: Platform>(
    device: &Device<P>,
    key_package: &[u8],
) -> Result<KeyPackage, PeerError> {
    let MlsMessageBodyIn::KeyPackage(parsed) = parse(key_package)?.extract() else {
        return Err(PeerError::Kind("KeyPackage"));
    };
    // What cannot be read here, OpenMLS judges.
    if let Ok(read) = read(key_package) {
        require_current(&read, device.now())?;
    }
    KeyPackageIn::validate(parsed, device.provider().crypto(), ProtocolVersion::Mls10)
        .map_err(PeerError::message)
}

fn replay<P: Platform>(
    device: &Device<P>,
    pairing: PairingId,
    index: Index,
    recorded: Vec<Recorded>,
) -> Result<Replay, Error> {
    let tape = device.vault().open_group(pairing, PACKAGES_GROUP_ID)?;
    let value = device.vault().preview(&tape, LeafPackages::spot(index))?;
    Ok(Replay::new(value, LeafUse::KeyPackage, &LeafPackages::context(), recorded)?)
}

/// A leaf has to list the extensions of its KeyPackage (RFC 9420 section 7.3).
fn with_last_resort(capabilities: &Capabilities) -> Capabilities {
    let suites = capabilities.ciphersuites().iter().copied();
    let suites: Vec<_> = suites.filter_map(|suite| Ciphersuite::try_from(suite).ok()).collect();
    let mut extensions = capabilities.extensions().to_vec();
    if !extensions.contains(&ExtensionType::LastResort) {
        extensions.push(ExtensionType::LastResort);
    }
    Capabilities::new(
        Some(capabilities.versions()),
        Some(&suites),
        Some(&extensions),
        Some(capabilities.proposals()),
        Some(capabilities.credentials()),
    )
}

/// The KeyPackages of partners that can be used now, for [`HealPolicy::Refresh`](paired_mls::HealPolicy):
/// those that have ended are skipped, and burned.
pub(crate) fn usable<P: Platform>(
    device: &Device<P>,
    pairing: PairingId,
) -> Result<Vec<LeafPackage>, Error> {
    let own = device.vault().pairing_info(pairing)?.own_device;
    give_up(device, pairing, |package| package.index.device() != own, device.now())?;
    Ok(device.vault().load_leaf_packages(pairing)?.0)
}

/// Burns the kept KeyPackages that have ended before `deadline`, of those that `is_one` says. One of the last
/// resort stays: its value serves again.
fn give_up<P: Platform>(
    device: &Device<P>,
    pairing: PairingId,
    is_one: impl Fn(&LeafPackage) -> bool,
    deadline: u64,
) -> Result<(), Error> {
    let ended = |package: &LeafPackage| {
        let read = read(&package.key_package).ok().filter(|read| !read.is_last_resort());
        read.and_then(|read| not_after(&read)).is_some_and(|end| end <= deadline)
    };
    let kept = device.vault().load_leaf_packages(pairing)?.0;
    for package in kept.iter().filter(|package| is_one(package) && ended(package)) {
        spend(device, pairing, package.index)?;
    }
    Ok(())
}

/// Refuses a KeyPackage out of its time, by name.
fn require_current(key_package: &wire::KeyPackage, now: u64) -> Result<(), PeerError> {
    let leaf = key_package.leaf_node();
    let wire::LeafNodeSource::KeyPackage(lifetime) = leaf.source() else {
        return Ok(());
    };
    let (not_before, not_after) = (lifetime.not_before(), lifetime.not_after());
    if (not_before..not_after).contains(&now) {
        return Ok(());
    }
    let of = leaf.credential().content().escape_ascii().to_string();
    Err(PeerError::OutOfTime { of, not_before, not_after, now })
}

fn not_after(key_package: &wire::KeyPackage) -> Option<u64> {
    match key_package.leaf_node().source() {
        wire::LeafNodeSource::KeyPackage(lifetime) => Some(lifetime.not_after()),
        _ => None,
    }
}

/// Reads a KeyPackage, whatever its age.
///
/// ```text
/// struct { ProtocolVersion version; WireFormat wire_format; KeyPackage key_package; } MLSMessage
/// ```
pub(crate) fn read(message: &[u8]) -> Result<wire::KeyPackage, PeerError> {
    const HEADER: [u8; 4] = [0, 1, 0, 5];
    let key_package = message.strip_prefix(&HEADER).ok_or(PeerError::Kind("KeyPackage"))?;
    wire::KeyPackage::decode(key_package).map_err(PeerError::message)
}

fn ciphersuite_of(key_package: &wire::KeyPackage) -> Result<Ciphersuite, UsageError> {
    Ciphersuite::try_from(key_package.cipher_suite()).map_err(|_| UsageError::CipherSuite)
}

/// The reference of a KeyPackage (RFC 9420 section 5.2):
///
/// ```text
/// MakeKeyPackageRef(value) = RefHash("MLS 1.0 KeyPackage Reference", value)
/// RefHash(label, value)    = Hash(label<V> || value<V>)
/// ```
fn reference<P: Platform>(device: &Device<P>, message: &[u8]) -> Result<Vec<u8>, Error> {
    const LABEL: &[u8] = b"MLS 1.0 KeyPackage Reference";
    let hash = ciphersuite_of(&read(message)?)?.hash_algorithm();
    let value = message.get(4..).unwrap_or_default();
    let mut input = Vec::new();
    for part in [LABEL, value] {
        let part = VLByteSlice(part).tls_serialize_detached();
        input.extend(part.map_err(Error::mls("serialize a KeyPackage"))?);
    }
    device.provider().crypto().hash(hash, &input).map_err(Error::mls("hash a KeyPackage"))
}

/// The signatures of a KeyPackage.
fn signatures(message: &[u8]) -> Result<Vec<Recorded>, PeerError> {
    let key_package = read(message)?;
    let leaf = key_package.leaf_node();
    let public_key = leaf.signature_key().to_vec();
    Ok(vec![
        Recorded {
            label: SignContent::LEAF_NODE_TBS,
            public_key: public_key.clone(),
            signature: leaf.signature().to_vec(),
        },
        Recorded {
            label: SignContent::KEY_PACKAGE_TBS,
            public_key,
            signature: key_package.signature().to_vec(),
        },
    ])
}

fn ciphersuite<P: Platform>(device: &Device<P>, pairing: PairingId) -> Result<Ciphersuite, Error> {
    let suite = device.vault().pairing_info(pairing)?.suite;
    Ok(Ciphersuite::try_from(suite.code_point()).map_err(|_| UsageError::CipherSuite)?)
}

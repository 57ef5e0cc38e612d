//! KeyPackages from the tape: whoever steals the MLS state of a device does not have their private keys.
//!
//! A device stores of them what is public. The private keys are derived when a Welcome comes, and its
//! partners can derive them too: that is how a forged KeyPackage is told from a real one.

use openmls::prelude::{
    Capabilities, Ciphersuite, CredentialWithKey, ExtensionType, KeyPackage, KeyPackageBuilder,
    KeyPackageIn, Lifetime, MlsGroup, MlsMessageBodyIn, ProtocolVersion, Welcome,
};
use openmls_traits::{crypto::OpenMlsCrypto as _, storage::StorageProvider as _};
use paired_mls::{
    Index, PairingId, Secret,
    leaf::{LeafPackage, LeafPackages, LeafRandomness, LeafUse, PACKAGES_GROUP_ID},
    wire,
};
use tls_codec::Serialize as _;

use crate::{
    Device, Error, PeerError, Platform, UsageError,
    gate::check_newcomer,
    group::parse,
    identity::admit,
    outgoing::message_bytes,
    provider::undone,
    steer::{Recorded, ReplayProvider, ReplaySigner, TapeRandomness},
};

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
    let tape = device.vault().open_group(pairing, PACKAGES_GROUP_ID)?;
    let index = device.vault().reserve(&tape)?;
    let rand = randomness(device, pairing, index)?;
    let builder = KeyPackage::builder().key_package_lifetime(lifetime);
    let builder = kind.mark(builder, capabilities);
    // OpenMLS stores the private keys: that is undone.
    let key_package = undone(device.provider(), || {
        let provider = ReplayProvider::new(device.provider(), &rand);
        let crypto = device.provider().crypto();
        let signer = ReplaySigner::new(device.signer(), crypto, &rand, Vec::new());
        let bundle = builder
            .build(ciphersuite, &provider, &signer, device.credential().clone())
            .map_err(rand.blame("make a KeyPackage"))?;
        message_bytes(bundle.into_key_package().into())
    })?;
    keep(device, pairing, LeafPackage { index, key_package: key_package.clone() })?;
    Ok(key_package)
}

/// Finds the tape position that a KeyPackage was made with: both of its HPKE keys are from there.
///
/// # Errors
///
/// [`PeerError::NotFromTheTape`] if there is none: then it is a forgery.
pub(crate) fn authenticate<P: Platform>(
    device: &Device<P>,
    pairing: PairingId,
    key_package: &KeyPackage,
) -> Result<Index, Error> {
    let crypto = device.provider().crypto();
    let is_key = |material: &Secret, public_key: &[u8]| {
        let config = key_package.ciphersuite().hpke_config();
        let pair = crypto.derive_hpke_keypair(config, material.expose());
        pair.is_ok_and(|pair| pair.public == public_key)
    };
    let init_key = key_package.hpke_init_key().as_slice();
    let vault = device.vault();
    let (tape, context) = (vault.open_group(pairing, PACKAGES_GROUP_ID)?, LeafPackages::context());
    let found = vault
        .recognise(&tape, LeafUse::KeyPackage, &context, |material| is_key(material, init_key))?;
    let index = found.ok_or(PeerError::NotFromTheTape)?;
    let value = vault.preview(&tape, index)?;
    let randomness = LeafRandomness::derive(value, LeafUse::KeyPackage, &context)?;
    let leaf = key_package.leaf_node().tls_serialize_detached();
    let leaf = leaf.map_err(Error::mls("serialize a leaf"))?;
    let leaf = wire::LeafNode::decode(&leaf).map_err(PeerError::message)?;
    let leaf_material = randomness.draw(1, randomness.public_draw().len());
    let is_whole = leaf_material.is_some_and(|material| is_key(material, leaf.encryption_key()));
    is_whole.then_some(index).ok_or(PeerError::NotFromTheTape.into())
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

/// The kept KeyPackage that a Welcome is for.
pub(crate) fn package_for<P: Platform>(
    device: &Device<P>,
    pairing: PairingId,
    welcome: &Welcome,
) -> Result<LeafPackage, Error> {
    let crypto = device.provider().crypto();
    for package in device.vault().load_leaf_packages(pairing)?.0 {
        let parsed = validate(device, &package.key_package)?;
        let reference = parsed.hash_ref(crypto).map_err(Error::mls("hash a KeyPackage"))?;
        if welcome.secrets().iter().any(|secrets| secrets.new_member() == reference) {
            return Ok(package);
        }
    }
    Err(UsageError::NoTapeKeyPackage.into())
}

/// Whether a Welcome is for a KeyPackage that this device has made from the tape of a pairing: what else
/// comes is not worth keeping. Nothing changes.
///
/// # Errors
///
/// [`PeerError::Message`] for a Welcome that is damaged; [`Error::Vault`].
pub fn is_for_tape_package<P: Platform>(
    device: &Device<P>,
    pairing: PairingId,
    welcome: &[u8],
) -> Result<bool, Error> {
    let MlsMessageBodyIn::Welcome(welcome) = parse(welcome)?.extract() else {
        return Err(PeerError::Kind("Welcome").into());
    };
    match package_for(device, pairing, &welcome) {
        Ok(_) => Ok(true),
        Err(Error::Usage(UsageError::NoTapeKeyPackage)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a KeyPackage again, so that its private keys are in the MLS storage; in a transaction.
pub(crate) fn restore<P: Platform>(
    device: &Device<P>,
    pairing: PairingId,
    credential: &CredentialWithKey,
    package: &LeafPackage,
) -> Result<(), Error> {
    let parsed = validate(device, &package.key_package)?;
    let rand = randomness(device, pairing, package.index)?;
    let provider = ReplayProvider::new(device.provider(), &rand);
    let recorded = signatures(&package.key_package)?;
    let crypto = device.provider().crypto();
    let signer = ReplaySigner::new(device.signer(), crypto, &rand, recorded);
    let leaf = parsed.leaf_node();
    let bundle = KeyPackage::builder()
        .key_package_lifetime(*parsed.life_time())
        .key_package_extensions(parsed.extensions().clone())
        .leaf_node_capabilities(leaf.capabilities().clone())
        .leaf_node_extensions(leaf.extensions().clone())
        .build(parsed.ciphersuite(), &provider, &signer, credential.clone())
        .map_err(rand.blame("make a KeyPackage"))
        .map_err(Error::received)?;
    let same = message_bytes(bundle.into_key_package().into())? == package.key_package;
    same.then_some(()).ok_or(PeerError::NotFromTheTape.into())
}

/// Removes a KeyPackage from the MLS storage, also one of the last resort, which OpenMLS keeps.
pub(crate) fn erase<P: Platform>(device: &Device<P>, package: &LeafPackage) -> Result<(), Error> {
    let provider = device.provider();
    let parsed = validate(device, &package.key_package)?;
    let reference = parsed.hash_ref(provider.crypto()).map_err(Error::mls("hash a KeyPackage"))?;
    provider.storage().delete_key_package(&reference).map_err(Error::storage("erase a KeyPackage"))
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
        if validate(device, &kept.key_package)?.last_resort() {
            return Ok(());
        }
        packages.0.retain(|kept| kept.index != index);
        vault.store_leaf_packages(pairing, &packages)?;
    }
    let tape = vault.open_group(pairing, PACKAGES_GROUP_ID)?;
    Ok(vault.burn(&tape, index)?)
}

/// Parses a KeyPackage and checks its signatures.
pub(crate) fn validate<P: Platform>(
    device: &Device<P>,
    key_package: &[u8],
) -> Result<KeyPackage, PeerError> {
    let MlsMessageBodyIn::KeyPackage(parsed) = parse(key_package)?.extract() else {
        return Err(PeerError::Kind("KeyPackage"));
    };
    KeyPackageIn::validate(parsed, device.provider().crypto(), ProtocolVersion::Mls10)
        .map_err(PeerError::message)
}

fn randomness<P: Platform>(
    device: &Device<P>,
    pairing: PairingId,
    index: Index,
) -> Result<TapeRandomness, Error> {
    let tape = device.vault().open_group(pairing, PACKAGES_GROUP_ID)?;
    let value = device.vault().preview(&tape, index)?;
    let context = LeafPackages::context();
    let randomness = LeafRandomness::derive(value, LeafUse::KeyPackage, &context)?;
    Ok(TapeRandomness::new(randomness))
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

/// The signatures of a KeyPackage.
fn signatures(message: &[u8]) -> Result<Vec<Recorded>, PeerError> {
    // struct { ProtocolVersion version; WireFormat wire_format; KeyPackage key_package; } MLSMessage
    let key_package = message.get(4..).unwrap_or_default();
    let key_package = wire::KeyPackage::decode(key_package).map_err(PeerError::message)?;
    let leaf = key_package.leaf_node();
    let public_key = leaf.signature_key().to_vec();
    Ok(vec![
        Recorded {
            label: b"LeafNodeTBS",
            public_key: public_key.clone(),
            signature: leaf.signature().to_vec(),
        },
        Recorded {
            label: b"KeyPackageTBS",
            public_key,
            signature: key_package.signature().to_vec(),
        },
    ])
}

fn ciphersuite<P: Platform>(device: &Device<P>, pairing: PairingId) -> Result<Ciphersuite, Error> {
    let suite = device.vault().pairing_info(pairing)?.suite;
    Ok(Ciphersuite::try_from(suite.code_point()).map_err(|_| UsageError::CipherSuite)?)
}

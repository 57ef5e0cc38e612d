//! KeyPackages, those from the tape among them: OpenMLS makes them, and makes them again.

use openmls::prelude::{
    Capabilities, Ciphersuite, CredentialWithKey, ExtensionType, Extensions, KeyPackage,
    KeyPackageBuilder, KeyPackageIn, KeyPackageRef, LeafNode, Lifetime, MlsGroup, MlsMessageBodyIn,
    ProtocolVersion, Welcome,
};
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::storage::StorageProvider as _;
use paired_mls::{
    DeviceId, Pairing, PairingId,
    leaf::{Held, LeafPackage},
    wire,
};
use paired_mls_group::{
    identity,
    packages::{self, Adopted},
};
use tls_codec::VLBytes;

use crate::{
    Device, Error, PeerError, Platform, UsageError,
    gate::{gate_of, leaf_extensions},
    group::parse,
    leaf::again,
    outgoing::message_bytes,
    provider::undone,
    steer::{KEY_PACKAGE, SteeredProvider, SteeredSigner, blame},
    view,
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
    held: Held,
) -> Result<Vec<u8>, Error> {
    let ciphersuite = ciphersuite(device, pairing)?;
    let (index, replay) = packages::begin(device.vault(), pairing, device.now())?;
    let extensions = leaf_extensions(device, ciphersuite.signature_algorithm())?;
    let builder =
        KeyPackage::builder().key_package_lifetime(lifetime).leaf_node_extensions(extensions);
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
    packages::keep(
        device.vault(),
        pairing,
        LeafPackage { index, key_package: key_package.clone(), held },
    )?;
    Ok(key_package)
}

/// The refresh chain of a device, for one partner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeChain {
    /// The message for the partner.
    pub message: Vec<u8>,
    /// How many KeyPackages are in it.
    pub packages: usize,
    /// How many of them were made by this call.
    pub made: usize,
    /// The end of the last window, in seconds since 1970.
    pub until: u64,
    /// The place on the tape of the one that was made last, not counting from 0; 0 if there is none. Another one means
    /// that the partner does not have all of it.
    pub newest: u64,
}

/// Makes what is missing of the chain for a partner, and the message that brings it all of it.
pub(crate) fn make_chain<P: Platform>(
    device: &Device<P>,
    pairing: PairingId,
    partner: DeviceId,
    width: usize,
    capabilities: &Capabilities,
) -> Result<MadeChain, Error> {
    let (vault, now) = (device.vault(), device.now());
    let missing = packages::missing(vault, pairing, partner, width, now)?;
    for window in &missing {
        let lifetime = Lifetime::init(window.not_before, window.not_after);
        let (held, capabilities) = (Held::ForPartner(partner), capabilities.clone());
        publish(device, pairing, PackageKind::Once, lifetime, capabilities, held)?;
    }
    let chain = packages::chain_for(vault, pairing, partner, now)?;
    let ends = chain.iter().filter_map(|package| {
        packages::Window::of(&packages::read(&package.key_package).ok()?).map(|at| at.not_after)
    });
    let (until, count) = (ends.max().unwrap_or(now), chain.len());
    let newest = chain.iter().map(|package| package.index.position().saturating_add(1)).max();
    let newest = newest.unwrap_or_default();
    let message = vault.seal_chain(pairing, chain)?;
    Ok(MadeChain { message, packages: count, made: missing.len(), until, newest })
}

/// Keeps the chain that a partner has made.
pub(crate) fn adopt_chain<P: Platform>(
    device: &Device<P>,
    pairing: &Pairing,
    message: &[u8],
) -> Result<Adopted, Error> {
    let (vault, now) = (device.vault(), device.now());
    let key_of = |of| {
        let paired = pairing.devices.iter().find(|paired| paired.device == of);
        paired.map(|paired| paired.signature_key.clone())
    };
    let scheme = device.signature_scheme();
    let verify = |key: &[u8], signed: &[u8], signature: &[u8]| {
        device.provider().crypto().verify_signature(scheme, signed, key, signature).is_ok()
    };
    packages::adopt_chain(device, vault, pairing.id, message, now, key_of, verify)
}

/// The KeyPackages of clients that are to be added to a group, each an `MLSMessage`.
pub(crate) fn newcomers<P: Platform>(
    mls: &MlsGroup,
    device: &Device<P>,
    key_packages: &[Vec<u8>],
) -> Result<Vec<KeyPackage>, Error> {
    let adds = key_packages.iter().map(|bytes| {
        let key_package = validate(device, bytes)?;
        let leaf = view::leaf_node(key_package.leaf_node())?;
        gate_of(mls.extensions()).check_newcomer(&leaf)?;
        paired_mls_group::gate::check_proofs(device, mls, &leaf).map_err(PeerError::KeyProofs)?;
        identity::admit(&device.this(), mls, &leaf)?;
        Ok(key_package)
    });
    adds.collect()
}

/// Checks that a client with this KeyPackage can be added to a group, before anything is made of it.
///
/// # Errors
///
/// As [`Group::add`](crate::Group::add), of this KeyPackage alone.
pub fn check_key_package<P: Platform>(
    mls: &MlsGroup,
    device: &Device<P>,
    key_package: &[u8],
) -> Result<(), Error> {
    newcomers(mls, device, &[key_package.to_vec()]).map(drop)
}

/// The kept KeyPackage that a Welcome is for.
pub(crate) fn package_for<P: Platform>(
    device: &Device<P>,
    pairing: PairingId,
    welcome: &Welcome,
) -> Result<LeafPackage, Error> {
    packages::package_for(device, device.vault(), pairing, |reference| {
        let mut named = welcome.secrets().iter();
        named.any(|secrets| secrets.new_member().as_slice() == reference)
    })
}

/// Makes a KeyPackage again, so that its private keys are in the MLS storage; in a transaction.
pub(crate) fn restore<P: Platform>(
    device: &Device<P>,
    pairing: PairingId,
    credential: &CredentialWithKey,
    package: &LeafPackage,
) -> Result<(), Error> {
    let parsed = packages::read(&package.key_package)?;
    let leaf = parsed.leaf_node();
    let wire::LeafNodeSource::KeyPackage(lifetime) = leaf.source() else {
        return Err(PeerError::NotFromTheTape.into());
    };
    let lifetime = Lifetime::init(lifetime.not_before(), lifetime.not_after());
    let capabilities: Capabilities = again(leaf.capabilities())?;
    let of_package: Extensions<KeyPackage> = again(&parsed.extensions())?;
    let of_leaf: Extensions<LeafNode> = again(&leaf.extensions())?;
    let replay = packages::again(device.vault(), pairing, package)?;
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
    let reference = VLBytes::new(packages::reference(device, &package.key_package)?);
    let reference: KeyPackageRef = again(&reference)?;
    let storage = device.provider().storage();
    storage.delete_key_package(&reference).map_err(Error::storage("erase a KeyPackage"))
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
    if let Ok(read) = packages::read(key_package) {
        packages::require_current(&read, device.now())?;
    }
    KeyPackageIn::validate(parsed, device.provider().crypto(), ProtocolVersion::Mls10)
        .map_err(PeerError::message)
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

fn ciphersuite_of(key_package: &wire::KeyPackage) -> Result<Ciphersuite, UsageError> {
    Ciphersuite::try_from(key_package.cipher_suite()).map_err(|_| UsageError::CipherSuite)
}

fn ciphersuite<P: Platform>(device: &Device<P>, pairing: PairingId) -> Result<Ciphersuite, Error> {
    let suite = device.vault().pairing_info(pairing)?.suite;
    Ok(Ciphersuite::try_from(suite.code_point()).map_err(|_| UsageError::CipherSuite)?)
}

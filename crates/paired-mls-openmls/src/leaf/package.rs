//! KeyPackages from the tape.

use openmls::prelude::{
    Capabilities, Ciphersuite, ExtensionType, KeyPackage, KeyPackageIn, Lifetime, MlsMessageBodyIn,
    ProtocolVersion, Welcome,
};
use openmls_traits::{crypto::OpenMlsCrypto as _, storage::StorageProvider as _};
use paired_mls::{
    Index, PairingId, Secret,
    leaf::{LeafPackage, LeafPackages, LeafRandomness, LeafUse, PACKAGES_GROUP_ID},
    wire,
};

use super::LeafGroup;
use crate::{
    Device, Error, PeerError, Platform, UsageError,
    group::parse,
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

impl LeafGroup {
    /// Makes a KeyPackage of the shared leaf; returns its `MLSMessage`. Its private keys are in no
    /// storage: they are derived from the tape when a Welcome comes.
    ///
    /// Give it to the delivery service, and to the other devices, which [adopt](LeafGroup::adopt) it.
    /// The lifetime is given by the caller, in seconds since 1970, since no clock is read here.
    ///
    /// # Errors
    ///
    /// [`UsageError::CipherSuite`]; [`Error::Guard`], [`Error::Vault`], [`Error::Mls`].
    pub fn publish<P: Platform>(
        device: &Device<P>,
        pairing: PairingId,
        kind: PackageKind,
        lifetime: Lifetime,
        capabilities: Capabilities,
    ) -> Result<Vec<u8>, Error> {
        let ciphersuite = ciphersuite(device, pairing)?;
        let tape = device.vault().open_group(pairing, PACKAGES_GROUP_ID)?;
        let index = device.vault().reserve(&tape)?;
        let rand = Self::package_randomness(device, pairing, index)?;
        let builder = KeyPackage::builder()
            .key_package_lifetime(lifetime)
            .leaf_node_capabilities(capabilities.clone());
        let builder = match kind {
            PackageKind::Once => builder,
            PackageKind::LastResort => builder
                .mark_as_last_resort()
                .leaf_node_capabilities(with_last_resort(&capabilities)),
        };
        // OpenMLS stores the private keys: that is undone.
        let key_package = undone(device.provider(), || {
            let provider = ReplayProvider::new(device.provider(), &rand);
            let credential = device.credential().clone();
            let bundle = builder
                .build(ciphersuite, &provider, device.signer(), credential)
                .map_err(rand.blame("make a KeyPackage"))?;
            message_bytes(bundle.into_key_package().into())
        })?;
        Self::keep_package(
            device,
            pairing,
            LeafPackage { index, key_package: key_package.clone() },
        )?;
        Ok(key_package)
    }

    /// Takes over a KeyPackage that another device of the pairing has published.
    ///
    /// # Errors
    ///
    /// [`PeerError::NotFromTheTape`] if its keys are not from the tape: then it is a forgery.
    /// [`PeerError`] for one that is not valid; [`UsageError::SignatureKey`] if it has another
    /// signature key; [`Error::Vault`].
    pub fn adopt<P: Platform>(
        device: &Device<P>,
        pairing: PairingId,
        key_package: &[u8],
    ) -> Result<(), Error> {
        let parsed = validate(device, key_package)?;
        if parsed.leaf_node().signature_key().as_slice() != device.signature_key() {
            return Err(UsageError::SignatureKey.into());
        }
        let crypto = device.provider().crypto();
        let config = || parsed.ciphersuite().hpke_config();
        let is_it = |material: &Secret| {
            crypto
                .derive_hpke_keypair(config(), material.expose())
                .is_ok_and(|pair| pair.public == parsed.hpke_init_key().as_slice())
        };
        let vault = device.vault();
        let tape = vault.open_group(pairing, PACKAGES_GROUP_ID)?;
        let found = vault.recognise(&tape, LeafUse::KeyPackage, &LeafPackages::context(), is_it)?;
        let index = found.ok_or(PeerError::NotFromTheTape)?;
        // The leaf key is from the tape as well, and so is everything else.
        let package = LeafPackage { index, key_package: key_package.to_vec() };
        undone(device.provider(), || Self::restore_package(device, pairing, &package))?;
        Self::keep_package(device, pairing, package)
    }

    /// The KeyPackages that no Welcome has used yet, each an `MLSMessage`.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`].
    pub fn packages<P: Platform>(
        device: &Device<P>,
        pairing: PairingId,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let packages = device.vault().load_leaf_packages(pairing)?;
        Ok(packages.0.into_iter().map(|package| package.key_package).collect())
    }

    /// The KeyPackage that a Welcome is for.
    pub(super) fn package_for<P: Platform>(
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

    /// Makes a KeyPackage again, so that its private keys are in the MLS storage; in a transaction.
    pub(super) fn restore_package<P: Platform>(
        device: &Device<P>,
        pairing: PairingId,
        package: &LeafPackage,
    ) -> Result<(), Error> {
        let parsed = validate(device, &package.key_package)?;
        let rand = Self::package_randomness(device, pairing, package.index)?;
        let provider = ReplayProvider::new(device.provider(), &rand);
        let recorded = signatures(&package.key_package)?;
        let signer = ReplaySigner::new(device.signer(), device.provider().crypto(), recorded);
        let leaf = parsed.leaf_node();
        let bundle = KeyPackage::builder()
            .key_package_lifetime(*parsed.life_time())
            .key_package_extensions(parsed.extensions().clone())
            .leaf_node_capabilities(leaf.capabilities().clone())
            .leaf_node_extensions(leaf.extensions().clone())
            .build(parsed.ciphersuite(), &provider, &signer, device.credential().clone())
            .map_err(rand.blame("make a KeyPackage"))?;
        let same = message_bytes(bundle.into_key_package().into())? == package.key_package;
        same.then_some(()).ok_or(PeerError::NotFromTheTape.into())
    }

    /// Removes a KeyPackage from the MLS storage, also one of the last resort, which OpenMLS keeps.
    pub(super) fn erase_package<P: Platform>(
        device: &Device<P>,
        package: &LeafPackage,
    ) -> Result<(), Error> {
        let provider = device.provider();
        let parsed = validate(device, &package.key_package)?;
        let reference =
            parsed.hash_ref(provider.crypto()).map_err(Error::mls("hash a KeyPackage"))?;
        provider
            .storage()
            .delete_key_package(&reference)
            .map_err(Error::storage("erase a KeyPackage"))
    }

    /// A Welcome has used a KeyPackage: it is given up, unless it is one of the last resort.
    pub(super) fn spend_package<P: Platform>(
        device: &Device<P>,
        pairing: PairingId,
        package: &LeafPackage,
    ) -> Result<(), Error> {
        if validate(device, &package.key_package)?.last_resort() {
            return Ok(());
        }
        let vault = device.vault();
        let mut packages = vault.load_leaf_packages(pairing)?;
        packages.0.retain(|kept| kept.index != package.index);
        vault.store_leaf_packages(pairing, &packages)?;
        let tape = vault.open_group(pairing, PACKAGES_GROUP_ID)?;
        Ok(vault.burn(&tape, package.index)?)
    }

    fn keep_package<P: Platform>(
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

    fn package_randomness<P: Platform>(
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

fn validate<P: Platform>(device: &Device<P>, key_package: &[u8]) -> Result<KeyPackage, PeerError> {
    let MlsMessageBodyIn::KeyPackage(parsed) = parse(key_package)?.extract() else {
        return Err(PeerError::Kind("KeyPackage"));
    };
    KeyPackageIn::validate(parsed, device.provider().crypto(), ProtocolVersion::Mls10)
        .map_err(PeerError::message)
}

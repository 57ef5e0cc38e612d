//! KeyPackages of the shared leaf.

use openmls::prelude::Credential;
use paired_mls::{
    PairingId,
    leaf::{Held, LeafPackage},
};
use paired_mls_group::packages::{authenticate, keep, read, tidy};

use super::{LeafGroup, again};
use crate::{
    Device, Error, PeerError, Platform, UsageError, gate::check_proofs, package::restore,
    provider::undone,
};

impl LeafGroup {
    /// Takes over a KeyPackage that another device of the pairing has published. One that has ended is taken
    /// too: a Welcome to it may still be on its way.
    ///
    /// # Errors
    ///
    /// [`PeerError::NotFromTheTape`](crate::PeerError::NotFromTheTape) if its keys are not from the
    /// tape: then it is a forgery. [`Error::Peer`] for one that is not valid;
    /// [`UsageError::SignatureKey`] if it has another signature key, [`UsageError::OtherCredential`] if
    /// it is of another user; [`Error::Vault`].
    pub fn adopt<P: Platform>(
        device: &Device<P>,
        pairing: PairingId,
        key_package: &[u8],
    ) -> Result<(), Error> {
        let parsed = read(key_package)?;
        if parsed.leaf_node().signature_key() != device.signature_key() {
            return Err(UsageError::SignatureKey.into());
        }
        require_same_user(device, &again(parsed.leaf_node().credential())?)?;
        let (crypto, scheme) = (device.provider().crypto(), device.signature_scheme());
        check_proofs(crypto, scheme, parsed.leaf_node()).map_err(PeerError::KeyProofs)?;
        let index = authenticate(device, device.vault(), pairing, key_package)?;
        let package = LeafPackage { index, key_package: key_package.to_vec(), held: Held::Free };
        // Made again, with the signatures of the partner: so they are valid, and all fields are the tape's.
        undone(device.provider(), || restore(device, pairing, device.credential(), &package))?;
        tidy(device.vault(), pairing, device.now())?;
        keep(device.vault(), pairing, package)
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
}

/// All devices of a leaf are of one user: the leaf has one credential (the draft's hidden mode demands
/// it, and a leaf with several signature keys could not have two either).
pub(super) fn require_same_user<P: Platform>(
    device: &Device<P>,
    credential: &Credential,
) -> Result<(), UsageError> {
    if device.credential().credential == *credential {
        Ok(())
    } else {
        Err(UsageError::OtherCredential)
    }
}

//! The gate of a group that has leaves with several signature keys.
//!
//! A member that does not know such leaves could not verify what comes from them, and would be stranded.
//! So the group requires the extension type `paired_mls` of everybody (RFC 9420 section 11.1), and MLS
//! itself keeps out who does not list it.

use openmls::prelude::{
    Capabilities, Extension, ExtensionType, Extensions, GroupContext, LeafNode, MlsGroup,
    RequiredCapabilitiesExtension, UnknownExtension,
};
use openmls_traits::{crypto::OpenMlsCrypto, types::SignatureScheme};
use paired_mls::{
    anchor::LeafIndex,
    code_points::EXTENSION_TYPE_PAIRED_MLS,
    group::Oddity,
    leaf::{KeyProofs, KeyProofsError, SignatureKeys},
    wire,
};
use paired_mls_group::gate::{self, Gate};

use crate::{Device, Error, Platform, UsageError, steer::key_len, view};

pub(crate) const PAIRED_MLS: ExtensionType = ExtensionType::Unknown(EXTENSION_TYPE_PAIRED_MLS);

/// The extension of the group's context that lets leaves with several signature keys in. It is to be
/// united with whatever else the group requires: there is one such extension at most.
pub fn gate() -> Extension {
    let required = RequiredCapabilitiesExtension::new(&[PAIRED_MLS], &[], &[]);
    Extension::RequiredCapabilities(required)
}

/// The capabilities of a member of such a group: OpenMLS' defaults, and the extension type.
pub fn gate_capabilities() -> Capabilities {
    Capabilities::new(None, None, Some(&[PAIRED_MLS]), None, None)
}

/// Whether a group lets leaves with several signature keys in.
pub fn is_gated(mls: &MlsGroup) -> bool {
    gate_of(mls.extensions()) == Gate::Set
}

/// The gate of a group with these extensions.
pub(crate) fn gate_of(extensions: &Extensions<GroupContext>) -> Gate {
    Gate::of(&view::required_extensions(extensions))
}

/// The leaves of a group whose signature keys are odd: stock members take them.
pub fn odd_leaves(crypto: &impl OpenMlsCrypto, mls: &MlsGroup) -> Vec<(LeafIndex, Oddity)> {
    let scheme = mls.ciphersuite().signature_algorithm();
    let leaves = mls.treesync().full_leaves();
    let leaves = leaves
        .filter_map(|(index, leaf)| Some((view::leaf(index), view::leaf_node(leaf).ok()?)))
        .collect::<Vec<_>>();
    gate::odd_leaves(&leaves, key_len(scheme), gate_of(mls.extensions()), &verifies(crypto, scheme))
}

/// Checks that each of several keys of a leaf is proven by its holder.
pub(crate) fn check_proofs(
    crypto: &impl OpenMlsCrypto,
    scheme: SignatureScheme,
    leaf: &wire::LeafNode,
) -> Result<(), KeyProofsError> {
    gate::check_leaf(leaf, key_len(scheme), &verifies(crypto, scheme))
}

/// Says whether a signature of a key is valid.
fn verifies(
    crypto: &impl OpenMlsCrypto,
    scheme: SignatureScheme,
) -> impl Fn(&[u8], &[u8], &[u8]) -> bool {
    move |key, signed, proof| crypto.verify_signature(scheme, signed, key, proof).is_ok()
}

/// The extension of a leaf of this device, with the proofs of the keys that it lists; none for a key that stands
/// alone.
pub(crate) fn leaf_extensions<P: Platform>(
    device: &Device<P>,
    scheme: SignatureScheme,
) -> Result<Extensions<LeafNode>, Error> {
    let keys = SignatureKeys::decode(device.signature_key(), key_len(scheme));
    let listed = keys.map_or(1, |keys| keys.keys().len());
    if listed == 1 {
        return Ok(Extensions::empty());
    }
    let proofs = device.key_proofs().ok_or(KeyProofsError::Number { keys: listed, proofs: 0 });
    proofs_extension(proofs.map_err(UsageError::KeyProofs)?)
}

/// The extension of a leaf that lists several signature keys.
///
/// # Errors
///
/// [`Error::Mls`], if OpenMLS does not take it.
pub fn proofs_extension(proofs: &KeyProofs) -> Result<Extensions<LeafNode>, Error> {
    let data = UnknownExtension(proofs.encode());
    let extension = Extension::Unknown(EXTENSION_TYPE_PAIRED_MLS, data);
    Extensions::single(extension).map_err(Error::mls("extend a leaf"))
}

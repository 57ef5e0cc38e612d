//! The gate of a group that has leaves with several signature keys.
//!
//! A member that does not know such leaves could not verify what comes from them, and would be stranded.
//! So the group requires the extension type `paired_mls` of everybody (RFC 9420 section 11.1), and MLS
//! itself keeps out who does not list it.

use openmls::prelude::{
    Capabilities, Extension, ExtensionType, Extensions, GroupContext, MlsGroup,
    RequiredCapabilitiesExtension,
};
use paired_mls::{anchor::LeafIndex, code_points::EXTENSION_TYPE_PAIRED_MLS, group::Oddity};
use paired_mls_group::gate::{self, Gate};

use crate::{steer::key_len, view};

const PAIRED_MLS: ExtensionType = ExtensionType::Unknown(EXTENSION_TYPE_PAIRED_MLS);

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
pub fn odd_leaves(mls: &MlsGroup) -> Vec<(LeafIndex, Oddity)> {
    let leaves = mls.treesync().full_leaves();
    let keys = leaves.map(|(index, leaf)| (view::leaf(index), leaf.signature_key().as_slice()));
    gate::odd_leaves(
        keys,
        key_len(mls.ciphersuite().signature_algorithm()),
        gate_of(mls.extensions()),
    )
}

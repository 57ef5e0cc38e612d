//! The gate of a group that has leaves with several signature keys.
//!
//! A member that does not know such leaves could not verify what comes from them, and would be stranded.
//! So the group requires the extension type `paired_mls` of everybody (RFC 9420 section 11.1), and MLS
//! itself keeps out who does not list it.

use std::collections::{BTreeMap, BTreeSet};

use openmls::prelude::{
    Capabilities, Extension, ExtensionType, Extensions, GroupContext, KeyPackage, MlsGroup,
    Proposal, RequiredCapabilitiesExtension, Sender, StagedCommit,
};
use paired_mls::{code_points::EXTENSION_TYPE_PAIRED_MLS, leaf::SignatureKeys};

use crate::{PeerError, UsageError, group, steer::key_len};

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
    requires(mls.extensions())
}

pub(crate) fn requires(extensions: &Extensions<GroupContext>) -> bool {
    let required = extensions.required_capabilities();
    required.is_some_and(|required| required.extension_types().contains(&PAIRED_MLS))
}

/// Refuses a KeyPackage of somebody whom the gate keeps out, before OpenMLS does in words of its own.
pub(crate) fn check_newcomer(mls: &MlsGroup, key_package: &KeyPackage) -> Result<(), UsageError> {
    let known = key_package.leaf_node().capabilities().extensions().contains(&PAIRED_MLS);
    if is_gated(mls) && !known { Err(UsageError::NotAtTheGate) } else { Ok(()) }
}

/// Refuses to set the gate while there are members whom it would keep out.
pub(crate) fn check_members(
    mls: &MlsGroup,
    extensions: &Extensions<GroupContext>,
) -> Result<(), UsageError> {
    let mut leaves = mls.treesync().full_leaves();
    let stranded = leaves.find(|(_, leaf)| !leaf.capabilities().extensions().contains(&PAIRED_MLS));
    match stranded {
        Some((index, _)) if requires(extensions) => {
            Err(UsageError::GateWouldStrand(group::leaf(index)))
        }
        _ => Ok(()),
    }
}

/// Checks the signature keys of all leaves: each occurs once in the whole tree, as RFC 9420 section 7.3
/// demands of leaves with one, and only a gated group has leaves with several.
pub(crate) fn check_signature_keys(mls: &MlsGroup) -> Result<(), PeerError> {
    let leaves = mls.treesync().full_leaves().map(|(_, leaf)| leaf.signature_key().as_slice());
    check(mls, leaves, is_gated(mls))
}

/// The same for the epoch that an own commit creates: what nobody could accept is not sent.
pub(crate) fn check_staged(mls: &MlsGroup, staged: &StagedCommit) -> Result<(), PeerError> {
    let leaves = mls.treesync().full_leaves();
    let mut leaves: BTreeMap<_, _> =
        leaves.map(|(index, leaf)| (index.u32(), leaf.signature_key().as_slice())).collect();
    let mut added = Vec::new();
    for queued in staged.queued_proposals() {
        match (queued.proposal(), queued.sender()) {
            (Proposal::Add(add), _) => {
                added.push(add.key_package().leaf_node().signature_key().as_slice());
            }
            (Proposal::Update(update), Sender::Member(sender)) => {
                leaves.insert(sender.u32(), update.leaf_node().signature_key().as_slice());
            }
            (Proposal::Remove(remove), _) => {
                leaves.remove(&remove.removed().u32());
            }
            (Proposal::SelfRemove, Sender::Member(sender)) => {
                leaves.remove(&sender.u32());
            }
            _ => {}
        }
    }
    if let Some(own) = staged.update_path_leaf_node() {
        leaves.insert(mls.own_leaf_index().u32(), own.signature_key().as_slice());
    }
    let gated = requires(staged.group_context().extensions());
    check(mls, leaves.into_values().chain(added), gated)
}

fn check<'a>(
    mls: &MlsGroup,
    leaves: impl Iterator<Item = &'a [u8]>,
    gated: bool,
) -> Result<(), PeerError> {
    let key_len = key_len(mls.ciphersuite().signature_algorithm());
    let mut seen = BTreeSet::new();
    for content in leaves {
        let keys = SignatureKeys::decode(content, key_len).map_err(PeerError::SignatureKeys)?;
        if keys.keys().len() > 1 && !gated {
            return Err(PeerError::Ungated);
        }
        for key in keys.keys() {
            if !seen.insert(key.clone()) {
                return Err(PeerError::SignatureKeyTwice);
            }
        }
    }
    Ok(())
}

//! The gate of a group that has leaves with several signature keys.
//!
//! A member that does not know such leaves could not verify what comes from them, and would be stranded.
//! So the group requires the extension type `paired_mls` of everybody (RFC 9420 section 11.1), and MLS
//! itself keeps out who does not list it.

use std::{borrow::Cow, collections::BTreeMap};

use openmls::prelude::{
    Capabilities, Extension, ExtensionType, Extensions, GroupContext, KeyPackage, LeafNodeIndex,
    MlsGroup, Proposal, RequiredCapabilitiesExtension, Sender, StagedCommit,
};
use paired_mls::{
    Event, PairedDevice,
    anchor::LeafIndex,
    code_points::EXTENSION_TYPE_PAIRED_MLS,
    group::Oddity,
    leaf::{SignatureKeys, SignatureKeysError},
};

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

/// Checks the signature keys of all leaves after a commit, or on entering a group, and returns what is odd.
///
/// ```text
/// a key of this device, or of `pairing`, in two leaves         refused
/// a key of a leaf with several keys in two leaves              refused: the rule of gated groups
/// several keys in a group without the gate                     refused: stock members could not verify it
/// any other key in two leaves, or in an unusual form           odd: stock members take it
/// ```
///
/// To refuse what stock members take would let any member shut this device out.
pub(crate) fn check_signature_keys(
    mls: &MlsGroup,
    pairing: &[PairedDevice],
) -> Result<Vec<(LeafIndex, Oddity)>, PeerError> {
    let leaves = mls.treesync().full_leaves();
    let leaves = leaves.map(|(index, leaf)| (group::leaf(index), leaf.signature_key().as_slice()));
    let own = mls.own_leaf_node().map(|own| own.signature_key().as_slice());
    Keys::of(mls, own, pairing).check(leaves, is_gated(mls))
}

/// The same for the epoch that an own commit creates: what this device puts into the tree is not odd.
/// What others propose is taken as stock members take it.
pub(crate) fn check_staged(
    mls: &MlsGroup,
    staged: &StagedCommit,
    pairing: &[PairedDevice],
) -> Result<(), PeerError> {
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
    let own = staged.update_path_leaf_node().map(|own| own.signature_key().as_slice());
    leaves.extend(own.map(|own| (mls.own_leaf_index().u32(), own)));
    let gated = requires(staged.group_context().extensions());
    let leaves = leaves.into_iter().filter_map(|(index, key)| Some((LeafIndex::new(index)?, key)));
    let leaves = leaves.chain(added.into_iter().map(|key| (LeafIndex::MAX, key)));
    Keys::of(mls, own, pairing).check(leaves, gated).map(drop)
}

/// The signature keys that a staged commit brings into the tree, as leaves have them.
pub(crate) fn brought_in(staged: &StagedCommit) -> Vec<Vec<u8>> {
    let proposed = staged.queued_proposals().filter_map(|queued| match queued.proposal() {
        Proposal::Add(add) => Some(add.key_package().leaf_node()),
        Proposal::Update(update) => Some(update.leaf_node()),
        _ => None,
    });
    let leaves = proposed.chain(staged.update_path_leaf_node());
    leaves.map(|leaf| leaf.signature_key().as_slice().to_vec()).collect()
}

/// What is told of odd leaves: of those that a commit has brought in.
pub(crate) fn odd_events<'a>(
    mls: &'a MlsGroup,
    odd: Vec<(LeafIndex, Oddity)>,
    brought_in: &'a [Vec<u8>],
) -> impl Iterator<Item = Event> + 'a {
    let is_new = move |leaf: &LeafIndex| {
        let leaf = mls.public_group().leaf(LeafNodeIndex::new(leaf.value()));
        let key = leaf.map(|leaf| leaf.signature_key().as_slice());
        key.is_some_and(|key| brought_in.iter().any(|new| new == key))
    };
    let new = odd.into_iter().filter(move |(leaf, _)| is_new(leaf));
    new.map(|(leaf, oddity)| Event::OddLeaf { leaf, oddity })
}

/// The leaves of a group whose signature keys are odd: stock members take them.
pub fn odd_leaves(mls: &MlsGroup) -> Vec<(LeafIndex, Oddity)> {
    check_signature_keys(mls, &[]).unwrap_or_default()
}

/// The keys that are nobody else's business.
struct Keys<'a> {
    key_len: usize,
    /// What the own leaf has in the field, and the keys of the pairing.
    ours: Vec<&'a [u8]>,
}

impl<'a> Keys<'a> {
    fn of(mls: &MlsGroup, own: Option<&'a [u8]>, pairing: &'a [PairedDevice]) -> Self {
        let key_len = key_len(mls.ciphersuite().signature_algorithm());
        let ours = pairing.iter().map(|paired| paired.signature_key.as_slice());
        Self { key_len, ours: own.into_iter().chain(ours).collect() }
    }

    fn check<'b>(
        &self,
        leaves: impl Iterator<Item = (LeafIndex, &'b [u8])>,
        gated: bool,
    ) -> Result<Vec<(LeafIndex, Oddity)>, PeerError> {
        // Each key, and whether the leaf that has it lists others as well.
        let mut seen = BTreeMap::new();
        let mut odd = Vec::new();
        for (leaf, content) in leaves {
            let keys = match self.read(content) {
                Ok(keys) => keys,
                Err(error) if self.ours.contains(&content) => {
                    return Err(PeerError::SignatureKeys(error));
                }
                Err(_) => {
                    odd.push((leaf, Oddity::UnusualForm));
                    vec![Cow::Borrowed(content)]
                }
            };
            let listed = if keys.len() > 1 { Listed::WithOthers } else { Listed::Alone };
            if listed == Listed::WithOthers && !gated {
                return Err(PeerError::Ungated);
            }
            for key in keys {
                let is_ours = self.ours.contains(&&*key);
                match seen.insert(key, listed) {
                    None => {}
                    Some(Listed::Alone) if listed == Listed::Alone && !is_ours => {
                        odd.push((leaf, Oddity::KeyTwice));
                    }
                    Some(_) => return Err(PeerError::SignatureKeyTwice),
                }
            }
        }
        Ok(odd)
    }

    fn read<'b>(&self, content: &'b [u8]) -> Result<Vec<Cow<'b, [u8]>>, SignatureKeysError> {
        if content.len() == self.key_len {
            return Ok(vec![Cow::Borrowed(content)]);
        }
        let keys = SignatureKeys::decode(content, self.key_len)?;
        Ok(keys.keys().iter().map(|key| Cow::Owned(key.clone())).collect())
    }
}

/// How a leaf has a signature key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    Alone,
    WithOthers,
}

//! The gate of a group that has leaves with several signature keys.
//!
//! A member that does not know such leaves could not verify what comes from them, and would be stranded.
//! So the group requires the extension type `paired_mls` of everybody (RFC 9420 section 11.1), and MLS
//! itself keeps out who does not list it.

use std::{borrow::Cow, collections::BTreeMap};

use openmls::prelude::{
    Capabilities, Extension, ExtensionType, Extensions, GroupContext, KeyPackage, LeafNode,
    LeafNodeIndex, MlsGroup, Proposal, RequiredCapabilitiesExtension, Sender, StagedCommit,
};
use openmls_traits::crypto::OpenMlsCrypto;
use paired_mls::{
    Event, PairedDevice,
    anchor::LeafIndex,
    code_points::EXTENSION_TYPE_PAIRED_MLS,
    group::Oddity,
    leaf::{SignatureKeys, SignatureKeysError},
    wire,
};
use tls_codec::{Serialize as _, VLByteSlice};

use crate::{PeerError, UsageError, steer::key_len, view};

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
            Err(UsageError::GateWouldStrand(view::leaf(index)))
        }
        _ => Ok(()),
    }
}

/// Checks the signature keys of all leaves after a commit, or on entering a group, and returns what is odd.
///
/// ```text
/// a key of this device, or of `pairing`, in two leaves         refused
/// a key of a leaf with several keys in two leaves              refused if both leaves prove it; else odd
/// several keys in a group without the gate                     refused: stock members could not verify it
/// any other key in two leaves, or in an unusual form           odd: stock members take it
/// ```
///
/// A leaf proves the key that has signed it, and the own leaf all of its keys: whoever lists a stranger's key
/// keeps nobody out. To refuse what stock members take would let any member shut this device out.
pub(crate) fn check_signature_keys(
    crypto: &impl OpenMlsCrypto,
    mls: &MlsGroup,
    pairing: &[PairedDevice],
) -> Result<Vec<(LeafIndex, Oddity)>, PeerError> {
    let leaves = mls.treesync().full_leaves();
    let leaves = leaves.map(|(index, leaf)| (view::leaf(index), leaf));
    let own = mls.own_leaf_node().map(|own| own.signature_key().as_slice());
    let signed = |at, leaf: &_, key: &_| is_signed_by(crypto, mls, at, leaf, key);
    Keys::of(mls, own, pairing).check(leaves, is_gated(mls), &signed)
}

/// The same for the epoch that an own commit creates: what this device puts into the tree is not odd.
/// What others propose is taken as stock members take it.
pub(crate) fn check_staged(
    crypto: &impl OpenMlsCrypto,
    mls: &MlsGroup,
    staged: &StagedCommit,
    pairing: &[PairedDevice],
) -> Result<(), PeerError> {
    let leaves = mls.treesync().full_leaves();
    let mut leaves: BTreeMap<_, _> = leaves.map(|(index, leaf)| (index.u32(), leaf)).collect();
    let mut added = Vec::new();
    for queued in staged.queued_proposals() {
        match (queued.proposal(), queued.sender()) {
            (Proposal::Add(add), _) => {
                added.push(add.key_package().leaf_node());
            }
            (Proposal::Update(update), Sender::Member(sender)) => {
                leaves.insert(sender.u32(), update.leaf_node());
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
    let own = staged.update_path_leaf_node();
    leaves.extend(own.map(|own| (mls.own_leaf_index().u32(), own)));
    let own = own.map(|own| own.signature_key().as_slice());
    let gated = requires(staged.group_context().extensions());
    let leaves =
        leaves.into_iter().filter_map(|(index, leaf)| Some((LeafIndex::new(index)?, leaf)));
    let leaves = leaves.chain(added.into_iter().map(|leaf| (LeafIndex::MAX, leaf)));
    let signed = |at, leaf: &_, key: &_| is_signed_by(crypto, mls, at, leaf, key);
    Keys::of(mls, own, pairing).check(leaves, gated, &signed).map(drop)
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
    let leaves = mls.treesync().full_leaves().map(|(index, leaf)| (view::leaf(index), leaf));
    Keys::of(mls, None, &[]).check(leaves, is_gated(mls), &|_, _, _| false).unwrap_or_default()
}

/// The keys that are nobody else's business.
struct Keys<'a> {
    key_len: usize,
    /// What the own leaf has in the field, and the keys of the pairing.
    ours: Vec<&'a [u8]>,
    /// What the own leaf has in the field.
    own: Option<&'a [u8]>,
}

impl<'a> Keys<'a> {
    fn of(mls: &MlsGroup, own: Option<&'a [u8]>, pairing: &'a [PairedDevice]) -> Self {
        let key_len = key_len(mls.ciphersuite().signature_algorithm());
        let ours = pairing.iter().map(|paired| paired.signature_key.as_slice());
        Self { key_len, ours: own.into_iter().chain(ours).collect(), own }
    }

    fn check<'b>(
        &self,
        leaves: impl Iterator<Item = (LeafIndex, &'b LeafNode)>,
        gated: bool,
        signed: &dyn Fn(LeafIndex, &LeafNode, &[u8]) -> bool,
    ) -> Result<Vec<(LeafIndex, Oddity)>, PeerError> {
        let proves = |(at, node, listed): (LeafIndex, &LeafNode, Listed), key: &[u8]| {
            let is_own = self.own == Some(node.signature_key().as_slice());
            listed == Listed::Alone || is_own || signed(at, node, key)
        };
        // Each key, and the leaf that has it.
        let mut seen = BTreeMap::new();
        let mut odd = Vec::new();
        for (leaf, node) in leaves {
            let content = node.signature_key().as_slice();
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
                let now = (leaf, node, listed);
                let Some(&before) = seen.get(&key) else {
                    seen.insert(key, now);
                    continue;
                };
                let alone = (before.2, listed) == (Listed::Alone, Listed::Alone);
                match (proves(before, &key), proves(now, &key)) {
                    (true, true) if !alone || is_ours => return Err(PeerError::SignatureKeyTwice),
                    (false, true) => {
                        odd.push((before.0, Oddity::KeyTwice));
                        seen.insert(key, now);
                    }
                    _ => odd.push((leaf, Oddity::KeyTwice)),
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

/// Whether a leaf's signature is of this key (RFC 9420 section 7.2):
///
/// ```text
/// LeafNodeTBS = the leaf without its signature
///               || group_id<V> || leaf_index      unless it is from a KeyPackage
/// ```
fn is_signed_by(
    crypto: &impl OpenMlsCrypto,
    mls: &MlsGroup,
    at: LeafIndex,
    leaf: &LeafNode,
    key: &[u8],
) -> bool {
    let vector = |bytes: &[u8]| VLByteSlice(bytes).tls_serialize_detached().unwrap_or_default();
    let encoded = leaf.tls_serialize_detached().unwrap_or_default();
    let Ok(decoded) = wire::LeafNode::decode(&encoded) else {
        return false;
    };
    let end = encoded.len().saturating_sub(vector(decoded.signature()).len());
    let mut signed = encoded.get(..end).unwrap_or_default().to_vec();
    if !matches!(decoded.source(), wire::LeafNodeSource::KeyPackage(_)) {
        signed.extend(vector(mls.group_id().as_slice()));
        signed.extend(at.value().to_be_bytes());
    }
    let content = [vector(b"MLS 1.0 LeafNodeTBS"), vector(&signed)].concat();
    let scheme = mls.ciphersuite().signature_algorithm();
    crypto.verify_signature(scheme, &content, key, decoded.signature()).is_ok()
}

/// How a leaf has a signature key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listed {
    Alone,
    WithOthers,
}

//! Commits, proposals and leaves of OpenMLS, as the engine sees them.

use openmls::prelude::{
    Credential, KeyPackage, LeafNode, LeafNodeIndex, MlsGroup, Proposal as MlsProposal,
    QueuedProposal, Sender, StagedCommit as MlsStagedCommit,
};
use openmls::{extensions::Extensions, group::GroupContext};
use paired_mls::{
    anchor::{LeafIndex, Tree},
    group::{EpochMark, Identities, credential::Identity},
    wire::{self, CredentialType, RatchetTree},
};
use paired_mls_group::{
    Membership, Proposal, Proposed, Proposer, StagedCommit,
    identity::{self, MemberIdentity},
};
use tls_codec::Serialize as _;

use crate::{Error, outgoing::message_bytes, steer::key_len};

/// A leaf's index.
pub(crate) fn leaf(index: LeafNodeIndex) -> LeafIndex {
    LeafIndex::new(index.u32()).unwrap_or(LeafIndex::MAX)
}

/// A leaf.
pub(crate) fn leaf_node(leaf: &LeafNode) -> Result<wire::LeafNode, Error> {
    let bytes = leaf.tls_serialize_detached().map_err(Error::mls("serialize a leaf"))?;
    Ok(wire::LeafNode::decode(&bytes)?)
}

/// What tells an epoch.
pub(crate) fn mark(context: &GroupContext) -> EpochMark {
    EpochMark {
        epoch: context.epoch().as_u64(),
        confirmed_transcript_hash: context.confirmed_transcript_hash().to_vec(),
    }
}

/// A credential.
pub(crate) fn credential(credential: &Credential) -> wire::Credential {
    let content = credential.serialized_content().to_vec();
    wire::Credential::new(CredentialType(u16::from(credential.credential_type())), content)
}

/// The extension types that a group with these extensions requires of its members.
pub(crate) fn required_extensions(extensions: &Extensions<GroupContext>) -> Vec<u16> {
    let required = extensions.required_capabilities().into_iter();
    required.flat_map(|required| required.extension_types()).map(|of| u16::from(*of)).collect()
}

/// A commit that was processed or made, and not merged yet.
pub(crate) fn staged(staged: &MlsStagedCommit) -> Result<StagedCommit, Error> {
    let proposals = staged.queued_proposals().map(proposed);
    Ok(StagedCommit {
        proposals: proposals.collect::<Result<_, _>>()?,
        path: staged.update_path_leaf_node().map(leaf_node).transpose()?,
        next: mark(staged.group_context()),
        required_extensions: required_extensions(staged.group_context().extensions()),
        membership: match staged.self_removed() {
            true => Membership::Removed,
            false => Membership::Stays,
        },
    })
}

/// The proposals that wait, in the order in which OpenMLS has them.
pub(crate) fn waiting(mls: &MlsGroup) -> Result<Vec<Proposed>, Error> {
    mls.pending_proposals().map(proposed).collect()
}

/// A proposal.
pub(crate) fn proposed(queued: &QueuedProposal) -> Result<Proposed, Error> {
    let proposal = match queued.proposal() {
        MlsProposal::Add(add) => added(add.key_package())?,
        MlsProposal::Update(update) => Proposal::Update(Box::new(leaf_node(update.leaf_node())?)),
        MlsProposal::Remove(remove) => Proposal::Remove(leaf(remove.removed())),
        MlsProposal::SelfRemove => Proposal::SelfRemove,
        _ => Proposal::Other,
    };
    let by = match queued.sender() {
        Sender::Member(index) => Proposer::Member(leaf(*index)),
        Sender::NewMemberCommit => Proposer::NewMemberCommit,
        Sender::NewMemberProposal | Sender::External(_) => Proposer::Other,
    };
    let reference = queued.proposal_reference_ref().as_slice().to_vec();
    Ok(Proposed { reference, by, proposal })
}

fn added(key_package: &KeyPackage) -> Result<Proposal, Error> {
    Ok(Proposal::Add {
        leaf: Box::new(leaf_node(key_package.leaf_node())?),
        key_package: message_bytes(key_package.clone().into())?,
    })
}

/// The abstract ratchet tree of a group's current epoch, for placement and for pictures.
///
/// # Errors
///
/// [`Error::Mls`] if OpenMLS exports a tree that does not parse.
pub fn ratchet_tree(mls: &MlsGroup) -> Result<Tree, Error> {
    let bytes = mls
        .export_ratchet_tree()
        .tls_serialize_detached()
        .map_err(Error::mls("serialize the ratchet tree"))?;
    Ok(Tree::from(&RatchetTree::decode(&bytes)?))
}

/// The reference of a proposal, which tells it from others.
pub(crate) fn reference_of(queued: &QueuedProposal) -> &[u8] {
    queued.proposal_reference_ref().as_slice()
}

/// The members, and who they are.
pub(crate) fn members(mls: &MlsGroup, identities: &Identities) -> Vec<MemberIdentity> {
    let leaves = mls.treesync().full_leaves();
    leaves.map(|(index, leaf)| member_of(mls, identities, index, leaf)).collect()
}

/// Who the member at this leaf is; `None` for a blank leaf.
pub(crate) fn member(mls: &MlsGroup, identities: &Identities, at: LeafIndex) -> Option<Identity> {
    let index = LeafNodeIndex::new(at.value());
    let leaf = mls.public_group().leaf(index)?;
    Some(member_of(mls, identities, index, leaf).identity)
}

fn member_of(
    mls: &MlsGroup,
    identities: &Identities,
    index: LeafNodeIndex,
    node: &LeafNode,
) -> MemberIdentity {
    let key_len = key_len(mls.ciphersuite().signature_algorithm());
    let keys = identity::signature_keys(node.signature_key().as_slice(), key_len);
    let places = (leaf(index), leaf(mls.own_leaf_index()));
    let claims = credential(node.credential());
    identity::member(identities, places, mls.epoch().as_u64(), claims, keys)
}

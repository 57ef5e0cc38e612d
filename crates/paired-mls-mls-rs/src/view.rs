//! Commits, proposals and leaves of mls-rs, as the engine sees them.

use mls_rs::{
    CryptoProvider, ExtensionList, Group,
    extension::built_in::RequiredCapabilitiesExt,
    group::{
        CachedProposal, CommitEffect, CommitMessageDescription, GroupContext, NewEpoch,
        ProposalMessageDescription, ProposalSender, Sender, proposal::Proposal as MlsProposal,
    },
    mls_rs_codec::MlsEncode,
};
use paired_mls::{
    CipherSuite,
    anchor::LeafIndex,
    group::{EpochMark, Identities, credential::Identity},
    wire::{KeyPackage, LeafNode, RatchetTree},
};
use paired_mls_group::{
    Committer, Error, Library as _, Membership, PeerError, Proposal, Proposed, Proposer,
    StagedCommit,
    identity::{self, MemberIdentity},
};

use crate::{
    Device, Unsupported,
    config::{Config, MlsState},
    steer::key_len,
};

/// mls-rs' suite for one of the core.
pub(crate) fn mls_suite(suite: CipherSuite) -> mls_rs::CipherSuite {
    mls_rs::CipherSuite::new(suite.code_point())
}

/// A leaf's index.
pub(crate) fn leaf(index: u32) -> LeafIndex {
    LeafIndex::new(index).unwrap_or(LeafIndex::MAX)
}

/// What tells an epoch.
pub(crate) fn mark(context: &GroupContext) -> EpochMark {
    EpochMark {
        epoch: context.epoch,
        confirmed_transcript_hash: context.confirmed_transcript_hash.to_vec(),
    }
}

/// The extension types that a group with these extensions requires of its members.
pub(crate) fn required_extensions(extensions: &ExtensionList) -> Vec<u16> {
    let required = extensions.get_as::<RequiredCapabilitiesExt>().ok().flatten();
    let types = required.map(|required| required.extensions).unwrap_or_default();
    types.into_iter().map(|of| of.raw_value()).collect()
}

/// The ratchet tree of the current epoch.
pub(crate) fn ratchet_tree<C: CryptoProvider + Clone>(
    mls: &Group<Config<C>>,
) -> Result<RatchetTree, Error> {
    let bytes = mls.export_tree().to_bytes();
    let bytes = bytes.map_err(Error::mls("serialize the ratchet tree"))?;
    Ok(RatchetTree::decode(&bytes)?)
}

/// A leaf of the current epoch; `None` for a blank one.
pub(crate) fn leaf_at<C: CryptoProvider + Clone>(
    mls: &Group<Config<C>>,
    at: LeafIndex,
) -> Option<LeafNode> {
    let tree = mls.export_tree();
    let found = tree.get_leaf(mls_rs::group::LeafIndex::try_from(at.value()).ok()?);
    leaf_node(found.ok()??).ok()
}

fn leaf_node(leaf: &impl MlsEncode) -> Result<LeafNode, Error> {
    Ok(LeafNode::decode(&encode(leaf)?)?)
}

fn encode(of: &impl MlsEncode) -> Result<Vec<u8>, Error> {
    of.mls_encode_to_vec().map_err(Error::mls("serialize a structure"))
}

/// A commit that mls-rs has processed or made in a copy of the group.
pub(crate) struct Described {
    pub(crate) staged: StagedCommit,
    pub(crate) committer: Committer,
}

impl Described {
    /// `after` is the copy, in which the commit is merged, unless it removes this device. `path` is the leaf that its path
    /// brings.
    ///
    /// # Errors
    ///
    /// [`PeerError::Message`] for a commit that starts the group anew, which nobody follows here.
    pub(crate) fn of<C: CryptoProvider + Clone>(
        device: &Device<C>,
        before: &MlsState<C>,
        after: &MlsState<C>,
        description: &CommitMessageDescription,
        path: Option<LeafNode>,
    ) -> Result<Self, Error> {
        let at = leaf(description.committer);
        let committer = match description.is_external {
            true => Committer::External(at),
            false => Committer::Member(at),
        };
        let (epoch, membership) = match &description.effect {
            CommitEffect::NewEpoch(epoch) => (epoch, Membership::Stays),
            CommitEffect::Removed { new_epoch, .. } => (new_epoch, Membership::Removed),
            CommitEffect::ReInit(_) => {
                return Err(PeerError::message(Unsupported::ReInit).into());
            }
        };
        let proposals = epoch.applied_proposals().iter().map(|info| {
            let reference = info.proposal_ref().map(|reference| reference.to_vec());
            proposed(reference.unwrap_or_default(), proposer(info.sender), &info.proposal)
        });
        let proposals = proposals.collect::<Result<_, _>>()?;
        let staged = match membership {
            Membership::Stays => StagedCommit {
                proposals,
                path,
                next: mark(after.mls.context()),
                required_extensions: device.required_extensions(after),
                membership,
            },
            Membership::Removed => StagedCommit {
                proposals,
                path,
                next: left(epoch),
                required_extensions: device.required_extensions(before),
                membership,
            },
        };
        Ok(Self { staged, committer })
    }
}

/// The epoch that begins without this device, of which it knows the number.
fn left(epoch: &NewEpoch) -> EpochMark {
    EpochMark { epoch: epoch.epoch(), confirmed_transcript_hash: Vec::new() }
}

/// The proposals that wait, in the order in which an own commit has them.
pub(crate) fn waiting<C: CryptoProvider + Clone>(
    mls: &Group<Config<C>>,
) -> Result<Vec<Proposed>, Error> {
    let waiting = mls.get_cached_proposals();
    let mut waiting: Vec<_> = waiting.iter().map(cached).collect::<Result<_, _>>()?;
    waiting.sort_by(|one, other| one.reference.cmp(&other.reference));
    Ok(waiting)
}

fn cached(cached: &CachedProposal) -> Result<Proposed, Error> {
    proposed(cached.proposal_ref().to_vec(), proposer(*cached.sender()), cached.proposal())
}

/// A proposal that was received.
pub(crate) fn heard(heard: &ProposalMessageDescription) -> Result<Proposed, Error> {
    let by = match heard.sender {
        ProposalSender::Member(at) => Proposer::Member(leaf(at)),
        ProposalSender::External(_) | ProposalSender::NewMember => Proposer::Other,
    };
    proposed(heard.proposal_ref(), by, &heard.proposal)
}

/// How long a proposal is, in bytes.
pub(crate) fn length(proposal: &MlsProposal) -> usize {
    mls_rs::mls_rs_codec::MlsSize::mls_encoded_len(proposal)
}

/// Whether a proposal that waits is of this sender. Who is no member can have any name.
pub(crate) fn same_sender(one: Sender, other: Proposer) -> bool {
    match (proposer(one), other) {
        (Proposer::Member(one), Proposer::Member(other)) => one == other,
        (Proposer::Member(_), _) | (_, Proposer::Member(_)) => false,
        _ => true,
    }
}

fn proposer(sender: Sender) -> Proposer {
    match sender {
        Sender::Member(at) => Proposer::Member(leaf(at)),
        Sender::NewMemberCommit => Proposer::NewMemberCommit,
        _ => Proposer::Other,
    }
}

fn proposed(reference: Vec<u8>, by: Proposer, of: &MlsProposal) -> Result<Proposed, Error> {
    let proposal = match of {
        MlsProposal::Add(add) => added(&encode(add.key_package())?)?,
        MlsProposal::Update(update) => Proposal::Update(Box::new(leaf_node(update)?)),
        MlsProposal::Remove(remove) => Proposal::Remove(leaf(remove.to_remove())),
        _ => Proposal::Other,
    };
    Ok(Proposed { reference, by, proposal })
}

fn added(key_package: &[u8]) -> Result<Proposal, Error> {
    // `MLSMessage` with `mls10` and `mls_key_package`.
    const HEADER: [u8; 4] = [0, 1, 0, 5];
    let read = KeyPackage::decode(key_package)?;
    Ok(Proposal::Add {
        leaf: Box::new(read.leaf_node().clone()),
        key_package: [&HEADER, key_package].concat(),
    })
}

/// The members, and who they are.
pub(crate) fn members<C: CryptoProvider + Clone>(
    device: &Device<C>,
    state: &MlsState<C>,
    identities: &Identities,
) -> Result<Vec<MemberIdentity>, Error> {
    let own = device.own_leaf(state);
    let key_len = key_len(state.mls.cipher_suite());
    let members = device.leaves(state)?.into_iter().map(|(at, node)| {
        let keys = identity::signature_keys(node.signature_key(), key_len);
        let claims = node.credential().clone();
        identity::member(identities, (at, own), state.epoch(), claims, keys)
    });
    Ok(members.collect())
}

/// Who the member at this leaf is; `None` for a blank leaf.
pub(crate) fn member<C: CryptoProvider + Clone>(
    device: &Device<C>,
    state: &MlsState<C>,
    identities: &Identities,
    at: LeafIndex,
) -> Option<Identity> {
    let claims = device.leaf(state, at)?.credential().clone();
    let own = device.own_leaf(state);
    Some(identity::member(identities, (at, own), state.epoch(), claims, Vec::new()).identity)
}

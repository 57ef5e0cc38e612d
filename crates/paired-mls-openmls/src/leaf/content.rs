//! What a commit does: from a call of this device, or from a partner's Notify.

use openmls::{
    ciphersuite::hash_ref::ProposalRef,
    extensions::Extensions,
    group::GroupContext,
    prelude::{
        Capabilities, Credential, CredentialWithKey, KeyPackage, KeyPackageIn, LeafNode,
        LeafNodeIndex, LeafNodeParameters, MlsGroup, Proposal, ProposalType, ProtocolVersion,
        QueuedProposal, Sender, StagedCommit,
    },
};
use openmls_traits::crypto::OpenMlsCrypto;
use paired_mls::{anchor::LeafIndex, leaf::LeafNotify, wire};
use tls_codec::Serialize as _;

use crate::{
    Device, Error, PeerError, Platform,
    identity::{LeftOut, reference_of},
    view::leaf,
};

/// What a commit does. Its order is the one in which OpenMLS commits: Adds, then what concerns the
/// group, then the one proposal that concerns a leaf.
#[derive(Default)]
pub(super) struct Content {
    /// Proposals of others, in this order.
    pub(super) references: Vec<ProposalRef>,
    pub(super) adds: Vec<KeyPackage>,
    pub(super) removes: Vec<LeafIndex>,
    pub(super) extensions: Option<Extensions<GroupContext>>,
    /// A change of the own leaf; the keys change in any case.
    pub(super) leaf: Option<LeafNodeParameters>,
    pub(super) authenticated_data: Vec<u8>,
}

impl Content {
    /// Takes up the proposals that wait. OpenMLS orders Updates and Removes of one commit by a hash
    /// table, so that a commit of a shared leaf has one of them at most. Proposals to remove the own
    /// leaf are for another member to commit.
    ///
    /// Returns the members that are to be removed until a commit has done so: `wanted`, and those
    /// whose Remove or SelfRemove is left out, since proposals do not outlive the epoch. An Update that
    /// is left out is lost: its sender makes it again. An Update of the own leaf is nobody's of its
    /// devices, and is always left out.
    pub(super) fn take_up(
        &mut self,
        mls: &MlsGroup,
        wanted: &[LeafIndex],
        left_out: &LeftOut,
    ) -> Vec<LeafIndex> {
        let own = leaf(mls.own_leaf_index());
        let mut of_leaf = Vec::new();
        for queued in mls.pending_proposals().filter(|queued| left_out.keeps(reference_of(queued)))
        {
            let removed = removed_by(queued);
            let is_update = matches!(queued.proposal(), Proposal::Update(_));
            if is_update && *queued.sender() == Sender::Member(mls.own_leaf_index()) {
                continue;
            }
            if removed.is_some() || is_update {
                of_leaf.push((queued.proposal_reference_ref().clone(), removed));
            } else {
                self.references.push(queued.proposal_reference_ref().clone());
            }
        }
        of_leaf.retain(|(_, removed)| *removed != Some(own));
        // A Remove goes first: an Update can wait.
        of_leaf.sort_by_key(|(_, removed)| removed.is_none());
        let mut of_leaf = of_leaf.into_iter();
        match of_leaf.next() {
            Some((reference, _)) => self.references.push(reference),
            None => self.removes = wanted.first().copied().into_iter().collect(),
        }
        let mut removals: Vec<_> = wanted.to_vec();
        removals.extend(of_leaf.filter_map(|(_, removed)| removed));
        removals.sort_unstable();
        removals.dedup();
        removals
    }

    /// Reads what a commit does from what is said about it.
    pub(super) fn from_notify<P: Platform>(
        mls: &MlsGroup,
        device: &Device<P>,
        notify: &LeafNotify,
    ) -> Result<Self, Error> {
        let mut content =
            Self { authenticated_data: notify.authenticated_data.clone(), ..Self::default() };
        let mut rest = notify.proposals.as_slice();
        while !rest.is_empty() {
            rest = content.proposal(device.provider().crypto(), rest)?;
        }
        content.leaf = changed_leaf(mls, &notify.leaf_node)?;
        Ok(content)
    }

    /// Reads one `ProposalOrRef` (RFC 9420 section 12.4) and returns what follows.
    fn proposal<'b>(
        &mut self,
        crypto: &impl OpenMlsCrypto,
        bytes: &'b [u8],
    ) -> Result<&'b [u8], PeerError> {
        const PROPOSAL: u8 = 1;
        let (kind, rest) = next::<u8>(bytes)?;
        if kind != PROPOSAL {
            let (reference, rest) = next(rest)?;
            self.references.push(reference);
            return Ok(rest);
        }
        let (proposal_type, rest) = next::<ProposalType>(rest)?;
        match proposal_type {
            ProposalType::Add => {
                let (key_package, rest) = next::<KeyPackageIn>(rest)?;
                let valid = key_package.validate(crypto, ProtocolVersion::Mls10);
                self.adds.push(valid.map_err(PeerError::message)?);
                Ok(rest)
            }
            ProposalType::Remove => {
                let (removed, rest) = next::<LeafNodeIndex>(rest)?;
                self.removes.push(leaf(removed));
                Ok(rest)
            }
            ProposalType::GroupContextExtensions => {
                let (extensions, rest) = next(rest)?;
                self.extensions = Some(extensions);
                Ok(rest)
            }
            other => Err(PeerError::Proposal(u16::from(other))),
        }
    }

    /// Puts the referenced proposals, and no others, into the group's store, in this order.
    pub(super) fn arrange<P: Platform>(
        &self,
        mls: &mut MlsGroup,
        device: &Device<P>,
    ) -> Result<(), Error> {
        let waiting: Vec<QueuedProposal> = mls.pending_proposals().cloned().collect();
        let arranged = self.references.iter().map(|reference| {
            let found = waiting.iter().find(|queued| queued.proposal_reference_ref() == reference);
            found.cloned().ok_or(PeerError::MissingProposal)
        });
        let arranged = arranged.collect::<Result<Vec<_>, _>>()?;
        let storage = device.provider().storage();
        let failed = "store a proposal";
        mls.clear_pending_proposals(storage).map_err(Error::storage(failed))?;
        for queued in arranged {
            mls.store_pending_proposal(storage, queued).map_err(Error::storage(failed))?;
        }
        Ok(())
    }
}

/// The member that a proposal removes.
fn removed_by(queued: &QueuedProposal) -> Option<LeafIndex> {
    match (queued.proposal(), queued.sender()) {
        (Proposal::Remove(remove), _) => Some(leaf(remove.removed())),
        (Proposal::SelfRemove, Sender::Member(index)) => Some(leaf(*index)),
        _ => None,
    }
}

/// Takes those off the list that a commit removes: their leaves may be somebody else's from now on.
pub(super) fn strike_off(removals: &mut Vec<LeafIndex>, staged: &StagedCommit) {
    let gone: Vec<_> = staged.queued_proposals().filter_map(removed_by).collect();
    removals.retain(|leaf| !gone.contains(leaf));
}

/// The parameters of a leaf that differs from the current one in more than its keys.
fn changed_leaf(mls: &MlsGroup, leaf_node: &[u8]) -> Result<Option<LeafNodeParameters>, Error> {
    let new = wire::LeafNode::decode(leaf_node).map_err(PeerError::message)?;
    let failed = |error| Error::mls("serialize a leaf")(error);
    let current = mls.own_leaf_node().map(|own| own.tls_serialize_detached()).transpose();
    let current =
        current.map_err(failed)?.map(|bytes| wire::LeafNode::decode(&bytes)).transpose()?;
    let same = |current: &wire::LeafNode| {
        (current.signature_key(), current.credential(), current.capabilities())
            == (new.signature_key(), new.credential(), new.capabilities())
            && current.extensions() == new.extensions()
    };
    if current.as_ref().is_some_and(same) {
        return Ok(None);
    }
    parameters(&new).map(Some)
}

/// The parameters that make a leaf like this one.
pub(super) fn parameters(leaf: &wire::LeafNode) -> Result<LeafNodeParameters, Error> {
    let credential: Credential = again(leaf.credential())?;
    let capabilities: Capabilities = again(leaf.capabilities())?;
    let extensions: Extensions<LeafNode> = again(&leaf.extensions())?;
    Ok(LeafNodeParameters::builder()
        .with_credential_with_key(CredentialWithKey {
            credential,
            signature_key: leaf.signature_key().into(),
        })
        .with_capabilities(capabilities)
        .with_extensions(extensions)
        .build())
}

/// The same structure, as a type of OpenMLS.
pub(crate) fn again<T: tls_codec::Deserialize>(
    structure: &impl tls_codec::Serialize,
) -> Result<T, PeerError> {
    let bytes = structure.tls_serialize_detached().map_err(PeerError::message)?;
    T::tls_deserialize_exact(bytes).map_err(PeerError::message)
}

/// Reads the next structure; not by `DeserializeBytes`, which panics on some truncated vectors.
fn next<T: tls_codec::Deserialize>(bytes: &[u8]) -> Result<(T, &[u8]), PeerError> {
    let mut rest = bytes;
    let value = T::tls_deserialize(&mut rest).map_err(PeerError::message)?;
    Ok((value, rest))
}

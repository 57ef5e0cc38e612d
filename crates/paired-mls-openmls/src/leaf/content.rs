//! What a commit does: from a call of this device, or from a partner's Notify.

use openmls::{
    extensions::Extensions,
    group::GroupContext,
    prelude::{
        Capabilities, Credential, CredentialWithKey, CustomProposal, KeyPackage, KeyPackageIn,
        LeafNode, LeafNodeIndex, LeafNodeParameters, MlsGroup, PreSharedKeyProposal, Proposal,
        ProposalType, ProtocolVersion, QueuedProposal,
    },
};
use openmls_traits::crypto::OpenMlsCrypto;
use paired_mls::{anchor::LeafIndex, leaf::LeafNotify, wire};
use paired_mls_group::shared::TakenUp;
use tls_codec::{Serialize as _, VLBytes};

use crate::{
    Device, Error, PeerError, Platform,
    view::{leaf, reference_of},
};

/// What a commit does: checked and parsed. Its order is the one in which OpenMLS commits: Adds, then what
/// concerns the group, then the one proposal that concerns a leaf.
#[derive(Default)]
pub(super) struct Prepared {
    /// Proposals of others, in this order.
    pub(super) references: Vec<Vec<u8>>,
    pub(super) adds: Vec<KeyPackage>,
    pub(super) removes: Vec<LeafIndex>,
    pub(super) extensions: Option<Extensions<GroupContext>>,
    /// Pre-shared keys, and proposals that RFC 9420 does not define.
    pub(super) others: Vec<Proposal>,
    /// A change of the own leaf; the keys change in any case.
    pub(super) leaf: Option<LeafNodeParameters>,
    pub(super) authenticated_data: Vec<u8>,
}

impl Prepared {
    /// Has the proposals of others that were taken up, and removes whom it is to remove.
    pub(super) fn with(self, taken: TakenUp) -> Self {
        Self { references: taken.references, removes: taken.removes, ..self }
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
            let (reference, rest) = next::<VLBytes>(rest)?;
            self.references.push(reference.into());
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
            ProposalType::PreSharedKey => {
                let (psk, rest) = next::<PreSharedKeyProposal>(rest)?;
                self.others.push(Proposal::PreSharedKey(Box::new(psk)));
                Ok(rest)
            }
            ProposalType::Custom(proposal_type) => {
                let (payload, rest) = next::<VLBytes>(rest)?;
                let custom = CustomProposal::new(proposal_type, payload.into());
                self.others.push(Proposal::Custom(Box::new(custom)));
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
            let found = waiting.iter().find(|queued| reference_of(queued) == reference);
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

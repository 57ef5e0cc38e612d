//! The parts of a commit, or of a proposal, in the clear.

use openmls::prelude::{ProposalIn, ProposalOrRefIn, ProposalType};
use paired_mls::wire::{
    ContentType, FramedContentTbs, KeyPackage, LeafNode, PublicCommit, Sender, WireFormat,
};
use tls_codec::{DeserializeBytes as _, Serialize as _};

use super::super::failure::MessageFault;

/// A message in the clear, taken apart as far as its form is known.
pub(in super::super) struct PublicParts {
    pub(in super::super) sender: Sender,
    /// The leaves of its Update proposals.
    pub(in super::super) updates: Vec<LeafNode>,
    /// The KeyPackages of its Add proposals.
    pub(in super::super) adds: Vec<KeyPackage>,
    /// The leaves that its Remove proposals name.
    pub(super) removes: Vec<u32>,
    pub(super) others: Vec<ProposalType>,
    pub(super) references: Readable,
    /// The commit, if it is one.
    pub(super) commit: Option<PublicCommit>,
}

/// Whether all that the message does is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readable {
    /// All of it.
    Whole,
    /// A proposal is named, or of a form that is not known here.
    InPart,
}

impl PublicParts {
    fn new(sender: Sender) -> Self {
        Self {
            sender,
            updates: Vec::new(),
            adds: Vec::new(),
            removes: Vec::new(),
            others: Vec::new(),
            references: Readable::Whole,
            commit: None,
        }
    }

    /// Whether all that it does is in it, and nothing is named that was sent before.
    pub(in super::super) fn is_whole(&self) -> bool {
        self.references == Readable::Whole
    }

    /// The leaves that its own Remove proposals name.
    pub(in super::super) fn removes(&self) -> &[u32] {
        &self.removes
    }

    /// The leaf that the sender of a commit has from now on, if the commit has a path.
    pub(in super::super) fn path_leaf(&self) -> Option<&LeafNode> {
        let commit = self.commit.as_ref().and_then(PublicCommit::commit);
        commit.and_then(|commit| commit.path()).map(|path| path.leaf_node())
    }

    fn take(&mut self, proposal: &ProposalIn) -> Result<(), MessageFault> {
        let bad = |_| MessageFault::Proposal;
        match proposal {
            ProposalIn::Add(add) => {
                let key_package = add.tls_serialize_detached().map_err(bad)?;
                let key_package = KeyPackage::decode(&key_package)?;
                self.adds.push(key_package);
            }
            ProposalIn::Update(update) => {
                let leaf = update.tls_serialize_detached().map_err(bad)?;
                self.updates.push(LeafNode::decode(&leaf)?);
            }
            ProposalIn::Remove(remove) => self.removes.push(remove.removed().u32()),
            other => self.others.push(other.proposal_type()),
        }
        Ok(())
    }
}

/// Takes a commit or a proposal apart; nothing if it is encrypted.
pub(in super::super) fn parts(message: &[u8]) -> Result<Option<PublicParts>, MessageFault> {
    let content = match FramedContentTbs::decode(message) {
        Ok(content) if content.wire_format() == WireFormat::PUBLIC_MESSAGE => content,
        _ => return Ok(None),
    };
    let mut parts = PublicParts::new(content.sender());
    if let Some(commit) = PublicCommit::decode(message)? {
        let mut rest = commit.commit().map(|commit| commit.proposals()).unwrap_or_default();
        while !rest.is_empty() {
            let parsed = ProposalOrRefIn::tls_deserialize_bytes(rest);
            let Ok((proposal, after)) = parsed else {
                // What follows a proposal of an unknown form cannot be found.
                parts.references = Readable::InPart;
                break;
            };
            match proposal {
                ProposalOrRefIn::Proposal(proposal) => parts.take(&proposal)?,
                ProposalOrRefIn::Reference(_) => parts.references = Readable::InPart,
            }
            rest = after;
        }
        parts.commit = Some(commit);
    } else if content.content_type() == ContentType::PROPOSAL {
        match ProposalIn::tls_deserialize_bytes(content.rest()) {
            Ok((proposal, _)) => parts.take(&proposal)?,
            Err(_) => parts.references = Readable::InPart,
        }
    }
    Ok(Some(parts))
}

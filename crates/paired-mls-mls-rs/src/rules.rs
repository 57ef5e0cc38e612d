//! What mls-rs asks an application about the commits that it makes and receives.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use mls_rs::{
    MlsRules,
    group::{GroupContext, Roster},
    mls_rules::{CommitDirection, CommitOptions, CommitSource, EncryptionOptions, ProposalBundle},
};

use crate::Handshakes;

/// The rules of one group: each own commit has a path, and the proposals that wait in an order of their own.
///
/// mls-rs keeps the proposals that wait in no order, and they go into a commit by their references here: where a
/// newcomer's leaf is depends on it, and so on which commit it takes to reach a partner.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    handshakes: Handshakes,
    left_out: LeftOutRefs,
}

/// The references of the proposals that the next own commit leaves out. Copies are of the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct LeftOutRefs(Arc<Mutex<BTreeSet<Vec<u8>>>>);

impl LeftOutRefs {
    /// The next commit leaves out these.
    pub(crate) fn set(&self, references: BTreeSet<Vec<u8>>) {
        // Nothing panics while it is locked.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = references;
    }

    fn has(&self, reference: &[u8]) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(reference)
    }
}

impl Rules {
    /// Those of a device whose handshake messages are framed so.
    pub(crate) fn new(handshakes: Handshakes, left_out: LeftOutRefs) -> Self {
        Self { handshakes, left_out }
    }
}

impl MlsRules for Rules {
    type Error = Infallible;

    fn filter_proposals(
        &self,
        direction: CommitDirection,
        _: CommitSource,
        _: &Roster<'_>,
        _: &GroupContext,
        proposals: ProposalBundle,
    ) -> Result<ProposalBundle, Infallible> {
        if direction == CommitDirection::Receive {
            return Ok(proposals);
        }
        let mut kept: Vec<_> = proposals
            .into_proposals()
            .map(|info| (info.proposal_ref().map(|reference| reference.to_vec()), info))
            .filter(|(reference, _)| {
                reference.as_ref().is_none_or(|reference| !self.left_out.has(reference))
            })
            .collect();
        kept.sort_by(|(one, _), (other, _)| (one.is_none(), one).cmp(&(other.is_none(), other)));
        let kept = kept.into_iter().map(|(_, info)| (info.proposal, info.sender, info.source));
        Ok(kept.collect())
    }

    fn commit_options(
        &self,
        _: &Roster<'_>,
        _: &GroupContext,
        _: &ProposalBundle,
    ) -> Result<CommitOptions, Infallible> {
        Ok(CommitOptions::new()
            .with_path_required(true)
            .with_ratchet_tree_extension(true)
            .with_single_welcome_message(true)
            .with_allow_external_commit(true))
    }

    fn encryption_options(
        &self,
        _: &Roster<'_>,
        _: &GroupContext,
    ) -> Result<EncryptionOptions, Infallible> {
        let encrypts = self.handshakes == Handshakes::Encrypted;
        Ok(EncryptionOptions::new(encrypts, Default::default()))
    }
}

//! What this device sends: commits, application messages, and the proposal to leave.

use openmls::prelude::{
    CommitBuilder, CommitMessageBundle, Complete, KeyPackage, LeafNodeIndex, LoadedPsks, MlsGroup,
};
use openmls_traits::crypto::OpenMlsCrypto as _;
use paired_mls::{
    Event, GroupRecord, Phase,
    anchor::{Anchor, LeafIndex},
    group::PendingCommit,
};

use super::{Paired, PairedGroup, facts::Proposals, merge::merge_own};
use crate::{
    Device, Error, Outgoing, Platform, UsageError, gate::check_staged, outgoing::message_bytes,
    package::newcomers, steer::build_paired,
};

/// What a commit of this device does, by value.
#[derive(Default)]
pub(super) struct Content {
    pub(super) adds: Vec<KeyPackage>,
    pub(super) removes: Vec<LeafIndex>,
}

impl PairedGroup {
    /// Commits with nothing but a new path and the proposals that were received: the call that heals.
    ///
    /// # Errors
    ///
    /// As [`PairedGroup::add`].
    pub fn update<P: Platform>(&mut self, device: &Device<P>) -> Result<Outgoing, Error> {
        self.commit(device, Content::default())
    }

    /// Adds the members of these KeyPackages, each a serialized `MLSMessage`, in this order: the
    /// first takes the leftmost blank leaf, and so on.
    ///
    /// In a paired group this, like every commit, is a paired one.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] for a KeyPackage that is not valid; [`UsageError::CommitPending`],
    /// [`UsageError::Removed`]; [`Error::Guard`] if OpenMLS made something other than a paired
    /// commit: then nothing was signed; [`Error::Vault`], [`Error::Mls`], [`Error::Storage`]. An
    /// index that was drawn is burned in any case; the group is as it was before.
    pub fn add<P: Platform>(
        &mut self,
        device: &Device<P>,
        key_packages: &[Vec<u8>],
    ) -> Result<Outgoing, Error> {
        let adds = newcomers(&self.mls, device, key_packages)?;
        self.commit(device, Content { adds, ..Content::default() })
    }

    /// Removes the members at these leaves.
    ///
    /// # Errors
    ///
    /// As [`PairedGroup::add`].
    pub fn remove<P: Platform>(
        &mut self,
        device: &Device<P>,
        leaves: &[LeafIndex],
    ) -> Result<Outgoing, Error> {
        self.commit(device, Content { removes: leaves.to_vec(), ..Content::default() })
    }

    /// Encrypts an application message; returns its `MLSMessage`.
    ///
    /// # Errors
    ///
    /// [`UsageError::Removed`]; [`Error::Mls`], for instance while proposals wait for a commit.
    pub fn send<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
    ) -> Result<Vec<u8>, Error> {
        if !self.mls.is_active() {
            return Err(UsageError::Removed.into());
        }
        let sent = self
            .mls
            .create_message(device.provider(), device.signer(), message)
            .map_err(Error::mls("encrypt a message"))?;
        message_bytes(sent)
    }

    /// Proposes that this device be removed; another member has to commit it.
    ///
    /// # Errors
    ///
    /// [`UsageError::CommitPending`], [`UsageError::Removed`], [`Error::Mls`].
    pub fn leave<P: Platform>(&mut self, device: &Device<P>) -> Result<Vec<u8>, Error> {
        self.require_no_pending()?;
        self.transact(device, |mls, _| {
            let proposal = mls
                .leave_group(device.provider(), device.signer())
                .map_err(Error::mls("propose to leave"))?;
            Ok((message_bytes(proposal)?, None))
        })
    }

    /// Merges this device's commit: the delivery service has accepted it.
    ///
    /// Returns what it changed.
    ///
    /// # Errors
    ///
    /// [`UsageError::NoCommitPending`]; [`Error::Storage`], [`Error::Vault`].
    pub fn confirm<P: Platform>(&mut self, device: &Device<P>) -> Result<Vec<Event>, Error> {
        let merge =
            |mls: &mut _, paired: Option<&_>| Ok(merge_own(mls, paired, device)?.into_parts());
        let mut merged = self.transact(device, merge)?;
        self.settle(device, &mut merged);
        Ok(merged.events)
    }

    /// Drops this device's commit: the delivery service has refused it. Its tape index stays burned.
    ///
    /// # Errors
    ///
    /// [`UsageError::NoCommitPending`]; [`Error::Storage`], [`Error::Vault`].
    pub fn discard<P: Platform>(&mut self, device: &Device<P>) -> Result<(), Error> {
        self.transact(device, |mls, _| {
            if mls.pending_commit().is_none() {
                return Err(UsageError::NoCommitPending.into());
            }
            let cleared = mls.clear_pending_commit(device.provider().storage());
            Ok((cleared.map_err(Error::storage("drop a commit"))?, None))
        })
    }

    pub(super) fn commit<P: Platform>(
        &mut self,
        device: &Device<P>,
        content: Content,
    ) -> Result<Outgoing, Error> {
        self.require_no_pending()?;
        let anchor = self.anchor_after(&content)?;
        let next_epoch = self.next_epoch();

        self.transact(device, |mls, paired| {
            let (bundle, index) = match (paired, anchor) {
                (Some(Paired { record, .. }), Some(anchor)) => {
                    let path = device.vault().draw(&record.tape)?.into_path_secret(&next_epoch)?;
                    let index = path.index();
                    let ciphersuite = mls.ciphersuite();
                    let commit = load(mls, device, content)?;
                    let built =
                        build_paired(commit, device, &record.tape, ciphersuite, path, &anchor)?;
                    (stage(built, device)?, Some(index))
                }
                _ => {
                    let provider = device.provider();
                    let built = load(mls, device, content)?
                        .build(provider.rand(), provider.crypto(), device.signer(), |_| true)
                        .map_err(Error::mls("build a commit"))?;
                    (stage(built, device)?, None)
                }
            };
            mls.pending_commit().map_or(Ok(()), |staged| check_staged(mls, staged))?;
            let outgoing = Outgoing::new(bundle)?;
            let hash = message_hash(mls, device, &outgoing.commit)?;
            let pending = PendingCommit { hash, index };
            Ok((outgoing, paired.map(|paired| paired.waiting_for(pending))))
        })
    }

    /// The anchor of a commit with this content; `None` if it has no partner to notify.
    fn anchor_after(&self, content: &Content) -> Result<Option<Anchor>, Error> {
        let Some(Paired { record, standing }) = &self.paired else {
            return Ok(None);
        };
        if record.phase == Phase::Ceasing {
            return Ok(None);
        }
        let own = self.own_leaf();
        let mut proposals = Proposals::of(self.mls.pending_proposals(), own);
        for key_package in &content.adds {
            proposals.add(key_package.leaf_node().signature_key().as_slice());
        }
        for removed in &content.removes {
            proposals.remove(*removed);
        }
        let (after, added) = proposals.apply(standing, record)?;
        Ok(after.anchorage(own, &added)?.anchor().cloned())
    }
}

impl Paired {
    /// The same, with another own commit that waits.
    fn waiting_for(&self, pending: PendingCommit) -> Self {
        let record = GroupRecord { pending: Some(pending), ..self.record.clone() };
        Self { record, standing: self.standing.clone() }
    }
}

type Loaded<'a> = CommitBuilder<'a, LoadedPsks, &'a mut MlsGroup>;
type Built<'a> = CommitBuilder<'a, Complete, &'a mut MlsGroup>;

/// The commit builder with its content: always with a path.
fn load<'a, P: Platform>(
    mls: &'a mut MlsGroup,
    device: &'a Device<P>,
    content: Content,
) -> Result<Loaded<'a>, Error> {
    let removes = content.removes.iter().map(|leaf| LeafNodeIndex::new(leaf.value()));
    mls.commit_builder()
        .propose_adds(content.adds)
        .propose_removals(removes)
        .force_self_update(true)
        .load_psks(device.provider().storage())
        .map_err(Error::mls("load the pre-shared keys of a commit"))
}

fn stage<P: Platform>(built: Built<'_>, device: &Device<P>) -> Result<CommitMessageBundle, Error> {
    built.stage_commit(device.provider()).map_err(Error::mls("stage a commit"))
}

/// What tells a commit of this device when the delivery service delivers it.
pub(super) fn message_hash<P: Platform>(
    mls: &MlsGroup,
    device: &Device<P>,
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    let crypto = device.provider().crypto();
    crypto.hash(mls.ciphersuite().hash_algorithm(), message).map_err(Error::mls("hash a message"))
}

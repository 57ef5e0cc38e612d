//! What this device sends: commits, application messages, and the proposal to leave.

use openmls::{
    extensions::Extensions,
    group::GroupContext,
    prelude::{
        CommitBuilder, CommitMessageBundle, Complete, KeyPackage, LeafNodeIndex,
        LeafNodeParameters, LoadedPsks, MlsGroup, Proposal,
    },
};
use openmls_traits::crypto::OpenMlsCrypto as _;
use paired_mls::{DeviceId, Event, anchor::LeafIndex, group::PendingCommit};
use paired_mls_group::{
    Library as _, Proposed, Sending,
    gate::check_staged,
    identity::LeftOut,
    node::{Aim, Paired, Proposals},
};

use super::{PairedGroup, merge::merge_own, suite_of};
use crate::{
    Content, Device, Error, Outgoing, Platform, UsageError,
    gate::gate_of,
    outgoing::{message_bytes, outgoing},
    package::newcomers,
    signal::next_leaf,
    steer::build,
    unusable::{put_back, set_aside, unusable},
    view::{self, reference_of},
};

/// What a commit of this device does, by value: checked and parsed.
#[derive(Default)]
pub(super) struct Prepared {
    pub(super) adds: Vec<KeyPackage>,
    pub(super) removes: Vec<LeafIndex>,
    pub(super) extensions: Option<Extensions<GroupContext>>,
    /// Pre-shared keys, and proposals that RFC 9420 does not define.
    pub(super) others: Vec<Proposal>,
    pub(super) authenticated_data: Vec<u8>,
    /// The partners that the commit removes and adds again with new leaves.
    pub(super) renews: Vec<DeviceId>,
    /// A change of the own leaf; the keys change in any case.
    pub(super) leaf: Option<LeafNodeParameters>,
}

impl PairedGroup {
    /// Commits with this content and the proposals that were received.
    ///
    /// # Errors
    ///
    /// [`UsageError::GateWouldStrand`] for a [gate](crate::gate()) that a member would not pass; otherwise as
    /// [`Group::add`](crate::Group::add).
    pub(crate) fn commit<P: Platform>(
        &mut self,
        device: &Device<P>,
        content: Content,
    ) -> Result<Outgoing, Error> {
        let Content { adds, removes, extensions, others, authenticated_data } = content;
        let adds = newcomers(&self.mls, device, &adds)?;
        if let Some(extensions) = &extensions {
            gate_of(extensions).check_members(&device.leaves(&self.mls)?)?;
        }
        let prepared = Prepared {
            adds,
            removes,
            extensions,
            others,
            authenticated_data,
            ..Prepared::default()
        };
        self.make(device, prepared)
    }

    /// Encrypts an application message; returns its `MLSMessage`.
    ///
    /// # Errors
    ///
    /// [`UsageError::Removed`]; [`Error::Mls`], for instance while proposals wait for a commit.
    pub(crate) fn send<P: Platform>(
        &mut self,
        device: &Device<P>,
        message: &[u8],
    ) -> Result<Vec<u8>, Error> {
        if !self.mls.is_active() {
            return Err(UsageError::Removed.into());
        }
        self.require_current_state(device)?;
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
    pub(crate) fn leave<P: Platform>(&mut self, device: &Device<P>) -> Result<Vec<u8>, Error> {
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
    pub(crate) fn confirm<P: Platform>(&mut self, device: &Device<P>) -> Result<Vec<Event>, Error> {
        let identities = self.identities.clone();
        let merge = |mls: &mut _, paired: Option<&_>| merge_own(mls, paired, device, &identities);
        let mut merged = self.transact(device, merge)?;
        self.settle(device, &mut merged);
        Ok(merged.events)
    }

    /// Drops this device's commit: the delivery service has refused it. Its tape index stays burned.
    ///
    /// # Errors
    ///
    /// [`UsageError::NoCommitPending`]; [`Error::Storage`], [`Error::Vault`].
    pub(crate) fn discard<P: Platform>(&mut self, device: &Device<P>) -> Result<(), Error> {
        self.transact(device, |mls, _| {
            if mls.pending_commit().is_none() {
                return Err(UsageError::NoCommitPending.into());
            }
            let cleared = mls.clear_pending_commit(device.provider().storage());
            Ok((cleared.map_err(Error::storage("drop a commit"))?, None))
        })
    }

    pub(super) fn make<P: Platform>(
        &mut self,
        device: &Device<P>,
        content: Prepared,
    ) -> Result<Outgoing, Error> {
        self.require_no_pending()?;
        let left_out = self.left_out(device)?;
        self.make_without(device, content, &left_out)
    }

    /// The same, where it is known what the commit leaves out.
    pub(super) fn make_without<P: Platform>(
        &mut self,
        device: &Device<P>,
        mut content: Prepared,
        left_out: &LeftOut,
    ) -> Result<Outgoing, Error> {
        self.check_vault(device)?;
        let Aim { anchor, heals } = self.aim(&content, &self.kept(left_out)?)?;
        let told = match &self.paired {
            Some(Paired { record, standing }) => {
                let suite = suite_of(self.mls.ciphersuite()).ok_or(UsageError::CipherSuite)?;
                Paired::signal(record, standing, suite, &heals)?
            }
            None => None,
        };
        if let Some(own) = self.mls.own_leaf_node() {
            content.leaf = next_leaf(own, told.as_ref())?;
        }
        let next_epoch = self.next_epoch();
        let renews = !content.renews.is_empty();

        self.transact(device, |mls, paired| {
            let aside = set_aside(mls, device, |queued| !left_out.keeps(reference_of(queued)))?;
            let (bundle, index) = match (paired, anchor) {
                (Some(Paired { record, .. }), Some(anchor)) => {
                    let value = device.vault().draw(&record.tape, next_epoch.epoch)?;
                    let path = value.into_path_secret(&next_epoch)?;
                    let index = path.spot().index;
                    let sending =
                        Sending::new(device, device.vault(), &record.tape, path, &anchor)?;
                    let commit = load(mls, device, content)?;
                    let built = build(commit, device, &sending)?;
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
            // Another member may commit them, and this commit lose.
            put_back(mls, device, aside)?;
            let pairing = paired.map(|paired| paired.record.devices.as_slice()).unwrap_or_default();
            if let Some(staged) = mls.pending_commit() {
                check_staged(device, mls, &view::staged(staged)?, pairing)?;
            }
            let mut outgoing = Outgoing { events: left_out.events.clone(), ..outgoing(bundle)? };
            if let (Some(paired), Some(welcome)) = (paired.filter(|_| renews), &outgoing.welcome) {
                let staged = mls.pending_commit().ok_or(UsageError::NoCommitPending)?;
                let context = staged.group_context();
                let (epoch, tree_hash) = (context.epoch().as_u64(), context.tree_hash());
                let tape = &paired.record.tape;
                outgoing.refresh =
                    Some(device.vault().seal_refresh(tape, epoch, tree_hash, welcome)?);
            }
            let hash = message_hash(mls, device, &outgoing.commit)?;
            if paired.is_none() {
                device.vault().note_own_commit(mls.group_id().as_slice(), &hash)?;
            }
            let pending = PendingCommit { hash, index };
            Ok((outgoing, paired.map(|paired| paired.waiting_for(pending))))
        })
    }

    /// Whom a commit with this content reaches, and these proposals that wait.
    pub(super) fn aim(&self, content: &Prepared, waiting: &[Proposed]) -> Result<Aim, Error> {
        let Some(paired) = &self.paired else {
            return Ok(Aim::default());
        };
        let mut proposals = Proposals::of(waiting, self.own_leaf());
        for key_package in &content.adds {
            proposals.add(key_package.leaf_node().signature_key().as_slice());
        }
        for removed in &content.removes {
            proposals.remove(*removed);
        }
        paired.aim(&proposals, &content.renews)
    }

    /// The proposals that wait, without those that a commit of this device leaves out.
    pub(super) fn kept(&self, left_out: &LeftOut) -> Result<Vec<Proposed>, Error> {
        let mut waiting = view::waiting(&self.mls)?;
        waiting.retain(|proposed| left_out.keeps(&proposed.reference));
        Ok(waiting)
    }

    /// The proposals that a commit of this device leaves out: what the credential policy does not accept, what is
    /// in the name of a device that does not make it, and what no valid commit carries out. They are kept: another
    /// member may commit them.
    pub(super) fn left_out<P: Platform>(&self, device: &Device<P>) -> Result<LeftOut, Error> {
        let waiting = view::waiting(&self.mls)?;
        let mut left_out = LeftOut::of(&device.this(), &self.mls, &self.identities, &waiting);
        if let Some(paired) = &self.paired {
            let leave = waiting.iter().filter(|proposed| paired.leaves_out(proposed));
            leave.for_each(|proposed| left_out.leave(proposed.reference.clone()));
        }
        let rest = waiting.into_iter().map(|proposed| proposed.reference);
        let rest = rest.filter(|reference| left_out.keeps(reference)).collect();
        for reference in unusable(device, self.mls.group_id(), rest)? {
            left_out.leave(reference);
        }
        Ok(left_out)
    }
}

type Loaded<'a> = CommitBuilder<'a, LoadedPsks, &'a mut MlsGroup>;
type Built<'a> = CommitBuilder<'a, Complete, &'a mut MlsGroup>;

/// The commit builder with its content: always with a path.
fn load<'a, P: Platform>(
    mls: &'a mut MlsGroup,
    device: &'a Device<P>,
    content: Prepared,
) -> Result<Loaded<'a>, Error> {
    let removes = content.removes.iter().map(|leaf| LeafNodeIndex::new(leaf.value()));
    mls.set_aad(content.authenticated_data);
    let mut builder = mls
        .commit_builder()
        .propose_adds(content.adds)
        .propose_removals(removes)
        .add_proposals(content.others)
        .force_self_update(true)
        .leaf_node_parameters(content.leaf.unwrap_or_default());
    if let Some(extensions) = content.extensions {
        builder = builder
            .propose_group_context_extensions(extensions)
            .map_err(Error::mls("propose extensions of the group"))?;
    }
    builder
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

//! What this device sends.

use std::{collections::BTreeSet, sync::Arc};

use mls_rs::{
    CryptoProvider, MlsMessage,
    error::MlsError,
    group::{CommitBuilder, CommitOutput},
    time::MlsTime,
};
use paired_mls::{
    DeviceId, Event, anchor::LeafIndex, group::PendingCommit, pairing::SignalPolicy, wire::LeafNode,
};
use paired_mls_group::{
    Error, Library as _, Outgoing, PeerError, Proposed, Refused, Sending, Signing, Steering,
    UsageError,
    gate::{Gate, check_proofs, check_staged},
    identity::{self, LeftOut},
    node::{Aim, Paired, Proposals},
    packages,
};

use super::{Content, Group, merge::Merging};
use crate::{
    Device, Unsupported,
    config::{Config, MlsState},
    steer::{COMMIT, blame},
    view::{self, Described},
};

/// A commit's content: checked and parsed.
#[derive(Default)]
pub(super) struct Prepared {
    pub(super) adds: Vec<Newcomer>,
    pub(super) removes: Vec<LeafIndex>,
    pub(super) authenticated_data: Vec<u8>,
    /// The partners that the commit removes and adds again with new leaves.
    pub(super) renews: Vec<DeviceId>,
}

/// A client that is to be added.
pub(super) struct Newcomer {
    key_package: MlsMessage,
    pub(super) leaf: LeafNode,
}

impl<C: CryptoProvider + Clone> Group<C> {
    /// Commits with nothing but a new path and the proposals that were received: the call that heals.
    ///
    /// # Errors
    ///
    /// As [`Group::commit`].
    pub fn update(&mut self, device: &Device<C>) -> Result<Outgoing, Error> {
        self.commit(device, Content::new())
    }

    /// Adds the members of these KeyPackages, each a serialized `MLSMessage`, in this order.
    ///
    /// # Errors
    ///
    /// As [`Group::commit`].
    pub fn add(&mut self, device: &Device<C>, key_packages: &[Vec<u8>]) -> Result<Outgoing, Error> {
        self.commit(device, Content::new().adds(key_packages.iter().cloned()))
    }

    /// Removes the members at these leaves.
    ///
    /// # Errors
    ///
    /// As [`Group::commit`].
    pub fn remove(&mut self, device: &Device<C>, leaves: &[LeafIndex]) -> Result<Outgoing, Error> {
        self.commit(device, Content::new().removes(leaves.iter().copied()))
    }

    /// Commits with this content and the proposals that were received. While the device is paired in the group
    /// this is a paired commit.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] for a KeyPackage that is not valid; [`UsageError::NotAtTheGate`] for one of a client that the
    /// group's gate keeps out; [`UsageError::CommitPending`], [`UsageError::Removed`]; [`Error::Guard`] if mls-rs made
    /// something other than it should: then nothing was signed; [`Unsupported::Signal`], as an [`Error::Mls`], if the
    /// vault says that the pairing is announced; [`Error::Vault`], [`Error::Mls`], [`Error::Storage`]. A tape index
    /// that was drawn is burned in any case; the group is as it was before.
    pub fn commit(&mut self, device: &Device<C>, content: Content) -> Result<Outgoing, Error> {
        let Content { adds, removes, authenticated_data } = content;
        let adds = adds.iter().map(|key_package| self.newcomer(device, key_package));
        let adds = adds.collect::<Result<_, _>>()?;
        self.make(device, &Prepared { adds, removes, authenticated_data, ..Prepared::default() })
    }

    /// Encrypts an application message; returns its `MLSMessage`.
    ///
    /// # Errors
    ///
    /// [`UsageError::StateIsOlder`], [`UsageError::Removed`]; [`Error::Mls`], for instance while proposals wait for a
    /// commit; [`Error::Storage`].
    pub fn send(&mut self, device: &Device<C>, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.require_member()?;
        self.require_current_state(device)?;
        self.transact(device, |_, state, _| {
            let sent = state.mls.encrypt_application_message(message, Vec::new());
            let sent = sent.and_then(|sent| sent.to_bytes());
            Ok((sent.map_err(Error::mls("encrypt a message"))?, None))
        })
    }

    /// Proposes that this device be removed; another member has to commit it.
    ///
    /// # Errors
    ///
    /// [`UsageError::CommitPending`], [`UsageError::Removed`], [`Error::Mls`], [`Error::Storage`].
    pub fn leave(&mut self, device: &Device<C>) -> Result<Vec<u8>, Error> {
        self.require_no_pending()?;
        self.transact(device, |_, state, _| {
            let own = state.mls.current_member_index();
            let proposal = state.mls.propose_remove(own, Vec::new());
            let proposal = proposal.and_then(|proposal| proposal.to_bytes());
            Ok((proposal.map_err(Error::mls("propose to leave"))?, None))
        })
    }

    /// Merges this device's commit: the delivery service has accepted it.
    ///
    /// Returns what it changed.
    ///
    /// # Errors
    ///
    /// [`UsageError::NoCommitPending`]; [`Error::Storage`], [`Error::Vault`].
    pub fn confirm(&mut self, device: &Device<C>) -> Result<Vec<Event>, Error> {
        let identities = self.identities.clone();
        let mut merged = self.transact(device, |before, state, paired| {
            let described = apply_own(device, before, state)?;
            let merging = Merging { device, before, paired, identities: &identities };
            merging.own(state, &described)
        })?;
        self.settle(device, &mut merged);
        Ok(merged.events)
    }

    /// Drops this device's commit: the delivery service has refused it. Its tape index stays burned.
    ///
    /// # Errors
    ///
    /// [`UsageError::NoCommitPending`]; [`Error::Storage`].
    pub fn discard(&mut self, device: &Device<C>) -> Result<(), Error> {
        self.transact(device, |before, state, _| {
            if !before.mls.has_pending_commit() {
                return Err(UsageError::NoCommitPending.into());
            }
            state.mls.clear_pending_commit();
            Ok(((), None))
        })
    }

    pub(super) fn make(
        &mut self,
        device: &Device<C>,
        content: &Prepared,
    ) -> Result<Outgoing, Error> {
        self.require_no_pending()?;
        let left_out = self.left_out(device, content)?;
        self.make_without(device, content, &left_out)
    }

    /// The same, where it is known what the commit leaves out.
    pub(super) fn make_without(
        &mut self,
        device: &Device<C>,
        content: &Prepared,
        left_out: &LeftOut,
    ) -> Result<Outgoing, Error> {
        self.check_vault(device)?;
        self.require_no_signal()?;
        let Aim { anchor, .. } = self.aim(content, &self.kept(left_out)?)?;
        let next_epoch = self.next_epoch();
        let references = self.left_out_refs(left_out)?;

        self.transact(device, |before, state, paired| {
            let (output, index) = match (paired, anchor) {
                (Some(Paired { record, .. }), Some(anchor)) => {
                    let value = device.vault().draw(&record.tape, next_epoch.epoch)?;
                    let path = value.into_path_secret(&next_epoch)?;
                    let index = path.spot().index;
                    let sending =
                        Sending::new(device, device.vault(), &record.tape, path, &anchor)?;
                    let sending = Arc::new(sending);
                    let built = build_with(state, device, content, references, sending.clone());
                    (built.map_err(blame(&*sending, "build a commit"))?, Some(index))
                }
                _ => {
                    let built = build(state, device, content, references);
                    (built.map_err(Error::mls("build a commit"))?, None)
                }
            };
            let pairing = paired.map(|paired| paired.record.devices.as_slice()).unwrap_or_default();
            let mut after = state.clone();
            let described = apply_own(device, before, &mut after)?;
            check_staged(device, before, &described.staged, pairing)?;
            let mut outgoing = Outgoing { events: left_out.events.clone(), ..outgoing(&output)? };
            let renewed = paired.filter(|_| !content.renews.is_empty());
            if let (Some(paired), Some(welcome)) = (renewed, &outgoing.welcome) {
                let (tape, context) = (&paired.record.tape, after.mls.context());
                let (epoch, tree_hash) = (context.epoch, &context.tree_hash);
                let sealed = device.vault().seal_refresh(tape, epoch, tree_hash, welcome)?;
                outgoing.refresh = Some(sealed);
            }
            let hash = message_hash(device, &outgoing.commit)?;
            if paired.is_none() {
                device.vault().note_own_commit(device.group_id(state), &hash)?;
            }
            let pending = PendingCommit { hash, index };
            Ok((outgoing, paired.map(|paired| paired.waiting_for(pending))))
        })
    }

    /// Whom a commit with this content reaches, and these proposals that wait.
    fn aim(&self, content: &Prepared, waiting: &[Proposed]) -> Result<Aim, Error> {
        let Some(paired) = &self.paired else {
            return Ok(Aim::default());
        };
        let mut proposals = Proposals::of(waiting, self.own_leaf());
        content.adds.iter().for_each(|newcomer| proposals.add(newcomer.leaf.signature_key()));
        content.removes.iter().for_each(|removed| proposals.remove(*removed));
        paired.aim(&proposals, &content.renews)
    }

    /// Whom a commit reaches that does nothing but to heal.
    pub(super) fn aim_of_update(&self, device: &Device<C>) -> Result<Aim, Error> {
        let content = Prepared::default();
        let left_out = self.left_out(device, &content)?;
        self.aim(&content, &self.kept(&left_out)?)
    }

    /// The proposals that wait, without those that a commit of this device leaves out.
    pub(super) fn kept(&self, left_out: &LeftOut) -> Result<Vec<Proposed>, Error> {
        let mut waiting = view::waiting(&self.state.mls)?;
        waiting.retain(|proposed| left_out.keeps(&proposed.reference));
        Ok(waiting)
    }

    /// The proposals that a commit of this device leaves out: what the credential policy does not accept, what is in
    /// the name of a device that does not make it, and what mls-rs would leave out. They are kept: another member may
    /// commit them.
    pub(super) fn left_out(
        &self,
        device: &Device<C>,
        content: &Prepared,
    ) -> Result<LeftOut, Error> {
        let waiting = view::waiting(&self.state.mls)?;
        let mut left_out = LeftOut::of(&device.this(), &self.state, &self.identities, &waiting);
        if let Some(paired) = &self.paired {
            let leave = waiting.iter().filter(|proposed| paired.leaves_out(proposed));
            leave.for_each(|proposed| left_out.leave(proposed.reference.clone()));
        }
        if !waiting.is_empty() {
            let references = self.left_out_refs(&left_out)?;
            for reference in self.unusable(device, content, references)? {
                left_out.leave(reference);
            }
        }
        Ok(left_out)
    }

    /// mls-rs leaves out what is not valid, and says so afterwards. But before a commit is made it has to be known
    /// where everybody is in its tree: so one is made of which nothing is signed and nothing kept.
    fn unusable(
        &self,
        device: &Device<C>,
        content: &Prepared,
        left_out: BTreeSet<Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let mut copy = self.state.clone();
        let output = build_with(&mut copy, device, content, left_out, Arc::new(Unsigned));
        let output = output.map_err(Error::mls("try a commit"))?;
        let unused = output.unused_proposals().iter().filter_map(|info| info.proposal_ref());
        Ok(unused.map(|reference| reference.to_vec()).collect())
    }

    fn left_out_refs(&self, left_out: &LeftOut) -> Result<BTreeSet<Vec<u8>>, Error> {
        let waiting = view::waiting(&self.state.mls)?.into_iter();
        let references = waiting.map(|proposed| proposed.reference);
        Ok(references.filter(|reference| !left_out.keeps(reference)).collect())
    }

    /// Parses and checks the KeyPackage of somebody who is to be added.
    fn newcomer(&self, device: &Device<C>, key_package: &[u8]) -> Result<Newcomer, Error> {
        let newcomer = self.validate(device, key_package)?;
        let leaf = &newcomer.leaf;
        Gate::of(&device.required_extensions(&self.state)).check_newcomer(leaf)?;
        check_proofs(device, &self.state, leaf).map_err(PeerError::KeyProofs)?;
        identity::admit(&device.this(), &self.state, leaf)?;
        Ok(newcomer)
    }

    /// Parses a KeyPackage of somebody who is to be added, and has mls-rs check its signatures and its lifetime.
    pub(super) fn validate(
        &self,
        device: &Device<C>,
        key_package: &[u8],
    ) -> Result<Newcomer, PeerError> {
        let read = packages::read(key_package)?;
        packages::require_current(&read, device.now())?;
        let key_package = MlsMessage::from_bytes(key_package).map_err(PeerError::message)?;
        let (mut copy, now) = (self.state.mls.clone(), MlsTime::from(device.now()));
        let checked = copy.process_incoming_message_with_time(key_package.clone(), now);
        checked.map_err(PeerError::message)?;
        Ok(Newcomer { key_package, leaf: read.leaf_node().clone() })
    }

    /// What the vault says may be of another adapter, which knows the signal.
    fn require_no_signal(&self) -> Result<(), Error> {
        match self.paired.as_ref().map(|paired| paired.record.signal) {
            Some(SignalPolicy::Announce) => {
                Err(Error::mls("announce the pairing")(Unsupported::Signal))
            }
            _ => Ok(()),
        }
    }
}

/// Builds a commit with the steering's answers.
fn build_with<C: CryptoProvider + Clone>(
    state: &mut MlsState<C>,
    device: &Device<C>,
    content: &Prepared,
    left_out: BTreeSet<Vec<u8>>,
    steering: Arc<dyn Steering>,
) -> Result<CommitOutput, MlsError> {
    let slot = state.handles.slot.clone();
    let _armed = slot.arm(steering, COMMIT);
    build(state, device, content, left_out)
}

/// Builds a commit, and stages it in the group.
fn build<C: CryptoProvider + Clone>(
    state: &mut MlsState<C>,
    device: &Device<C>,
    content: &Prepared,
    left_out: BTreeSet<Vec<u8>>,
) -> Result<CommitOutput, MlsError> {
    let references = state.handles.left_out.clone();
    references.set(left_out);
    let built = load(state.mls.commit_builder(), device, content).and_then(CommitBuilder::build);
    references.set(BTreeSet::new());
    built
}

/// The commit builder with its content.
fn load<'a, C: CryptoProvider + Clone>(
    builder: CommitBuilder<'a, Config<C>>,
    device: &Device<C>,
    content: &Prepared,
) -> Result<CommitBuilder<'a, Config<C>>, MlsError> {
    let now = MlsTime::from(device.now());
    let mut builder =
        builder.authenticated_data(content.authenticated_data.clone()).commit_time(now);
    for newcomer in &content.adds {
        builder = builder.add_member(newcomer.key_package.clone())?;
    }
    for leaf in &content.removes {
        builder = builder.remove_member(leaf.value())?;
    }
    Ok(builder)
}

/// Merges the own commit that waits in `after`, a copy of `before` or of what came of it.
pub(super) fn apply_own<C: CryptoProvider + Clone>(
    device: &Device<C>,
    before: &MlsState<C>,
    after: &mut MlsState<C>,
) -> Result<Described, Error> {
    if !after.mls.has_pending_commit() {
        return Err(UsageError::NoCommitPending.into());
    }
    let description = after.mls.apply_pending_commit();
    let description = description.map_err(Error::mls("merge a commit"))?;
    // Each own commit has a path.
    let path = device.leaf(after, device.own_leaf(after));
    Described::of(device, before, after, &description, path)
}

fn outgoing(output: &CommitOutput) -> Result<Outgoing, Error> {
    let bytes =
        |message: &MlsMessage| message.to_bytes().map_err(Error::mls("serialize a message"));
    let info = output.external_commit_group_info();
    Ok(Outgoing {
        commit: bytes(output.commit_message())?,
        welcome: output.welcome_messages().first().map(bytes).transpose()?,
        refresh: None,
        group_info: info.map(bytes).transpose()?,
        notify: None,
        events: Vec::new(),
    })
}

/// What tells a commit of this device when the delivery service delivers it.
pub(super) fn message_hash<C: CryptoProvider + Clone>(
    device: &Device<C>,
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    let hash = device.hash(device.suite(), message);
    hash.map_err(|source| Error::Mls { step: "hash a message", source })
}

/// Lets the library make a commit that nobody signs.
struct Unsigned;

impl Steering for Unsigned {
    fn sign(&self, _: &Signing<'_>) -> Result<Vec<u8>, Refused> {
        Ok(Vec::new())
    }
}

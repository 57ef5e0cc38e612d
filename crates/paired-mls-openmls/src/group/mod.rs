//! An MLS group whose commits heal the partners of this device.

mod backup;
mod devices;
mod ending;
mod healing;
mod lifecycle;
mod merge;
mod receive;
mod refresh;
mod rejoin;
mod send;

use std::mem;

use openmls::prelude::{Ciphersuite, MlsGroup};
use paired_mls::{
    CipherSuite, DeviceId, EpochContext, EpochSecurity, Event, GroupRecord, HealPolicy, Index,
    Pairing, TapeId,
    anchor::LeafIndex,
    group::{Identities, credential::Identity},
    pairing::SignalPolicy,
};
use paired_mls_group::{
    identity,
    node::{Footing, Merged, Paired},
    reserved::require_free,
};

pub use self::receive::Inspection;
pub(crate) use self::{
    lifecycle::{
        delete, enter, forget_inactive, group_id_of, parse, sender_of, welcome_group_id,
        welcome_sender,
    },
    rejoin::{forget, read as read_group_info, tree_of},
};
use crate::{
    Device, Error, MemberIdentity, Platform, UsageError,
    provider::atomically,
    view::{self, leaf},
};

/// What a [`Group`](crate::Group) has in which the leaf is the device's own: how the devices stand in the tree, what
/// the device does when one of them is weakened, and leaf refresh.
///
/// Before [`Group::pair`](crate::Group::pair) it is an ordinary group. From then on *every* commit of this device
/// is a paired commit: one ordinary commit would keep a thief who is in the current epoch in the next
/// one, so there is no call that makes one, and none that makes an Update proposal; until the pairing
/// [ends](crate::Group::cease).
pub struct PairedGroup {
    mls: MlsGroup,
    /// Which members are not verified.
    identities: Identities,
    /// `None` without a pairing in this group.
    paired: Option<Paired>,
}

impl PairedGroup {
    /// The MLS group, to look at. Nothing that changes it is reachable from here.
    pub(crate) fn mls(&self) -> &MlsGroup {
        &self.mls
    }

    /// The group's identifier.
    pub(crate) fn group_id(&self) -> &[u8] {
        self.mls.group_id().as_slice()
    }

    /// The current epoch.
    pub(crate) fn epoch(&self) -> u64 {
        self.mls.epoch().as_u64()
    }

    /// The members, and who they are: for showing, addressing and counting them.
    pub(crate) fn members(&self) -> Vec<MemberIdentity> {
        view::members(&self.mls, &self.identities)
    }

    /// Who the member at this leaf is; `None` for a blank leaf.
    pub(crate) fn identity(&self, leaf: LeafIndex) -> Option<Identity> {
        view::member(&self.mls, &self.identities, leaf)
    }

    /// Asks the credential policy once more about the members that are not verified: it may know more
    /// by now.
    ///
    /// Returns who is verified now.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`]; [`PeerError::Identity`](crate::PeerError::Identity) under a strict policy.
    pub(crate) fn recheck_identities<P: Platform>(
        &mut self,
        device: &Device<P>,
    ) -> Result<Vec<Event>, Error> {
        let settled = identity::recheck(&device.this(), &self.mls, &self.identities)?;
        self.identities = settled.identities;
        Ok(settled.events)
    }

    /// Whether this device is paired in this group.
    pub fn is_paired(&self) -> bool {
        self.paired.is_some()
    }

    /// The sub-tape of the pairing in this group; `None` without a pairing.
    pub(crate) fn tape(&self) -> Option<&TapeId> {
        self.paired.as_ref().map(|paired| &paired.record.tape)
    }

    /// The tape index of the own paired commit that waits; `None` if none does.
    pub(crate) fn pending_index(&self) -> Option<Index> {
        self.mls.pending_commit()?;
        self.paired.as_ref()?.record.pending.as_ref()?.index
    }

    /// How safe the current epoch is for a device of the pairing; `None` for any other.
    ///
    /// It is about the group as it is: after a new membership, a restored backup of the MLS state or of
    /// the vault, all devices are exposed until a paired commit.
    pub(crate) fn security(&self, device: DeviceId) -> Option<EpochSecurity> {
        self.paired.as_ref()?.record.security.of(device)
    }

    /// What happens when an event has weakened a partner.
    pub fn heal_policy(&self) -> Option<HealPolicy> {
        self.paired.as_ref().map(|paired| paired.record.heal_policy)
    }

    /// Pairs this device in this group. The vault must hold the tape of the pairing; every device
    /// of the pairing makes this call for itself, in the same epoch or another.
    ///
    /// Returns how the devices stand in the tree: if strangers sit under the anchor, the pairing
    /// heals fewer partners or none until the devices are placed anew. Nothing changes if this pairing
    /// is used here already.
    ///
    /// # Errors
    ///
    /// [`UsageError::AlreadyPaired`] with another pairing; [`UsageError::DeviceNotInGroup`] if a device is not a member;
    /// [`UsageError::SignatureKey`] if the pairing names another key for this device;
    /// [`UsageError::CipherSuite`]; [`UsageError::CommitPending`]; [`UsageError::ReservedGroup`];
    /// [`Error::Vault`] if the vault has no such tape.
    pub(crate) fn pair<P: Platform>(
        &mut self,
        device: &Device<P>,
        pairing: &Pairing,
    ) -> Result<Footing, Error> {
        if let Some(paired) = &self.paired {
            return match paired.is_of(pairing) {
                true => paired.standing.footing(),
                false => Err(UsageError::AlreadyPaired.into()),
            };
        }
        require_free(self.group_id())?;
        self.require_no_pending()?;
        let suite = suite_of(self.mls.ciphersuite()).ok_or(UsageError::CipherSuite)?;
        let paired = Paired::begin(&device.this(), &self.mls, suite, pairing)?;
        let footing = paired.standing.footing();
        self.paired = Some(paired);
        footing
    }

    /// Chooses whether the group is told, from this device's next commit on: its leaf then says whom it
    /// is paired with and whom the commit has healed. By default nothing says so.
    ///
    /// Each device decides for itself. [`announcements`](crate::announcements) reads it.
    ///
    /// # Errors
    ///
    /// [`UsageError::NotPaired`], [`UsageError::Signal`], [`Error::Vault`].
    pub fn set_signal_policy<P: Platform>(
        &mut self,
        device: &Device<P>,
        policy: SignalPolicy,
    ) -> Result<(), Error> {
        let paired = self.paired.as_ref().ok_or(UsageError::NotPaired)?;
        let record = GroupRecord { signal: policy, ..paired.record.clone() };
        let suite = suite_of(self.mls.ciphersuite()).ok_or(UsageError::CipherSuite)?;
        Paired::signal(&record, &paired.standing, suite, &[])?;
        self.change_record(device, |record| record.signal = policy)
    }

    /// Chooses what happens when an event has weakened a partner.
    ///
    /// # Errors
    ///
    /// [`UsageError::NotPaired`], [`Error::Vault`].
    pub fn set_heal_policy<P: Platform>(
        &mut self,
        device: &Device<P>,
        heal_policy: HealPolicy,
    ) -> Result<(), Error> {
        self.change_record(device, |record| record.heal_policy = heal_policy)
    }

    fn change_record<P: Platform>(
        &mut self,
        device: &Device<P>,
        change: impl FnOnce(&mut GroupRecord),
    ) -> Result<(), Error> {
        self.paired.as_mut().ok_or(UsageError::NotPaired)?.change(device.vault(), change)
    }

    fn own_leaf(&self) -> LeafIndex {
        leaf(self.mls.own_leaf_index())
    }

    fn require_no_pending(&self) -> Result<(), Error> {
        if !self.mls.is_active() {
            return Err(UsageError::Removed.into());
        }
        match self.mls.pending_commit() {
            Some(_) => Err(UsageError::CommitPending.into()),
            None => Ok(()),
        }
    }

    /// The epoch that a commit of the current epoch creates.
    fn next_epoch(&self) -> EpochContext {
        let context = self.mls.public_group().group_context();
        EpochContext {
            group_id: self.group_id().to_vec(),
            epoch: context.epoch().as_u64() + 1,
            confirmed_transcript_hash: context.confirmed_transcript_hash().to_vec(),
        }
    }

    /// Runs `work` as one transaction on the MLS state. `work` returns, besides its value, what is
    /// next for the pairing, if it changes: the vault is written first, and both are idempotent.
    ///
    /// After an error, whatever changed in memory is thrown away: storage and vault are the truth.
    fn transact<P: Platform, T>(
        &mut self,
        device: &Device<P>,
        work: impl FnOnce(&mut MlsGroup, Option<&Paired>) -> Result<(T, Option<Paired>), Error>,
    ) -> Result<T, Error> {
        let Self { mls, paired, .. } = self;
        let before = mls.epoch();
        let done = atomically(device.provider(), || {
            let (value, next) = work(mls, paired.as_ref())?;
            if let Some(next) = &next {
                next.store(device.vault(), before.as_u64(), mls.epoch().as_u64())?;
            }
            Ok((value, next))
        });
        match done {
            Ok((value, next)) => {
                self.paired = next.or(self.paired.take());
                Ok(value)
            }
            Err(error) => {
                *self = Self::load(device, self.group_id())?;
                Err(error)
            }
        }
    }

    /// The new epoch is stored.
    fn settle<P: Platform>(&mut self, device: &Device<P>, merged: &mut Merged) {
        self.identities = mem::take(&mut merged.identities);
        if let Some(paired) = &self.paired {
            merged.spend(device.vault(), &paired.record.tape);
        }
    }
}

/// The core's suite for one of OpenMLS.
pub(crate) fn suite_of(ciphersuite: Ciphersuite) -> Option<CipherSuite> {
    CipherSuite::try_from(u16::from(ciphersuite)).ok()
}

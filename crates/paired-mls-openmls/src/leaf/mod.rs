//! A leaf that several devices share.
//!
//! All devices of the pairing hold the state of one member. The one that acts makes a commit from a
//! value of the tape; every device, itself included, makes it again once the delivery service has
//! accepted it, compares it byte for byte with what was delivered, and merges its own.
//!
//! ```text
//! lifecycle   package    KeyPackages from the tape, so that all devices process one Welcome
//!             rejoin     external commits from the tape: a way in for devices that have nothing
//! commits     content    what a commit does, from a call or from a Notify
//!             make       a commit from a value of the tape
//!             send       the calls
//!             follow     a delivered commit of this leaf is made again, and compared
//!             receive    everything that is delivered
//! messages    token      who may send them
//! backups     backup     an MLS state and a vault that do not belong together
//! ```

mod backup;
mod content;
mod ending;
mod follow;
mod lifecycle;
mod make;
mod package;
mod receive;
mod rejoin;
mod send;
mod token;

use openmls::prelude::{GroupId, MlsGroup};
use paired_mls::{
    EpochSecurity, Event, Index, Spot, TapeId,
    anchor::LeafIndex,
    group::{Identities, credential::Identity},
    leaf::{LeafPending, LeafRecord},
};
use paired_mls_group::{
    identity,
    shared::{Kept, security},
};

pub(crate) use self::content::again;
use crate::{
    Device, Error, MemberIdentity, Platform, UsageError,
    provider::atomically,
    view::{self, leaf},
};

/// What a [`Group`](crate::Group) has in which this device shares its leaf with others: the token, KeyPackages of
/// the leaf, and who is still to be removed. Every commit is one from the tape and heals the whole leaf.
///
/// # The token
///
/// Devices that send application messages from one leaf in one epoch would use the same ratchet. So one
/// device at a time may send: the one that made the leaf's last commit. It holds the
/// [token](LeafGroup::token), and another takes it with a commit of its own.
///
/// # Crashes
///
/// The vault is written before a commit leaves the device, and the MLS state is written as a whole or
/// not at all. An own commit that waits is not in the MLS state: it is made again when it is
/// confirmed. After a restart [`Group::load`](crate::Group::load) finds the group as it was before or after the call
/// that was interrupted; the caller feeds it again whatever the delivery service has.
pub struct LeafGroup {
    mls: MlsGroup,
    record: LeafRecord,
    /// Which members are not verified.
    identities: Identities,
}

impl LeafGroup {
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

    /// The leaf that the devices share.
    pub(crate) fn own_leaf(&self) -> LeafIndex {
        leaf(self.mls.own_leaf_index())
    }

    /// The sub-tape of the pairing in this group.
    pub(crate) fn pairing_tape(&self) -> &TapeId {
        &self.record.tape
    }

    /// The tape index of the own commit that waits; `None` if none does.
    pub(crate) fn pending_index(&self) -> Option<Index> {
        Some(self.pending()?.notify.spot.index)
    }

    /// How safe the current epoch is for the leaf, and with it for each of its devices.
    ///
    /// A commit from the tape renews everything that the leaf has, so that an epoch is never weakened.
    pub(crate) fn security(&self) -> EpochSecurity {
        security(&self.record)
    }

    /// Members that are still to be removed, whoever does it: each commit of this device removes one of
    /// them.
    pub fn removals(&self) -> &[LeafIndex] {
        &self.record.removals
    }

    /// The own commit that waits, if it is of the current epoch: another one has lost.
    fn pending(&self) -> Option<&LeafPending> {
        self.record.pending.as_ref().filter(|pending| pending.epoch == self.epoch())
    }

    fn require_no_pending(&self) -> Result<(), Error> {
        self.require_membership()?;
        match self.pending() {
            Some(_) => Err(UsageError::CommitPending.into()),
            None => Ok(()),
        }
    }

    /// Runs `work` as one transaction on the MLS state and the record in the vault: the vault is
    /// written first, and what it then says is true of the epoch before as well.
    ///
    /// After an error, whatever changed in memory is thrown away: storage and vault are the truth.
    fn transact<P: Platform, T>(
        &mut self,
        device: &Device<P>,
        work: impl FnOnce(&mut MlsGroup, &mut LeafRecord) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut record = self.record.clone();
        let before = self.mls.epoch();
        let done = atomically(device.provider(), || {
            let value = work(&mut self.mls, &mut record)?;
            if record != self.record {
                device.vault().store_leaf(&record)?;
            }
            let (from, to) = (before.as_u64(), self.mls.epoch().as_u64());
            if from != to {
                device.vault().advance(&record.tape, from, to)?;
            }
            Ok(value)
        });
        match done {
            Ok(value) => {
                self.record = record;
                Ok(value)
            }
            Err(error) => {
                *self = Self::load(device, self.group_id())?;
                Err(error)
            }
        }
    }

    /// The new epoch is stored: the value that led to it is needed no more, nor what lies before it.
    fn settle<P: Platform>(&self, device: &Device<P>, spot: Spot, events: &mut Vec<Event>) {
        if device.vault().burn_through(&self.record.tape, spot).is_err() {
            events.push(Event::NotSettled);
        }
    }
}

/// What the vault keeps of the leaf when its state is made anew; in front of that.
fn kept<P: Platform>(device: &Device<P>, tape: &TapeId) -> Result<Kept, Error> {
    Kept::of(device, device.vault(), tape, || {
        let group_id = GroupId::from_slice(&tape.group_id);
        let old = MlsGroup::load(device.provider().storage(), &group_id);
        old.map_err(Error::storage("load a group"))
    })
}

/// A second copy of a stored group.
pub(crate) fn reload<P: Platform>(
    device: &Device<P>,
    group_id: &GroupId,
) -> Result<MlsGroup, Error> {
    let group = MlsGroup::load(device.provider().storage(), group_id);
    Ok(group.map_err(Error::storage("load a group"))?.ok_or(UsageError::NoSuchGroup)?)
}

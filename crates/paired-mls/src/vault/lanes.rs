//! The tapes of groups, in the vault: their lanes are opened when they are needed.
//!
//! To open a lane changes two records, the tape of the pairing and the tape of the group. The order is
//! such that a death in between costs nothing that cannot be had again:
//!
//! ```text
//! own lane        the pairing's tape first: at worst an opening is used for nothing
//! a partner's     the group's tape first: it is found there, and the pairing's is punctured the next time
//! ```

use std::cmp::Ordering;

use super::{RecordName, Shelf, TapeId, Vault, VaultError};
use crate::{
    DeviceId, Index, PairingId, Spot, Tape, TapeError, TapeValue,
    leaf::PACKAGES_GROUP_ID,
    tape::{PACKAGES_OPENING, Staged},
};

impl Vault {
    /// Opens the pairing's tape for a group; the same one again if it was opened before. The pairing's
    /// tape stays as it is until a device commits there.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] if the vault has no tape of that pairing.
    pub fn open_group(&self, pairing: PairingId, group_id: &[u8]) -> Result<TapeId, VaultError> {
        let shelf = self.shelf();
        let id = TapeId { pairing, group_id: group_id.to_vec() };
        let name = RecordName::SubTape(id.clone());
        let mut parent = shelf.load_tape(&RecordName::Pairing(pairing))?;
        let stored = shelf.load(&name)?;
        let is_new = stored.is_none();
        let mut group = match stored {
            Some(record) => Tape::from_record(&record)?,
            None => parent.group(group_id)?,
        };
        let mut change = Change::Nothing;
        if group_id == PACKAGES_GROUP_ID {
            change = open_all(&mut parent, &mut group, group_id)?;
        }
        if is_new || change == Change::Both {
            shelf.store_tape(&name, &group)?;
        }
        if change != Change::Nothing {
            shelf.store_tape(&RecordName::Pairing(pairing), &parent)?;
        }
        Ok(id)
    }

    /// Draws the next value of this device's lane for a commit that creates `epoch`. Its index is burned
    /// from now on.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`TapeError::LaneExhausted`] at the end of the
    /// lane, [`VaultError::Storage`] if the punctured tape could not be stored.
    pub fn draw(&self, tape: &TapeId, epoch: u64) -> Result<TapeValue, VaultError> {
        let shelf = self.shelf();
        let mut group = own_lane(&shelf, tape)?;
        let first = first_for(tape, &group, epoch)?;
        let staged = group.draw(first.position())?;
        forget_passed(tape, &mut group, staged.spot().index)?;
        release(&shelf, tape, &group, staged)
    }

    /// Sets the next position of this device's lane aside, for what belongs to the epoch `epoch`: nothing
    /// else is ever made with it.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`VaultError::Tape`] at the end of the lane,
    /// [`VaultError::Storage`].
    pub fn reserve(&self, tape: &TapeId, epoch: u64) -> Result<Spot, VaultError> {
        let shelf = self.shelf();
        let mut group = own_lane(&shelf, tape)?;
        let first = first_for(tape, &group, epoch)?;
        let spot = group.reserve(first.position())?;
        forget_passed(tape, &mut group, spot.index)?;
        let _ = shelf.store_tape(&RecordName::SubTape(tape.clone()), &group)?;
        Ok(spot)
    }

    /// Reads the value at `spot`, which a partner drew, for the one message that `binding` names. What
    /// lies before it in the partner's lane, for earlier epochs, is given up.
    ///
    /// Until [`Vault::settle`] the same call gives the same value again, so that a device that died before
    /// it had stored the new epoch can process the message again; with another binding it does not.
    ///
    /// # Errors
    ///
    /// [`TapeError::Spent`] for a replayed index, [`TapeError::OpeningSpent`] if the lane cannot be
    /// opened, [`TapeError::ForeignDevice`] and [`TapeError::OwnLane`] for one that no partner may draw.
    pub fn claim(
        &self,
        tape: &TapeId,
        spot: Spot,
        binding: &[u8],
    ) -> Result<TapeValue, VaultError> {
        let shelf = self.shelf();
        let mut group = shelf.load_tape(&RecordName::SubTape(tape.clone()))?;
        if spot.index.device() == group.own_device() {
            return Err(TapeError::OwnLane(spot.index).into());
        }
        let parent = lane_of(&shelf, tape, &mut group, spot)?;
        let staged = group.claim(spot.index, binding)?;
        forget_passed(tape, &mut group, spot.index)?;
        // Nothing is released before both are stored.
        let value = release(&shelf, tape, &group, staged)?;
        parent.store(&shelf, tape)?;
        Ok(value)
    }

    /// Reads the value at `spot` and leaves it on the tape.
    ///
    /// # Security
    ///
    /// For making again what a device of the pairing has made with it. What is made may leave this
    /// device only if it was [reserved](Vault::reserve); otherwise it is compared with what the delivery
    /// service delivers, and thrown away.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`VaultError::Tape`] for a spent index or a foreign
    /// one.
    pub fn preview(&self, tape: &TapeId, spot: Spot) -> Result<TapeValue, VaultError> {
        let shelf = self.shelf();
        let group = shelf.load_tape(&RecordName::SubTape(tape.clone()))?;
        match state_of(&group, spot)? {
            Lane::Open => Ok(group.preview(spot.index)?),
            Lane::ToOpen => {
                let parent = shelf.load_tape(&RecordName::Pairing(tape.pairing))?;
                Ok(parent.preview_through(&tape.group_id, spot)?)
            }
        }
    }

    /// Erases the value at `spot` and all before it in its lane: the epoch that it led to is stored,
    /// and its device has given up what it reserved before.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`VaultError::Tape`], [`VaultError::Storage`].
    pub fn burn_through(&self, tape: &TapeId, spot: Spot) -> Result<(), VaultError> {
        self.burn_and(tape, spot, |group| group.forget_before(spot.index))
    }

    /// Erases the value at `spot` alone.
    ///
    /// # Errors
    ///
    /// As [`Vault::burn_through`].
    pub fn burn(&self, tape: &TapeId, spot: Spot) -> Result<(), VaultError> {
        self.burn_and(tape, spot, |_| Ok(()))
    }

    fn burn_and(
        &self,
        tape: &TapeId,
        spot: Spot,
        further: impl FnOnce(&mut Tape) -> Result<(), TapeError>,
    ) -> Result<(), VaultError> {
        let shelf = self.shelf();
        let name = RecordName::SubTape(tape.clone());
        let mut group = shelf.load_tape(&name)?;
        let mut parent = lane_of(&shelf, tape, &mut group, spot)?;
        let own = spot.index.device() == group.own_device();
        if own && !group.remembers(spot.index) {
            // A commit of this device that this vault has not made: it is an older copy.
            parent = parent.in_doubt(&shelf, tape)?;
        }
        group.burn(spot.index)?;
        further(&mut group)?;
        if own {
            parent.store(&shelf, tape)?;
            let _ = shelf.store_tape(&name, &group)?;
        } else {
            let _ = shelf.store_tape(&name, &group)?;
            parent.store(&shelf, tape)?;
        }
        Ok(())
    }

    /// Gives up every value of a lane before `index`, and the room that holes there take.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`VaultError::Storage`].
    pub fn forget_before(&self, id: &TapeId, index: Index) -> Result<(), VaultError> {
        let shelf = self.shelf();
        let name = RecordName::SubTape(id.clone());
        let mut tape = shelf.load_tape(&name)?;
        tape.forget_before(index)?;
        shelf.store_tape(&name, &tape)?;
        Ok(())
    }

    /// Makes this device open its lane of a group's tape anew before its next commit there, far ahead of
    /// all that it has opened: a partner came back from outside, and may have an older vault, or this one
    /// may be older. Lanes that it opens in other groups are ahead, too.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`VaultError::Storage`].
    pub fn reopen(&self, tape: &TapeId) -> Result<(), VaultError> {
        self.doubt(tape.pairing)?;
        self.change_group(tape, Tape::reopen_ahead)
    }

    /// Makes this device skip far ahead when it opens its lane of a group's tape, if that is not open, and
    /// lanes in other groups. For a device that comes in from outside: it may have opened them before, with
    /// a vault of which this one is an older copy.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`VaultError::Storage`].
    pub fn skip_ahead(&self, tape: &TapeId) -> Result<(), VaultError> {
        self.doubt(tape.pairing)?;
        self.change_group(tape, Tape::skip_unless_open)
    }

    /// This vault may be an older copy: there is a commit in this device's name that it does not remember.
    /// Lanes that it opens from now on, in whatever group, are ahead of all that it may have opened. To say
    /// so again changes nothing until it has opened one.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown pairing, [`VaultError::Storage`].
    pub fn doubt(&self, pairing: PairingId) -> Result<(), VaultError> {
        let shelf = self.shelf();
        let name = RecordName::Pairing(pairing);
        let mut parent = shelf.load_tape(&name)?;
        if parent.skip_in_doubt() {
            let _ = shelf.store_tape(&name, &parent)?;
        }
        Ok(())
    }

    /// Notes that the group is about to be in `epoch` on this device: before the MLS state is stored.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`VaultError::Storage`].
    pub fn note_epoch(&self, tape: &TapeId, epoch: u64) -> Result<(), VaultError> {
        self.change_group(tape, |group| group.note_epoch(epoch))
    }

    /// Compares this vault with the MLS state of a group, which is in `epoch`: one of them may have been
    /// restored from a backup.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape.
    pub fn freshness(&self, tape: &TapeId, epoch: u64) -> Result<Freshness, VaultError> {
        let noted = self.shelf().load_tape(&RecordName::SubTape(tape.clone()))?.epoch();
        Ok(match noted.cmp(&epoch) {
            Ordering::Equal => Freshness::Current,
            Ordering::Less => Freshness::VaultIsOlder,
            Ordering::Greater => Freshness::StateIsOlder,
        })
    }

    /// This vault is an older copy than the MLS state of the group, which is in `epoch`. From now on this
    /// device opens lanes ahead of all that it may have opened before: in this group again, and in all
    /// others where it has not yet.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`VaultError::Storage`].
    pub fn catch_up(&self, tape: &TapeId, epoch: u64) -> Result<(), VaultError> {
        let shelf = self.shelf();
        let (parent_name, name) =
            (RecordName::Pairing(tape.pairing), RecordName::SubTape(tape.clone()));
        let (mut parent, mut group) = (shelf.load_tape(&parent_name)?, shelf.load_tape(&name)?);
        parent.skip_openings();
        group.reopen_ahead();
        group.note_epoch(epoch);
        // The group's tape last: before it, the next start finds the older vault again.
        let _ = shelf.store_tape(&parent_name, &parent)?;
        let _ = shelf.store_tape(&name, &group)?;
        Ok(())
    }

    /// Notes that the group is about to go from one epoch to the next on this device: before the MLS state
    /// is stored. If this vault has never seen the epoch `from`, it is an older copy, and
    /// [catches up](Vault::catch_up).
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`VaultError::Storage`].
    pub fn advance(&self, tape: &TapeId, from: u64, to: u64) -> Result<(), VaultError> {
        match self.freshness(tape, from)? {
            Freshness::VaultIsOlder => self.catch_up(tape, to),
            Freshness::Current | Freshness::StateIsOlder => self.note_epoch(tape, to),
        }
    }

    fn change_group(
        &self,
        tape: &TapeId,
        change: impl FnOnce(&mut Tape) -> bool,
    ) -> Result<(), VaultError> {
        let shelf = self.shelf();
        let name = RecordName::SubTape(tape.clone());
        let mut group = shelf.load_tape(&name)?;
        if change(&mut group) {
            let _ = shelf.store_tape(&name, &group)?;
        }
        Ok(())
    }
}

/// How a vault stands to the MLS state of the same device. Both are written at each commit, the vault
/// first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// They belong together.
    Current,
    /// The vault is an older copy: what it says of the pairing is not so any more, and a partner
    /// may have followed what it would draw.
    VaultIsOlder,
    /// The MLS state is an older copy; or the device died while it processed a commit, and has to
    /// process it again.
    StateIsOlder,
}

/// What is to be stored of the pairing's tape.
enum Parent {
    Unchanged,
    Changed(Box<Tape>),
}

impl Parent {
    /// With the own openings skipped.
    fn in_doubt(self, shelf: &Shelf<'_>, tape: &TapeId) -> Result<Self, VaultError> {
        let mut parent = match self {
            Self::Changed(parent) => *parent,
            Self::Unchanged => shelf.load_tape(&RecordName::Pairing(tape.pairing))?,
        };
        let _ = parent.skip_in_doubt();
        Ok(Self::Changed(Box::new(parent)))
    }

    fn store(self, shelf: &Shelf<'_>, tape: &TapeId) -> Result<(), VaultError> {
        if let Self::Changed(parent) = self {
            let _ = shelf.store_tape(&RecordName::Pairing(tape.pairing), &parent)?;
        }
        Ok(())
    }
}

/// How a lane of a group's tape stands to what somebody says of it.
pub(crate) enum Lane {
    /// It is open, with this opening.
    Open,
    /// It is not open, or with an earlier opening.
    ToOpen,
}

/// What there is to be done for a lane before `spot` is read.
///
/// # Errors
///
/// [`TapeError::Spent`] if the lane has been opened anew since.
pub(crate) fn state_of(group: &Tape, spot: Spot) -> Result<Lane, TapeError> {
    match group.opening(spot.index.device()) {
        Some(opening) if opening == spot.opening => Ok(Lane::Open),
        Some(opening) if opening > spot.opening => Err(TapeError::Spent),
        _ => Ok(Lane::ToOpen),
    }
}

/// Opens the lane of `spot`, if it is not open; in memory.
fn lane_of(
    shelf: &Shelf<'_>,
    tape: &TapeId,
    group: &mut Tape,
    spot: Spot,
) -> Result<Parent, VaultError> {
    let device = spot.index.device();
    let at = spot.opened_at().filter(|_| group.devices().contains(&device));
    let at = at.ok_or(TapeError::ForeignDevice(device))?;
    let name = RecordName::Pairing(tape.pairing);
    let parent = shelf.load(&name)?.map(|record| Tape::from_record(&record)).transpose()?;
    match (state_of(group, spot)?, parent) {
        (Lane::ToOpen, Some(mut parent)) => {
            parent.open_lane(group, &tape.group_id, at)?;
            Ok(Parent::Changed(Box::new(parent)))
        }
        (Lane::ToOpen, None) => Err(VaultError::Missing(name)),
        (Lane::Open, Some(mut parent)) => Ok(match parent.burn(at)? {
            // After a death between the two records.
            true => Parent::Changed(Box::new(parent)),
            false => Parent::Unchanged,
        }),
        (Lane::Open, None) => Ok(Parent::Unchanged),
    }
}

/// The tape of a group, with the own lane open.
fn own_lane(shelf: &Shelf<'_>, tape: &TapeId) -> Result<Tape, VaultError> {
    let mut group = shelf.load_tape(&RecordName::SubTape(tape.clone()))?;
    if !group.may_draw() {
        let name = RecordName::Pairing(tape.pairing);
        let mut parent = shelf.load_tape(&name)?;
        let at = parent.next_opening(&group)?;
        parent.open_lane(&mut group, &tape.group_id, at)?;
        let _ = shelf.store_tape(&name, &parent)?;
    }
    Ok(group)
}

/// The first index that may be used for `epoch`. KeyPackages are for no epoch.
fn first_for(tape: &TapeId, group: &Tape, epoch: u64) -> Result<Index, TapeError> {
    let own = group.own_device();
    let epoch = if tape.group_id == PACKAGES_GROUP_ID { 0 } else { epoch };
    Index::first_for(own, epoch).ok_or(TapeError::LaneExhausted(own))
}

/// Gives up what lies before an index, for earlier epochs: nobody follows them any more.
fn forget_passed(tape: &TapeId, group: &mut Tape, index: Index) -> Result<(), TapeError> {
    if tape.group_id == PACKAGES_GROUP_ID {
        return Ok(());
    }
    group.forget_before(index.first_of_its_epoch())
}

fn release(
    shelf: &Shelf<'_>,
    tape: &TapeId,
    group: &Tape,
    staged: Staged,
) -> Result<TapeValue, VaultError> {
    let stored = shelf.store_tape(&RecordName::SubTape(tape.clone()), group)?;
    Ok(staged.release(group.suite(), &stored))
}

/// Which records a call has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Nothing,
    Parent,
    Both,
}

/// Opens every lane of the KeyPackages' tape, with the opening that is reserved for it.
fn open_all(parent: &mut Tape, group: &mut Tape, group_id: &[u8]) -> Result<Change, TapeError> {
    let mut change = Change::Nothing;
    for device in parent.devices().to_vec() {
        let at = Index::new(device, PACKAGES_OPENING).ok_or(TapeError::ForeignDevice(device))?;
        if group.opening(device).is_none() {
            parent.open_lane(group, group_id, at)?;
            change = Change::Both;
        } else if parent.burn(at)? && change == Change::Nothing {
            change = Change::Parent;
        }
    }
    Ok(change)
}

/// The devices of a tape but the one that holds it.
pub(crate) fn partners(tape: &Tape) -> impl Iterator<Item = DeviceId> {
    tape.devices().iter().copied().filter(|device| *device != tape.own_device())
}

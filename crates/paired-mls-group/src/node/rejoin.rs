//! The place that a device takes when it comes back from outside, and what its commit means there.

use alloc::{vec, vec::Vec};

use paired_mls::{
    DeviceId, EpochContext, GroupRecord, PairingId, PathSecret, Phase, Vault, VaultError,
    anchor::{Anchor, Changes, LeafIndex, Tree},
    group::{Authorship, CommitFacts, EpochMark},
    wire::RatchetTree,
};

use super::{Paired, Standing, device_of};
use crate::{Error, Library, ThisDevice};

/// The place that an external commit takes.
#[derive(Debug)]
pub struct Seat {
    /// How the devices stand in the epoch that the commit creates.
    pub standing: Standing,
    /// Where the partners are that it notifies; `None` without any.
    pub anchor: Option<Anchor>,
}

impl Seat {
    /// Finds it in the tree of the GroupInfo, for the device with `own_key`: its old leaf goes, and the new one takes
    /// the leftmost blank leaf then (RFC 9420 section 12.4.3.2).
    ///
    /// # Errors
    ///
    /// [`Error::Mls`], [`Error::Locate`] if the tree is none.
    pub fn find(tree: &RatchetTree, record: &GroupRecord, own_key: &[u8]) -> Result<Self, Error> {
        let members = (0_u32..).zip(tree.nodes().iter().step_by(2));
        let members: Vec<_> = members
            .filter_map(|(index, _)| Some((LeafIndex::new(index)?, tree.leaf(index)?)))
            .collect();
        let is_own = |key: &[u8]| key == own_key;
        let removes = members.iter().filter(|(_, leaf)| is_own(leaf.signature_key()));
        let changes = Changes {
            removes: removes.map(|(index, _)| *index).collect(),
            adds: 1,
            ..Changes::default()
        };
        let partners = members.iter().filter(|(_, leaf)| !is_own(leaf.signature_key()));
        let mut seats: Vec<_> = partners
            .filter_map(|(index, leaf)| Some((device_of(record, leaf.signature_key())?, *index)))
            .collect();

        let (tree, added) = Tree::from(tree).after(&changes)?.into_parts();
        let own = added.first().copied().unwrap_or(LeafIndex::FIRST);
        seats.extend(device_of(record, own_key).map(|device| (device, own)));
        let standing = Standing { tree, own, seats };
        // A pairing that is ending stays so, and nothing more is drawn for it.
        let anchor = match record.phase {
            Phase::Active => standing.anchorage(own, &[])?.anchor().cloned(),
            Phase::Ceasing => None,
        };
        Ok(Self { standing, anchor })
    }

    /// The path secret of the commit, from the tape; `None` if it has no partner to notify.
    ///
    /// A device that comes in from outside may have lost what it knew: it opens its lanes ahead, in all groups.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`].
    pub fn draw(
        &self,
        vault: &Vault,
        record: &GroupRecord,
        next_epoch: &EpochContext,
    ) -> Result<Option<PathSecret>, Error> {
        match vault.doubt(record.tape.pairing) {
            // A pairing whose tape is gone opens nothing.
            Err(VaultError::Missing(_)) => {}
            done => done?,
        }
        if self.anchor.is_none() {
            return Ok(None);
        }
        vault.skip_ahead(&record.tape)?;
        let value = vault.draw(&record.tape, next_epoch.epoch)?;
        Ok(Some(value.into_path_secret(next_epoch)?))
    }

    /// The partners that the commit heals.
    pub fn healed(&self) -> Vec<DeviceId> {
        let covered = self.anchor.as_ref().map(Anchor::covered).unwrap_or_default();
        covered.iter().filter_map(|leaf| self.standing.device_at(*leaf)).collect()
    }

    /// The record of the epoch that the commit creates: this device is new from the leaf up, and the covered
    /// partners are healed.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`].
    pub fn renew(
        &self,
        record: &mut GroupRecord,
        own_key: &[u8],
        next: EpochMark,
    ) -> Result<(), Error> {
        record.pending = None;
        let Standing { tree, own, .. } = &self.standing;
        let facts = CommitFacts {
            committer: device_of(record, own_key).map(|device| (device, Authorship::Proven)),
            healed: self.healed(),
            path: Some(*own),
            newcomers: vec![*own],
            notified: self.anchor.clone(),
            ..CommitFacts::default()
        };
        let mut security = record.security.clone();
        security.apply(&facts, tree, |device| self.standing.leaf_of(device))?;
        record.advance(next, security);
        Ok(())
    }
}

impl Paired {
    /// The pairing of a group that this device has come into from outside; `None` without one. The vault remembers it.
    /// `tree` reads the ratchet tree of the GroupInfo. `drawn_from` is the pairing from whose tape the commit was made.
    ///
    /// A value that is still in flight is of an epoch that is gone; the next merge erases it.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`]; [`Error::Mls`], [`Error::Locate`] if the tree is none; that of `tree`.
    pub fn entered<L: Library>(
        device: &ThisDevice<'_, L>,
        group: &L::Group,
        tree: impl FnOnce() -> Result<RatchetTree, Error>,
        drawn_from: Option<PairingId>,
    ) -> Result<Option<Self>, Error> {
        let (library, vault, own_key) = (device.library, device.vault, device.signature_key);
        let Some(mut record) = vault.load_group(library.group_id(group))? else {
            return Ok(None);
        };
        let mut seat = Seat::find(&tree()?, &record, own_key)?;
        // A commit that was not made with this tape has healed nobody.
        seat.anchor = seat.anchor.filter(|_| drawn_from == Some(record.tape.pairing));
        let mark = library.epoch_mark(group);
        let epoch = mark.epoch;
        seat.renew(&mut record, own_key, mark)?;
        vault.note_epoch(&record.tape, epoch)?;
        vault.store_group(&record)?;
        Self::load(library, vault, group, record)
    }
}

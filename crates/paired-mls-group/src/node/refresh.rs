//! Whose leaf is to be renewed, and by which KeyPackage.

use alloc::vec::Vec;

use paired_mls::{DeviceId, EpochSecurity, Phase, group::Occupant, wire::LeafNode};

use super::{Paired, device_of};
use crate::{Error, Library, ThisDevice, UsageError, packages};

impl Paired {
    /// The partner that a KeyPackage with this leaf is of.
    ///
    /// # Errors
    ///
    /// [`UsageError::NotAPartner`], [`UsageError::DeviceNotInGroup`], [`UsageError::OtherCredential`].
    pub fn partner<L: Library>(
        &self,
        device: &ThisDevice<'_, L>,
        group: &L::Group,
        new: &LeafNode,
    ) -> Result<DeviceId, UsageError> {
        let partner = device_of(&self.record, new.signature_key())
            .filter(|_| new.signature_key() != device.signature_key)
            .ok_or(UsageError::NotAPartner)?;
        let seat = self.standing.leaf_of(partner).ok_or(UsageError::DeviceNotInGroup(partner))?;
        let old = device.library.leaf(group, seat);
        match old.is_some_and(|old| old.credential() == new.credential()) {
            true => Ok(partner),
            false => Err(UsageError::OtherCredential),
        }
    }

    /// Refuses a leaf refresh while the pairing is ending.
    ///
    /// # Errors
    ///
    /// [`UsageError::Ceasing`].
    pub fn require_active(&self) -> Result<(), UsageError> {
        match self.record.phase {
            Phase::Active => Ok(()),
            Phase::Ceasing => Err(UsageError::Ceasing),
        }
    }

    /// The KeyPackages that are at hand, each an `MLSMessage`, for a refresh of a weakened partner, or of one whose leaf
    /// somebody else has.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`], [`Error::LeafRecord`].
    pub fn renewals<L>(&self, device: &ThisDevice<'_, L>) -> Result<Vec<Vec<u8>>, Error> {
        let security = &self.record.security;
        let weakened = security.iter().filter(|(of, epoch)| {
            *epoch == EpochSecurity::Weakened || security.occupant(*of) == Some(Occupant::Impostor)
        });
        let weakened: Vec<_> = weakened.map(|(of, _)| of).collect();
        let at_hand = packages::usable(device.vault, self.record.tape.pairing, device.now)?;
        let of_weakened = at_hand.into_iter().map(|kept| kept.key_package).filter(|package| {
            let read = packages::read(package).ok();
            let of =
                read.and_then(|read| device_of(&self.record, read.leaf_node().signature_key()));
            of.is_some_and(|of| weakened.contains(&of))
        });
        Ok(of_weakened.collect())
    }
}

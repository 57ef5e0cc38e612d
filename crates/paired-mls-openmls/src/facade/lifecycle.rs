//! How a group comes to be on a device, and how it goes.

use openmls::prelude::{MlsGroupCreateConfig, MlsGroupJoinConfig};

use super::{Anchored, Group, on_both};
use crate::{Device, Error, LeafGroup, PairedGroup, Platform, UsageError, welcome_group_id};

impl From<PairedGroup> for Group {
    fn from(group: PairedGroup) -> Self {
        Self { anchored: Anchored::Node(Box::new(group)) }
    }
}

impl From<LeafGroup> for Group {
    fn from(group: LeafGroup) -> Self {
        Self { anchored: Anchored::Leaf(Box::new(group)) }
    }
}

impl Group {
    /// Creates a group with this device as its only member, with a leaf of its own.
    ///
    /// # Errors
    ///
    /// [`UsageError::SharedLeaf`] for a device behind a leaf that it shares: the leaf joins groups, and each of
    /// its devices with it; [`UsageError::ReservedGroup`]; [`Error::Mls`] if OpenMLS cannot create or store it.
    pub fn create<P: Platform>(
        device: &Device<P>,
        group_id: &[u8],
        config: &MlsGroupCreateConfig,
    ) -> Result<Self, Error> {
        if device.shared_leaf().is_some() {
            return Err(UsageError::SharedLeaf.into());
        }
        PairedGroup::create(device, group_id, config).map(Self::from)
    }

    /// Loads a group, with whatever the vault knows of it.
    ///
    /// # Errors
    ///
    /// [`UsageError::NoSuchGroup`]; [`UsageError::NotPaired`] for a device behind the leaf of a pairing, if the
    /// vault knows of no leaf of that pairing in the group; [`Error::Storage`]; [`Error::Vault`].
    pub fn load<P: Platform>(device: &Device<P>, group_id: &[u8]) -> Result<Self, Error> {
        let shared = device.vault().load_leaf(group_id)?.map(|record| record.tape.pairing);
        if shared.is_none() && device.shared_leaf().is_none() {
            return PairedGroup::load(device, group_id).map(Self::from);
        }
        let group = LeafGroup::load(device, group_id)?;
        match device.shared_leaf() {
            Some(pairing) if group.pairing_tape().pairing != pairing => {
                Err(UsageError::NotPaired.into())
            }
            _ => Ok(group.into()),
        }
    }

    /// Joins a group by a Welcome that carries the ratchet tree: to a KeyPackage of the device's own, or to one
    /// from the tape of the pairing whose leaf the device [shares](Device::with_shared_leaf). What is left of an
    /// earlier membership in the same group, from which the device was removed, is erased.
    ///
    /// A device that was paired in the group is paired again, from its first commit on. A shared leaf is paired
    /// from the start.
    ///
    /// # Errors
    ///
    /// Those of [`PairedGroup::join`] and [`LeafGroup::join`]; [`UsageError::StillMember`] while the device is a
    /// member, by the commits that it has followed: the KeyPackage is not spent, keep the Welcome.
    pub fn join<P: Platform>(
        device: &Device<P>,
        welcome: &[u8],
        config: &MlsGroupJoinConfig,
    ) -> Result<Self, Error> {
        match device.shared_leaf() {
            Some(pairing) => LeafGroup::join(device, pairing, welcome, config).map(Self::from),
            None => PairedGroup::join(device, welcome, config).map(Self::from),
        }
    }

    /// The group that a Welcome to one of the device's KeyPackages leads into. Nothing changes.
    ///
    /// # Errors
    ///
    /// As [`Group::join`], if the Welcome is for none of the device's KeyPackages, or is damaged.
    pub fn welcome_group_id<P: Platform>(
        device: &Device<P>,
        welcome: &[u8],
    ) -> Result<Vec<u8>, Error> {
        match device.shared_leaf() {
            Some(pairing) => LeafGroup::welcome_group_id(device, pairing, welcome),
            None => welcome_group_id(device, welcome),
        }
    }

    /// Gives the MLS state of the group up, whether or not this device has followed its own removal: the way
    /// out where the commits up to it cannot be had any more. What the vault has of the pairing here stays, and
    /// the device comes in again by a Welcome or from outside.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`]: load the group and call it again.
    pub fn forget<P: Platform>(self, device: &Device<P>) -> Result<(), Error> {
        on_both!(self.anchored, group => group.forget(device))
    }

    /// Erases what this device has of a group that it is not in any more: the MLS state, and what the vault has of
    /// the pairing here.
    ///
    /// # Errors
    ///
    /// [`UsageError::StillThere`] while the device's leaf is in the group; [`Error::Vault`], [`Error::Storage`]:
    /// load the group and call it again.
    pub fn erase<P: Platform>(self, device: &Device<P>) -> Result<(), Error> {
        if self.mls().is_active() {
            return Err(UsageError::StillThere.into());
        }
        match self.anchored {
            Anchored::Node(mut group) => {
                group.unpair(device)?;
                group.forget(device)
            }
            Anchored::Leaf(group) => group.erase(device),
        }
    }
}

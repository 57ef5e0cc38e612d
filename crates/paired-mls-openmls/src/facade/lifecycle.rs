//! How a group comes to be on a device, and how it goes.

use openmls::prelude::{Capabilities, Lifetime, MlsGroupCreateConfig, MlsGroupJoinConfig};
use paired_mls::{DeviceId, Pairing, PairingId, leaf::Held};
use paired_mls_group::packages::Adopted;

use super::{Anchored, Group, on_both};
use crate::{
    Device, Error, LeafGroup, PackageKind, PairedGroup, Platform, UsageError,
    group::{welcome_group_id, welcome_sender},
    package::{self, MadeChain},
};

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
    /// A Welcome does not prove that this device was removed, and anybody who has one of its KeyPackages can
    /// write one. So as long as the device is a member, by the commits that it has followed, it is told
    /// to follow the rest first.
    ///
    /// # Errors
    ///
    /// [`UsageError::StillMember`] while the device is a member: the KeyPackage is not spent, keep the Welcome.
    /// [`PeerError::Message`](crate::PeerError::Message) if the Welcome is for none of the device's KeyPackages, is
    /// damaged, or carries no ratchet tree; [`UsageError::NoTapeKeyPackage`] behind a shared leaf, if it is for none
    /// of those from the tape; [`PeerError::Identity`](crate::PeerError::Identity) under a strict credential policy;
    /// [`PeerError::ReservedGroup`](crate::PeerError::ReservedGroup); [`Error::Vault`], [`Error::Storage`].
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

    /// The signature keys of the leaf that has made a Welcome to one of the device's KeyPackages: of whoever puts
    /// this device into the group. Nothing changes.
    ///
    /// # Errors
    ///
    /// As [`Group::join`].
    pub fn welcome_sender<P: Platform>(
        device: &Device<P>,
        welcome: &[u8],
    ) -> Result<Vec<Vec<u8>>, Error> {
        match device.shared_leaf() {
            Some(pairing) => LeafGroup::welcome_sender(device, pairing, welcome),
            None => welcome_sender(device, welcome),
        }
    }

    /// Makes a KeyPackage from the tape of a pairing; returns its `MLSMessage`. Its private keys are in no
    /// storage: they are derived from the tape when a Welcome comes.
    ///
    /// That of a device with a leaf of its own is for a later [refresh](PairedGroup::refresh) of it: give it to the
    /// partners, which [adopt](PairedGroup::adopt) it. That of a shared leaf goes to the delivery service too, and
    /// the partners adopt it by [`LeafGroup::adopt`].
    ///
    /// The lifetime is given by the caller, in seconds since 1970, since no clock is read here; OpenMLS accepts one
    /// of 84 days at most, and the new leaf carries it until this device commits or is refreshed again.
    ///
    /// # Errors
    ///
    /// [`UsageError::CipherSuite`]; [`UsageError::NotListed`] if the device's signature key is not among
    /// those of a shared leaf; [`Error::Guard`], [`Error::Vault`], [`Error::Mls`].
    pub fn publish<P: Platform>(
        device: &Device<P>,
        pairing: PairingId,
        kind: PackageKind,
        lifetime: Lifetime,
        capabilities: Capabilities,
    ) -> Result<Vec<u8>, Error> {
        package::publish(device, pairing, kind, lifetime, capabilities, Held::Free)
    }

    /// Makes the refresh chain for one partner, or makes it longer: KeyPackages from the tape for windows that follow one
    /// another for five years, `width` of each. Give the message to that partner alone; it renews this device's leaf with
    /// them, in up to `width` groups, while this device only receives. After an interruption, call it again.
    ///
    /// For a device with a leaf of its own. A shared leaf needs none: each commit of any of its devices renews it.
    ///
    /// # Errors
    ///
    /// [`UsageError::SharedLeaf`] for a device behind a leaf that it shares; otherwise as [`Group::publish`].
    pub fn make_chain<P: Platform>(
        device: &Device<P>,
        pairing: PairingId,
        partner: DeviceId,
        width: usize,
        capabilities: &Capabilities,
    ) -> Result<MadeChain, Error> {
        if device.shared_leaf().is_some() {
            return Err(UsageError::SharedLeaf.into());
        }
        package::make_chain(device, pairing, partner, width, capabilities)
    }

    /// Keeps the refresh chain that a partner has handed over. [`Group::heal_if_due`] renews its leaf with that, as long
    /// as it lasts: in time before the leaf ends.
    ///
    /// # Errors
    ///
    /// [`PeerError::Chain`](crate::PeerError::Chain) for one that no partner has made, whose windows do not follow one
    /// another, or that is older than what is there; [`PeerError::NotFromTheTape`](crate::PeerError::NotFromTheTape):
    /// nothing of it is kept. [`Error::Vault`].
    pub fn adopt_chain<P: Platform>(
        device: &Device<P>,
        pairing: &Pairing,
        message: &[u8],
    ) -> Result<Adopted, Error> {
        package::adopt_chain(device, pairing, message)
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

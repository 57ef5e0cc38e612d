//! How a group comes to be on a device, and how it goes.

use mls_rs::{CryptoProvider, ExtensionList, MlsMessage, time::MlsTime};
use paired_mls::RecordName;
use paired_mls_group::{
    Error, Library as _, Membership, PeerError, UsageError,
    gate::check_signature_keys,
    identity,
    node::Paired,
    reserved::{require_free, require_unreserved},
};

use super::Group;
use crate::{
    Device, Unsupported,
    config::{LIFETIME, MlsState},
    storage::Shelf,
};

impl<C: CryptoProvider + Clone> Group<C> {
    /// Creates a group with this device as its only member.
    ///
    /// # Errors
    ///
    /// [`UsageError::ReservedGroup`]; [`UsageError::StillMember`] of a group of this identifier; [`Error::Mls`],
    /// [`Error::Vault`], [`Error::Storage`].
    pub fn create(device: &Device<C>, group_id: &[u8]) -> Result<Self, Error> {
        require_free(group_id)?;
        let (client, handles) = device.client(LIFETIME);
        forget_inactive(&handles.shelf, group_id)?;
        let (of_group, of_leaf) = (ExtensionList::default(), ExtensionList::default());
        let now = Some(MlsTime::from(device.now()));
        let mls = client.create_group_with_id(group_id.to_vec(), of_group, of_leaf, now);
        let mls = mls.map_err(Error::mls("create a group"))?;
        forget_shared(device, group_id)?;
        let mut state = MlsState { mls, membership: Membership::Stays, handles };
        let identities = identity::present(&device.this(), &state)?;
        state.keep()?;
        Ok(Self { state, identities, paired: None })
    }

    /// Joins a group by a Welcome that carries the ratchet tree. What is left of an earlier membership in the same
    /// group, from which this device was removed, is erased. If the device was paired there, it is again, from its
    /// first commit on; all devices are exposed until one commits.
    ///
    /// A Welcome does not prove that this device was removed, and anybody who has one of its KeyPackages can write one.
    /// So as long as the device is a member, by the commits that it has followed, it is told to follow the rest first.
    ///
    /// # Errors
    ///
    /// [`UsageError::StillMember`] while the device is a member: the KeyPackage is not spent, keep the Welcome.
    /// [`PeerError::Message`] if the Welcome is for none of the device's KeyPackages, is damaged, or carries no ratchet
    /// tree; [`PeerError::Identity`] under a strict credential policy; [`PeerError::ReservedGroup`]; [`Error::Vault`],
    /// [`Error::Storage`].
    pub fn join(device: &Device<C>, welcome: &[u8]) -> Result<Self, Error> {
        let (client, handles) = device.client(LIFETIME);
        let welcome = MlsMessage::from_bytes(welcome).map_err(PeerError::message)?;
        let info = client.examine_welcome_message(&welcome).map_err(PeerError::message)?;
        let group_id = info.group_context().group_id().to_vec();
        require_unreserved(&group_id)?;
        forget_inactive(&handles.shelf, &group_id)?;
        // Leaves of others whose lifetime has ended are no hindrance: so no time is given.
        let joined = client.join_group(None, &welcome, None).map_err(PeerError::message)?;
        let mut state = MlsState { mls: joined.0, membership: Membership::Stays, handles };
        forget_shared(device, &group_id)?;
        check_signature_keys(device, &state, &[])?;
        let paired = Paired::came_back(device, device.vault(), &state)?;
        let identities = identity::present(&device.this(), &state)?;
        state.keep()?;
        Ok(Self { state, identities, paired })
    }

    /// The group that a Welcome to one of the device's KeyPackages leads into. Nothing changes.
    ///
    /// # Errors
    ///
    /// [`PeerError::Message`] if the Welcome is for none of the device's KeyPackages, or is damaged.
    pub fn welcome_group_id(device: &Device<C>, welcome: &[u8]) -> Result<Vec<u8>, Error> {
        let (client, _) = device.client(LIFETIME);
        let welcome = MlsMessage::from_bytes(welcome).map_err(PeerError::message)?;
        let info = client.examine_welcome_message(&welcome).map_err(PeerError::message)?;
        Ok(info.group_context().group_id().to_vec())
    }

    /// Loads a group and its pairing.
    ///
    /// What the vault says of the pairing is compared with the group: see [`Group::security`].
    ///
    /// # Errors
    ///
    /// [`UsageError::NoSuchGroup`]; [`Unsupported::SharedLeaf`], as an [`Error::Mls`], if the vault says that the
    /// device shares its leaf there; [`Error::Storage`]; [`Error::Vault`].
    pub fn load(device: &Device<C>, group_id: &[u8]) -> Result<Self, Error> {
        if device.vault().load_leaf(group_id)?.is_some() {
            return Err(Error::mls("load a group")(Unsupported::SharedLeaf));
        }
        let (client, handles) = device.client(LIFETIME);
        let membership = handles.shelf.membership(group_id)?.ok_or(UsageError::NoSuchGroup)?;
        let mls = client.load_group(group_id).map_err(Error::storage("load a group"))?;
        let state = MlsState { mls, membership, handles };
        let record = device.vault().load_group(group_id)?;
        let record = record.map(|record| Paired::current(device.vault(), record, state.epoch()));
        let paired = record
            .map(|record| Paired::load(device, device.vault(), &state, record))
            .transpose()?;
        let identities = device.vault().load_identities(group_id)?;
        Ok(Self { state, identities, paired: paired.flatten() })
    }

    /// Gives the MLS state of the group up, whether or not this device has followed its own removal: the way out where
    /// the commits up to it cannot be had any more. It is as after a loss of that state: what the vault has of the
    /// pairing here stays, and the device comes in again by a Welcome.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`], [`Error::Storage`]: load the group and call it again.
    pub fn forget(self, device: &Device<C>) -> Result<(), Error> {
        let group_id = self.group_id();
        device.vault().erase(&RecordName::OwnCommit(group_id.to_vec()))?;
        self.state.handles.shelf.erase(group_id);
        self.state.handles.shelf.keep()
    }

    /// Erases what this device has of a group that it is not in any more: the MLS state, and what the vault has of the
    /// pairing here.
    ///
    /// # Errors
    ///
    /// [`UsageError::StillThere`] while the device is a member; [`Error::Vault`], [`Error::Storage`]: load the group
    /// and call it again.
    pub fn erase(mut self, device: &Device<C>) -> Result<(), Error> {
        if device.membership(&self.state) == Membership::Stays {
            return Err(UsageError::StillThere.into());
        }
        self.unpair(device)?;
        self.forget(device)
    }
}

/// Erases what the storage has of a group that this device was removed from, with what is stored next.
fn forget_inactive(shelf: &Shelf, group_id: &[u8]) -> Result<(), Error> {
    match shelf.membership(group_id)? {
        Some(Membership::Stays) => Err(UsageError::StillMember.into()),
        Some(Membership::Removed) => {
            shelf.erase(group_id);
            Ok(())
        }
        None => Ok(()),
    }
}

/// From now on the device has a leaf of its own in the group: what the vault has of a leaf that it shared there
/// before is not so any more.
pub(super) fn forget_shared<C>(device: &Device<C>, group_id: &[u8]) -> Result<(), Error> {
    match device.vault().load_leaf(group_id)? {
        Some(_) => Ok(device.vault().erase(&RecordName::Leaf(group_id.to_vec()))?),
        None => Ok(()),
    }
}

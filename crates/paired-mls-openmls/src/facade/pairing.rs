//! What the pairing is in this group.

use paired_mls::{DeviceId, EpochSecurity, Freshness, Pairing, Phase, TapeId};

use super::{Anchored, Group, on_both};
use crate::{Device, Error, Footing, Platform, UsageError};

impl Group {
    /// Pairs this device in this group. The vault must hold the tape of the pairing; every device
    /// of the pairing makes this call for itself, in the same epoch or another. The devices of a shared leaf are
    /// paired from the start, and stand in one place.
    ///
    /// Returns how the devices stand in the tree: if strangers sit under the anchor, the pairing
    /// heals fewer partners or none until the devices are placed anew; `None` for a shared leaf. Nothing changes if
    /// this pairing is used here already.
    ///
    /// # Errors
    ///
    /// [`UsageError::AlreadyPaired`] with another pairing; [`UsageError::DeviceNotInGroup`] if a device is not a
    /// member; [`UsageError::SignatureKey`] if the pairing names another key for this device;
    /// [`UsageError::CipherSuite`]; [`UsageError::CommitPending`]; [`UsageError::ReservedGroup`];
    /// [`Error::Vault`] if the vault has no such tape.
    pub fn pair<P: Platform>(
        &mut self,
        device: &Device<P>,
        pairing: &Pairing,
    ) -> Result<Option<Footing>, Error> {
        match &mut self.anchored {
            Anchored::Node(group) => group.pair(device, pairing).map(Some),
            Anchored::Leaf(group) if group.pairing_tape().pairing == pairing.id => Ok(None),
            Anchored::Leaf(_) => Err(UsageError::AlreadyPaired.into()),
        }
    }

    /// The sub-tape of the pairing in this group; `None` without a pairing.
    pub fn pairing_tape(&self) -> Option<&TapeId> {
        match &self.anchored {
            Anchored::Node(group) => group.tape(),
            Anchored::Leaf(group) => Some(group.pairing_tape()),
        }
    }

    /// Whether this device still draws from the tape in this group; `None` without a pairing.
    pub fn phase(&self) -> Option<Phase> {
        match &self.anchored {
            Anchored::Node(group) => group.phase(),
            Anchored::Leaf(group) => Some(group.phase()),
        }
    }

    /// The number of this device in the pairing that is used here; `None` without one.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`].
    pub fn own_device<P: Platform>(&self, device: &Device<P>) -> Result<Option<DeviceId>, Error> {
        let tape = self.pairing_tape();
        let info = tape.map(|tape| device.vault().tape_info(tape)).transpose()?;
        Ok(info.map(|info| info.own_device))
    }

    /// How safe the current epoch is for a device of the pairing; `None` for any other. The devices behind a shared
    /// leaf are all as safe as the leaf.
    pub fn security(&self, device: DeviceId) -> Option<EpochSecurity> {
        match &self.anchored {
            Anchored::Node(group) => group.security(device),
            Anchored::Leaf(group) => Some(group.security()),
        }
    }

    /// Whether this device, and no other one, may send application messages from its leaf in this epoch. From a
    /// shared leaf that is who has the [token](crate::LeafGroup::token).
    ///
    /// # Errors
    ///
    /// [`Error::Vault`].
    pub fn speaks_alone<P: Platform>(&self, device: &Device<P>) -> Result<bool, Error> {
        match &self.anchored {
            Anchored::Node(_) => Ok(true),
            Anchored::Leaf(group) => Ok(group.token() == self.own_device(device)?),
        }
    }

    /// Compares the MLS state with the vault, of which one may come from a backup, and does what is to be done
    /// about a vault that is an older copy: nobody counts as healed, and of a shared leaf nobody has the token,
    /// until the next paired commit. Each commit does so by itself; to call it tells the caller.
    ///
    /// Returns how they stood. Without a pairing they are never compared.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`].
    pub fn check_vault<P: Platform>(&mut self, device: &Device<P>) -> Result<Freshness, Error> {
        on_both!(&mut self.anchored, group => group.check_vault(device))
    }

    /// The pairing is ending: this device draws nothing more from the tape in this group. At a node its commits are
    /// ordinary ones from now on; from a shared leaf it commits no more. What partners have sent before they knew
    /// is still followed.
    ///
    /// # Errors
    ///
    /// [`UsageError::NotPaired`], [`Error::Vault`].
    pub fn cease<P: Platform>(&mut self, device: &Device<P>) -> Result<(), Error> {
        on_both!(&mut self.anchored, group => group.cease(device))
    }

    /// Takes the pairing out of this group: its record, and its sub-tape, are erased.
    ///
    /// Returns the group, which goes on as an ordinary one; `None` if its leaf was shared, of which nothing is left
    /// then.
    ///
    /// # Errors
    ///
    /// [`UsageError::CommitPending`] while a paired commit of this device waits; [`UsageError::StillThere`] while
    /// a shared leaf is in the group; [`Error::Vault`], [`Error::Storage`]: load the group and call it again.
    pub fn unpair<P: Platform>(self, device: &Device<P>) -> Result<Option<Self>, Error> {
        match self.anchored {
            Anchored::Node(mut group) => {
                group.unpair(device)?;
                Ok(Some((*group).into()))
            }
            Anchored::Leaf(group) => group.erase(device).map(|()| None),
        }
    }
}

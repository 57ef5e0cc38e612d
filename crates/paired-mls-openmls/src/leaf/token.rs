//! The calls about the token: who may send application messages from a shared leaf.

use paired_mls::{DeviceId, leaf::LeafMessage};

use paired_mls_group::shared;

use super::LeafGroup;
use crate::{Device, Error, Platform, UsageError};

impl LeafGroup {
    /// The device that may send from this leaf in the current epoch.
    ///
    /// Returns `None` if none may, until one of them commits: for instance after the leaf was created
    /// by other means than the tape.
    pub fn token(&self) -> Option<DeviceId> {
        shared::token(&self.record, self.epoch())
    }

    /// The epoch in which this device has given the token away, if it has not taken it since.
    pub fn token_given(&self) -> Option<u64> {
        self.record.given
    }

    /// Asks the partners for the token; returns the message for them.
    ///
    /// # Errors
    ///
    /// [`UsageError::Removed`], [`Error::Vault`], [`Error::Mls`].
    pub fn ask_token<P: Platform>(&self, device: &Device<P>) -> Result<Vec<u8>, Error> {
        self.require_membership()?;
        let own = self.own_device(device)?;
        self.tell(device, &LeafMessage::TokenWanted(own))
    }

    /// Gives the token away; returns the message for the partners. This device sends nothing from here
    /// on, also after a restart, until it takes the token again with [`Group::update`](crate::Group::update).
    ///
    /// # Errors
    ///
    /// [`UsageError::TokenElsewhere`] if it does not have the token; [`UsageError::Removed`],
    /// [`Error::Vault`], [`Error::Mls`].
    pub fn give_token<P: Platform>(&mut self, device: &Device<P>) -> Result<Vec<u8>, Error> {
        self.require_membership()?;
        let own = self.own_device(device)?;
        let epoch = self.epoch();
        self.transact(device, |_, record| Ok(shared::give_token(record, epoch, own)?))?;
        self.tell(device, &LeafMessage::TokenGiven(own))
    }

    /// Refuses unless this device may send.
    pub(super) fn require_token<P: Platform>(&self, device: &Device<P>) -> Result<(), Error> {
        self.require_current_state(device)?;
        let own = self.own_device(device)?;
        Ok(shared::require_speech(&self.record, self.epoch(), own)?)
    }

    pub(super) fn require_membership(&self) -> Result<(), UsageError> {
        if self.mls.is_active() { Ok(()) } else { Err(UsageError::Removed) }
    }

    fn own_device<P: Platform>(&self, device: &Device<P>) -> Result<DeviceId, Error> {
        Ok(device.vault().tape_info(&self.record.tape)?.own_device)
    }
}

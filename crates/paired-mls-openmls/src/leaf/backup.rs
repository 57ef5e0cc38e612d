//! A device behind a shared leaf whose MLS state and vault do not belong together, since one of them was
//! restored from a backup.

use paired_mls::Freshness;
use paired_mls_group::shared::outdated;

use super::LeafGroup;
use crate::{Device, Error, Platform, UsageError};

impl LeafGroup {
    /// Compares the MLS state with the vault, and does what is to be done about a vault that is an older
    /// copy: nobody has the token, and the leaf does not count as healed, until its next commit from the
    /// tape, which the partners can follow. Each commit does so by itself; to call it tells the caller.
    ///
    /// Returns how they stood.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`].
    pub(crate) fn check_vault<P: Platform>(
        &mut self,
        device: &Device<P>,
    ) -> Result<Freshness, Error> {
        let freshness = self.freshness(device)?;
        if freshness == Freshness::VaultIsOlder {
            let record = outdated(&self.record);
            device.vault().store_leaf(&record)?;
            device.vault().catch_up(&record.tape, self.epoch())?;
            self.record = record;
        }
        Ok(freshness)
    }

    /// Refuses to send with ratchets that may have been used.
    pub(super) fn require_current_state<P: Platform>(
        &self,
        device: &Device<P>,
    ) -> Result<(), Error> {
        match self.freshness(device)? {
            Freshness::StateIsOlder => Err(UsageError::StateIsOlder.into()),
            Freshness::Current | Freshness::VaultIsOlder => Ok(()),
        }
    }

    fn freshness<P: Platform>(&self, device: &Device<P>) -> Result<Freshness, Error> {
        match self.mls.is_active() {
            true => Ok(device.vault().freshness(&self.record.tape, self.epoch())?),
            false => Ok(Freshness::Current),
        }
    }
}

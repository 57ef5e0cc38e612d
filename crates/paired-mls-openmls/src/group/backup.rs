//! A device whose MLS state and vault do not belong together, since one of them was restored from a
//! backup.
//!
//! ```text
//! vault older    what it says of the pairing is not so any more: nobody counts as healed, and this device
//!                opens its lanes ahead of all that it may have opened before
//! state older    the log is processed, or this device comes back from outside; it sends nothing before
//! both older     as after a long sleep; own commits cannot be processed: it comes back from outside
//! ```

use paired_mls::Freshness;
use paired_mls_group::node::Paired;

use super::PairedGroup;
use crate::{Device, Error, Platform, UsageError};

impl PairedGroup {
    /// Compares the MLS state with the vault, and does what is to be done about a vault that is an older
    /// copy: nobody counts as healed until the next paired commit, which a partner can follow. Each
    /// commit does so by itself; to call it tells the caller.
    ///
    /// Returns how they stood. Without a pairing they are never compared.
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
            self.change_record(device, |record| *record = Paired::outdated(record.clone()))?;
            let epoch = self.epoch();
            if let Some(paired) = &self.paired {
                device.vault().catch_up(&paired.record.tape, epoch)?;
            }
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
        match &self.paired {
            Some(paired) if self.mls.is_active() => {
                Ok(device.vault().freshness(&paired.record.tape, self.epoch())?)
            }
            _ => Ok(Freshness::Current),
        }
    }
}

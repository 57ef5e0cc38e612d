//! What the vault keeps of a pairing in a group.

use paired_mls::{GroupRecord, RecordName, Vault, VaultError, group::RefreshWelcome};

use super::Paired;
use crate::{Error, PeerError};

impl Paired {
    /// Has the vault remember this, which is next for the pairing, of a call that has led the group from epoch `from` to
    /// epoch `to`, or has left it where it was. To be called before the MLS state is stored; idempotent.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`].
    pub fn store(&self, vault: &Vault, from: u64, to: u64) -> Result<(), Error> {
        vault.store_group(&self.record)?;
        if from != to {
            vault.advance(&self.record.tape, from, to)?;
        }
        Ok(())
    }

    /// Changes the record, and has the vault remember it.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`]: nothing is changed.
    pub fn change(
        &mut self,
        vault: &Vault,
        change: impl FnOnce(&mut GroupRecord),
    ) -> Result<(), Error> {
        let mut record = self.record.clone();
        change(&mut record);
        vault.store_group(&record)?;
        self.record = record;
        Ok(())
    }

    /// Erases the record, and the sub-tape of the group. May be called again.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`].
    pub fn erase(&self, vault: &Vault) -> Result<(), Error> {
        let tape = self.record.tape.clone();
        vault.erase(&RecordName::Group(tape.group_id.clone()))?;
        Ok(vault.erase(&RecordName::SubTape(tape))?)
    }

    /// The Welcome of a refresh, which a device of the pairing has made.
    ///
    /// # Errors
    ///
    /// [`PeerError::Refresh`] if it is none, or forged; [`Error::Vault`].
    pub fn open_refresh(&self, vault: &Vault, refresh: &[u8]) -> Result<RefreshWelcome, Error> {
        vault.open_refresh(&self.record.tape, refresh).map_err(|error| match error {
            VaultError::Refresh(error) => PeerError::Refresh(error).into(),
            error => error.into(),
        })
    }
}

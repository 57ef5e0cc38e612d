//! The end of a pairing, in one group.
//!
//! ```text
//! PairingBook::end, or a partner's CeasePair   ─►  cease    commits are ordinary ones; partners are followed
//! PairingBook::erase                           ─►  unpair   nothing of the pairing is left here
//! leave, and come back with another signature key, as the plan says
//! ```

use paired_mls::{HealPolicy, Phase};

use super::PairedGroup;
use crate::{Device, Error, Platform, UsageError};

impl PairedGroup {
    /// Whether this device still draws from the tape in this group; `None` without a pairing.
    pub(crate) fn phase(&self) -> Option<Phase> {
        self.paired.as_ref().map(|paired| paired.record.phase)
    }

    /// The pairing is ending: this device draws nothing more, so that its commits are ordinary ones,
    /// and nobody is healed by them. What partners have sent before they knew is still followed.
    ///
    /// A commit of this device that waits may still be confirmed. A signal goes from its leaf with the next.
    ///
    /// # Errors
    ///
    /// [`UsageError::NotPaired`], [`Error::Vault`].
    pub(crate) fn cease<P: Platform>(&mut self, device: &Device<P>) -> Result<(), Error> {
        self.change_record(device, |record| {
            record.phase = Phase::Ceasing;
            record.heal_policy = HealPolicy::Manual;
        })
    }

    /// Takes the pairing out of this group: its record, and its sub-tape, are erased. May be called
    /// again, also after [`PairingBook::erase`](paired_mls::pairing::PairingBook::erase) has done so.
    ///
    /// # Errors
    ///
    /// [`UsageError::CommitPending`] while a paired commit of this device waits; [`Error::Vault`].
    pub(crate) fn unpair<P: Platform>(&mut self, device: &Device<P>) -> Result<(), Error> {
        if self.pending_index().is_some() {
            return Err(UsageError::CommitPending.into());
        }
        if let Some(paired) = &self.paired {
            paired.erase(device.vault())?;
        }
        self.paired = None;
        Ok(())
    }
}

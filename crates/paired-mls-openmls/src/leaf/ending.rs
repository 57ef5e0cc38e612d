//! The end of a pairing, in one group with a shared leaf.
//!
//! ```text
//! PairingBook::end, or a partner's CeasePair   ─►  cease   this device commits no more; partners are followed
//! leave, or another member removes the leaf    ─►  Event::Removed
//! PairingBook::erase                           ─►  erase   nothing of the leaf is left here
//! each device comes back with a leaf, and a signature key, of its own
//! ```

use paired_mls::{Phase, RecordName};

use super::LeafGroup;
use crate::{Device, Error, Platform, UsageError, group::delete, provider::atomically};

impl LeafGroup {
    /// Whether this device still draws from the tape in this group.
    pub(crate) fn phase(&self) -> Phase {
        self.record.phase
    }

    /// The pairing is ending: this device commits no more in this group. What partners have sent before
    /// they knew is still followed, and it can still propose to [leave](crate::Group::leave).
    ///
    /// # Errors
    ///
    /// [`Error::Vault`].
    pub(crate) fn cease<P: Platform>(&mut self, device: &Device<P>) -> Result<(), Error> {
        self.transact(device, |_, record| {
            record.phase = Phase::Ceasing;
            Ok(())
        })
    }

    /// Erases what this device has of the group: the MLS state with the private keys of the leaf, the
    /// record in the vault, and the sub-tape.
    ///
    /// # Errors
    ///
    /// [`UsageError::StillThere`] while the leaf is in the group; [`Error::Vault`], [`Error::Storage`]:
    /// load the group and call it again.
    pub(crate) fn erase<P: Platform>(self, device: &Device<P>) -> Result<(), Error> {
        if self.mls.is_active() {
            return Err(UsageError::StillThere.into());
        }
        let tape = self.record.tape.clone();
        atomically(device.provider(), || delete(device, self.mls))?;
        device.vault().erase(&RecordName::SubTape(tape.clone()))?;
        Ok(device.vault().erase(&RecordName::Leaf(tape.group_id))?)
    }

    pub(super) fn require_active(&self) -> Result<(), UsageError> {
        match self.record.phase {
            Phase::Active => Ok(()),
            Phase::Ceasing => Err(UsageError::Ceasing),
        }
    }
}

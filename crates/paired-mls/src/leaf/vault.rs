//! What the vault does for a shared leaf.

use thiserror::Error;

use super::{
    LeafNotify, LeafNotifyError, LeafRandomness, LeafRecord, LeafRecordError, LeafUse, SALT_LEN,
};
use crate::{EpochContext, Index, RecordName, Secret, TapeId, Vault, VaultError};

/// How many positions of each partner's lane a follower without a Notify looks at, from the first
/// that it has not seen: a bound on the work that a forged commit causes. A partner burns a position
/// with each commit that the delivery service refuses.
pub const MAX_SKIP: usize = 64;

/// Why the vault refused something for a shared leaf. Nothing has changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LeafVaultError {
    /// The vault itself failed or refused.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A Notify could not be written, or was refused.
    #[error(transparent)]
    Notify(#[from] LeafNotifyError),
    /// A stored leaf record cannot be read or written.
    #[error(transparent)]
    Record(#[from] LeafRecordError),
}

impl Vault {
    /// Writes a Notify for a commit in `epoch` of the tape's group; returns its `MLSMessage`. `salt`
    /// is 28 fresh random bytes.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`LeafNotifyError::TooLarge`].
    pub fn seal_leaf_notify(
        &self,
        tape: &TapeId,
        notify: &LeafNotify,
        epoch: u64,
        salt: [u8; SALT_LEN],
    ) -> Result<Vec<u8>, LeafVaultError> {
        let group_id = &tape.group_id;
        let tape = self.shelf().load_tape(&RecordName::SubTape(tape.clone()))?;
        Ok(notify.seal(&tape, group_id, epoch, salt)?)
    }

    /// Opens a Notify for `epoch` of the tape's group.
    ///
    /// # Errors
    ///
    /// [`LeafNotifyError::NotANotify`] where the message is another one, to be processed as ordinary
    /// MLS; every other [`LeafNotifyError`] refuses it. [`VaultError::Missing`] for an unknown tape.
    pub fn open_leaf_notify(
        &self,
        tape: &TapeId,
        epoch: u64,
        message: &[u8],
    ) -> Result<LeafNotify, LeafVaultError> {
        let group_id = &tape.group_id;
        let tape = self.shelf().load_tape(&RecordName::SubTape(tape.clone()))?;
        Ok(LeafNotify::open(&tape, group_id, epoch, message)?)
    }

    /// Finds the partner's index that something was made with, by the key that stands in the open: of
    /// `hints` first, then of the next [`MAX_SKIP`] positions of each partner. Nothing is spent.
    ///
    /// `is_it` is given the key material and says whether its public key is the one.
    ///
    /// Returns `None` if no index fits.
    ///
    /// # Security
    ///
    /// What `is_it` is given is a secret of an epoch that does not exist yet, and is erased after the
    /// call: it must not be kept.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape.
    pub fn recognise(
        &self,
        tape: &TapeId,
        usage: LeafUse,
        context: &EpochContext,
        hints: &[Index],
        is_it: impl Fn(&Secret) -> bool,
    ) -> Result<Option<Index>, VaultError> {
        let tape = self.shelf().load_tape(&RecordName::SubTape(tape.clone()))?;
        let lanes = tape.devices().iter().filter(|device| **device != tape.own_device());
        let following = lanes.flat_map(|device| {
            let first = Index::new(*device, 0).and_then(|first| tape.next_held(first));
            std::iter::successors(first, |index| {
                let next = Index::new(index.device(), index.position() + 1)?;
                tape.next_held(next)
            })
            .take(MAX_SKIP)
        });
        let in_flight = tape.in_flight();
        for index in hints.iter().copied().chain(in_flight).chain(following) {
            let Ok(value) = tape.peek(index) else {
                continue;
            };
            if is_it(&LeafRandomness::public_key_material(&value, usage, context)?) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Erases the claimed value, whose epoch is stored, and gives up what lies before `index` in its
    /// lane: its device has burned it.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`VaultError::Storage`].
    pub fn settle_through(&self, id: &TapeId, index: Index) -> Result<(), VaultError> {
        let shelf = self.shelf();
        let name = RecordName::SubTape(id.clone());
        let mut tape = shelf.load_tape(&name)?;
        tape.settle();
        tape.forget_before(index)?;
        shelf.store_tape(&name, &tape)?;
        Ok(())
    }

    /// Reads what this device knows of a leaf that it shares; `None` if it shares none in that group.
    ///
    /// # Errors
    ///
    /// [`LeafVaultError::Record`] for a damaged record, [`VaultError::Storage`].
    pub fn load_leaf(&self, group_id: &[u8]) -> Result<Option<LeafRecord>, LeafVaultError> {
        let record = self.shelf().load(&RecordName::Leaf(group_id.to_vec()))?;
        record.map(|record| Ok(LeafRecord::from_record(&record)?)).transpose()
    }

    /// Stores what this device knows of a leaf that it shares.
    ///
    /// # Errors
    ///
    /// [`VaultError::Storage`].
    pub fn store_leaf(&self, record: &LeafRecord) -> Result<(), LeafVaultError> {
        let name = RecordName::Leaf(record.tape.group_id.clone());
        Ok(self.shelf().store(&name, &record.to_record()?)?)
    }
}

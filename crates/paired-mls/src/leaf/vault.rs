//! What the vault does for a shared leaf.
//!
//! A commit of a shared leaf is made twice: by the device that sends it, which has to know the bytes,
//! and again by every device, the sender included, when the delivery service has accepted it. So the
//! value stays on the tape between [`Vault::reserve`] and [`Vault::burn_through`]; what may never
//! happen, that one index serves two commits, is kept from happening by the reservation, which is
//! stored first.

use thiserror::Error;

use super::{
    LeafMessage, LeafNotifyError, LeafPackages, LeafRandomness, LeafRecord, LeafRecordError,
    LeafUse, SALT_LEN,
};
use crate::{
    EpochContext, Index, PairingId, RecordName, Secret, Tape, TapeId, TapeValue, Vault, VaultError,
};

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
    /// Sets the next position of this device's lane aside: nothing else is ever made with it.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`VaultError::Tape`] at the end of the lane,
    /// [`VaultError::Storage`].
    pub fn reserve(&self, tape: &TapeId) -> Result<Index, VaultError> {
        self.change(tape, Tape::reserve)
    }

    /// Reads the value at `index` and leaves it on the tape.
    ///
    /// # Security
    ///
    /// For making again what a device of the pairing has made with it. What is made may leave this
    /// device only if `index` was [reserved](Vault::reserve) for it; otherwise it is compared with what
    /// the delivery service delivers, and thrown away.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`VaultError::Tape`] for a spent index or a foreign
    /// one.
    pub fn preview(&self, tape: &TapeId, index: Index) -> Result<TapeValue, VaultError> {
        let tape = self.shelf().load_tape(&RecordName::SubTape(tape.clone()))?;
        Ok(tape.peek(index)?)
    }

    /// Erases the value at `index` and all before it in its lane: the epoch that it led to is stored,
    /// and its device has given up what it reserved before.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`VaultError::Tape`], [`VaultError::Storage`].
    pub fn burn_through(&self, tape: &TapeId, index: Index) -> Result<(), VaultError> {
        self.change(tape, |tape| {
            tape.burn(index)?;
            tape.forget_before(index)
        })
    }

    /// Erases the value at `index` alone.
    ///
    /// # Errors
    ///
    /// As [`Vault::burn_through`].
    pub fn burn(&self, tape: &TapeId, index: Index) -> Result<(), VaultError> {
        self.change(tape, |tape| tape.burn(index)).map(|_| ())
    }

    /// Finds the index that something was made with, by the key that stands in the open: of the next
    /// [`MAX_SKIP`] positions of each device. Nothing is spent.
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
        is_it: impl Fn(&Secret) -> bool,
    ) -> Result<Option<Index>, VaultError> {
        let tape = self.shelf().load_tape(&RecordName::SubTape(tape.clone()))?;
        for index in tape.devices().iter().flat_map(|device| following(&tape, *device)) {
            let Ok(value) = tape.peek(index) else {
                continue;
            };
            if is_it(&LeafRandomness::public_key_material(&value, usage, context)?) {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// The next `count` positions of each partner's lane that have not been seen in use.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape.
    pub fn upcoming(&self, tape: &TapeId, count: usize) -> Result<Vec<Index>, VaultError> {
        let tape = self.shelf().load_tape(&RecordName::SubTape(tape.clone()))?;
        let partners = tape.devices().iter().filter(|device| **device != tape.own_device());
        Ok(partners.flat_map(|device| following(&tape, *device).take(count)).collect())
    }

    /// Writes a message for the other devices of the leaf, in `epoch` of the tape's group; returns its
    /// `MLSMessage`. `salt` is 28 fresh random bytes.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`LeafNotifyError::TooLarge`].
    pub fn seal_leaf_message(
        &self,
        tape: &TapeId,
        message: &LeafMessage,
        epoch: u64,
        salt: [u8; SALT_LEN],
    ) -> Result<Vec<u8>, LeafVaultError> {
        let group_id = &tape.group_id;
        let tape = self.shelf().load_tape(&RecordName::SubTape(tape.clone()))?;
        Ok(message.seal(&tape, group_id, epoch, salt)?)
    }

    /// Opens a message of another device of the leaf, for `epoch` of the tape's group.
    ///
    /// # Errors
    ///
    /// [`LeafNotifyError::NotANotify`] where the message is another one, to be processed as ordinary
    /// MLS; every other [`LeafNotifyError`] refuses it. [`VaultError::Missing`] for an unknown tape.
    pub fn open_leaf_message(
        &self,
        tape: &TapeId,
        epoch: u64,
        message: &[u8],
    ) -> Result<LeafMessage, LeafVaultError> {
        let group_id = &tape.group_id;
        let tape = self.shelf().load_tape(&RecordName::SubTape(tape.clone()))?;
        Ok(LeafMessage::open(&tape, group_id, epoch, message)?)
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

    /// Reads the KeyPackages of a shared leaf that no Welcome has used yet.
    ///
    /// # Errors
    ///
    /// [`LeafVaultError::Record`] for a damaged record, [`VaultError::Storage`].
    pub fn load_leaf_packages(&self, pairing: PairingId) -> Result<LeafPackages, LeafVaultError> {
        let record = self.shelf().load(&RecordName::LeafPackages(pairing))?;
        let packages = record.map(|record| LeafPackages::from_record(&record)).transpose()?;
        Ok(packages.unwrap_or_default())
    }

    /// Stores the KeyPackages of a shared leaf.
    ///
    /// # Errors
    ///
    /// [`VaultError::Storage`].
    pub fn store_leaf_packages(
        &self,
        pairing: PairingId,
        packages: &LeafPackages,
    ) -> Result<(), LeafVaultError> {
        let name = RecordName::LeafPackages(pairing);
        Ok(self.shelf().store(&name, &packages.to_record()?)?)
    }

    fn change<T>(
        &self,
        id: &TapeId,
        change: impl FnOnce(&mut Tape) -> Result<T, crate::TapeError>,
    ) -> Result<T, VaultError> {
        let shelf = self.shelf();
        let name = RecordName::SubTape(id.clone());
        let mut tape = shelf.load_tape(&name)?;
        let value = change(&mut tape)?;
        let _ = shelf.store_tape(&name, &tape)?;
        Ok(value)
    }
}

/// The next [`MAX_SKIP`] positions of a lane whose values are still on the tape.
fn following(tape: &Tape, device: crate::DeviceId) -> impl Iterator<Item = Index> {
    let first = Index::new(device, 0).and_then(|first| tape.next_held(first));
    let next = |index: &Index| {
        let next = Index::new(index.device(), index.position() + 1)?;
        tape.next_held(next)
    };
    std::iter::successors(first, next).take(MAX_SKIP)
}

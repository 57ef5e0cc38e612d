//! The vault: secure storage for tapes, apart from the MLS state.
//!
//! The draft's healing is only as good as this separation: whoever copies the MLS state of a
//! device must not get its tape with it. A [`Vault`] therefore shares no file and no buffer with
//! the MLS library, and what leaves it is one tape value at a time.
//!
//! Where the records lie is the business of a [`VaultStorage`]; everything else is decided here.
//! Each change is stored before the value that it spends is released.

mod lanes;
mod memory;
mod storage;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use thiserror::Error;

pub(crate) use self::lanes::{Lane, partners, state_of};
pub use self::{
    lanes::Freshness,
    memory::MemoryStorage,
    storage::{RecordName, StorageError, TapeId, VaultStorage},
};
use crate::{
    CipherSuite, DerivationTooLong, DeviceId, Notify, NotifyError, PairingId, RecordError,
    SealedNotify, Secret, Seed, Tape, TapeError,
    group::{GroupRecord, GroupRecordError, IdentityRecordError, RefreshError},
    pairing::{KeyRecordError, TagInput, Verified},
    tape::Stored,
};

/// Why the vault refused. Nothing has changed, except where an index was burned: then it stays so.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The storage failed.
    #[error("the vault's storage failed while it handled {record}")]
    Storage {
        /// The record in question.
        record: RecordName,
        /// What the storage says.
        source: StorageError,
    },
    /// There is no such record.
    #[error("the vault holds no {0}: pair the devices first")]
    Missing(RecordName),
    /// The record is there already.
    #[error("the vault already holds {0}: end that pairing first")]
    Exists(RecordName),
    /// The device has a signature key.
    #[error("the vault holds a signature key already: use another vault for another device")]
    KeyExists,
    /// A stored signature key cannot be read.
    #[error(transparent)]
    KeyRecord(#[from] KeyRecordError),
    /// A stored tape cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A stored group record cannot be read.
    #[error(transparent)]
    GroupRecord(#[from] GroupRecordError),
    /// A stored record of identities cannot be read.
    #[error(transparent)]
    IdentityRecord(#[from] IdentityRecordError),
    /// The Welcome of a leaf refresh could not be written, or was refused.
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    /// The tape refused.
    #[error(transparent)]
    Tape(#[from] TapeError),
    /// A Notify could not be written, or was refused.
    #[error(transparent)]
    Notify(#[from] NotifyError),
    /// An input does not fit RFC 9420's `KDFLabel`.
    #[error(transparent)]
    Derivation(#[from] DerivationTooLong),
    /// A pairing message was not written by the device that it names, or not under these terms.
    #[error("the tag of the pairing message does not authenticate {0}")]
    WrongTag(DeviceId),
}

/// A device's vault. Clones share it.
///
/// # Concurrency
///
/// The calls of one process are put in order by a lock; between processes that is the storage's
/// obligation.
#[derive(Clone)]
pub struct Vault {
    storage: Arc<Mutex<Box<dyn VaultStorage>>>,
}

/// What is not secret about a tape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapeInfo {
    /// The cipher suite of the pairing.
    pub suite: CipherSuite,
    /// The device that this vault belongs to.
    pub own_device: DeviceId,
    /// All devices of the pairing, in ascending order.
    pub devices: Vec<DeviceId>,
    /// Stored nodes, at most [`MAX_LANE_NODES`](crate::MAX_LANE_NODES) in each lane.
    pub stored_nodes: usize,
}

impl Vault {
    /// A vault whose records lie in `storage`.
    pub fn new(storage: impl VaultStorage + 'static) -> Self {
        Self { storage: Arc::new(Mutex::new(Box::new(storage))) }
    }

    /// Derives the tape of a new pairing, stores it and erases the seed.
    ///
    /// # Errors
    ///
    /// [`VaultError::Exists`] if the vault has a tape of that pairing: a second one would give the
    /// same values again. [`VaultError::Tape`] if the devices are no pairing.
    pub fn create(
        &self,
        suite: CipherSuite,
        seed: Seed,
        pairing: PairingId,
        devices: &[DeviceId],
        own: DeviceId,
    ) -> Result<(), VaultError> {
        let tape = Tape::new(suite, seed, &pairing, devices, own)?;
        let shelf = self.shelf();
        let name = RecordName::Pairing(pairing);
        if shelf.load(&name)?.is_some() {
            return Err(VaultError::Exists(name));
        }
        shelf.store_tape(&name, &tape)?;
        Ok(())
    }

    /// Erases the claimed value: the epoch that it led to is stored.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`VaultError::Storage`].
    pub fn settle(&self, id: &TapeId) -> Result<(), VaultError> {
        let shelf = self.shelf();
        let name = RecordName::SubTape(id.clone());
        let mut tape = shelf.load_tape(&name)?;
        if tape.settle() {
            shelf.store_tape(&name, &tape)?;
        }
        Ok(())
    }

    /// Writes a Notify. `kem_output` is a fresh public key of the suite's KEM, whose private half
    /// the caller has dropped; `info` is what `hpke_seal` was given.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape, [`NotifyError::Length`] for a KEM output of
    /// another suite.
    pub fn seal_notify(
        &self,
        tape: &TapeId,
        notify: &Notify,
        kem_output: Vec<u8>,
        info: &[u8],
    ) -> Result<SealedNotify, VaultError> {
        let tape = self.shelf().load_tape(&RecordName::SubTape(tape.clone()))?;
        Ok(notify.seal(&tape, kem_output, info)?)
    }

    /// Opens a Notify.
    ///
    /// # Errors
    ///
    /// [`NotifyError::NotANotify`] where the receiver goes on with ordinary HPKE; every other
    /// error refuses the message.
    pub fn open_notify(
        &self,
        tape: &TapeId,
        sealed: &SealedNotify,
        info: &[u8],
    ) -> Result<Notify, VaultError> {
        let tape = self.shelf().load_tape(&RecordName::SubTape(tape.clone()))?;
        Ok(Notify::open(&tape, sealed, info)?)
    }

    /// Writes the tag of a pairing message, of Nh bytes and always in this device's name.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown pairing.
    pub fn pairing_tag(
        &self,
        pairing: PairingId,
        input: &TagInput<'_>,
    ) -> Result<Vec<u8>, VaultError> {
        let tape = self.shelf().load_tape(&RecordName::Pairing(pairing))?;
        Ok(input.tag(&tape, tape.own_device())?.expose().to_vec())
    }

    /// Verifies, in constant time, the tag of a pairing message that the partner `device` wrote.
    ///
    /// # Errors
    ///
    /// [`VaultError::WrongTag`] if it did not, or if `device` is this one: what comes from outside is
    /// never this device's own. [`TapeError::ForeignDevice`] if it is not of the pairing,
    /// [`VaultError::Missing`] for an unknown pairing.
    pub fn verify_pairing_tag(
        &self,
        pairing: PairingId,
        device: DeviceId,
        input: &TagInput<'_>,
        tag: &[u8],
    ) -> Result<(), VaultError> {
        let tape = self.shelf().load_tape(&RecordName::Pairing(pairing))?;
        if !tape.devices().contains(&device) {
            return Err(TapeError::ForeignDevice(device).into());
        }
        match input.verify(&tape, device, tag)? {
            Verified::Authentic if device != tape.own_device() => Ok(()),
            Verified::Authentic | Verified::Forged => Err(VaultError::WrongTag(device)),
        }
    }

    /// What is not secret about a tape.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown tape.
    pub fn tape_info(&self, tape: &TapeId) -> Result<TapeInfo, VaultError> {
        self.info(&RecordName::SubTape(tape.clone()))
    }

    /// What is not secret about a pairing's tape.
    ///
    /// # Errors
    ///
    /// [`VaultError::Missing`] for an unknown pairing.
    pub fn pairing_info(&self, pairing: PairingId) -> Result<TapeInfo, VaultError> {
        self.info(&RecordName::Pairing(pairing))
    }

    /// Erases a record for good.
    ///
    /// # Errors
    ///
    /// [`VaultError::Storage`].
    pub fn erase(&self, name: &RecordName) -> Result<(), VaultError> {
        let shelf = self.shelf();
        shelf.0.remove(name).map_err(|source| VaultError::Storage { record: name.clone(), source })
    }

    /// Reads what this device knows of its pairing in a group; `None` if it is not paired there.
    ///
    /// # Errors
    ///
    /// [`VaultError::GroupRecord`] for a damaged record, [`VaultError::Storage`].
    pub fn load_group(&self, group_id: &[u8]) -> Result<Option<GroupRecord>, VaultError> {
        let record = self.shelf().load(&RecordName::Group(group_id.to_vec()))?;
        record.map(|record| Ok(GroupRecord::from_record(&record)?)).transpose()
    }

    /// Stores what this device knows of its pairing in a group.
    ///
    /// # Errors
    ///
    /// [`VaultError::Storage`].
    pub fn store_group(&self, record: &GroupRecord) -> Result<(), VaultError> {
        let name = RecordName::Group(record.tape.group_id.clone());
        self.shelf().store(&name, &record.to_record()?)
    }

    fn info(&self, name: &RecordName) -> Result<TapeInfo, VaultError> {
        let tape = self.shelf().load_tape(name)?;
        Ok(TapeInfo {
            suite: tape.suite(),
            own_device: tape.own_device(),
            devices: tape.devices().to_vec(),
            stored_nodes: tape.stored_nodes(),
        })
    }

    pub(crate) fn shelf(&self) -> Shelf<'_> {
        // A panic in a storage leaves no half-made state here: every change is one `store`.
        Shelf(self.storage.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The locked storage, with the vault's types.
pub(crate) struct Shelf<'a>(MutexGuard<'a, Box<dyn VaultStorage>>);

impl Shelf<'_> {
    pub(crate) fn load(&self, name: &RecordName) -> Result<Option<Secret>, VaultError> {
        self.0.load(name).map_err(|source| VaultError::Storage { record: name.clone(), source })
    }

    pub(crate) fn store(&self, name: &RecordName, record: &Secret) -> Result<(), VaultError> {
        (self.0.store(name, record))
            .map_err(|source| VaultError::Storage { record: name.clone(), source })
    }

    pub(crate) fn load_tape(&self, name: &RecordName) -> Result<Tape, VaultError> {
        let record = self.load(name)?.ok_or_else(|| VaultError::Missing(name.clone()))?;
        Ok(Tape::from_record(&record)?)
    }

    pub(crate) fn store_tape(&self, name: &RecordName, tape: &Tape) -> Result<Stored, VaultError> {
        self.store(name, &tape.to_record()?)?;
        Ok(Stored::after_write())
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault")
    }
}

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
    error::Error,
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
    CipherSuite, DerivationTooLong, DeviceId, NotifyError, PairingId, RecordError, Secret, Seed,
    Tape, TapeError, group::RefreshError, leaf::ChainError, tape::Stored,
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
    /// A stored tape cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A record of another kind cannot be read, or what it should hold does not fit its format.
    #[error("{source}")]
    Content {
        /// The record in question.
        record: RecordName,
        /// What the owner of the format says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The Welcome of a leaf refresh could not be written, or was refused.
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    /// A refresh chain could not be written, or was refused.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The tape refused.
    #[error(transparent)]
    Tape(#[from] TapeError),
    /// A Notify could not be written, or was refused.
    #[error(transparent)]
    Notify(#[from] NotifyError),
    /// An input does not fit RFC 9420's `KDFLabel`.
    #[error(transparent)]
    Derivation(#[from] DerivationTooLong),
}

impl VaultError {
    fn content(record: &RecordName, error: impl Error + Send + Sync + 'static) -> Self {
        Self::Content { record: record.clone(), source: Box::new(error) }
    }
}

/// A device's vault. Clones share it.
///
/// What it holds beside tapes belongs to others, and their calls stand with them: the Notify, what a device
/// knows of a group or of a shared leaf, the messages of pairings, signature keys.
///
/// ```
/// # use paired_mls::{CipherSuite, DeviceId, EpochContext, PairingId, Secret, Seed, Vault};
/// # use paired_mls::vault::MemoryStorage;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let seed = || Seed::new(CipherSuite::X25519Aes128, Secret::new(vec![42; 32]));
/// let (pairing, devices) = (PairingId([1; 16]), [DeviceId(0), DeviceId(1)]);
/// let (phone, sensor) = (Vault::new(MemoryStorage::new()), Vault::new(MemoryStorage::new()));
/// for (vault, own) in [(&phone, DeviceId(0)), (&sensor, DeviceId(1))] {
///     // Both are given the same random bytes, from hardware, an offline file or the 1-to-1 channel.
///     vault.create(CipherSuite::X25519Aes128, seed()?, pairing, &devices, own)?;
/// }
///
/// // The phone draws a value for the commit that creates epoch 5, and the sensor reads the same.
/// let tape = phone.open_group(pairing, b"family")?;
/// let drawn = phone.draw(&tape, 5)?;
/// let same = sensor.open_group(pairing, b"family")?;
/// let claimed = sensor.claim(&same, drawn.spot(), b"the commit")?;
/// let context = EpochContext {
///     group_id: b"family".to_vec(),
///     epoch: 5,
///     confirmed_transcript_hash: vec![7; 32],
/// };
/// let length = CipherSuite::X25519Aes128.kdf_len();
/// assert_eq!(drawn.derive("path", &context, length)?, claimed.derive("path", &context, length)?);
///
/// // Once the new epoch is stored, nobody reads it again.
/// sensor.settle(&same)?;
/// assert!(sensor.claim(&same, drawn.spot(), b"the commit").is_err());
/// # Ok(())
/// # }
/// ```
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

    /// Loads a record, and reads it by what its owner says of the format.
    pub(crate) fn read<T, E: Error + Send + Sync + 'static>(
        &self,
        name: &RecordName,
        read: impl FnOnce(&Secret) -> Result<T, E>,
    ) -> Result<Option<T>, VaultError> {
        let content = |error| VaultError::content(name, error);
        self.load(name)?.map(|record| read(&record).map_err(content)).transpose()
    }

    /// Stores a record that its owner has written, if that worked.
    pub(crate) fn write<E: Error + Send + Sync + 'static>(
        &self,
        name: &RecordName,
        record: Result<Secret, E>,
    ) -> Result<(), VaultError> {
        self.store(name, &record.map_err(|error| VaultError::content(name, error))?)
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

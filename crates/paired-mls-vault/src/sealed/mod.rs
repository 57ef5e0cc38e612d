//! One file, sealed under a passphrase.

mod error;
mod kdf;
mod options;
mod slot;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use paired_mls::{RecordName, Secret, StorageError, VaultStorage};

pub use self::{
    error::SealedError,
    kdf::{KdfParameters, ParameterError},
    options::SealedFileOptions,
};
use crate::{
    counter::MonotonicCounter,
    disk::{self, DiskError, Lock},
    format::{
        FormatError, Header, KeySlot, PassphraseSlot, Records, SealedRecords, random_key, seal,
    },
};

/// All records in one file, sealed with XChaCha20-Poly1305 under a random key, which is itself
/// sealed under a passphrase with Argon2id.
///
/// Every write replaces the whole file: a kill at any instruction leaves the old or the new one. The
/// passphrase's key is forgotten once the vault is open; the random key stays in memory; records are
/// in the clear for the length of one call. A second opener is refused.
///
/// ```no_run
/// # use paired_mls::{Secret, Vault};
/// # use paired_mls_vault::SealedFile;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let passphrase = Secret::copy_of(b"correct horse battery staple");
/// let vault = Vault::new(SealedFile::at("phone.vault").open(&passphrase)?);
/// # Ok(())
/// # }
/// ```
///
/// # Security
///
/// The passphrase is all that stands between a thief of the file and the tapes. An older copy of the
/// file still opens with the passphrase of its time; without a [`MonotonicCounter`] that the thief
/// cannot set back, this vault does not notice when one is put in place.
pub struct SealedFile {
    open: Mutex<Open>,
}

/// The open vault. The lock is the last to go.
struct Open {
    path: PathBuf,
    header: Header,
    data_key: Secret,
    counter: Option<Box<dyn MonotonicCounter>>,
    _lock: Lock,
}

impl SealedFile {
    /// A vault at this path, to be made or opened.
    pub fn at(path: impl AsRef<Path>) -> SealedFileOptions {
        SealedFileOptions::new(path.as_ref())
    }

    /// Seals the vault under another passphrase, and under a new random key.
    ///
    /// # Errors
    ///
    /// [`SealedError::EmptyPassphrase`], and whatever the disk or the counter refuses.
    ///
    /// # Security
    ///
    /// Copies that were made before open with the old passphrase still. If it is known to somebody
    /// who may have such a copy, end the pairings.
    pub fn change_passphrase(
        &self,
        passphrase: &Secret,
        parameters: KdfParameters,
    ) -> Result<(), SealedError> {
        self.lock().rekey(passphrase, parameters)
    }

    /// Derives the passphrase's key with other parameters from now on.
    ///
    /// # Errors
    ///
    /// [`SealedError::WrongPassphrase`] if it is not the vault's, so that a slip of the hand does not
    /// change it, and whatever the disk or the counter refuses.
    pub fn upgrade(
        &self,
        passphrase: &Secret,
        parameters: KdfParameters,
    ) -> Result<(), SealedError> {
        let mut open = self.lock();
        open.slot()?.unwrap(&open.header.vault_id, passphrase)?;
        open.rekey(passphrase, parameters)
    }

    /// Argon2's parameters, as stored.
    ///
    /// # Errors
    ///
    /// None that an open vault gives.
    pub fn parameters(&self) -> Result<KdfParameters, SealedError> {
        Ok(self.lock().slot()?.parameters()?)
    }

    /// The number of writes so far, which is not secret.
    pub fn generation(&self) -> u64 {
        self.lock().header.generation
    }

    /// The names of the records, which are not secret.
    ///
    /// # Errors
    ///
    /// Whatever the disk refuses.
    pub fn record_names(&self) -> Result<Vec<String>, SealedError> {
        Ok(self.lock().read()?.into_keys().collect())
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // A panic leaves no half-made state here: the header follows the file.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn slot(&self) -> Result<&PassphraseSlot, FormatError> {
        match &self.header.slot {
            KeySlot::Passphrase(slot) => Ok(slot),
            KeySlot::Token(_) => Err(FormatError::OtherKind),
        }
    }

    fn read(&self) -> Result<Records, SealedError> {
        let missing = || SealedError::Missing { path: self.path.clone() };
        let sealed = SealedRecords::parse(&disk::read(&self.path)?.ok_or_else(missing)?)?;
        if sealed.header() != &self.header {
            return Err(SealedError::Changed);
        }
        Ok(sealed.open(&self.data_key)?)
    }

    fn write(&mut self, records: &Records) -> Result<(), SealedError> {
        let header = self.header.clone();
        self.write_as(header, None, records)
    }

    fn rekey(&mut self, passphrase: &Secret, parameters: KdfParameters) -> Result<(), SealedError> {
        let records = self.read()?;
        let data_key = random_key()?;
        let id = self.header.vault_id;
        let slot = PassphraseSlot::wrap(&id, passphrase, parameters, &data_key)?;
        let header = Header { slot: KeySlot::Passphrase(slot), ..self.header.clone() };
        self.write_as(header, Some(data_key), &records)
    }

    /// Writes the next generation, then raises the counter.
    ///
    /// What this vault remembers follows the file: it changes as soon as the file is replaced, also
    /// if a later step fails.
    fn write_as(
        &mut self,
        mut header: Header,
        data_key: Option<Secret>,
        records: &Records,
    ) -> Result<(), SealedError> {
        header.generation = header.generation.checked_add(1).ok_or(FormatError::TooLarge)?;
        let file = seal(&header, records, data_key.as_ref().unwrap_or(&self.data_key))?;
        let replaced = disk::replace(&self.path, &file);
        if matches!(replaced, Ok(()) | Err(DiskError::Unsettled { .. })) {
            self.header = header;
            self.data_key = data_key.unwrap_or_else(|| Secret::copy_of(self.data_key.expose()));
        }
        replaced?;
        self.advance_counter()
    }

    fn advance_counter(&self) -> Result<(), SealedError> {
        let generation = self.header.generation;
        Ok(self.counter.as_ref().map_or(Ok(()), |counter| counter.advance_to(generation))?)
    }
}

impl VaultStorage for SealedFile {
    fn load(&self, name: &RecordName) -> Result<Option<Secret>, StorageError> {
        Ok(self.lock().read()?.remove(&name.to_string()))
    }

    fn store(&self, name: &RecordName, record: &Secret) -> Result<(), StorageError> {
        let mut open = self.lock();
        let mut records = open.read()?;
        records.insert(name.to_string(), Secret::copy_of(record.expose()));
        Ok(open.write(&records)?)
    }

    fn remove(&self, name: &RecordName) -> Result<(), StorageError> {
        let mut open = self.lock();
        let mut records = open.read()?;
        match records.remove(&name.to_string()) {
            Some(_) => Ok(open.write(&records)?),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for SealedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.lock();
        f.debug_struct("SealedFile")
            .field("path", &open.path)
            .field("generation", &open.header.generation)
            .finish_non_exhaustive()
    }
}

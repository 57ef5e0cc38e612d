//! How a sealed file is made or opened.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Mutex,
};

use paired_mls::Secret;

use super::{KdfParameters, Open, SealedError, SealedFile};
use crate::{
    counter::MonotonicCounter,
    disk::{self, DiskError, Lock},
    format::{
        FormatError, Guard, Header, KeySlot, PassphraseSlot, Records, SealedRecords, random,
        random_key,
    },
};

/// What to make or open, and how.
pub struct SealedFileOptions {
    path: PathBuf,
    parameters: KdfParameters,
    counter: CounterChoice,
}

enum CounterChoice {
    None,
    Forget,
    Use(Box<dyn MonotonicCounter>),
}

impl SealedFileOptions {
    pub(super) fn new(path: &Path) -> Self {
        let path = path.to_owned();
        Self { path, parameters: KdfParameters::default(), counter: CounterChoice::None }
    }

    /// Argon2's parameters for a new vault. An existing one has its own, see
    /// [`SealedFile::upgrade`].
    #[must_use]
    pub fn parameters(mut self, parameters: KdfParameters) -> Self {
        self.parameters = parameters;
        self
    }

    /// Detects roll-back with this counter, from now on: the vault does not open without it again.
    #[must_use]
    pub fn counter(mut self, counter: impl MonotonicCounter + 'static) -> Self {
        self.counter = CounterChoice::Use(Box::new(counter));
        self
    }

    /// Opens a vault whose counter is lost.
    ///
    /// # Security
    ///
    /// Nothing says then whether the file is the newest one. Be sure that it is.
    #[must_use]
    pub fn forget_counter(mut self) -> Self {
        self.counter = CounterChoice::Forget;
        self
    }

    /// Makes an empty vault.
    ///
    /// # Errors
    ///
    /// [`SealedError::Exists`] if there is a file of that name, [`SealedError::EmptyPassphrase`],
    /// and whatever the disk or the counter refuses.
    pub fn create(self, passphrase: &Secret) -> Result<SealedFile, SealedError> {
        let (path, lock) = self.locked()?;
        if disk::read(&path)?.is_some() {
            return Err(SealedError::Exists { path });
        }
        let counter = self.counter.chosen();
        // A counter that served before stays where it is, and the vault begins there.
        let generation = counter.as_ref().map_or(Ok(0), |counter| counter.read())?;
        let (vault_id, data_key) = (random()?, random_key()?);
        let slot = PassphraseSlot::wrap(&vault_id, passphrase, self.parameters, &data_key)?;
        let guard = guard(&counter);
        let slot = KeySlot::Passphrase(slot);
        let header = Header { vault_id, generation, counter: guard, slot };
        let mut open = Open { path, header, data_key, counter, _lock: lock };
        open.write(&Records::new())?;
        Ok(SealedFile { open: Mutex::new(open) })
    }

    /// Opens a vault.
    ///
    /// # Errors
    ///
    /// [`SealedError::WrongPassphrase`]; [`SealedError::Format`] if the file is damaged or no vault;
    /// [`SealedError::RolledBack`] if it is an older copy; [`SealedError::CounterRequired`];
    /// [`SealedError::Parameters`] if it asks for absurd work; [`SealedError::Missing`]; and
    /// whatever the disk or the counter refuses.
    pub fn open(self, passphrase: &Secret) -> Result<SealedFile, SealedError> {
        let (path, lock) = self.locked()?;
        let file = disk::read(&path)?.ok_or_else(|| SealedError::Missing { path: path.clone() })?;
        let sealed = SealedRecords::parse(&file)?;
        let header = sealed.header().clone();
        let KeySlot::Passphrase(slot) = &header.slot else {
            return Err(FormatError::OtherKind.into());
        };
        let data_key = slot.unwrap(&header.vault_id, passphrase)?;
        // Opened in any case: this authenticates the generation.
        let records = sealed.open(&data_key)?;

        let forgotten = matches!(self.counter, CounterChoice::Forget);
        let counter = self.counter.chosen();
        if let Some(counter) = &counter {
            let (file, counter) = (header.generation, counter.read()?);
            if file < counter {
                return Err(SealedError::RolledBack { file, counter });
            }
        } else if header.counter == Guard::Counter && !forgotten {
            return Err(SealedError::CounterRequired);
        }
        let mut open = Open { path, header, data_key, counter, _lock: lock };
        if open.header.counter == guard(&open.counter) {
            // After a crash between the file and the counter, the counter is behind.
            open.advance_counter()?;
        } else {
            open.header.counter = guard(&open.counter);
            open.write(&records)?;
        }
        Ok(SealedFile { open: Mutex::new(open) })
    }

    fn locked(&self) -> Result<(PathBuf, Lock), DiskError> {
        let path = disk::resolve(&self.path)?;
        let lock = Lock::beside(&path)?;
        Ok((path, lock))
    }
}

impl CounterChoice {
    fn chosen(self) -> Option<Box<dyn MonotonicCounter>> {
        match self {
            Self::Use(counter) => Some(counter),
            Self::None | Self::Forget => None,
        }
    }
}

fn guard(counter: &Option<Box<dyn MonotonicCounter>>) -> Guard {
    if counter.is_some() { Guard::Counter } else { Guard::None }
}

impl fmt::Debug for SealedFileOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedFileOptions").field("path", &self.path).finish_non_exhaustive()
    }
}

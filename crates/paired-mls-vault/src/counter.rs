//! Counters that only go up: what tells an older copy of a vault from the vault.

use std::path::{Path, PathBuf};

use paired_mls::StorageError;
use thiserror::Error;

use crate::disk::{self, DiskError, Lock};

/// A number that never goes down, kept where a thief of the disk cannot set it back.
///
/// A vault writes its file first and advances the counter after it, and releases nothing before
/// both are done. So a crash between the two leaves a file that is *ahead*, which is opened and the
/// counter brought up; and a file that is *behind* is an older copy, which is refused.
///
/// # Obligations
///
/// - Once [`advance_to`](Self::advance_to) has returned, [`read`](Self::read) never gives less,
///   whatever crashes.
/// - One counter serves one vault.
pub trait MonotonicCounter: Send + Sync {
    /// Reads the counter.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being read.
    fn read(&self) -> Result<u64, CounterError>;

    /// Raises the counter to `value`; nothing happens if it is there or further.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being raised.
    fn advance_to(&self, value: u64) -> Result<(), CounterError>;
}

/// Why a counter cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CounterError {
    /// The counter's file cannot be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// There is no counter.
    #[error(
        "there is no counter {name}: restore it, or give the vault a new one (`pmls vault \
         forget-counter`)"
    )]
    Missing {
        /// What was looked for.
        name: String,
    },
    /// There is a counter already.
    #[error("there is a counter {name} already: a vault needs a counter of its own")]
    Exists {
        /// The counter.
        name: String,
    },
    /// The counter's file holds something else.
    #[error(
        "{name} does not hold a number: restore it, or give the vault a new one (`pmls vault \
         forget-counter`)"
    )]
    Damaged {
        /// The counter.
        name: String,
    },
    /// The device that keeps the counter refuses.
    #[error("the device that keeps the counter refuses: {0}")]
    Device(#[source] StorageError),
}

/// A counter in a file.
///
/// # Security
///
/// It detects the *accidental* return of an older copy, by a restored backup for instance, and only
/// if it lies where that backup does not reach. Who can write the vault's file can write this one
/// too, so it stops no thief. Use a counter in hardware for that.
#[derive(Debug)]
pub struct FileCounter {
    path: PathBuf,
    _lock: Lock,
}

impl FileCounter {
    /// Makes a counter that stands at zero.
    ///
    /// # Errors
    ///
    /// [`CounterError::Exists`] if there is a file of that name, and whatever the disk refuses.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, CounterError> {
        let counter = Self::at(path.as_ref())?;
        if disk::read(&counter.path)?.is_some() {
            return Err(CounterError::Exists { name: counter.name() });
        }
        counter.write(0)?;
        Ok(counter)
    }

    /// Opens a counter. A missing one is an error: it would count as zero, and detect nothing.
    ///
    /// # Errors
    ///
    /// [`CounterError::Missing`], [`CounterError::Damaged`], and whatever the disk refuses.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CounterError> {
        let counter = Self::at(path.as_ref())?;
        counter.read()?;
        Ok(counter)
    }

    fn at(path: &Path) -> Result<Self, CounterError> {
        let path = disk::resolve(path)?;
        let lock = Lock::beside(&path)?;
        Ok(Self { path, _lock: lock })
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn write(&self, value: u64) -> Result<(), CounterError> {
        Ok(disk::replace(&self.path, format!("{value}\n").as_bytes())?)
    }
}

impl MonotonicCounter for FileCounter {
    fn read(&self) -> Result<u64, CounterError> {
        let missing = || CounterError::Missing { name: self.name() };
        let bytes = disk::read(&self.path)?.ok_or_else(missing)?;
        let text = str::from_utf8(&bytes).ok().and_then(|text| text.strip_suffix('\n'));
        text.and_then(|digits| digits.parse().ok())
            .ok_or_else(|| CounterError::Damaged { name: self.name() })
    }

    fn advance_to(&self, value: u64) -> Result<(), CounterError> {
        if self.read()? < value {
            self.write(value)?;
        }
        Ok(())
    }
}

//! A vault storage in memory, for tests and simulations.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::{RecordName, StorageError, VaultStorage};
use crate::Secret;

/// Records in the process's memory: gone with the process. Clones share the records.
///
/// # Security
///
/// It is not a vault against anybody who reads the process's memory.
#[derive(Clone, Default)]
pub struct MemoryStorage {
    records: Arc<Mutex<BTreeMap<RecordName, Secret>>>,
}

impl MemoryStorage {
    /// An empty storage.
    pub fn new() -> Self {
        Self::default()
    }

    /// A second storage with a copy of all records: what a thief of the vault gets.
    #[cfg(any(test, feature = "conformance"))]
    pub fn steal(&self) -> Self {
        let copies = self
            .lock()
            .iter()
            .map(|(name, record)| (name.clone(), Secret::copy_of(record.expose())))
            .collect();
        Self { records: Arc::new(Mutex::new(copies)) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<RecordName, Secret>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl VaultStorage for MemoryStorage {
    fn load(&self, name: &RecordName) -> Result<Option<Secret>, StorageError> {
        Ok(self.lock().get(name).map(|record| Secret::copy_of(record.expose())))
    }

    fn store(&self, name: &RecordName, record: &Secret) -> Result<(), StorageError> {
        self.lock().insert(name.clone(), Secret::copy_of(record.expose()));
        Ok(())
    }

    fn remove(&self, name: &RecordName) -> Result<(), StorageError> {
        self.lock().remove(name);
        Ok(())
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStorage").field("records", &self.lock().len()).finish()
    }
}

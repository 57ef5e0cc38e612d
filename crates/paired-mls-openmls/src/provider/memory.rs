//! MLS state in memory, with transactions.

use std::{collections::HashMap, sync::PoisonError};

use openmls_memory_storage::MemoryStorage;
use openmls_traits::{OpenMlsProvider, crypto::OpenMlsCrypto, random::OpenMlsRand};

use super::Platform;
use crate::BoxError;

/// Cryptography of the caller's choice, and the MLS state in the process's memory.
#[derive(Default)]
pub struct MemoryProvider<C> {
    crypto: C,
    storage: MemoryStorage,
}

impl<C> MemoryProvider<C> {
    /// An empty storage.
    pub fn new(crypto: C) -> Self {
        Self { crypto, storage: MemoryStorage::default() }
    }

    /// A storage with these records, as [`MemoryProvider::records`] gave them.
    pub fn with_records(crypto: C, records: HashMap<Vec<u8>, Vec<u8>>) -> Self {
        let storage = MemoryStorage { values: records.into() };
        Self { crypto, storage }
    }

    /// A copy of all records: the complete MLS state of the device.
    ///
    /// # Security
    ///
    /// This is what a thief of the device's MLS state gets; it holds every secret but the vault's.
    pub fn records(&self) -> HashMap<Vec<u8>, Vec<u8>> {
        self.storage.values.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl<C: OpenMlsCrypto + OpenMlsRand> OpenMlsProvider for MemoryProvider<C> {
    type CryptoProvider = C;
    type RandProvider = C;
    type StorageProvider = MemoryStorage;

    fn storage(&self) -> &MemoryStorage {
        &self.storage
    }

    fn crypto(&self) -> &C {
        &self.crypto
    }

    fn rand(&self) -> &C {
        &self.crypto
    }
}

impl<C> Platform for MemoryProvider<C>
where
    C: OpenMlsCrypto + OpenMlsRand<Error: Send + Sync + 'static> + Sync,
{
    /// All records as they were.
    type Transaction = HashMap<Vec<u8>, Vec<u8>>;

    fn begin(&self) -> Result<Self::Transaction, BoxError> {
        Ok(self.records())
    }

    fn commit(&self, _: Self::Transaction) -> Result<(), BoxError> {
        Ok(())
    }

    fn rollback(&self, before: Self::Transaction) {
        *self.storage.values.write().unwrap_or_else(PoisonError::into_inner) = before;
    }
}

//! MLS state in memory.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use paired_mls::Secret;
use paired_mls_group::BoxError;

use super::{Change, StateName, StateStorage};

/// MLS state in memory, for tests and for state that an application writes out itself. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryState(Arc<Mutex<BTreeMap<StateName, Secret>>>);

impl MemoryState {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of all records: what a thief of the device gets.
    pub fn steal(&self) -> Self {
        let records = self.records();
        let copy = records.iter().map(|(name, record)| (name.clone(), copy_of(record)));
        Self(Arc::new(Mutex::new(copy.collect())))
    }

    /// The bytes of all records.
    pub fn cells(&self) -> Vec<Vec<u8>> {
        self.records().values().map(|record| record.expose().to_vec()).collect()
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<StateName, Secret>> {
        // Nothing panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStorage for MemoryState {
    fn load(&self, name: &StateName) -> Result<Option<Secret>, BoxError> {
        Ok(self.records().get(name).map(copy_of))
    }

    fn apply(&self, changes: Vec<Change>) -> Result<(), BoxError> {
        let mut records = self.records();
        for (name, record) in changes {
            match record {
                Some(record) => records.insert(name, record),
                None => records.remove(&name),
            };
        }
        Ok(())
    }
}

impl fmt::Debug for MemoryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryState")
    }
}

fn copy_of(record: &Secret) -> Secret {
    Secret::copy_of(record.expose())
}

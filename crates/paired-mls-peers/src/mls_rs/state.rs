//! MLS state in memory, of a device that can die.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use paired_mls::Secret;
use paired_mls_mls_rs::{BoxError, Change, MemoryState, StateName, StateStorage};

/// MLS state in memory that can die in front of the last write of a transaction. Clones share it.
#[derive(Clone, Default)]
pub(super) struct TestState {
    pub(super) inner: MemoryState,
    /// The transaction, counted from the next one, in which the device dies; 0 if it lives.
    dies: Arc<AtomicUsize>,
}

impl TestState {
    pub(super) fn of(inner: MemoryState) -> Self {
        Self { inner, dies: Arc::default() }
    }

    /// This transaction is not made; 1 is the next one.
    pub(super) fn die_in(&self, transaction: usize) {
        self.dies.store(transaction, Ordering::Relaxed);
    }
}

impl StateStorage for TestState {
    fn load(&self, name: &StateName) -> Result<Option<Secret>, BoxError> {
        self.inner.load(name)
    }

    fn apply(&self, changes: Vec<Change>) -> Result<(), BoxError> {
        let dies = self.dies.load(Ordering::Relaxed);
        self.dies.store(dies.saturating_sub(1), Ordering::Relaxed);
        if dies == 1 {
            return Err("the device died in the middle of a transaction".into());
        }
        self.inner.apply(changes)
    }
}

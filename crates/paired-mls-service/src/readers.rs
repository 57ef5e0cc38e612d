//! How far devices have read logs: kept here, and written together, so that no reader waits for a disk.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use paired_mls_api::{DeviceId, GroupId};

/// How many are kept until they are written. What comes beyond that is noted when it comes again.
const MOST: usize = 100_000;

/// What readers have said since it was written last. It is lost with the process: then the log is kept for
/// longer.
#[derive(Default)]
pub(crate) struct Readers(Mutex<HashMap<(GroupId, DeviceId), u64>>);

impl Readers {
    /// A device asks for what comes after a position, so it has what comes before.
    pub(crate) fn note(&self, group: &GroupId, device: &DeviceId, through: u64) {
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (group.clone(), device.clone());
        if through == 0 || (readers.len() >= MOST && !readers.contains_key(&key)) {
            return;
        }
        let noted = readers.entry(key).or_default();
        *noted = through.max(*noted);
    }

    /// What is to be written, in an order that is the same on all replicas.
    pub(crate) fn take(&self) -> Vec<(GroupId, DeviceId, u64)> {
        let mut readers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = readers.drain().map(|((group, device), through)| (group, device, through));
        let mut all: Vec<_> = all.collect();
        all.sort();
        all
    }
}

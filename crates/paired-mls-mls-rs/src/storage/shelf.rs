//! What mls-rs is handed as its storage, for one group.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mls_rs::mls_rs_codec::{MlsDecode as _, MlsEncode as _};
use mls_rs::{GroupStateStorage, KeyPackageStorage, error::IntoAnyError};
use mls_rs_core::{
    group::{EpochRecord, GroupState},
    key_package::KeyPackageData,
};
use paired_mls::Secret;
use paired_mls_group::{BoxError, Error, Membership};
use thiserror::Error as ThisError;
use zeroize::Zeroizing;

use super::{StateName, StateStorage, record::StoredGroup};

/// A storage that stages what is written, until [`Shelf::keep`] makes one transaction of it. Clones share what is
/// staged.
#[derive(Clone)]
pub(crate) struct Shelf {
    storage: Arc<dyn StateStorage>,
    staged: Arc<Mutex<BTreeMap<StateName, Option<Secret>>>>,
}

/// The storage of the MLS state failed.
#[derive(Debug, ThisError)]
#[error(transparent)]
pub struct ShelfError(BoxError);

impl ShelfError {
    fn from<E: Into<BoxError>>(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoAnyError for ShelfError {
    fn into_dyn_error(self) -> Result<BoxError, Self> {
        Ok(self.0)
    }
}

impl Shelf {
    /// Nothing is staged yet.
    pub(crate) fn new(storage: Arc<dyn StateStorage>) -> Self {
        Self { storage, staged: Arc::default() }
    }

    /// Makes what was staged durable, as one transaction.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`]: nothing of it is stored then, and nothing is staged any more.
    pub(crate) fn keep(&self) -> Result<(), Error> {
        let staged = std::mem::take(&mut *self.staged());
        let failed = |source| Error::Storage { step: "store a group", source };
        self.storage.apply(staged.into_iter().collect()).map_err(failed)
    }

    /// Drops what was staged.
    pub(crate) fn drop_staged(&self) {
        self.staged().clear();
    }

    /// Whether this device is a member of a stored group; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub(crate) fn membership(&self, group_id: &[u8]) -> Result<Option<Membership>, Error> {
        let group = self.group(group_id).map_err(Error::storage("load a group"))?;
        Ok(group.map(|group| group.membership()))
    }

    /// From now on this device is no member of a stored group.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`].
    pub(crate) fn remove_from(&self, group_id: &[u8]) -> Result<(), Error> {
        let change = |group: &mut StoredGroup| group.set_membership(Membership::Removed);
        self.change(group_id, change).map_err(Error::storage("store a group"))
    }

    /// Erases a group.
    pub(crate) fn erase(&self, group_id: &[u8]) {
        self.staged().insert(StateName::Group(group_id.to_vec()), None);
    }

    /// Takes what was staged of a group, and drops the rest.
    pub(crate) fn take(&self, group_id: &[u8]) -> Option<Secret> {
        let staged = std::mem::take(&mut *self.staged());
        let name = StateName::Group(group_id.to_vec());
        staged.into_iter().find(|(staged, _)| *staged == name)?.1
    }

    /// Stages the record of a group, as [`Shelf::take`] gave it.
    pub(crate) fn put(&self, group_id: &[u8], record: Secret) {
        self.staged().insert(StateName::Group(group_id.to_vec()), Some(record));
    }

    fn staged(&self) -> MutexGuard<'_, BTreeMap<StateName, Option<Secret>>> {
        // Nothing panics while it is locked.
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, name: &StateName) -> Result<Option<Secret>, ShelfError> {
        if let Some(staged) = self.staged().get(name) {
            return Ok(staged.as_ref().map(|record| Secret::copy_of(record.expose())));
        }
        self.storage.load(name).map_err(ShelfError)
    }

    fn group(&self, group_id: &[u8]) -> Result<Option<StoredGroup>, ShelfError> {
        let record = self.load(&StateName::Group(group_id.to_vec()))?;
        let read = |record: Secret| StoredGroup::decode(&record).map_err(ShelfError::from);
        record.map(read).transpose()
    }

    fn change(
        &self,
        group_id: &[u8],
        change: impl FnOnce(&mut StoredGroup),
    ) -> Result<(), ShelfError> {
        let mut group = self.group(group_id)?.unwrap_or_else(StoredGroup::new);
        change(&mut group);
        let record = group.encode().map_err(ShelfError::from)?;
        self.staged().insert(StateName::Group(group_id.to_vec()), Some(record));
        Ok(())
    }
}

impl GroupStateStorage for Shelf {
    type Error = ShelfError;

    fn state(&self, group_id: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, ShelfError> {
        Ok(self.group(group_id)?.map(|group| group.state()))
    }

    fn epoch(
        &self,
        group_id: &[u8],
        epoch_id: u64,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, ShelfError> {
        Ok(self.group(group_id)?.and_then(|group| group.epoch(epoch_id)))
    }

    fn write(
        &mut self,
        state: GroupState,
        epoch_inserts: Vec<EpochRecord>,
        epoch_updates: Vec<EpochRecord>,
    ) -> Result<(), ShelfError> {
        self.change(&state.id, |group| {
            group.set_state(state.data.to_vec());
            for EpochRecord { id, data } in epoch_inserts {
                group.push_epoch(id, data.to_vec());
            }
            for EpochRecord { id, data } in epoch_updates {
                group.update_epoch(id, data.to_vec());
            }
        })
    }

    fn max_epoch_id(&self, group_id: &[u8]) -> Result<Option<u64>, ShelfError> {
        Ok(self.group(group_id)?.and_then(|group| group.last_epoch()))
    }
}

impl KeyPackageStorage for Shelf {
    type Error = ShelfError;

    fn delete(&mut self, id: &[u8]) -> Result<(), ShelfError> {
        self.staged().insert(StateName::KeyPackage(id.to_vec()), None);
        Ok(())
    }

    fn insert(&mut self, id: Vec<u8>, pkg: KeyPackageData) -> Result<(), ShelfError> {
        let record = Secret::new(pkg.mls_encode_to_vec().map_err(ShelfError::from)?);
        self.staged().insert(StateName::KeyPackage(id), Some(record));
        Ok(())
    }

    fn get(&self, id: &[u8]) -> Result<Option<KeyPackageData>, ShelfError> {
        let record = self.load(&StateName::KeyPackage(id.to_vec()))?;
        let read = |record: Secret| {
            KeyPackageData::mls_decode(&mut record.expose()).map_err(ShelfError::from)
        };
        record.map(read).transpose()
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shelf")
    }
}

//! A group that is made apart from the MLS state of the device, and put there later.

use std::{collections::HashMap, sync::PoisonError};

use openmls::prelude::{GroupId, MlsGroup};
use openmls_memory_storage::MemoryStorage;
use openmls_traits::{
    OpenMlsProvider,
    storage::{CURRENT_VERSION, Entity, StorageProvider, traits},
};
use paired_mls::Secret;
use serde::{Deserialize, Serialize};
use tls_codec::{Deserialize as _, Serialize as _, VLBytes};

use super::Platform;
use crate::{Error, UsageError};

/// The cryptography and the randomness of a device, with a storage of its own.
pub(crate) struct Scratch<'a, P> {
    inner: &'a P,
    storage: MemoryStorage,
}

impl<'a, P: Platform> Scratch<'a, P> {
    /// An empty storage.
    pub(crate) fn new(inner: &'a P) -> Self {
        Self { inner, storage: MemoryStorage::default() }
    }

    /// A storage with these records, as [`Scratch::records`] gave them.
    pub(crate) fn with_records(inner: &'a P, mut records: &[u8]) -> Result<Self, UsageError> {
        let records: Vec<(VLBytes, VLBytes)> =
            Vec::tls_deserialize(&mut records).map_err(|_| UsageError::OtherRejoin)?;
        let records = records.into_iter().map(|(name, record)| (name.into(), record.into()));
        let values = records.collect::<HashMap<Vec<u8>, Vec<u8>>>().into();
        Ok(Self { inner, storage: MemoryStorage { values } })
    }

    /// All records.
    pub(crate) fn records(&self) -> Result<Secret, Error> {
        let records = self.storage.values.read().unwrap_or_else(PoisonError::into_inner);
        let mut records: Vec<(VLBytes, VLBytes)> = records
            .iter()
            .map(|(name, record)| (name.clone().into(), record.clone().into()))
            .collect();
        records.sort_by(|(one, _), (other, _)| one.as_slice().cmp(other.as_slice()));
        let records = records.tls_serialize_detached();
        Ok(Secret::new(records.map_err(Error::mls("serialize the records of a group"))?))
    }

    /// The group.
    pub(crate) fn load(&self, group_id: &GroupId) -> Result<Option<MlsGroup>, Error> {
        MlsGroup::load(&self.storage, group_id).map_err(Error::storage("load a group"))
    }

    /// Writes the records of a group that has just been made, and has no proposals, into the device's storage; in a
    /// transaction.
    pub(crate) fn put(&self, mls: &MlsGroup) -> Result<(), Error> {
        let (from, to, id) = (&self.storage, self.inner.storage(), mls.group_id());
        macro_rules! put {
            ($($read:ident => $write:ident),+ $(,)?) => {
                $(
                    let record: Option<Record> =
                        from.$read(id).map_err(Error::storage("read a record of a group"))?;
                    if let Some(record) = record {
                        to.$write(id, &record).map_err(Error::storage("store a group"))?;
                    }
                )+
            };
        }
        put! {
            mls_group_join_config => write_mls_join_config,
            tree => write_tree,
            group_context => write_context,
            interim_transcript_hash => write_interim_transcript_hash,
            confirmation_tag => write_confirmation_tag,
            message_secrets => write_message_secrets,
            resumption_psk_store => write_resumption_psk_store,
            own_leaf_index => write_own_leaf_index,
            group_epoch_secrets => write_group_epoch_secrets,
            group_state => write_group_state,
        }
        let (epoch, own) = (mls.epoch(), mls.own_leaf_index().u32());
        let keys: Vec<Record> = from
            .encryption_epoch_key_pairs(id, &epoch, own)
            .map_err(Error::storage("read the keys of an epoch"))?;
        to.write_encryption_epoch_key_pairs(id, &epoch, own, &keys)
            .map_err(Error::storage("store the keys of an epoch"))?;
        // A storage whose format does not say what a record is made of would have another group now.
        let stored = MlsGroup::load(to, id).map_err(Error::storage("load a group"))?;
        match stored.is_some_and(|stored| stored.confirmation_tag() == mls.confirmation_tag()) {
            true => Ok(()),
            false => Err(UsageError::NoSuchGroup.into()),
        }
    }
}

impl<P: Platform> OpenMlsProvider for Scratch<'_, P> {
    type CryptoProvider = P::CryptoProvider;
    type RandProvider = P::RandProvider;
    type StorageProvider = MemoryStorage;

    fn storage(&self) -> &MemoryStorage {
        &self.storage
    }

    fn crypto(&self) -> &P::CryptoProvider {
        self.inner.crypto()
    }

    fn rand(&self) -> &P::RandProvider {
        self.inner.rand()
    }
}

/// A record of OpenMLS, of which nothing is known here.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
struct Record(serde_json::Value);

macro_rules! records {
    ($($kind:ident),+ $(,)?) => {
        impl Entity<CURRENT_VERSION> for Record {}
        $(impl traits::$kind<CURRENT_VERSION> for Record {})+
    };
}
records!(
    MlsGroupJoinConfig,
    TreeSync,
    GroupContext,
    InterimTranscriptHash,
    ConfirmationTag,
    MessageSecrets,
    ResumptionPskStore,
    LeafNodeIndex,
    GroupEpochSecrets,
    GroupState,
    HpkeKeyPair,
);

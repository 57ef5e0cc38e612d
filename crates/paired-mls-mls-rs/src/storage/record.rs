//! The record of a group: what mls-rs stores of it, and whether this device is still a member.
//!
//! ```text
//! struct {
//!     uint8 version;                 // 1
//!     uint8 membership;              // 1 stays, 2 removed
//!     opaque state<V>;               // as mls-rs writes it
//!     EpochRecord epochs<V>;         // those before, for messages that are late
//! } StoredGroup
//!
//! struct { uint64 epoch; opaque data<V>; } EpochRecord
//! ```

use std::fmt;

use paired_mls::Secret;
use paired_mls_group::Membership;
use thiserror::Error;
use tls_codec::{
    DeserializeBytes as _, SecretVLBytes, Serialize as _, TlsDeserializeBytes, TlsSerialize,
    TlsSize,
};
use zeroize::Zeroizing;

const VERSION: u8 = 1;

/// How many epochs that are over a group keeps, for messages that are late.
const EPOCHS_KEPT: usize = 3;

/// What is stored of a group.
#[derive(TlsSerialize, TlsDeserializeBytes, TlsSize)]
pub(super) struct StoredGroup {
    version: u8,
    membership: u8,
    state: SecretVLBytes,
    epochs: Vec<StoredEpoch>,
}

#[derive(TlsSerialize, TlsDeserializeBytes, TlsSize)]
struct StoredEpoch {
    epoch: u64,
    data: SecretVLBytes,
}

impl fmt::Debug for StoredEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredEpoch").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// Why a record cannot be read or written.
#[derive(Debug, Error)]
pub(super) enum RecordError {
    /// It is damaged, or too long.
    #[error(
        "the record of a group cannot be read or written: restore it from a backup, or rejoin the group"
    )]
    Codec(#[from] tls_codec::Error),
    /// Another version has written it.
    #[error(
        "the record of a group is of version {0}, and this program knows 1: run the version that has written it"
    )]
    Version(u8),
}

impl StoredGroup {
    /// A group without anything in it, of a member.
    pub(super) fn new() -> Self {
        let state = Vec::new().into();
        Self { version: VERSION, membership: code(Membership::Stays), state, epochs: Vec::new() }
    }

    pub(super) fn decode(record: &Secret) -> Result<Self, RecordError> {
        let stored = Self::tls_deserialize_exact_bytes(record.expose())?;
        if stored.version != VERSION {
            return Err(RecordError::Version(stored.version));
        }
        Ok(stored)
    }

    pub(super) fn encode(&self) -> Result<Secret, RecordError> {
        Ok(Secret::new(self.tls_serialize_detached()?))
    }

    pub(super) fn membership(&self) -> Membership {
        if self.membership == code(Membership::Stays) {
            Membership::Stays
        } else {
            Membership::Removed
        }
    }

    pub(super) fn set_membership(&mut self, membership: Membership) {
        self.membership = code(membership);
    }

    pub(super) fn state(&self) -> Zeroizing<Vec<u8>> {
        self.state.as_slice().to_vec().into()
    }

    pub(super) fn set_state(&mut self, state: Vec<u8>) {
        self.state = state.into();
    }

    pub(super) fn epoch(&self, epoch: u64) -> Option<Zeroizing<Vec<u8>>> {
        let stored = self.epochs.iter().find(|stored| stored.epoch == epoch)?;
        Some(stored.data.as_slice().to_vec().into())
    }

    pub(super) fn last_epoch(&self) -> Option<u64> {
        self.epochs.iter().map(|stored| stored.epoch).max()
    }

    /// An epoch that is over, after those before it. The oldest go.
    pub(super) fn push_epoch(&mut self, epoch: u64, data: Vec<u8>) {
        self.epochs.push(StoredEpoch { epoch, data: data.into() });
        let too_many = self.epochs.len().saturating_sub(EPOCHS_KEPT);
        self.epochs.drain(..too_many);
    }

    /// Other content of an epoch that is kept; one that is not is not missed.
    pub(super) fn update_epoch(&mut self, epoch: u64, data: Vec<u8>) {
        if let Some(stored) = self.epochs.iter_mut().find(|stored| stored.epoch == epoch) {
            stored.data = data.into();
        }
    }
}

fn code(membership: Membership) -> u8 {
    match membership {
        Membership::Stays => 1,
        Membership::Removed => 2,
    }
}

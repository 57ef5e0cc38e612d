//! What a device stores about a leaf that it shares.
//!
//! ```text
//! struct {
//!     uint8  version = 1;
//!     opaque pairing_id[16];
//!     opaque group_id<V>;
//!     optional<Speaker> speaker;
//!     optional<PendingCommit> pending;     // the last own commit
//! } LeafRecord;
//!
//! struct { uint16 device; uint64 since; } Speaker;
//! struct { opaque hash<V>; optional<uint64> index; } PendingCommit;
//! ```
//!
//! Nothing in it is secret; it lies in the vault since whoever could change it could make two devices
//! send at once.

use thiserror::Error;
use tls_codec::{Deserialize as _, Serialize as _, TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use crate::{DeviceId, Index, PairingId, Secret, TapeId, group::PendingCommit};

const VERSION: u8 = 1;

/// The device that may send from the leaf: the one that made the leaf's last commit from the tape.
///
/// The delivery service puts commits in order, so that all devices agree on it in each epoch, and
/// its commit has given it fresh ratchets that no other device has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// The device.
    pub device: DeviceId,
    /// The epoch that its commit created: the first in which it may send.
    pub since: u64,
}

/// What a device stores about a leaf that it shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafRecord {
    /// The sub-tape; it names the pairing and the group.
    pub tape: TapeId,
    /// Who may send; `None` before the leaf's first commit from the tape.
    pub speaker: Option<Speaker>,
    /// The last own commit, so that a device that died can tell whether a commit is its own.
    pub pending: Option<PendingCommit>,
}

/// A stored leaf record that cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LeafRecordError {
    /// The bytes are not a leaf record.
    #[error("the stored leaf record is damaged: restore the vault from before, or pair again")]
    Malformed,
    /// The record was written by a later version of this software.
    #[error("the stored leaf record has format {0} and this software reads format 1: update it")]
    Version(u8),
    /// The record does not fit the format's length fields.
    #[error("the leaf record is too large to be stored")]
    TooLarge,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct Wire {
    version: u8,
    pairing_id: [u8; 16],
    group_id: VLBytes,
    speaker: Option<WireSpeaker>,
    pending: Option<WirePending>,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct WireSpeaker {
    device: u16,
    since: u64,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct WirePending {
    hash: VLBytes,
    index: Option<[u8; 8]>,
}

impl LeafRecord {
    /// The bytes to store.
    ///
    /// # Errors
    ///
    /// [`LeafRecordError::TooLarge`] if a length exceeds the format's 2³⁰ − 1.
    pub fn to_record(&self) -> Result<Secret, LeafRecordError> {
        let wire = Wire {
            version: VERSION,
            pairing_id: self.tape.pairing.0,
            group_id: self.tape.group_id.as_slice().into(),
            speaker: self.speaker.map(|speaker| WireSpeaker {
                device: speaker.device.0,
                since: speaker.since,
            }),
            pending: self.pending.as_ref().map(|pending| WirePending {
                hash: pending.hash.as_slice().into(),
                index: pending.index.map(Index::to_bytes),
            }),
        };
        let bytes = wire.tls_serialize_detached().map_err(|_| LeafRecordError::TooLarge)?;
        Ok(Secret::new(bytes))
    }

    /// Reads back what [`LeafRecord::to_record`] gave.
    ///
    /// # Errors
    ///
    /// [`LeafRecordError::Version`] for a format of the future, [`LeafRecordError::Malformed`] for
    /// bytes that no record has, trailing bytes among them.
    pub fn from_record(record: &Secret) -> Result<Self, LeafRecordError> {
        match record.expose().first() {
            Some(&VERSION) => {}
            Some(&other) => return Err(LeafRecordError::Version(other)),
            None => return Err(LeafRecordError::Malformed),
        }
        let wire =
            Wire::tls_deserialize_exact(record.expose()).map_err(|_| LeafRecordError::Malformed)?;
        Ok(Self {
            tape: TapeId { pairing: PairingId(wire.pairing_id), group_id: wire.group_id.into() },
            speaker: wire.speaker.map(|speaker| Speaker {
                device: DeviceId(speaker.device),
                since: speaker.since,
            }),
            pending: wire.pending.map(|pending| PendingCommit {
                hash: pending.hash.into(),
                index: pending.index.map(Index::from_bytes),
            }),
        })
    }
}

//! What a device stores about its pairing in one group.
//!
//! ```text
//! struct {
//!     uint8  version = 2;
//!     opaque pairing_id[16];
//!     opaque group_id<V>;
//!     uint8  heal_policy;              // 0 leave it to the caller, 1 at once, 2 by a leaf refresh
//!     uint8  phase;                    // 1 active, 2 ceasing
//!     uint8  signal;                   // 0 silent, 1 announce
//!     Device devices<V>;               // in ascending order of their numbers
//!     optional<PendingCommit> pending; // the last own commit
//!     Assessment now;
//!     optional<Assessment> before;     // of the epoch before, until the MLS state is written
//! } GroupRecord;
//!
//! struct { uint16 device; opaque signature_key<V>; } Device;
//! struct { opaque hash<V>; optional<uint64> index; } PendingCommit;
//! struct { uint64 epoch; opaque confirmed_transcript_hash<V>; Standing standings<V>; } Assessment;
//! struct {
//!     uint16 device;
//!     uint8  security;                 // 0 exposed, 1 secure, 2 weakened
//!     uint8  occupant;                 // 0 the device, 1 somebody who has acted in its name
//!     uint32 known<V>;                 // nodes whose private keys a thief may have
//! } Standing;
//! ```
//!
//! A record of version 1 is read, too. What it says of the security of an epoch is not: it counted leaves
//! only, and any commit in a device's seat as the device's own. So all devices are exposed, until the
//! next paired commit.
//!
//! The vault is written before the MLS state. So a record may be one epoch ahead after a crash, and holds
//! both epochs' assessments; and it may be of a group that is not this one any more, after a new
//! membership or a restored backup. [`GroupRecord::reconcile`] tells.
//!
//! Nothing in it is secret; it lies in the vault since a thief of the MLS state who could change
//! it could turn the pairing off.

use std::mem;

use thiserror::Error;
use tls_codec::{Deserialize as _, Serialize as _, TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use super::{
    Occupant, PairedDevice, SecurityTable,
    security::{Entry, State},
};
use crate::{
    DeviceId, Index, PairingId, RecordName, Secret, TapeId, Vault, VaultError, anchor::NodeIndex,
    pairing::SignalPolicy,
};

const VERSION: u8 = 2;
/// Whose security is not believed.
const VERSION_1: u8 = 1;
/// A direct path has as many nodes at most, with its leaf.
const MAX_KNOWN: usize = 32;

/// What the library does when an event has weakened a partner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HealPolicy {
    /// The caller decides when to commit. Right for a device that may not send.
    #[default]
    Manual,
    /// A paired commit is made at once and handed to the caller to send.
    AtOnce,
    /// The same; and where a KeyPackage of the weakened partner is at hand, the commit renews its leaf,
    /// which is to be seen as a Remove and an Add.
    Refresh,
}

/// Whether a device still uses the tape of its pairing in a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It does.
    #[default]
    Active,
    /// The pairing is ending: it draws nothing more, and still follows what partners sent before they
    /// knew.
    Ceasing,
}

impl Phase {
    pub(crate) fn to_wire(self) -> u8 {
        match self {
            Self::Active => 1,
            Self::Ceasing => 2,
        }
    }

    pub(crate) fn from_wire(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Active),
            2 => Some(Self::Ceasing),
            _ => None,
        }
    }
}

/// What a device stores about its pairing in one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRecord {
    /// The sub-tape; it names the pairing and the group.
    pub tape: TapeId,
    /// All devices of the pairing, in ascending order of their numbers.
    pub devices: Vec<PairedDevice>,
    /// What to do when a partner is weakened.
    pub heal_policy: HealPolicy,
    /// Whether this device still draws from the tape.
    pub phase: Phase,
    /// Whether the group is told of the pairing.
    pub signal: SignalPolicy,
    /// How safe the epoch is, for each device.
    pub security: SecurityTable,
    /// The epoch that this is about.
    pub epoch: EpochMark,
    /// The same for the epoch before: the MLS state may still be there, after a crash.
    pub before: Option<(EpochMark, SecurityTable)>,
    /// The last own commit. It waits for the delivery service's answer if the MLS state says so;
    /// that this record is not cleared with it is what lets a device that died in between find out
    /// that the commit was its own.
    pub pending: Option<PendingCommit>,
}

/// Tells an epoch from every other: also from one of the same number, in a group of the same identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochMark {
    /// The number of the epoch.
    pub epoch: u64,
    /// Its confirmed transcript hash (RFC 9420 section 8.2).
    pub confirmed_transcript_hash: Vec<u8>,
}

/// What tells, after a crash, whether a commit that the delivery service delivers is the own one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingCommit {
    /// Hash of the message, with the group's hash function.
    pub hash: Vec<u8>,
    /// The tape index that it used, if it was a paired one.
    pub index: Option<Index>,
}

/// A stored group record that cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GroupRecordError {
    /// The bytes are not a group record.
    #[error("the stored group record is damaged: restore the vault from before, or pair again")]
    Malformed,
    /// The record was written by a later version of this software.
    #[error(
        "the stored group record has format {0} and this software reads formats 1 and 2: update it"
    )]
    Version(u8),
    /// The record does not fit the format's length fields.
    #[error("the group record is too large to be stored")]
    TooLarge,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct Wire {
    version: u8,
    pairing_id: [u8; 16],
    group_id: VLBytes,
    heal_policy: u8,
    phase: u8,
    signal: u8,
    devices: Vec<WireDevice>,
    pending: Option<WirePending>,
    now: WireAssessment,
    before: Option<WireAssessment>,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct WirePending {
    hash: VLBytes,
    index: Option<[u8; 8]>,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct WireDevice {
    device: u16,
    signature_key: VLBytes,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct WireAssessment {
    epoch: u64,
    confirmed_transcript_hash: VLBytes,
    standings: Vec<WireStanding>,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct WireStanding {
    device: u16,
    security: u8,
    occupant: u8,
    known: Vec<u32>,
}

/// A record of version 1.
#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct WireV1 {
    version: u8,
    pairing_id: [u8; 16],
    group_id: VLBytes,
    heal_policy: u8,
    phase: u8,
    signal: u8,
    devices: Vec<WireDeviceV1>,
    pending: Option<WirePending>,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct WireDeviceV1 {
    device: u16,
    signature_key: VLBytes,
    security: u8,
}

impl From<WireV1> for Wire {
    fn from(old: WireV1) -> Self {
        let device =
            |old: WireDeviceV1| WireDevice { device: old.device, signature_key: old.signature_key };
        let devices: Vec<_> = old.devices.into_iter().map(device).collect();
        let exposed = SecurityTable::exposed(devices.iter().map(|known| DeviceId(known.device)));
        Self {
            version: VERSION,
            pairing_id: old.pairing_id,
            group_id: old.group_id,
            heal_policy: old.heal_policy,
            phase: old.phase,
            signal: old.signal,
            devices,
            pending: old.pending,
            now: WireAssessment::of(&EpochMark::default(), &exposed),
            before: None,
        }
    }
}

impl WireAssessment {
    fn of(mark: &EpochMark, table: &SecurityTable) -> Self {
        let standing = |(device, entry): (DeviceId, &Entry)| WireStanding {
            device: device.0,
            security: match entry.state {
                State::Exposed => 0,
                State::Secure => 1,
                State::Weakened => 2,
            },
            occupant: match entry.occupant {
                Occupant::Device => 0,
                Occupant::Impostor => 1,
            },
            known: entry.known.iter().map(|node| node.value()).collect(),
        };
        Self {
            epoch: mark.epoch,
            confirmed_transcript_hash: mark.confirmed_transcript_hash.as_slice().into(),
            standings: table.entries().map(standing).collect(),
        }
    }

    fn into_parts(self) -> Result<(EpochMark, SecurityTable), GroupRecordError> {
        let mark = EpochMark {
            epoch: self.epoch,
            confirmed_transcript_hash: self.confirmed_transcript_hash.into(),
        };
        let entries = self.standings.into_iter().map(|wire| {
            if wire.known.len() > MAX_KNOWN {
                return Err(GroupRecordError::Malformed);
            }
            let known = wire.known.into_iter().map(NodeIndex::new).collect::<Option<_>>();
            let entry = Entry {
                state: match wire.security {
                    0 => State::Exposed,
                    1 => State::Secure,
                    2 => State::Weakened,
                    _ => return Err(GroupRecordError::Malformed),
                },
                known: known.ok_or(GroupRecordError::Malformed)?,
                occupant: match wire.occupant {
                    0 => Occupant::Device,
                    1 => Occupant::Impostor,
                    _ => return Err(GroupRecordError::Malformed),
                },
            };
            Ok((DeviceId(wire.device), entry))
        });
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        Ok((mark, SecurityTable::from_entries(entries)))
    }
}

impl GroupRecord {
    /// Makes the record say what is so in the epoch that the MLS state is in. Of an epoch that it does
    /// not know it says that all devices are exposed.
    pub fn reconcile(&mut self, now: &EpochMark) {
        if self.epoch == *now {
            return;
        }
        self.security = match self.before.take() {
            Some((mark, table)) if mark == *now => table,
            _ => SecurityTable::exposed(self.devices.iter().map(|paired| paired.device)),
        };
        self.epoch = now.clone();
    }

    /// The MLS state goes on to this epoch, once it is written.
    pub fn advance(&mut self, next: EpochMark, security: SecurityTable) {
        let mark = mem::replace(&mut self.epoch, next);
        self.before = Some((mark, mem::replace(&mut self.security, security)));
    }

    /// The bytes to store.
    ///
    /// # Errors
    ///
    /// [`GroupRecordError::TooLarge`] if a length exceeds the format's 2³⁰ − 1.
    pub fn to_record(&self) -> Result<Secret, GroupRecordError> {
        let wire = Wire {
            version: VERSION,
            pairing_id: self.tape.pairing.0,
            group_id: self.tape.group_id.as_slice().into(),
            heal_policy: match self.heal_policy {
                HealPolicy::Manual => 0,
                HealPolicy::AtOnce => 1,
                HealPolicy::Refresh => 2,
            },
            phase: self.phase.to_wire(),
            signal: match self.signal {
                SignalPolicy::Silent => 0,
                SignalPolicy::Announce => 1,
            },
            devices: (self.devices.iter())
                .map(|paired| WireDevice {
                    device: paired.device.0,
                    signature_key: paired.signature_key.as_slice().into(),
                })
                .collect(),
            pending: self.pending.as_ref().map(|pending| WirePending {
                hash: pending.hash.as_slice().into(),
                index: pending.index.map(Index::to_bytes),
            }),
            now: WireAssessment::of(&self.epoch, &self.security),
            before: self.before.as_ref().map(|(mark, table)| WireAssessment::of(mark, table)),
        };
        let bytes = wire.tls_serialize_detached().map_err(|_| GroupRecordError::TooLarge)?;
        Ok(Secret::new(bytes))
    }

    /// Reads back what [`GroupRecord::to_record`] gave.
    ///
    /// # Errors
    ///
    /// [`GroupRecordError::Version`] for a format of the future, [`GroupRecordError::Malformed`]
    /// for bytes that no record has, trailing bytes among them.
    pub fn from_record(record: &Secret) -> Result<Self, GroupRecordError> {
        // Not the decoder from bytes: with debug assertions, tls_codec 0.5 panics there on a vector
        // that is cut short.
        let malformed = |_| GroupRecordError::Malformed;
        let bytes = record.expose();
        let wire = match bytes.first() {
            Some(&VERSION) => Wire::tls_deserialize_exact(bytes).map_err(malformed)?,
            Some(&VERSION_1) => WireV1::tls_deserialize_exact(bytes).map_err(malformed)?.into(),
            Some(&other) => return Err(GroupRecordError::Version(other)),
            None => return Err(GroupRecordError::Malformed),
        };
        let device = |paired: WireDevice| PairedDevice {
            device: DeviceId(paired.device),
            signature_key: paired.signature_key.into(),
        };
        let (epoch, security) = wire.now.into_parts()?;
        Ok(Self {
            tape: TapeId { pairing: PairingId(wire.pairing_id), group_id: wire.group_id.into() },
            devices: wire.devices.into_iter().map(device).collect(),
            heal_policy: match wire.heal_policy {
                0 => HealPolicy::Manual,
                1 => HealPolicy::AtOnce,
                2 => HealPolicy::Refresh,
                _ => return Err(GroupRecordError::Malformed),
            },
            phase: Phase::from_wire(wire.phase).ok_or(GroupRecordError::Malformed)?,
            signal: match wire.signal {
                0 => SignalPolicy::Silent,
                1 => SignalPolicy::Announce,
                _ => return Err(GroupRecordError::Malformed),
            },
            security,
            epoch,
            before: wire.before.map(WireAssessment::into_parts).transpose()?,
            pending: wire.pending.map(|pending| PendingCommit {
                hash: pending.hash.into(),
                index: pending.index.map(Index::from_bytes),
            }),
        })
    }
}

impl Vault {
    /// Reads what this device knows of its pairing in a group; `None` if it is not paired there.
    ///
    /// # Errors
    ///
    /// [`VaultError::Content`] for a damaged record, [`VaultError::Storage`].
    pub fn load_group(&self, group_id: &[u8]) -> Result<Option<GroupRecord>, VaultError> {
        self.shelf().read(&RecordName::Group(group_id.to_vec()), GroupRecord::from_record)
    }

    /// Stores what this device knows of its pairing in a group.
    ///
    /// # Errors
    ///
    /// [`VaultError::Storage`].
    pub fn store_group(&self, record: &GroupRecord) -> Result<(), VaultError> {
        let name = RecordName::Group(record.tape.group_id.clone());
        self.shelf().write(&name, record.to_record())
    }

    /// Notes the hash of this device's last commit in a group without a pairing, so that it can be told from one
    /// that somebody else made in its name. With a pairing, [`GroupRecord::pending`] has it.
    ///
    /// # Errors
    ///
    /// [`VaultError::Storage`].
    pub fn note_own_commit(&self, group_id: &[u8], hash: &[u8]) -> Result<(), VaultError> {
        let name = RecordName::OwnCommit(group_id.to_vec());
        self.shelf().store(&name, &Secret::copy_of(hash))
    }

    /// Whether this is the hash of the last commit that was noted; `None` if none was.
    ///
    /// # Errors
    ///
    /// [`VaultError::Storage`].
    pub fn is_own_commit(&self, group_id: &[u8], hash: &[u8]) -> Result<Option<bool>, VaultError> {
        let record = self.shelf().load(&RecordName::OwnCommit(group_id.to_vec()))?;
        Ok(record.map(|noted| noted.expose() == hash))
    }
}

#[cfg(test)]
mod tests;

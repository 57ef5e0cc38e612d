//! What a device stores about its pairing in one group.
//!
//! ```text
//! struct {
//!     uint8  version = 1;
//!     opaque pairing_id[16];
//!     opaque group_id<V>;
//!     uint8  heal_policy;              // 0 leave it to the caller, 1 at once, 2 by a leaf refresh
//!     uint8  phase;                    // 1 active, 2 ceasing
//!     uint8  signal;                   // 0 silent, 1 announce
//!     Device devices<V>;               // in ascending order of their numbers
//!     optional<PendingCommit> pending; // the last own commit
//! } GroupRecord;
//!
//! struct { uint16 device; opaque signature_key<V>; uint8 security; } Device;
//! struct { opaque hash<V>; optional<uint64> index; } PendingCommit;
//! ```
//!
//! Nothing in it is secret; it lies in the vault since a thief of the MLS state who could change
//! it could turn the pairing off.

use thiserror::Error;
use tls_codec::{Deserialize as _, Serialize as _, TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use super::{EpochSecurity, LeafKey, PairedDevice, SecurityTable};
use crate::{DeviceId, Index, PairingId, Secret, TapeId, pairing::SignalPolicy};

const VERSION: u8 = 1;

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
    /// How safe the current epoch is, for each device.
    pub security: SecurityTable,
    /// The last own commit. It waits for the delivery service's answer if the MLS state says so;
    /// that this record is not cleared with it is what lets a device that died in between find out
    /// that the commit was its own.
    pub pending: Option<PendingCommit>,
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
    #[error("the stored group record has format {0} and this software reads format 1: update it")]
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
    security: u8,
}

impl GroupRecord {
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
                    security: self.security.of(paired.device).map_or(0, security_to_wire),
                })
                .collect(),
            pending: self.pending.as_ref().map(|pending| WirePending {
                hash: pending.hash.as_slice().into(),
                index: pending.index.map(Index::to_bytes),
            }),
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
        match record.expose().first() {
            Some(&VERSION) => {}
            Some(&other) => return Err(GroupRecordError::Version(other)),
            None => return Err(GroupRecordError::Malformed),
        }
        // Not the decoder from bytes: with debug assertions, tls_codec 0.5 panics there on a vector
        // that is cut short.
        let wire = Wire::tls_deserialize_exact(record.expose())
            .map_err(|_| GroupRecordError::Malformed)?;
        let mut securities = Vec::with_capacity(wire.devices.len());
        let mut devices = Vec::with_capacity(wire.devices.len());
        for paired in wire.devices {
            let device = DeviceId(paired.device);
            let security =
                security_from_wire(paired.security).ok_or(GroupRecordError::Malformed)?;
            securities.push((device, security));
            devices.push(PairedDevice { device, signature_key: paired.signature_key.into() });
        }
        Ok(Self {
            tape: TapeId { pairing: PairingId(wire.pairing_id), group_id: wire.group_id.into() },
            devices,
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
            security: SecurityTable::from_entries(securities),
            pending: wire.pending.map(|pending| PendingCommit {
                hash: pending.hash.into(),
                index: pending.index.map(Index::from_bytes),
            }),
        })
    }
}

fn security_to_wire(security: EpochSecurity) -> u8 {
    match security {
        EpochSecurity::Exposed => 0,
        EpochSecurity::Secure(LeafKey::Stale) => 1,
        EpochSecurity::Secure(LeafKey::Fresh) => 2,
        EpochSecurity::Weakened => 3,
    }
}

fn security_from_wire(byte: u8) -> Option<EpochSecurity> {
    match byte {
        0 => Some(EpochSecurity::Exposed),
        1 => Some(EpochSecurity::Secure(LeafKey::Stale)),
        2 => Some(EpochSecurity::Secure(LeafKey::Fresh)),
        3 => Some(EpochSecurity::Weakened),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> GroupRecord {
        let device =
            |n: u16| PairedDevice { device: DeviceId(n), signature_key: vec![n as u8; 32] };
        let mut security = SecurityTable::exposed([DeviceId(0), DeviceId(1)]);
        security.renew(DeviceId(0));
        GroupRecord {
            tape: TapeId { pairing: PairingId([7; 16]), group_id: b"group".to_vec() },
            devices: vec![device(0), device(1)],
            heal_policy: HealPolicy::AtOnce,
            phase: Phase::Ceasing,
            signal: SignalPolicy::Announce,
            security,
            pending: Some(PendingCommit { hash: vec![9; 32], index: Index::new(DeviceId(0), 4) }),
        }
    }

    #[test]
    fn a_record_reads_back() {
        let bytes = record().to_record().unwrap();
        assert_eq!(GroupRecord::from_record(&bytes), Ok(record()));
        let settled = GroupRecord { pending: None, ..record() };
        assert_eq!(GroupRecord::from_record(&settled.to_record().unwrap()), Ok(settled));
    }

    #[test]
    fn damage_is_refused() {
        let bytes = record().to_record().unwrap();
        for end in 0..bytes.len() {
            let cut = Secret::copy_of(&bytes.expose()[..end]);
            assert_eq!(GroupRecord::from_record(&cut), Err(GroupRecordError::Malformed));
        }
        let longer = Secret::new([bytes.expose(), &[0]].concat());
        assert_eq!(GroupRecord::from_record(&longer), Err(GroupRecordError::Malformed));
        let future = Secret::new([&[2], &bytes.expose()[1..]].concat());
        assert_eq!(GroupRecord::from_record(&future), Err(GroupRecordError::Version(2)));
    }
}

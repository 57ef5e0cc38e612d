//! What a device stores about a leaf that it shares.
//!
//! ```text
//! struct {
//!     uint8  version = 2;
//!     opaque pairing_id[16];
//!     opaque group_id<V>;
//!     uint8  phase;                  // 1 active, 2 ceasing
//!     optional<Speaker> speaker;
//!     optional<uint64> given;        // the epoch in which this device gave the token away
//!     optional<Pending> pending;     // the own commit that waits
//!     Announced announced<V>;        // what partners have announced and not been seen to send
//!     uint32 removals<V>;            // the members that are still to be removed
//! } LeafRecord;
//!
//! struct { uint16 device; uint64 since; uint8 origin; } Speaker; // 1: Welcome, 2: commit, 3: in doubt
//! struct { uint64 epoch; opaque hash<V>; opaque notify<V>; } Pending;
//! struct { uint64 epoch; opaque notify<V>; } Announced;
//! ```
//!
//! Nothing in it is secret; it lies in the vault since whoever could change it could make two devices
//! send at once.

use thiserror::Error;
use tls_codec::{Deserialize as _, Serialize as _, TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use super::LeafNotify;
use crate::{DeviceId, PairingId, Phase, Secret, TapeId, anchor::LeafIndex};

const VERSION: u8 = 2;

/// How many Notifies that came before their commits a device keeps.
pub const MAX_ANNOUNCED: usize = 256;

/// The device that may send from the leaf: the one that made the leaf's last commit from the tape, or
/// else the KeyPackage that the leaf has joined with.
///
/// The delivery service puts commits in order, so that all devices agree on it in each epoch, and
/// its commit has given it fresh ratchets that no other device has used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speaker {
    /// The device.
    pub device: DeviceId,
    /// The first epoch in which it may send: the one that its commit created.
    pub since: u64,
    /// How it came to be this device.
    pub origin: Origin,
}

/// How a device came to be the one that may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The leaf has joined with a KeyPackage of this device.
    Welcome,
    /// It has made a commit.
    Commit,
    /// The same; but since then somebody has acted in the leaf's name who is none of its devices.
    InDoubt,
}

/// An own commit that waits for the delivery service. It is not in the MLS state: it is made again
/// once it has been accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafPending {
    /// The epoch that it ends.
    pub epoch: u64,
    /// The hash of its `MLSMessage`.
    pub hash: Vec<u8>,
    /// What it takes to make it again.
    pub notify: LeafNotify,
}

/// A commit that a partner has announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The epoch that it ends.
    pub epoch: u64,
    /// What the partner said.
    pub notify: LeafNotify,
}

/// What a device stores about a leaf that it shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafRecord {
    /// The sub-tape; it names the pairing and the group.
    pub tape: TapeId,
    /// Whether this device still draws from the tape.
    pub phase: Phase,
    /// Who may send; `None` before the leaf's first commit from the tape.
    pub speaker: Option<Speaker>,
    /// The epoch in which this device has given the token away: it sends nothing until the leaf's next
    /// commit from the tape.
    pub given: Option<u64>,
    /// The own commit that waits, also over the death of the process.
    pub pending: Option<LeafPending>,
    /// What partners have announced, at most [`MAX_ANNOUNCED`].
    pub announced: Vec<Announced>,
    /// The members that this device still has to remove, one with each commit.
    pub removals: Vec<LeafIndex>,
}

/// A stored leaf record that cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LeafRecordError {
    /// The bytes are not a leaf record.
    #[error("the stored leaf record is damaged: restore the vault from before, or pair again")]
    Malformed,
    /// The record was written by another version of this software.
    #[error(
        "a stored record of a shared leaf has format {0}, which this software does not read: use the version of the software that wrote it, or make a new vault and pair again"
    )]
    Version(u8),
    /// More Notifies have come before their commits than a device keeps.
    #[error(
        "{MAX_ANNOUNCED} Notifies wait for their commits: process the commits, then this Notify again"
    )]
    TooManyAnnounced,
    /// The record does not fit the format's length fields.
    #[error("the leaf record is too large to be stored")]
    TooLarge,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct Wire {
    version: u8,
    pairing_id: [u8; 16],
    group_id: VLBytes,
    phase: u8,
    speaker: Option<WireSpeaker>,
    given: Option<u64>,
    pending: Option<WirePending>,
    announced: Vec<WireAnnounced>,
    removals: Vec<u32>,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct WireSpeaker {
    device: u16,
    since: u64,
    origin: u8,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct WirePending {
    epoch: u64,
    hash: VLBytes,
    notify: VLBytes,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct WireAnnounced {
    epoch: u64,
    notify: VLBytes,
}

impl LeafRecord {
    /// A leaf whose devices have committed nothing yet.
    pub fn new(tape: TapeId) -> Self {
        Self {
            tape,
            phase: Phase::Active,
            speaker: None,
            given: None,
            pending: None,
            announced: Vec::new(),
            removals: Vec::new(),
        }
    }

    /// Notes what a partner has announced for `epoch`, once; what was said for epochs before `current`
    /// goes.
    ///
    /// # Errors
    ///
    /// [`LeafRecordError::TooManyAnnounced`] if [`MAX_ANNOUNCED`] others are still to come.
    pub fn announce(
        &mut self,
        current: u64,
        epoch: u64,
        notify: LeafNotify,
    ) -> Result<(), LeafRecordError> {
        let announced = Announced { epoch, notify };
        self.announced.retain(|known| known.epoch >= current && *known != announced);
        if self.announced.len() >= MAX_ANNOUNCED {
            return Err(LeafRecordError::TooManyAnnounced);
        }
        self.announced.push(announced);
        Ok(())
    }

    /// The bytes to store.
    ///
    /// # Errors
    ///
    /// [`LeafRecordError::TooLarge`] if a length exceeds the format's 2³⁰ − 1.
    pub fn to_record(&self) -> Result<Secret, LeafRecordError> {
        let too_large = |_| LeafRecordError::TooLarge;
        let pending = match &self.pending {
            Some(pending) => Some(WirePending {
                epoch: pending.epoch,
                hash: pending.hash.as_slice().into(),
                notify: pending.notify.to_bytes().map_err(too_large)?.into(),
            }),
            None => None,
        };
        let announced = self.announced.iter().map(|announced| {
            let notify = announced.notify.to_bytes()?.into();
            Ok(WireAnnounced { epoch: announced.epoch, notify })
        });
        let wire = Wire {
            version: VERSION,
            pairing_id: self.tape.pairing.0,
            group_id: self.tape.group_id.as_slice().into(),
            phase: self.phase.to_wire(),
            speaker: self.speaker.map(|speaker| WireSpeaker {
                device: speaker.device.0,
                since: speaker.since,
                origin: match speaker.origin {
                    Origin::InDoubt => 3,
                    Origin::Welcome => 1,
                    Origin::Commit => 2,
                },
            }),
            given: self.given,
            pending,
            announced: announced.collect::<Result<_, _>>().map_err(too_large)?,
            removals: self.removals.iter().map(|leaf| leaf.value()).collect(),
        };
        Ok(Secret::new(wire.tls_serialize_detached().map_err(too_large)?))
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
        Self::parse(record.expose()).ok_or(LeafRecordError::Malformed)
    }

    fn parse(record: &[u8]) -> Option<Self> {
        let wire = Wire::tls_deserialize_exact(record).ok()?;
        let pending = match wire.pending {
            Some(pending) => Some(LeafPending {
                epoch: pending.epoch,
                hash: pending.hash.into(),
                notify: LeafNotify::parse(pending.notify.as_slice()).ok()?,
            }),
            None => None,
        };
        let announced = wire.announced.iter().map(|announced| {
            let notify = LeafNotify::parse(announced.notify.as_slice()).ok()?;
            Some(Announced { epoch: announced.epoch, notify })
        });
        let speaker = match wire.speaker {
            Some(speaker) => Some(Speaker {
                device: DeviceId(speaker.device),
                since: speaker.since,
                origin: match speaker.origin {
                    1 => Origin::Welcome,
                    2 => Origin::Commit,
                    3 => Origin::InDoubt,
                    _ => return None,
                },
            }),
            None => None,
        };
        Some(Self {
            tape: TapeId { pairing: PairingId(wire.pairing_id), group_id: wire.group_id.into() },
            phase: Phase::from_wire(wire.phase)?,
            speaker,
            given: wire.given,
            pending,
            announced: announced.collect::<Option<_>>()?,
            removals: wire.removals.into_iter().map(LeafIndex::new).collect::<Option<_>>()?,
        })
    }
}

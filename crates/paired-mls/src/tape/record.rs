//! The stored form of a tape.
//!
//! ```text
//! struct {
//!     uint8  version = 2;
//!     uint16 cipher_suite;
//!     uint16 own_device;
//!     uint16 devices<V>;
//!     uint64 next_position;
//!     opaque notify_secret<V>;
//!     opaque accept_secret<V>;
//!     Node   nodes<V>;                 // in ascending order: the same tape has the same bytes
//!     optional<InFlight> in_flight;
//!     optional<Lanes> lanes;           // of the tape of a group
//! } TapeRecord;
//!
//! struct {
//!     Lane   opened<V>;                // in ascending order
//!     uint64 epoch;                    // the last one that was reached
//!     uint8  next_opening;             // of the own lane: 1 in order, 2 ahead
//! } Lanes;
//!
//! struct { uint16 device; uint64 opening; } Lane;
//! struct { uint64 first; uint8 depth; opaque secret<V>; } Node;
//! struct { uint64 index; opaque binding<V>; opaque value<V>; } InFlight;
//! ```

use std::fmt;

use thiserror::Error;
use tls_codec::{
    Deserialize as _, SecretVLBytes, Serialize as _, TlsDeserialize, TlsSerialize, TlsSize, VLBytes,
};
use zeroize::Zeroizing;

use super::{
    DeviceId, InFlight, Index, Tape,
    group::{Lanes, NextOpening},
    pprf::{NodeId, Pprf},
};
use crate::{CipherSuite, Secret};

const VERSION: u8 = 2;

/// A stored tape that cannot be read back.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes are not a tape record: damaged, cut short or followed by others.
    #[error("the stored tape is damaged: restore the vault from before, or pair again")]
    Malformed,
    /// The record was written by another version of this software.
    #[error(
        "the stored tape has format {0} and this software reads format {VERSION}: use the version of the software that wrote it, or make a new vault and pair again"
    )]
    Version(u8),
    /// The tape does not fit the format's length fields.
    #[error("the tape is too large to be stored")]
    TooLarge,
}

#[derive(TlsSize, TlsSerialize, TlsDeserialize)]
struct TapeRecord {
    version: u8,
    cipher_suite: u16,
    own_device: u16,
    devices: Vec<u16>,
    next_position: u64,
    notify_secret: SecretVLBytes,
    accept_secret: SecretVLBytes,
    nodes: Vec<NodeRecord>,
    in_flight: Option<InFlightRecord>,
    lanes: Option<LanesRecord>,
}

#[derive(TlsSize, TlsSerialize, TlsDeserialize)]
struct LanesRecord {
    opened: Vec<LaneRecord>,
    epoch: u64,
    next_opening: u8,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct LaneRecord {
    device: u16,
    opening: u64,
}

#[derive(TlsSize, TlsSerialize, TlsDeserialize)]
struct NodeRecord {
    first: u64,
    depth: u8,
    secret: SecretVLBytes,
}

/// A bound of the encoder, which never prints; the derived one would print the secret.
impl fmt::Debug for NodeRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeRecord").field("depth", &self.depth).finish_non_exhaustive()
    }
}

#[derive(TlsSize, TlsSerialize, TlsDeserialize)]
struct InFlightRecord {
    index: u64,
    binding: VLBytes,
    value: SecretVLBytes,
}

impl Tape {
    /// The bytes to store: secret, and the same for the same tape.
    ///
    /// # Errors
    ///
    /// [`RecordError::TooLarge`] if a length exceeds the format's 2³⁰ − 1.
    pub fn to_record(&self) -> Result<Secret, RecordError> {
        let record = TapeRecord {
            version: VERSION,
            cipher_suite: self.suite.code_point(),
            own_device: self.own.0,
            devices: self.devices.iter().map(|device| device.0).collect(),
            next_position: self.next,
            notify_secret: self.notify_secret.expose().into(),
            accept_secret: self.accept_secret.expose().into(),
            nodes: (self.pprf.nodes())
                .map(|(id, secret)| NodeRecord {
                    first: id.first,
                    depth: id.depth,
                    secret: secret.expose().into(),
                })
                .collect(),
            in_flight: self.in_flight.as_ref().map(|flight| InFlightRecord {
                index: flight.index.bits(),
                binding: flight.binding.as_slice().into(),
                value: flight.value.expose().into(),
            }),
            lanes: self.lanes.as_ref().map(|lanes| LanesRecord {
                opened: (lanes.opened.iter())
                    .map(|(device, opening)| LaneRecord { device: device.0, opening: *opening })
                    .collect(),
                epoch: lanes.epoch,
                next_opening: match lanes.next_opening {
                    NextOpening::InOrder => 1,
                    NextOpening::Ahead => 2,
                },
            }),
        };
        // The exact capacity up front, so that no reallocation leaves a copy behind.
        let mut bytes =
            Zeroizing::new(Vec::with_capacity(tls_codec::Size::tls_serialized_len(&record)));
        record.tls_serialize(&mut *bytes).map_err(|_| RecordError::TooLarge)?;
        Ok(Secret::copy_of(&bytes))
    }

    /// Reads back what [`Tape::to_record`] gave.
    ///
    /// # Errors
    ///
    /// [`RecordError::Version`] for a format of the future, [`RecordError::Malformed`] for bytes
    /// that no tape has, trailing bytes among them.
    pub fn from_record(bytes: &Secret) -> Result<Self, RecordError> {
        match bytes.expose().first() {
            Some(&VERSION) => {}
            Some(&other) => return Err(RecordError::Version(other)),
            None => return Err(RecordError::Malformed),
        }
        // Not `tls_deserialize_exact_bytes`: with debug assertions, tls_codec 0.5 panics there on
        // a vector that is cut short.
        let record = TapeRecord::tls_deserialize_exact(bytes.expose())
            .map_err(|_| RecordError::Malformed)?;
        let suite =
            CipherSuite::try_from(record.cipher_suite).map_err(|_| RecordError::Malformed)?;
        let nodes = record.nodes.iter().map(|node| {
            let id = NodeId { first: node.first, depth: node.depth };
            (id, Secret::copy_of(node.secret.as_slice()))
        });
        let lanes = match record.lanes {
            Some(lanes) => Some(Lanes {
                opened: (lanes.opened.iter())
                    .map(|lane| (DeviceId(lane.device), lane.opening))
                    .collect(),
                epoch: lanes.epoch,
                next_opening: match lanes.next_opening {
                    1 => NextOpening::InOrder,
                    2 => NextOpening::Ahead,
                    _ => return Err(RecordError::Malformed),
                },
            }),
            None => None,
        };
        let tape = Self {
            suite,
            own: DeviceId(record.own_device),
            devices: record.devices.iter().copied().map(DeviceId).collect(),
            next: record.next_position,
            notify_secret: Secret::copy_of(record.notify_secret.as_slice()),
            accept_secret: Secret::copy_of(record.accept_secret.as_slice()),
            pprf: Pprf::from_nodes(suite, record.devices.len(), nodes)
                .ok_or(RecordError::Malformed)?,
            in_flight: record.in_flight.map(|flight| InFlight {
                index: Index::from_bytes(flight.index.to_be_bytes()),
                binding: flight.binding.into(),
                value: Secret::copy_of(flight.value.as_slice()),
            }),
            lanes,
        };
        // Only the bytes that this tape is stored as: no length in a longer form than it needs.
        let canonical = tape.is_well_formed() && tape.to_record()? == *bytes;
        canonical.then_some(tape).ok_or(RecordError::Malformed)
    }

    fn is_well_formed(&self) -> bool {
        let length = self.suite.kdf_len();
        let secrets = [&self.notify_secret, &self.accept_secret];
        let in_flight = self.in_flight.iter().map(|flight| &flight.value);
        self.devices.len() >= 2
            && self.devices.is_sorted_by(|a, b| a < b)
            && !self.devices.contains(&DeviceId::RESERVED)
            && self.devices.contains(&self.own)
            && self.next <= Index::MAX_POSITION + 1
            && secrets.into_iter().chain(in_flight).all(|secret| secret.len() == length)
            && self.in_flight.as_ref().is_none_or(|flight| self.may_be_in_flight(flight.index))
            && self.lanes.as_ref().is_none_or(|lanes| self.may_be_open(lanes))
    }

    /// Only lanes of the pairing's devices are open, each with a position of the pairing's tape; and
    /// what is stored lies in one of them.
    fn may_be_open(&self, lanes: &Lanes) -> bool {
        let is_known = |(device, opening): (&DeviceId, &u64)| {
            self.devices.contains(device) && *opening <= Index::MAX_POSITION
        };
        let is_inside = |id: NodeId| {
            let device = Index::from_bytes(id.first.to_be_bytes()).device();
            id.is_in_a_lane() && lanes.opened.contains_key(&device)
        };
        lanes.opened.iter().all(is_known) && self.pprf.nodes().all(|(id, _)| is_inside(id))
    }

    /// Only what a partner drew is ever claimed, and a claimed index is punctured.
    fn may_be_in_flight(&self, index: Index) -> bool {
        let device = index.device();
        device != self.own && self.devices.contains(&device) && !self.holds(index)
    }
}

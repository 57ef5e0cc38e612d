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

use thiserror::Error;

use super::{
    DeviceId, InFlight, Index, Tape,
    group::{Lanes, NextOpening},
    pprf::{NodeId, Pprf},
};
use crate::{
    CipherSuite, Secret,
    presentation::codec::{DecodeError, Reader, TooLarge, Writer},
};

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

impl From<TooLarge> for RecordError {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

impl From<DecodeError> for RecordError {
    fn from(_: DecodeError) -> Self {
        Self::Malformed
    }
}

impl Tape {
    /// The bytes to store: secret, and the same for the same tape.
    ///
    /// # Errors
    ///
    /// [`RecordError::TooLarge`] if a length exceeds the format's 2³⁰ − 1.
    pub fn to_record(&self) -> Result<Secret, RecordError> {
        let node = 8 + 1 + 2 + self.suite.kdf_len();
        let mut record = Writer::with_capacity(512 + node * self.pprf.nodes().len());
        record.u8(VERSION);
        record.u16(self.suite.code_point());
        record.device(self.own);
        record.list(&self.devices, |record, device| record.device(*device));
        record.u64(self.next);
        record.opaque(self.notify_secret.expose());
        record.opaque(self.accept_secret.expose());
        record.list(self.pprf.nodes(), |record, (id, secret)| {
            record.u64(id.first);
            record.u8(id.depth);
            record.opaque(secret.expose());
        });
        record.optional(self.in_flight.as_ref(), |record, flight| {
            record.u64(flight.index.bits());
            record.opaque(&flight.binding);
            record.opaque(flight.value.expose());
        });
        record.optional(self.lanes.as_ref(), |record, lanes| {
            record.list(&lanes.opened, |record, (device, opening)| {
                record.device(*device);
                record.u64(*opening);
            });
            record.u64(lanes.epoch);
            record.u8(match lanes.next_opening {
                NextOpening::InOrder => 1,
                NextOpening::Ahead => 2,
            });
        });
        Ok(record.finish()?)
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
        Reader::whole("TapeRecord", bytes.expose(), |record| Ok(Self::read(record)))?
    }

    /// Reads the fields, each of which has one encoding: what is well formed is written as it was read.
    fn read(record: &mut Reader<'_>) -> Result<Self, RecordError> {
        let _version = record.u8("version")?;
        let suite = CipherSuite::try_from(record.u16("cipher_suite")?)
            .map_err(|_| RecordError::Malformed)?;
        let own = record.device("own_device")?;
        let devices = record.list("devices", |record| record.device("device"))?;
        let next = record.u64("next_position")?;
        let notify_secret = record.secret("notify_secret")?;
        let accept_secret = record.secret("accept_secret")?;
        let nodes = record.list("nodes", |record| {
            let id = NodeId { first: record.u64("first")?, depth: record.u8("depth")? };
            Ok((id, record.secret("secret")?))
        })?;
        let in_flight = record.optional("in_flight", |record| {
            Ok(InFlight {
                index: Index::from_bytes(record.u64("index")?.to_be_bytes()),
                binding: record.bytes("binding")?,
                value: record.secret("value")?,
            })
        })?;
        let lanes = record.optional("lanes", |record| Ok(Lanes::read(record)))?.transpose()?;
        let pprf = Pprf::from_nodes(suite, devices.len(), nodes).ok_or(RecordError::Malformed)?;
        let tape = Self {
            suite,
            own,
            devices,
            next,
            notify_secret,
            accept_secret,
            pprf,
            in_flight,
            lanes,
        };
        tape.is_well_formed().then_some(tape).ok_or(RecordError::Malformed)
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

impl Lanes {
    fn read(record: &mut Reader<'_>) -> Result<Self, RecordError> {
        let opened = record
            .list("opened", |record| Ok((record.device("device")?, record.u64("opening")?)))?;
        let epoch = record.u64("epoch")?;
        let next_opening = match record.u8("next_opening")? {
            1 => NextOpening::InOrder,
            2 => NextOpening::Ahead,
            _ => return Err(RecordError::Malformed),
        };
        let ascending = opened.is_sorted_by(|(a, _), (b, _)| a < b);
        let opened = ascending.then(|| opened.into_iter().collect());
        Ok(Self { opened: opened.ok_or(RecordError::Malformed)?, epoch, next_opening })
    }
}

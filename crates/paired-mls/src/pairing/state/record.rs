//! The stored form of a state.
//!
//! ```text
//! enum {
//!     unpaired(1), seeded(2), invited(3), paired(4), ceasing(5), ceased(6), (255)
//! } StateKind;
//!
//! struct {
//!     uint8     version = 1;
//!     StateKind kind;
//!     select (PairingStateRecord.kind) {
//!         case unpaired: opaque identity<V>; opaque signature_key<V>;
//!         case seeded:   uint16 own; opaque share_rand<V>; uint8 road;
//!         case invited:  Agreement;  uint8 road; uint8 registration; uint16 accepted<V>;
//!         case paired:   Agreement;
//!         case ceasing:  Agreement;  uint16 ended_by<V>; uint16 stopped<V>;
//!                        uint16 cease_pair_ended_by; opaque cease_pair_tag<V>; opaque cease_ack_tag<V>;
//!         case ceased:   Agreement;  uint16 ended_by<V>; uint16 unconfirmed<V>;
//!                        opaque cease_ack_tag<V>;
//!     };
//! } PairingStateRecord;
//!
//! struct { uint16 own; opaque init_pairing<V>; } Agreement;
//!
//! road: 0 offline, 1 channel pending, 2 channel compared, 3 channel with credentials
//! registration: 0 not needed, 1 awaited, 2 confirmed, 3 not needed, and the anchor leaf's key is awaited
//! ```
//!
//! `share_rand` is a ShareRand with an empty seed and `init_pairing` an InitPairing with an empty
//! private key, both without envelope: a record holds no secret.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{
    Agreement, Ceased, Ceasing, Invited, Paired, Road, Seeded, Unpaired, invited::Registration,
};
use crate::{
    DeviceId, Secret,
    pairing::{
        channel::ChannelTrust,
        codec::{DecodeError, Reader, TooLarge, Writer},
        error::StateName,
        messages::{Body, CeaseAck, CeasePair, InitPairing, ShareRand},
        terms::{Party, Roster},
    },
};

const VERSION: u8 = 1;

/// A stored state that cannot be read or written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StateRecordError {
    /// The bytes are no state: damaged, cut short or followed by others.
    #[error("the stored state of the pairing is damaged: restore it, or pair again")]
    Malformed,
    /// The record was written by a later version of this software.
    #[error("the stored state has format {0} and this software reads format 1: update it")]
    Version(u8),
    /// The state does not fit the format's length fields.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

impl From<DecodeError> for StateRecordError {
    fn from(_: DecodeError) -> Self {
        Self::Malformed
    }
}

/// A pairing in whatever state it is: what a device finds when it starts again.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PairingState {
    /// Before a pairing.
    Unpaired(Unpaired),
    /// The tape is there.
    Seeded(Seeded),
    /// Confirmations are awaited.
    Invited(Invited),
    /// All have confirmed.
    Paired(Paired),
    /// The end is awaited.
    Ceasing(Ceasing),
    /// It is over.
    Ceased(Ceased),
}

impl PairingState {
    /// Which state it is.
    pub fn name(&self) -> StateName {
        match self {
            Self::Unpaired(_) => StateName::Unpaired,
            Self::Seeded(_) => StateName::Seeded,
            Self::Invited(_) => StateName::Invited,
            Self::Paired(_) => StateName::Paired,
            Self::Ceasing(_) => StateName::Ceasing,
            Self::Ceased(_) => StateName::Ceased,
        }
    }

    /// Reads back what `to_record` of any state gave.
    ///
    /// # Errors
    ///
    /// [`StateRecordError::Version`] for a format of the future, [`StateRecordError::Malformed`] for
    /// bytes that no state is stored as.
    pub fn from_record(record: &[u8]) -> Result<Self, StateRecordError> {
        match record.first() {
            Some(&VERSION) => {}
            Some(&other) => return Err(StateRecordError::Version(other)),
            None => return Err(StateRecordError::Malformed),
        }
        let state = Reader::whole("PairingStateRecord", record, |reader| {
            reader.u8("version")?;
            let kind = reader.u8("kind")?;
            Ok(match kind {
                Unpaired::KIND => Self::Unpaired(Unpaired::read(reader)?),
                Seeded::KIND => Self::Seeded(Seeded::read(reader)?),
                Invited::KIND => Self::Invited(Invited::read(reader)?),
                Paired::KIND => Self::Paired(Paired::read(reader)?),
                Ceasing::KIND => Self::Ceasing(Ceasing::read(reader)?),
                Ceased::KIND => Self::Ceased(Ceased::read(reader)?),
                _ => return Err(invalid(reader, "kind")),
            })
        })?;
        // Only the bytes that this state is stored as: no secret where a record has none.
        let canonical = state.to_record()? == record;
        canonical.then_some(state).ok_or(StateRecordError::Malformed)
    }

    /// The bytes to store, as `to_record` of the state gives them.
    ///
    /// # Errors
    ///
    /// [`StateRecordError::TooLarge`] if a length exceeds the format's 2³⁰ − 1.
    pub fn to_record(&self) -> Result<Vec<u8>, StateRecordError> {
        match self {
            Self::Unpaired(state) => to_record(state),
            Self::Seeded(state) => to_record(state),
            Self::Invited(state) => to_record(state),
            Self::Paired(state) => to_record(state),
            Self::Ceasing(state) => to_record(state),
            Self::Ceased(state) => to_record(state),
        }
    }
}

trait Stored: Sized {
    const KIND: u8;
    fn write(&self, writer: &mut Writer);
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

fn to_record<S: Stored>(state: &S) -> Result<Vec<u8>, StateRecordError> {
    let mut writer = Writer::new();
    writer.u8(VERSION);
    writer.u8(S::KIND);
    state.write(&mut writer);
    Ok(writer.finish()?.expose().to_vec())
}

macro_rules! record_of {
    ($($state:ident),*) => {$(
        impl $state {
            /// The bytes to store, not secret, and the same for the same state.
            ///
            /// # Errors
            ///
            /// [`StateRecordError::TooLarge`] if a length exceeds the format's 2³⁰ − 1.
            ///
            /// # Security
            ///
            /// Keep them where the vault is: whoever can change them can end or forge a pairing.
            pub fn to_record(&self) -> Result<Vec<u8>, StateRecordError> {
                to_record(self)
            }

            /// Reads back what `to_record` gave.
            ///
            /// # Errors
            ///
            /// [`StateRecordError::Version`] for a format of the future,
            /// [`StateRecordError::Malformed`] for bytes that this state is not stored as.
            pub fn from_record(record: &[u8]) -> Result<Self, StateRecordError> {
                match PairingState::from_record(record)? {
                    PairingState::$state(state) => Ok(state),
                    _ => Err(StateRecordError::Malformed),
                }
            }
        }

        impl From<$state> for PairingState {
            fn from(state: $state) -> Self {
                Self::$state(state)
            }
        }
    )*};
}

record_of!(Unpaired, Seeded, Invited, Paired, Ceasing, Ceased);

impl Stored for Unpaired {
    const KIND: u8 = 1;

    fn write(&self, writer: &mut Writer) {
        writer.opaque(&self.own.identity);
        writer.opaque(&self.own.signature_key);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let identity = reader.bytes("identity")?;
        Ok(Self { own: Party { identity, signature_key: reader.bytes("signature_key")? } })
    }
}

impl Stored for Seeded {
    const KIND: u8 = 2;

    fn write(&self, writer: &mut Writer) {
        writer.device(self.own);
        let share_rand = ShareRand {
            pairing_id: self.roster.pairing_id(),
            cipher_suite: self.roster.suite().code_point(),
            seed: Secret::copy_of(&[]),
            devices: self.roster.devices().to_vec(),
        };
        writer.list([share_rand], |writer, message| message.write(writer));
        writer.u8(road_code(self.road));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let own = reader.device("own")?;
        let body = reader.opaque("share_rand")?;
        let message = Reader::whole(ShareRand::NAME, body, ShareRand::read)?;
        let roster = message.roster().map_err(|_| invalid(reader, "share_rand"))?;
        if roster.party(own).is_none() {
            return Err(invalid(reader, "own"));
        }
        Ok(Self { own, roster, road: read_road(reader)? })
    }
}

impl Stored for Invited {
    const KIND: u8 = 3;

    fn write(&self, writer: &mut Writer) {
        self.agreement.write(writer);
        writer.u8(road_code(self.road));
        writer.u8(match self.registration {
            Registration::NotNeeded => 0,
            Registration::Awaited => 1,
            Registration::Confirmed => 2,
            Registration::KeyAwaited => 3,
        });
        writer.list(&self.accepted, |writer, device| writer.device(*device));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            agreement: Agreement::read(reader)?,
            road: read_road(reader)?,
            registration: match reader.u8("registration")? {
                0 => Registration::NotNeeded,
                1 => Registration::Awaited,
                2 => Registration::Confirmed,
                3 => Registration::KeyAwaited,
                _ => return Err(invalid(reader, "registration")),
            },
            accepted: read_devices(reader, "accepted")?,
        })
    }
}

impl Stored for Paired {
    const KIND: u8 = 4;

    fn write(&self, writer: &mut Writer) {
        self.agreement.write(writer);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { agreement: Agreement::read(reader)? })
    }
}

impl Stored for Ceasing {
    const KIND: u8 = 5;

    fn write(&self, writer: &mut Writer) {
        self.agreement.write(writer);
        writer.list(&self.ended_by, |writer, device| writer.device(*device));
        writer.list(&self.stopped, |writer, device| writer.device(*device));
        writer.device(self.cease_pair.ended_by);
        writer.opaque(&self.cease_pair.tag);
        writer.opaque(&self.cease_ack.tag);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let agreement = Agreement::read(reader)?;
        let (pairing_id, device) = (agreement.pairing_id(), agreement.own());
        Ok(Self {
            agreement,
            ended_by: read_devices(reader, "ended_by")?,
            stopped: read_devices(reader, "stopped")?,
            cease_pair: CeasePair {
                pairing_id,
                device,
                ended_by: reader.device("cease_pair_ended_by")?,
                tag: reader.bytes("cease_pair_tag")?,
            },
            cease_ack: CeaseAck { pairing_id, device, tag: reader.bytes("cease_ack_tag")? },
        })
    }
}

impl Stored for Ceased {
    const KIND: u8 = 6;

    fn write(&self, writer: &mut Writer) {
        self.agreement.write(writer);
        writer.list(&self.ended_by, |writer, device| writer.device(*device));
        writer.list(&self.unconfirmed, |writer, device| writer.device(*device));
        writer.opaque(&self.cease_ack.tag);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let agreement = Agreement::read(reader)?;
        let (pairing_id, device) = (agreement.pairing_id(), agreement.own());
        Ok(Self {
            agreement,
            ended_by: read_devices(reader, "ended_by")?,
            unconfirmed: read_devices(reader, "unconfirmed")?.into_iter().collect(),
            cease_ack: CeaseAck { pairing_id, device, tag: reader.bytes("cease_ack_tag")? },
        })
    }
}

impl Agreement {
    pub(in crate::pairing) fn write(&self, writer: &mut Writer) {
        writer.device(self.own);
        let init_pairing = InitPairing::of(&self.terms, Secret::copy_of(&[]));
        writer.list([init_pairing], |writer, message| message.write(writer));
    }

    pub(in crate::pairing) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let own = reader.device("own")?;
        let body = reader.opaque("init_pairing")?;
        let message = Reader::whole(InitPairing::NAME, body, InitPairing::read)?;
        let terms = message.terms().map_err(|_| invalid(reader, "init_pairing"))?;
        if terms.roster().party(own).is_none() {
            return Err(invalid(reader, "own"));
        }
        Self::new(own, terms).map_err(|_| invalid(reader, "init_pairing"))
    }

    pub(super) fn own_party(&self) -> Party {
        own_party(self.terms.roster(), self.own)
    }
}

/// Who this device is.
pub(super) fn own_party(roster: &Roster, own: DeviceId) -> Party {
    roster.party(own).expect("no state is made for a device that its roster does not list").clone()
}

fn road_code(road: Road) -> u8 {
    match road {
        Road::Offline => 0,
        Road::OneToOne(ChannelTrust::Pending) => 1,
        Road::OneToOne(ChannelTrust::Compared) => 2,
        Road::OneToOne(ChannelTrust::Credentials) => 3,
    }
}

fn read_road(reader: &mut Reader<'_>) -> Result<Road, DecodeError> {
    Ok(match reader.u8("road")? {
        0 => Road::Offline,
        1 => Road::OneToOne(ChannelTrust::Pending),
        2 => Road::OneToOne(ChannelTrust::Compared),
        3 => Road::OneToOne(ChannelTrust::Credentials),
        _ => return Err(invalid(reader, "road")),
    })
}

/// A set of devices, which is stored in ascending order.
fn read_devices(
    reader: &mut Reader<'_>,
    field: &'static str,
) -> Result<BTreeSet<DeviceId>, DecodeError> {
    let devices = reader.list(field, |reader| reader.device(field))?;
    let ascending = devices.is_sorted_by(|a, b| a < b);
    ascending.then(|| devices.into_iter().collect()).ok_or_else(|| invalid(reader, field))
}

fn invalid(reader: &Reader<'_>, field: &'static str) -> DecodeError {
    reader.malformed(field, tls_codec::Error::InvalidInput)
}

//! How the states lie in the vault.
//!
//! ```text
//! struct { uint8 version = 1; PairingId pairings<V>; } PairingList;              // record `pairings`
//! struct { uint8 version = 1; opaque state<V>; Early early<V>; } PairingEntry;    // one for each
//! opaque Early<V>;                                                                // an Accept
//! ```
//!
//! The list is written first: it may name a pairing that has no entry, after a crash, and never the
//! other way round.

use std::collections::BTreeSet;

use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use super::{BookError, PairingBook, Progress};
use crate::{
    DeviceId, PairingId, RecordName, Secret,
    pairing::{Outbound, PairingMessage, PairingState, Roster, StateRecordError},
};

const VERSION: u8 = 1;

/// How many Accepts that came before the request are kept in the name of one device.
const MAX_EARLY: usize = 4;

/// How many pairings wait for the user that came over channels that nobody has looked at.
pub const MAX_OFFERS: usize = 32;

/// How many of them are of the same devices.
pub const MAX_OFFERS_OF_ONE: usize = 4;

/// How long the ShareRand of such a pairing may be, in bytes.
pub const MAX_OFFER_LEN: usize = 64 << 10;

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct PairingList {
    version: u8,
    pairings: Vec<[u8; 16]>,
}

#[derive(Debug, TlsSize, TlsSerialize, TlsDeserialize)]
struct PairingEntry {
    version: u8,
    state: VLBytes,
    early: Vec<VLBytes>,
}

impl PairingBook<'_> {
    /// All pairings that this device has a state of.
    ///
    /// # Errors
    ///
    /// [`BookError::Vault`], [`BookError::State`] for a damaged record.
    pub fn pairings(&self) -> Result<Vec<PairingId>, BookError> {
        let mut known = Vec::new();
        for pairing in self.list()? {
            if self.load_if_known(pairing)?.is_some() {
                known.push(pairing);
            }
        }
        Ok(known)
    }

    /// The state of a pairing.
    ///
    /// # Errors
    ///
    /// [`BookError::NoSuchPairing`], [`BookError::Vault`], [`BookError::State`].
    pub fn load(&self, pairing: PairingId) -> Result<PairingState, BookError> {
        self.load_if_known(pairing)?.ok_or(BookError::NoSuchPairing(pairing))
    }

    pub(super) fn load_if_known(
        &self,
        pairing: PairingId,
    ) -> Result<Option<PairingState>, BookError> {
        let entry = self.entry(pairing)?;
        entry.map(|entry| Ok(PairingState::from_record(entry.state.as_slice())?)).transpose()
    }

    /// Stores a state; only then what is to be sent goes out.
    pub(super) fn store(
        &self,
        pairing: PairingId,
        state: PairingState,
        send: Vec<Outbound>,
    ) -> Result<Progress, BookError> {
        self.write(pairing, state.to_record()?, Vec::new())?;
        Ok(Progress { pairing, state: state.name(), send })
    }

    /// Keeps an Accept of `by` that came too early: whether it is one cannot be told before the request is
    /// there. Of those in the name of one device the oldest goes first.
    pub(super) fn keep_early(
        &self,
        pairing: PairingId,
        by: DeviceId,
        accept: &[u8],
    ) -> Result<(), BookError> {
        let entry = self.entry(pairing)?.ok_or(BookError::NoSuchPairing(pairing))?;
        let mut early = entry.early;
        if early.iter().any(|known| known.as_slice() == accept) {
            return Ok(());
        }
        let is_of_it = |known: &VLBytes| match PairingMessage::decode(known.as_slice()) {
            Ok(PairingMessage::Accept(known)) => known.device == by,
            _ => false,
        };
        let of_it: Vec<_> = (0..).zip(&early).filter(|(_, known)| is_of_it(known)).collect();
        if let (true, Some(&(oldest, _))) = (of_it.len() >= MAX_EARLY, of_it.first()) {
            early.remove(oldest);
        }
        early.push(accept.into());
        self.write(pairing, entry.state.into(), early)
    }

    /// Refuses a seed of `roster` over a channel that nobody has looked at, if too many such wait. What waits
    /// already stays: the user confirms it, or [gives it up](PairingBook::abandon).
    pub(super) fn has_room(&self, roster: &Roster, message: &[u8]) -> Result<(), BookError> {
        if message.len() > MAX_OFFER_LEN {
            return Err(BookError::OfferTooLong(message.len()));
        }
        let of = |roster: &Roster| {
            let parties = roster.devices().iter().map(|device| device.party.signature_key.clone());
            parties.collect::<BTreeSet<_>>()
        };
        let (mut all, mut of_one) = (0, 0);
        for pairing in self.list()? {
            let waits = match self.load_if_known(pairing)? {
                Some(PairingState::Seeded(seeded)) if seeded.is_unverified() => {
                    Some(of(seeded.roster()))
                }
                Some(PairingState::Invited(invited)) if invited.is_unverified() => {
                    Some(of(invited.terms().roster()))
                }
                _ => None,
            };
            if let Some(devices) = waits {
                all += 1;
                of_one += usize::from(devices == of(roster));
            }
        }
        if of_one >= MAX_OFFERS_OF_ONE || all >= MAX_OFFERS {
            return Err(BookError::TooManyOffers);
        }
        Ok(())
    }

    /// The Accepts that came too early.
    pub(super) fn early(&self, pairing: PairingId) -> Result<Vec<Vec<u8>>, BookError> {
        let entry = self.entry(pairing)?;
        Ok(entry.map_or_else(Vec::new, |entry| entry.early.into_iter().map(Vec::from).collect()))
    }

    /// A new pairing: its name goes on the list. What is on the list and has no state is what a crash
    /// has left, and nobody has used its tape: it is erased.
    pub(super) fn begin(&self, pairing: PairingId) -> Result<PairingId, BookError> {
        if self.load_if_known(pairing)?.is_some() {
            return Err(BookError::Known(pairing));
        }
        let mut pairings = self.list()?;
        if pairings.contains(&pairing) {
            self.vault.erase(&RecordName::Pairing(pairing))?;
        } else {
            pairings.push(pairing);
            self.write_list(&pairings)?;
        }
        Ok(pairing)
    }

    /// Removes the state of a pairing: first the entry, then its name.
    pub(super) fn forget(&self, pairing: PairingId) -> Result<(), BookError> {
        self.vault.erase(&RecordName::PairingState(pairing))?;
        let mut pairings = self.list()?;
        pairings.retain(|known| *known != pairing);
        self.write_list(&pairings)
    }

    pub(super) fn forget_anchor_key(&self, pairing: PairingId) -> Result<(), BookError> {
        Ok(self.vault.erase(&RecordName::AnchorKey(pairing))?)
    }

    fn entry(&self, pairing: PairingId) -> Result<Option<PairingEntry>, BookError> {
        let record = self.vault.shelf().load(&RecordName::PairingState(pairing))?;
        record.map(|record| read(&record)).transpose()
    }

    fn write(
        &self,
        pairing: PairingId,
        state: Vec<u8>,
        early: Vec<VLBytes>,
    ) -> Result<(), BookError> {
        let entry = PairingEntry { version: VERSION, state: state.into(), early };
        self.write_record(&RecordName::PairingState(pairing), &entry)
    }

    fn list(&self) -> Result<Vec<PairingId>, BookError> {
        let record = self.vault.shelf().load(&RecordName::Pairings)?;
        let list: Option<PairingList> = record.map(|record| read(&record)).transpose()?;
        let pairings = list.map(|list| list.pairings).unwrap_or_default();
        Ok(pairings.into_iter().map(PairingId).collect())
    }

    fn write_list(&self, pairings: &[PairingId]) -> Result<(), BookError> {
        let pairings = pairings.iter().map(|pairing| pairing.0).collect();
        self.write_record(&RecordName::Pairings, &PairingList { version: VERSION, pairings })
    }

    fn write_record(
        &self,
        name: &RecordName,
        record: &impl tls_codec::Serialize,
    ) -> Result<(), BookError> {
        let bytes = record.tls_serialize_detached();
        let bytes = bytes.map_err(|_| StateRecordError::TooLarge(crate::pairing::TooLarge))?;
        Ok(self.vault.shelf().store(name, &Secret::new(bytes))?)
    }
}

const MALFORMED: StateRecordError = StateRecordError::Malformed;

fn read<T: tls_codec::Deserialize>(record: &Secret) -> Result<T, BookError> {
    match record.expose().first() {
        Some(&VERSION) => {}
        Some(&other) => return Err(StateRecordError::Version(other).into()),
        None => return Err(MALFORMED.into()),
    }
    Ok(T::tls_deserialize_exact(record.expose()).map_err(|_| MALFORMED)?)
}

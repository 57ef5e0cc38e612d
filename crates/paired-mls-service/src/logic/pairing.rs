//! Pairings of standard mode: the decision is the core's, made anew from what was asked.

use paired_mls::pairing::{Party, RegistryEntry};
use paired_mls_api::{Base64Url, DeviceId, Envelope, PairingState, PairingView, SignatureScheme};

use super::{Caller, Failure, group::letter, unused::no_pairing};
use crate::{
    AppState,
    store::{AskForPairing, DeviceById, Letter, PairingById, StoreError, StoredPairing},
};

/// How often a request is looked at again because another device has asked in between.
const ATTEMPTS: u32 = 16;
/// The most devices of a pairing.
const LARGEST: usize = 64;

/// A device asks for a pairing. The others learn of it, or all that it is registered, by mailbox.
pub(crate) async fn ask(
    state: &AppState,
    caller: &Caller,
    request: &[u8],
) -> Result<PairingView, Failure> {
    let party = party(caller);
    let first = RegistryEntry::open(&party, request)?;
    let pairing = first.terms().roster().pairing_id();
    bounded(state, first.terms().roster().devices().len(), request.len())?;
    for _ in 0..ATTEMPTS {
        let stored = state.store.run(&PairingById(&pairing.0)).await?;
        let seen = stored.as_ref().map(|stored| stored.requested.clone()).unwrap_or_default();
        let entry = match &stored {
            None => RegistryEntry::open(&party, request)?,
            Some(stored) => replay(state, stored)
                .await?
                .submit(&party, request)
                .map_err(|failed| Failure::from(failed.error().clone()))?,
        };
        let listed = devices(&entry);
        if listed.len() > LARGEST {
            return Err(Failure::Full(None));
        }
        let registers = match &entry {
            RegistryEntry::Pending(_) => Vec::new(),
            RegistryEntry::Registered(_) => listed,
        };
        let envelope = Envelope::seal(&message(&entry)?)?.into_bytes();
        let letters = match seen.contains(&caller.device) {
            true => Vec::new(),
            false => letters(state, &entry, &envelope),
        };
        let ask = AskForPairing {
            pairing: &pairing.0,
            request,
            user: &caller.user,
            device: &caller.device,
            seen: &seen,
            registers: &registers,
            letters: &letters,
        };
        if state.store.run(&ask).await? {
            return show(&entry, Reader::Party);
        }
    }
    Err(Failure::Conflict)
}

/// Everybody whom a request names may be sent a copy of it.
fn bounded(state: &AppState, devices: usize, request: usize) -> Result<(), Failure> {
    let (recipients, written) = (state.limits.now().recipients, state.limits.now().written);
    if devices > recipients {
        return Err(Failure::Full(None));
    }
    let copy = Envelope::padded_len(request).unwrap_or(request);
    match devices.saturating_mul(copy) > written {
        true => Err(Failure::TooMuch(written)),
        false => Ok(()),
    }
}

/// What is known of a pairing; its messages are for its own devices.
pub(crate) async fn look(
    state: &AppState,
    caller: &Caller,
    pairing: &[u8],
) -> Result<PairingView, Failure> {
    let Some(stored) = state.store.run(&PairingById(pairing)).await? else {
        return Err(no_pairing(state, pairing, caller).await);
    };
    let entry = replay(state, &stored).await?;
    let listed = entry.terms().roster().number_of(&party(caller)).is_some();
    show(&entry, if listed { Reader::Party } else { Reader::Stranger })
}

async fn replay(state: &AppState, stored: &StoredPairing) -> Result<RegistryEntry, Failure> {
    let mut entry = None;
    for device in &stored.requested {
        let device = state.store.run(&DeviceById(device)).await?;
        let party = party(&device.ok_or(StoreError::Corrupt("pairing_requests"))?);
        entry = Some(match entry {
            None => RegistryEntry::open(&party, &stored.request)?,
            Some(entry) => RegistryEntry::submit(entry, &party, &stored.request)
                .map_err(|failed| Failure::from(failed.error().clone()))?,
        });
    }
    Ok(entry.ok_or(StoreError::Corrupt("pairings"))?)
}

fn party(device: &Caller) -> Party {
    Party { identity: device.user.as_bytes().to_vec(), signature_key: device.signature_key.clone() }
}

/// Who looks at a pairing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Party,
    Stranger,
}

fn show(entry: &RegistryEntry, reader: Reader) -> Result<PairingView, Failure> {
    let (state, waiting_for, signature_keys) = match entry {
        RegistryEntry::Pending(pending) => {
            let waiting = pending.waiting_for().into_iter().map(|device| device.0).collect();
            (PairingState::Pending, waiting, Vec::new())
        }
        RegistryEntry::Registered(registered) => {
            let keys = registered.signature_keys().map(|key| Base64Url(key.to_vec())).collect();
            (PairingState::Registered, Vec::new(), keys)
        }
    };
    let message = match reader {
        Reader::Party => Some(message(entry)?.into()),
        Reader::Stranger => None,
    };
    let pairing = entry.terms().roster().pairing_id().0.to_vec().into();
    Ok(PairingView { pairing, state, waiting_for, signature_keys, message })
}

/// What the devices of the pairing are told: the request, or the Accept.
fn message(entry: &RegistryEntry) -> Result<Vec<u8>, Failure> {
    match entry {
        RegistryEntry::Pending(_) => Ok(entry.request().to_vec()),
        RegistryEntry::Registered(registered) => Ok(registered.accept()?.expose().to_vec()),
    }
}

/// All devices of a pairing, in the order of their ids.
fn devices(entry: &RegistryEntry) -> Vec<DeviceId> {
    let roster = entry.terms().roster();
    let Ok(scheme) = SignatureScheme::of_suite(roster.suite().code_point()) else {
        return Vec::new();
    };
    let listed = roster.devices().iter();
    let mut devices: Vec<_> =
        listed.map(|listed| DeviceId::of_key(scheme, &listed.party.signature_key)).collect();
    devices.sort();
    devices
}

/// The request for those that have not asked yet, or the Accept for all.
fn letters<'a>(state: &AppState, entry: &RegistryEntry, envelope: &'a [u8]) -> Vec<Letter<'a>> {
    let roster = entry.terms().roster();
    let Ok(scheme) = SignatureScheme::of_suite(roster.suite().code_point()) else {
        return Vec::new();
    };
    let told = |number| match entry {
        RegistryEntry::Pending(pending) => pending.waiting_for().contains(number),
        RegistryEntry::Registered(_) => true,
    };
    let listed = roster.devices().iter().filter(|listed| told(&listed.device));
    let mut devices: Vec<_> =
        listed.map(|listed| DeviceId::of_key(scheme, &listed.party.signature_key)).collect();
    devices.sort();
    devices.into_iter().map(|device| letter(state, device, envelope)).collect()
}

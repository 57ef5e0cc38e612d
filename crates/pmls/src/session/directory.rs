//! What the directory has said about who is who, at hand for whoever must not wait for a network.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use paired_mls::{
    group::credential::{Claim, CredentialPolicy, Verdict},
    wire::{Credential, CredentialType},
};
use paired_mls_api::{DeviceId, SignatureScheme, UserId};

/// Which device belongs to which user, as far as this process knows. Copies share it.
///
/// It never asks anybody: what it was asked for and does not know it remembers, so that the engine asks the
/// directory.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    scheme: SignatureScheme,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// `None`: the directory knows no such device.
    owners: BTreeMap<DeviceId, Option<UserId>>,
    wanted: BTreeSet<DeviceId>,
}

impl Directory {
    pub(crate) fn new(scheme: SignatureScheme) -> Self {
        Self { scheme, known: Arc::default() }
    }

    /// The directory has said this.
    pub(crate) fn learn(&self, device: &DeviceId, owner: Option<&UserId>) {
        let mut known = self.lock();
        known.wanted.remove(device);
        known.owners.insert(device.clone(), owner.cloned());
    }

    /// Whose device this is, if that is known.
    pub(crate) fn owner(&self, device: &DeviceId) -> Option<UserId> {
        self.lock().owners.get(device).cloned().flatten()
    }

    /// The devices that somebody wants to know about and nobody has asked for.
    pub(crate) fn wanted(&self) -> Vec<DeviceId> {
        self.lock().wanted.iter().cloned().collect()
    }

    /// Whether all of these keys are of whom a leaf says that it is.
    pub(crate) fn verdict(&self, claims: &Credential, signature_keys: &[Vec<u8>]) -> Verdict {
        if claims.credential_type() != CredentialType::BASIC || signature_keys.is_empty() {
            return Verdict::NotKnown;
        }
        let mut known = self.lock();
        let mut verdict = Verdict::Accepted;
        for key in signature_keys {
            let device = DeviceId::of_key(self.scheme, key);
            match known.owners.get(&device) {
                Some(Some(owner)) if owner.as_bytes() == claims.content() => {}
                Some(_) => return Verdict::NotKnown,
                None => {
                    known.wanted.insert(device);
                    verdict = Verdict::Unavailable;
                }
            }
        }
        verdict
    }

    /// The ids of the devices with these keys.
    pub(crate) fn devices(&self, signature_keys: &[Vec<u8>]) -> Vec<DeviceId> {
        signature_keys.iter().map(|key| DeviceId::of_key(self.scheme, key)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Each change is whole, also if a thread has died in between.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CredentialPolicy for Directory {
    fn judge(&self, claim: &Claim<'_>) -> Verdict {
        self.verdict(claim.claims, claim.signature_keys)
    }
}

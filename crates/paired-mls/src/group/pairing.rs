//! A pairing, as the devices and their groups know it.

use crate::{CipherSuite, DeviceId, PairingId, Seed, Vault, VaultError};

/// A device of the pairing, as the group knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairedDevice {
    /// Its number in the pairing.
    pub device: DeviceId,
    /// Its public signature key: what tells its leaf (RFC 9420 section 7.2).
    pub signature_key: Vec<u8>,
}

/// A pairing: its identifier and its devices. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairing {
    /// Identifies the pairing.
    pub id: PairingId,
    /// The devices, two or more, in ascending order of their numbers.
    pub devices: Vec<PairedDevice>,
}

impl Pairing {
    /// A pairing of the devices with these signature keys, numbered from 0 in this order.
    pub fn new<K: Into<Vec<u8>>>(id: PairingId, keys: impl IntoIterator<Item = K>) -> Self {
        let devices = (0..)
            .map(DeviceId)
            .zip(keys)
            .map(|(device, key)| PairedDevice { device, signature_key: key.into() })
            .collect();
        Self { id, devices }
    }

    /// Puts the tape into the vault of the device `own` and erases the seed.
    ///
    /// # Errors
    ///
    /// Those of [`Vault::create`].
    pub fn install(
        &self,
        vault: &Vault,
        suite: CipherSuite,
        seed: Seed,
        own: DeviceId,
    ) -> Result<(), VaultError> {
        let devices: Vec<_> = self.devices.iter().map(|paired| paired.device).collect();
        vault.create(suite, seed, self.id, &devices, own)
    }
}

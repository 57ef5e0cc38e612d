//! Devices for the tests of this crate.

use std::sync::{Arc, Mutex};

use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use paired_mls::{
    CipherSuite, DeviceId, Pairing, PairingId, Secret, Seed, TapeId, Vault,
    anchor::Anchor,
    group::credential::AcceptAnyIdentity,
    vault::{MemoryStorage, VaultStorage},
    wire::{Content, FramedContentTbs, SignContent, UpdatePath},
};
use paired_mls_group::BoxError;

use crate::{Device, Group, MemoryState, Signer, VaultSigner, Who, generate_signature_key};

pub(crate) const SUITE: CipherSuite = CipherSuite::X25519Aes128;

pub(crate) type TestDevice = Device<RustCryptoProvider>;

/// The labels of what a signer was asked to sign.
#[derive(Clone, Default)]
pub(crate) struct Signed(Arc<Mutex<Vec<Vec<u8>>>>);

impl Signed {
    pub(crate) fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A signer who remembers what he signs.
struct Watched {
    inner: VaultSigner<RustCryptoProvider>,
    signed: Signed,
}

impl Signer for Watched {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, BoxError> {
        let label = SignContent::decode(payload)?.label()?.to_vec();
        self.signed.0.lock().unwrap().push(label);
        self.inner.sign(payload)
    }
}

pub(crate) fn device(name: &str) -> (TestDevice, Signed) {
    device_with(name, MemoryStorage::new())
}

pub(crate) fn device_with(
    name: &str,
    storage: impl VaultStorage + 'static,
) -> (TestDevice, Signed) {
    let crypto = RustCryptoProvider::default();
    let vault = Vault::new(storage);
    let pair = generate_signature_key(&crypto, SUITE).unwrap();
    vault.store_signature_key(&pair).unwrap();
    let signed = Signed::default();
    let inner = VaultSigner::new(crypto.clone(), vault.clone(), SUITE).unwrap();
    let signer = Watched { inner, signed: signed.clone() };
    let who = Who { suite: SUITE, identity: name.into(), signature_key: pair.public_key };
    let state = MemoryState::new();
    let device = Device::new(crypto, state, vault, signer, who, AcceptAnyIdentity).unwrap();
    (device, signed)
}

/// A phone and a sensor, paired in a group of their own.
pub(crate) struct Two {
    pub(crate) phone: TestDevice,
    pub(crate) signed: Signed,
    pub(crate) group: Group<RustCryptoProvider>,
    pub(crate) sensor: TestDevice,
    pub(crate) follower: Group<RustCryptoProvider>,
    pub(crate) tape: TapeId,
    pub(crate) anchor: Anchor,
}

pub(crate) fn two() -> Two {
    two_with(device("sensor").0)
}

/// The same, with this sensor.
pub(crate) fn two_with(sensor: TestDevice) -> Two {
    let (phone, signed) = device("phone");
    let mut group = Group::create(&phone, b"group").unwrap();
    let added = group.add(&phone, &[sensor.key_package().unwrap()]).unwrap();
    group.confirm(&phone).unwrap();
    let mut follower = Group::join(&sensor, &added.welcome.unwrap()).unwrap();
    pair([(&phone, &mut group), (&sensor, &mut follower)]);
    let anchor = group.anchorage().unwrap().anchor().unwrap().clone();
    let tape = group.pairing_tape().unwrap().clone();
    signed.take();
    Two { phone, signed, group, sensor, follower, tape, anchor }
}

/// Pairs two devices in their group.
pub(crate) fn pair(devices: [(&TestDevice, &mut Group<RustCryptoProvider>); 2]) {
    let keys = [devices[0].0, devices[1].0].map(|device| device.signature_key());
    let pairing = Pairing::new(PairingId([1; 16]), keys);
    for ((device, group), own) in devices.into_iter().zip((0..).map(DeviceId)) {
        let seed = Seed::new(SUITE, Secret::new(vec![2; 32])).unwrap();
        pairing.install(device.vault(), SUITE, seed, own).unwrap();
        group.pair(device, &pairing).unwrap();
    }
}

/// The path of a commit in the clear: a `PublicMessage` begins like a `FramedContentTBS`.
pub(crate) fn path_of(commit: &[u8]) -> UpdatePath {
    let framed = FramedContentTbs::decode(commit).unwrap();
    let Content::Commit(commit) = framed.content() else {
        panic!("this is a commit");
    };
    commit.path().unwrap().clone()
}

//! The guard, against a library that does something else than this adapter was written for.

use openmls::prelude::{KeyPackage, MlsGroupCreateConfig, MlsGroupJoinConfig};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::OpenMlsProvider as _;
use paired_mls::{
    DeviceId, EpochContext, Pairing, PairingId, Seed, group::credential::AcceptAnyIdentity,
    vault::MemoryStorage,
};

use super::*;
use crate::{MemoryProvider, PairedGroup};

const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
const SUITE: paired_mls::CipherSuite = paired_mls::CipherSuite::X25519Aes128;

type TestDevice = Device<MemoryProvider<RustCrypto>>;

/// A phone that is paired with a sensor, and its group on the level of OpenMLS.
struct Phone {
    device: TestDevice,
    mls: MlsGroup,
    tape: TapeId,
    anchor: Anchor,
}

fn new_device(identity: &str) -> TestDevice {
    let provider = MemoryProvider::new(RustCrypto::default());
    let vault = Vault::new(MemoryStorage::new());
    Device::generate(provider, vault, CIPHERSUITE, identity.as_bytes(), AcceptAnyIdentity).unwrap()
}

fn phone() -> Phone {
    let (phone, sensor) = (new_device("phone"), new_device("sensor"));
    let config = MlsGroupCreateConfig::builder()
        .ciphersuite(CIPHERSUITE)
        .use_ratchet_tree_extension(true)
        .build();
    let mut group = PairedGroup::create(&phone, b"group", &config).unwrap();
    let sent = group.add(&phone, &[sensor.key_package(CIPHERSUITE).unwrap()]).unwrap();
    group.confirm(&phone).unwrap();
    let join = MlsGroupJoinConfig::builder().build();
    PairedGroup::join(&sensor, &sent.welcome.unwrap(), &join).unwrap();

    let pairing = Pairing::new(PairingId([1; 16]), [phone.signature_key(), sensor.signature_key()]);
    let seed = Seed::new(SUITE, Secret::new(vec![2; 32])).unwrap();
    pairing.install(phone.vault(), SUITE, seed, DeviceId(0)).unwrap();
    group.pair(&phone, &pairing).unwrap();
    let anchor = group.anchorage().unwrap().anchor().unwrap().clone();
    let tape = TapeId { pairing: pairing.id, group_id: b"group".to_vec() };
    let storage = phone.provider().storage();
    let id = openmls::prelude::GroupId::from_slice(b"group");
    let mls = MlsGroup::load(storage, &id).unwrap().unwrap();
    Phone { device: phone, mls, tape, anchor }
}

/// Whatever `library` does instead of what is expected, on the way to a commit.
fn guard_says(library: impl FnOnce(&mut Phone, PathSecret) -> Result<(), Error>) -> GuardError {
    let mut phone = phone();
    let context = EpochContext { group_id: vec![], epoch: 2, confirmed_transcript_hash: vec![] };
    let value = phone.device.vault().draw(&phone.tape, 2).unwrap();
    let path = value.into_path_secret(&context).unwrap();
    match library(&mut phone, path) {
        Err(Error::Guard(error)) => error,
        other => panic!("the guard let it pass: {other:?}"),
    }
}

/// A library that draws once more before it draws the path secret.
struct OtherOrder<'a, R> {
    real: &'a R,
    drawn: AtomicBool,
}

impl<R: OpenMlsRand> OpenMlsRand for OtherOrder<'_, R> {
    type Error = R::Error;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], Self::Error> {
        self.real.random_array()
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, Self::Error> {
        if !self.drawn.swap(true, Ordering::Relaxed) {
            self.real.random_vec(len)?;
        }
        self.real.random_vec(len)
    }
}

fn loaded<'a>(
    mls: &'a mut MlsGroup,
    device: &'a TestDevice,
) -> CommitBuilder<'a, LoadedPsks, &'a mut MlsGroup> {
    let builder = mls.commit_builder().force_self_update(true);
    builder.load_psks(device.provider().storage()).unwrap()
}

#[test]
fn another_order_of_drawing_is_refused() {
    let error = guard_says(|phone, path| {
        let Phone { device, mls, tape, anchor } = phone;
        let sending = Sending::new(device, tape, CIPHERSUITE, path, anchor)?;
        let steered = SteeredRand { sending: &sending, drawn: AtomicBool::new(false) };
        let rand = OtherOrder { real: &steered, drawn: AtomicBool::new(false) };
        let crypto = SteeredCrypto { inner: sending.crypto, hook: &sending };
        let commit = loaded(mls, device);
        guarded(commit, &sending, &rand, &crypto, device.signer(), |_| true).map(drop)
    });
    assert_eq!(error, GuardError::NodeKey { level: 0 });
}

#[test]
fn a_path_secret_that_was_sealed_is_refused() {
    let error = guard_says(|phone, path| {
        let Phone { device, mls, tape, anchor } = phone;
        let sending = Sending::new(device, tape, CIPHERSUITE, path, anchor)?;
        let rand = SteeredRand { sending: &sending, drawn: AtomicBool::new(false) };
        // The library seals in a way that does not pass through our crypto provider.
        let commit = loaded(mls, device);
        guarded(commit, &sending, &rand, sending.crypto, device.signer(), |_| true).map(drop)
    });
    assert_eq!(error, GuardError::Sealed { level: 0 });
}

#[test]
fn another_number_of_notifies_is_refused() {
    let error = guard_says(|phone, path| {
        let Phone { device, mls, tape, anchor } = phone;
        let mut sending = Sending::new(device, tape, CIPHERSUITE, path, anchor)?;
        // The tree demands one more than the library asks for.
        sending.levels[0].recipients += 1;
        let rand = SteeredRand { sending: &sending, drawn: AtomicBool::new(false) };
        let crypto = SteeredCrypto { inner: sending.crypto, hook: &sending };
        let commit = loaded(mls, device);
        guarded(commit, &sending, &rand, &crypto, device.signer(), |_| true).map(drop)
    });
    assert_eq!(error, GuardError::Notifies { level: 0, found: 1, expected: 2 });
}

/// A path secret inside of a Welcome is sealed, and only a node of an update path carries a Notify.
#[test]
fn outside_of_an_update_path_nothing_is_a_notify() {
    let phone = phone();
    let context = EpochContext { group_id: vec![], epoch: 2, confirmed_transcript_hash: vec![] };
    let path = phone.device.vault().draw(&phone.tape, 2).unwrap().into_path_secret(&context);
    let Phone { device, tape, anchor, .. } = &phone;
    let sending = Sending::new(device, tape, CIPHERSUITE, path.unwrap(), anchor).unwrap();
    let secret = sending.levels[0].path_secret.expose().to_vec();
    for (label, expected) in [("MLS 1.0 UpdatePathNode", true), ("MLS 1.0 Welcome", false)] {
        let info = [&[label.len() as u8], label.as_bytes(), &[0]].concat();
        let asked = Sealing {
            config: &CIPHERSUITE.hpke_config(),
            recipient: &[],
            info: &info,
            aad: &[],
            plaintext: &secret,
        };
        assert_eq!(sending.seal(&asked).is_some(), expected, "{label}");
    }
}

#[test]
fn a_commit_without_a_path_is_refused() {
    let error = guard_says(|phone, path| {
        let Phone { device, mls, tape, anchor } = phone;
        let sending = Sending::new(device, tape, CIPHERSUITE, path, anchor)?;
        let rand = SteeredRand { sending: &sending, drawn: AtomicBool::new(false) };
        let crypto = SteeredCrypto { inner: sending.crypto, hook: &sending };
        // An Add alone demands no path (RFC 9420 section 12.4).
        let guest = new_device("guest");
        let key_package = KeyPackage::builder()
            .build(CIPHERSUITE, guest.provider(), guest.signer(), guest.credential().clone())
            .unwrap();
        let commit = mls
            .commit_builder()
            .propose_adds([key_package.into_key_package()])
            .load_psks(device.provider().storage())
            .unwrap();
        guarded(commit, &sending, &rand, &crypto, device.signer(), |_| true).map(drop)
    });
    assert_eq!(error, GuardError::NoPath);
}

#[test]
fn what_is_expected_passes() {
    let mut phone = phone();
    let context = EpochContext { group_id: vec![], epoch: 2, confirmed_transcript_hash: vec![] };
    let value = phone.device.vault().draw(&phone.tape, 2).unwrap();
    let path = value.into_path_secret(&context).unwrap();
    let Phone { device, mls, tape, anchor } = &mut phone;
    let commit = loaded(mls, device);
    build_paired(commit, device, tape, CIPHERSUITE, path, anchor, |_| true).unwrap();
}

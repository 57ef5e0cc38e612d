//! The guard, against a library that does something else than this adapter was written for; and what is sealed
//! with ephemeral keys from the tape, against a provider.

use std::sync::atomic::{AtomicBool, Ordering};

use openmls::prelude::{
    Ciphersuite, CommitBuilder, KeyPackage, LoadedPsks, MlsGroup, MlsGroupCreateConfig,
    MlsGroupJoinConfig,
};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{OpenMlsProvider as _, crypto::OpenMlsCrypto, random::OpenMlsRand};
use paired_mls::{
    CipherSuite, DeviceId, EpochContext, Pairing, PairingId, PathSecret, Secret, Seed, TapeId,
    Vault,
    anchor::{Anchor, LeafIndex, Tree, locate},
    group::credential::AcceptAnyIdentity,
    leaf::LeafUse,
    vault::MemoryStorage,
};
use paired_mls_group::{GuardError, Replay, Sending};

use super::*;
use crate::{Device, Error, Group, MemoryProvider};

const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
const SUITE: CipherSuite = CipherSuite::X25519Aes128;

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
    let mut group = Group::create(&phone, b"group", &config).unwrap();
    let sent = group.add(&phone, &[sensor.key_package(CIPHERSUITE).unwrap()]).unwrap();
    group.confirm(&phone).unwrap();
    let join = MlsGroupJoinConfig::builder().build();
    Group::join(&sensor, &sent.welcome.unwrap(), &join).unwrap();

    let pairing = Pairing::new(PairingId([1; 16]), [phone.signature_key(), sensor.signature_key()]);
    let seed = Seed::new(SUITE, Secret::new(vec![2; 32])).unwrap();
    pairing.install(phone.vault(), SUITE, seed, DeviceId(0)).unwrap();
    group.pair(&phone, &pairing).unwrap();
    let anchor = group.node().unwrap().anchorage().unwrap().anchor().unwrap().clone();
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

fn loaded<'a>(mls: &'a mut MlsGroup, device: &'a TestDevice) -> Loaded<'a> {
    let builder = mls.commit_builder().force_self_update(true);
    builder.load_psks(device.provider().storage()).unwrap()
}

type Loaded<'a> = CommitBuilder<'a, LoadedPsks, &'a mut MlsGroup>;

/// Builds a commit like [`build`], with another randomness and another crypto provider.
fn build_with(
    commit: Loaded<'_>,
    device: &TestDevice,
    sending: &Sending,
    rand: &impl OpenMlsRand,
    crypto: &impl OpenMlsCrypto,
) -> Result<(), Error> {
    let signer = SteeredSigner::new(device, sending);
    let built = commit.build(rand, crypto, &signer, |_| true);
    built.map(drop).map_err(blame(sending, "build a commit"))
}

#[test]
fn another_order_of_drawing_is_refused() {
    let error = guard_says(|phone, path| {
        let Phone { device, mls, tape, anchor } = phone;
        let sending = Sending::new(device, device.vault(), tape, path, anchor)?;
        let steered = SteeredProvider::new(device.provider(), &sending, COMMIT);
        let rand = OtherOrder { real: steered.rand(), drawn: AtomicBool::new(false) };
        build_with(loaded(mls, device), device, &sending, &rand, steered.crypto())
    });
    assert_eq!(error, GuardError::NodeKey { level: 0 });
}

#[test]
fn a_path_secret_that_was_sealed_is_refused() {
    let error = guard_says(|phone, path| {
        let Phone { device, mls, tape, anchor } = phone;
        let sending = Sending::new(device, device.vault(), tape, path, anchor)?;
        let steered = SteeredProvider::new(device.provider(), &sending, COMMIT);
        // The library seals in a way that does not pass through our crypto provider.
        let crypto = device.provider().crypto();
        build_with(loaded(mls, device), device, &sending, steered.rand(), crypto)
    });
    assert_eq!(error, GuardError::Sealed { level: 0 });
}

#[test]
fn a_path_shorter_than_the_anchor_is_refused() {
    let error = guard_says(|phone, path| {
        let Phone { device, mls, tape, .. } = phone;
        // In this tree there is one more level, above the one that the group has.
        let leaves = [0, 1, 2].map(|leaf| LeafIndex::new(leaf).unwrap());
        let tree = Tree::of_leaves(leaves);
        let anchorage = locate(&tree, LeafIndex::FIRST, &leaves, &[]).unwrap();
        let anchor = anchorage.anchor().unwrap();
        assert_eq!((anchor.levels(), anchor.notifies()), (2, 2));
        let sending = Sending::new(device, device.vault(), tape, path, anchor)?;
        build(loaded(mls, device), device, &sending).map(drop)
    });
    assert_eq!(error, GuardError::PathLength { found: 1, expected: 2 });
}

#[test]
fn another_number_of_notifies_is_refused() {
    let error = guard_says(|phone, path| {
        let Phone { device, mls, tape, .. } = phone;
        // In this tree the one level of the path has two recipients, and in the group it has one.
        let leaves = [0, 2, 3].map(|leaf| LeafIndex::new(leaf).unwrap());
        let tree = Tree::of_leaves(leaves);
        let anchorage = locate(&tree, LeafIndex::FIRST, &leaves, &[]).unwrap();
        let anchor = anchorage.anchor().unwrap();
        assert_eq!((anchor.levels(), anchor.notifies()), (1, 2));
        let sending = Sending::new(device, device.vault(), tape, path, anchor)?;
        build(loaded(mls, device), device, &sending).map(drop)
    });
    assert_eq!(error, GuardError::Notifies { level: 0, found: 1, expected: 2 });
}

#[test]
fn a_commit_without_a_path_is_refused() {
    let error = guard_says(|phone, path| {
        let Phone { device, mls, tape, anchor } = phone;
        let sending = Sending::new(device, device.vault(), tape, path, anchor)?;
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
        build(commit, device, &sending).map(drop)
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
    let sending = Sending::new(device, device.vault(), tape, path, anchor).unwrap();
    build(loaded(mls, device), device, &sending).unwrap();
}

/// The provider opens what is sealed with an ephemeral key from the tape, and exports the same secret.
#[test]
fn the_provider_agrees_with_given_ephemerals() {
    for suite in [CipherSuite::X25519Aes128, CipherSuite::P256Aes128, CipherSuite::X25519ChaCha20] {
        let vault = Vault::new(MemoryStorage::new());
        let pairing = Pairing::new(PairingId([1; 16]), [&[1][..], &[2][..]]);
        let seed = Seed::new(suite, Secret::new(vec![2; 32])).unwrap();
        pairing.install(&vault, suite, seed, DeviceId(0)).unwrap();
        let tape = vault.open_group(pairing.id, b"group").unwrap();
        let value = vault.draw(&tape, 1).unwrap();
        let context =
            EpochContext { group_id: vec![], epoch: 1, confirmed_transcript_hash: vec![] };
        let replay = Replay::new(value, LeafUse::Commit, &context, Vec::new()).unwrap();

        let real = RustCrypto::default();
        let crypto = SteeredCrypto { inner: &real, hook: &replay };
        let config = || Ciphersuite::try_from(suite.code_point()).unwrap().hpke_config();
        let pair = real.derive_hpke_keypair(config(), &[7; 32]).unwrap();
        let sealed = crypto.hpke_seal(config(), &pair.public, b"info", b"aad", b"plain").unwrap();
        let again = crypto.hpke_seal(config(), &pair.public, b"info", b"aad", b"plain").unwrap();
        assert_eq!(sealed, again, "the ephemeral key is given");
        let opened = real.hpke_open(config(), &sealed, &pair.private, b"info", b"aad").unwrap();
        assert_eq!(opened, b"plain");

        let (kem_output, ours) =
            crypto.hpke_setup_sender_and_export(config(), &pair.public, b"", b"init", 32).unwrap();
        let theirs = real
            .hpke_setup_receiver_and_export(config(), &kem_output, &pair.private, b"", b"init", 32)
            .unwrap();
        assert_eq!(&ours[..], &theirs[..]);
    }
}

//! A leaf that lists several signature keys, where the group does not require its members to know such leaves:
//! no device comes in by any way, and none makes such a group.

use openmls::prelude::{
    BasicCredential, Ciphersuite, CredentialWithKey, Extensions, MlsGroupCreateConfig,
    MlsGroupJoinConfig,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::{OpenMlsProvider as _, crypto::OpenMlsCrypto as _};
use paired_mls::{
    CipherSuite, Vault,
    conformance::{
        Content, Framing, Member as _,
        leaf::{LeafMember as _, Use},
    },
    group::credential::AcceptAnyIdentity,
    leaf::SignatureKeys,
    vault::MemoryStorage,
};
use paired_mls_openmls::{
    Device, Error, Group, KeyVectorCrypto, MemoryProvider, PeerError, gate, gate_capabilities,
};
use paired_mls_peers::{Door, LeafMode, OpenMlsLeafDevice, Stock as _, StockOpenMls};

use crate::standard::{listing, new_key, sign};

type KeyVector = KeyVectorCrypto<RustCrypto>;

const SUITE: CipherSuite = CipherSuite::X25519Aes128;
const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
const FRAMING: Framing = Framing::Public;

/// The groups of a test: the control requires such leaves to be known, the other one does not.
const DOORS: [Door; 2] = [Door::Gated, Door::Ajar];

/// Mallory has a group with such a door, in which her leaf lists two keys.
fn mallory(door: Door) -> StockOpenMls<KeyVector> {
    let mut mallory = StockOpenMls::<KeyVector>::behind(door, SUITE, FRAMING, "mallory").unwrap();
    mallory.create(b"two keys").unwrap();
    let own = mallory.signature_key();
    let two = SignatureKeys::new(vec![own.clone(), new_key(SUITE).1], own.len()).unwrap();
    mallory.commit_listing(two.encode()).unwrap();
    mallory.confirm().unwrap();
    mallory
}

/// Mallory adds somebody; returns the Welcome.
fn add(mallory: &mut StockOpenMls<KeyVector>, key_package: Vec<u8>) -> Vec<u8> {
    let adds = vec![key_package];
    let sent = mallory.commit(&Content { adds, ..Content::default() }).unwrap();
    mallory.confirm().unwrap();
    sent.welcome.unwrap()
}

fn group_info(mallory: &mut StockOpenMls<KeyVector>) -> Vec<u8> {
    let (group, provider, signer) = mallory.parts().unwrap();
    group.export_group_info(provider.crypto(), signer, true).unwrap().to_bytes().unwrap()
}

fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder().use_ratchet_tree_extension(true).build()
}

/// A device with a leaf of its own.
fn phone() -> Device<MemoryProvider<KeyVector>> {
    let scheme = CIPHERSUITE.signature_algorithm();
    let (private, public) = RustCrypto::default().signature_key_gen(scheme).unwrap();
    let credential = CredentialWithKey {
        credential: BasicCredential::new(b"phone".to_vec()).into(),
        signature_key: public.clone().into(),
    };
    let signer = SignatureKeyPair::from_raw(scheme, private, public);
    let provider = MemoryProvider::new(KeyVector::new(RustCrypto::default()));
    Device::new(provider, Vault::new(MemoryStorage::new()), signer, credential, AcceptAnyIdentity)
}

/// Two devices that share a leaf.
fn leaf(mode: LeafMode) -> Vec<OpenMlsLeafDevice<KeyVector>> {
    let mut devices = OpenMlsLeafDevice::several(mode, SUITE, FRAMING, "the leaf", 2).unwrap();
    crate::cast::pair(&mut devices, SUITE);
    devices
}

/// The control comes in, and the other one is refused for what the group is.
fn is_judged<T>(door: Door, result: Result<T, Error>) {
    match (door, result) {
        (Door::Gated, Ok(_)) => {}
        (Door::Gated, Err(refused)) => panic!("the control: {refused:?}"),
        (_, Ok(_)) => panic!("it has come in"),
        (_, Err(Error::Peer(PeerError::Ungated))) => {}
        (_, Err(other)) => panic!("{other:?}"),
    }
}

#[test]
fn nobody_comes_in_by_a_welcome() {
    for door in DOORS {
        let (mut mallory, phone) = (mallory(door), phone());
        let package = phone.key_package_with(CIPHERSUITE, gate_capabilities()).unwrap();
        let welcome = add(&mut mallory, package);
        is_judged(door, Group::join(&phone, &welcome, &join_config()));
    }
}

#[test]
fn nobody_comes_in_from_outside() {
    for door in DOORS {
        let (mut mallory, phone) = (mallory(door), phone());
        let info = group_info(&mut mallory);
        is_judged(door, Group::rejoin(&phone, &info, &join_config()));
    }
}

#[test]
fn no_shared_leaf_comes_in_by_a_welcome() {
    for door in DOORS {
        let (mut mallory, mut devices) = (mallory(door), leaf(LeafMode::Standard));
        let package = devices[0].publish(Use::Once).unwrap();
        devices[1].adopt(&package).unwrap();
        let welcome = add(&mut mallory, package);
        for device in &devices {
            is_judged(door, Group::join(device.device(), &welcome, &join_config()));
        }
    }
}

#[test]
fn no_shared_leaf_comes_in_from_outside() {
    for mode in [LeafMode::Hidden, LeafMode::Standard] {
        for door in DOORS {
            let (mut mallory, devices) = (mallory(door), leaf(mode));
            let info = group_info(&mut mallory);
            is_judged(door, Group::rejoin(devices[0].device(), &info, &join_config()));
        }
    }
}

/// A device adds no such leaf to a group that does not require it to be known, and none with a key that another leaf
/// has.
#[test]
fn a_device_with_a_leaf_of_its_own_adds_none() {
    let (one, two, shared) = (new_key(SUITE), new_key(SUITE), new_key(SUITE));
    let package = |user, own: &(Vec<u8>, Vec<u8>)| {
        let keys = [own.clone(), shared.clone()];
        listing(SUITE, user, &keys, |of| {
            keys.iter().map(|key| sign(SUITE, key, of, user)).collect()
        })
    };
    let (first, second) = (package("one", &one), package("two", &two));
    for door in DOORS {
        let phone = phone();
        let extensions = match door {
            Door::Gated => Extensions::single(gate()).unwrap(),
            _ => Extensions::empty(),
        };
        let config = MlsGroupCreateConfig::builder()
            .ciphersuite(CIPHERSUITE)
            .capabilities(gate_capabilities())
            .with_group_context_extensions(extensions)
            .build();
        let mut group = Group::create(&phone, b"two keys", &config).unwrap();
        is_judged(door, group.add(&phone, std::slice::from_ref(&first)));
        assert_eq!(group.has_pending(), door == Door::Gated);
        if door == Door::Gated {
            group.confirm(&phone).unwrap();
            let refused = group.add(&phone, std::slice::from_ref(&second)).unwrap_err();
            assert!(matches!(refused, Error::Peer(PeerError::SignatureKeyTwice)), "{refused:?}");
            assert!(!group.has_pending());
        }
    }
}

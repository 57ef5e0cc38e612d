//! Lifetimes that end: nobody of ours is kept out, or up, by a leaf or a KeyPackage of somebody else.

use std::{
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use openmls::prelude::{BasicCredential, CredentialWithKey, KeyPackage, Lifetime, MlsMessageOut};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::OpenMlsProvider as _;
use paired_mls::{
    CipherSuite, DeviceId, Pairing, PairingId, Secret, Seed,
    conformance::{
        Content, Framing, Heard, Listener as _, Member, PairedMember as _,
        leaf::{LeafMember as _, Use},
    },
};
use paired_mls_openmls::{MemoryProvider, openmls::prelude::Ciphersuite};
use paired_mls_peers::{LeafMode, OpenMlsDevice, OpenMlsLeafDevice, StockOpenMls};

const SUITE: CipherSuite = CipherSuite::X25519Aes128;
const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
const ID: PairingId = PairingId([7; 16]);
const PHONE: usize = 0;
const SENSOR: usize = 1;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A KeyPackage that ends in a moment, and when that is.
fn short_lived() -> (Vec<u8>, u64) {
    let signer = SignatureKeyPair::new(CIPHERSUITE.signature_algorithm()).unwrap();
    let credential = CredentialWithKey {
        credential: BasicCredential::new(b"eve".to_vec()).into(),
        signature_key: signer.public().into(),
    };
    let end = now() + 3;
    let bundle = KeyPackage::builder()
        .key_package_lifetime(Lifetime::init(now() - 60, end))
        .build(CIPHERSUITE, &MemoryProvider::new(RustCrypto::default()), &signer, credential)
        .unwrap();
    (MlsMessageOut::from(bundle.into_key_package()).to_bytes().unwrap(), end)
}

fn wait_for(end: u64) {
    while now() <= end {
        sleep(Duration::from_millis(100));
    }
}

fn stock(name: &str) -> StockOpenMls {
    StockOpenMls::new(SUITE, Framing::Public, name).unwrap()
}

fn group_info(ada: &mut StockOpenMls) -> Vec<u8> {
    let (group, provider, signer) = ada.parts().unwrap();
    group.export_group_info(provider.crypto(), signer, true).unwrap().to_bytes().unwrap()
}

/// Ada commits, alone so far; returns the Welcome.
fn adds(ada: &mut StockOpenMls, adds: Vec<Vec<u8>>) -> (Vec<u8>, Vec<u8>) {
    let sent = ada.commit(&Content { adds, ..Content::default() }).unwrap();
    ada.confirm().unwrap();
    (sent.commit, sent.welcome.unwrap())
}

fn seed() -> Seed {
    Seed::new(SUITE, Secret::new(vec![7; SUITE.kdf_len()])).unwrap()
}

/// A group with Ada, and a leaf whose lifetime has ended.
fn with_an_ended_leaf(first: Vec<Vec<u8>>) -> (StockOpenMls, Vec<u8>) {
    let mut ada = stock("ada");
    ada.create(b"a group with an ended leaf").unwrap();
    let (eve, end) = short_lived();
    let (_, welcome) = adds(&mut ada, [vec![eve], first].concat());
    wait_for(end);
    (ada, welcome)
}

/// At a node: by a Welcome, from outside, and by the Welcome of a refresh.
#[test]
fn an_ended_leaf_closes_no_group_at_a_node() {
    let mut devices = ["phone", "sensor"]
        .map(|name| OpenMlsDevice::<RustCrypto>::new(SUITE, Framing::Public, name).unwrap());
    let packages = devices.each_mut().map(|device| device.key_package().unwrap());
    let (mut ada, welcome) = with_an_ended_leaf(packages.into());

    // The control: a stock member that comes now stays out.
    let mut guest = stock("a guest");
    let (to_guest, for_guest) = adds(&mut ada, vec![guest.key_package().unwrap()]);
    assert!(guest.join(&for_guest).is_err());

    let pairing = Pairing::new(ID, devices.each_ref().map(|device| device.signature_key()));
    for (device, own) in devices.iter_mut().zip((0..).map(DeviceId)) {
        device.join(&welcome).unwrap();
        device.process(&to_guest).unwrap();
        pairing.install(device.vault(), SUITE, seed(), own).unwrap();
        device.pair(&pairing).unwrap();
    }

    let key_package = devices[SENSOR].publish(ID).unwrap();
    let sent = devices[PHONE].refresh(&key_package).unwrap();
    devices[PHONE].confirm().unwrap();
    ada.process(&sent.commit).unwrap();
    devices[SENSOR].process_refresh(&sent.commit, &sent.refresh.unwrap()).unwrap();

    let sent = devices[SENSOR].rejoin(&group_info(&mut ada)).unwrap();
    ada.process(&sent.commit).unwrap();
    devices[PHONE].process(&sent.commit).unwrap();
    for device in &devices {
        assert_eq!(device.epoch_authenticator(), ada.epoch_authenticator());
    }
}

/// Behind a leaf: by a Welcome, from outside, and after a partner that came from outside.
#[test]
fn an_ended_leaf_closes_no_group_behind_a_leaf() {
    let mut devices = OpenMlsLeafDevice::<RustCrypto>::several(
        LeafMode::Hidden,
        SUITE,
        Framing::Public,
        "the leaf",
        3,
    )
    .unwrap();
    let pairing = Pairing::new(ID, vec![Vec::new(); 3]);
    for (device, own) in devices.iter_mut().zip((0..).map(DeviceId)) {
        pairing.install(device.vault(), SUITE, seed(), own).unwrap();
        device.share(ID);
    }
    let package = devices[PHONE].publish(Use::Once).unwrap();
    devices[SENSOR].adopt(&package).unwrap();
    let (mut ada, welcome) = with_an_ended_leaf(vec![package]);
    for device in &mut devices[..2] {
        device.join(&welcome).unwrap();
    }
    let info = group_info(&mut ada);
    let sent = devices[PHONE].rejoin(&info).unwrap();
    devices[PHONE].confirm_rejoin().unwrap();
    assert!(matches!(devices[SENSOR].process(&sent.commit).unwrap(), Heard::Commit { .. }));
    devices[2].enter(&info, &sent.commit).unwrap();
    ada.process(&sent.commit).unwrap();
    for device in &devices {
        assert_eq!(device.epoch_authenticator(), ada.epoch_authenticator());
    }
}

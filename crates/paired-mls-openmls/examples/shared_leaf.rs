//! Two devices of one user behind one leaf: hidden mode. Bob sees one Alice.
//!
//! `cargo run -p paired-mls-openmls --example shared_leaf`

use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CredentialWithKey, Lifetime, MlsGroupCreateConfig,
    MlsGroupJoinConfig,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto as _;
use paired_mls::{
    CipherSuite, DeviceId, Event, Pairing, PairingId, Secret, Seed, Vault,
    group::credential::AcceptAnyIdentity, vault::MemoryStorage,
};
use paired_mls_openmls::{Device, Group, LeafGroup, MemoryProvider, PackageKind, Received};

const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
const SUITE: CipherSuite = CipherSuite::X25519Aes128;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    // In hidden mode both devices have the signature key of the leaf; InitPairing carries it over the
    // 1-to-1 channel.
    let scheme = CIPHERSUITE.signature_algorithm();
    let (private, public) = RustCrypto::default().signature_key_gen(scheme)?;
    let pairing = Pairing::new(PairingId([1; 16]), [public.as_slice(), public.as_slice()]);
    let alice = || {
        // In a product the vault is a sealed file or hardware, and never lies with the MLS state.
        let vault = Vault::new(MemoryStorage::new());
        let provider = MemoryProvider::new(RustCrypto::default());
        let credential = CredentialWithKey {
            credential: BasicCredential::new(b"Alice".to_vec()).into(),
            signature_key: public.clone().into(),
        };
        let signer = SignatureKeyPair::from_raw(scheme, private.clone(), public.clone());
        Device::new(provider, vault, signer, credential, AcceptAnyIdentity)
            .with_shared_leaf(pairing.id)
    };
    let (phone, sensor) = (alice(), alice());
    let vault = Vault::new(MemoryStorage::new());
    let provider = MemoryProvider::new(RustCrypto::default());
    let bob = Device::generate(provider, vault, CIPHERSUITE, b"Bob", AcceptAnyIdentity)?;

    // They share a tape. The seed should come from hardware or an offline file.
    for (device, own) in [(&phone, DeviceId(0)), (&sensor, DeviceId(1))] {
        let seed = Seed::new(SUITE, Secret::new(vec![42; 32]))?; // random bytes, for real
        pairing.install(device.vault(), SUITE, seed, own)?;
    }

    // The private keys of this KeyPackage are on the tape only, so that both devices have them.
    let key_package = Group::publish(
        &phone,
        pairing.id,
        PackageKind::Once,
        Lifetime::default(),
        Capabilities::default(),
    )?;
    LeafGroup::adopt(&sensor, pairing.id, &key_package)?; // -> the KeyPackage, to the sensor

    let create = MlsGroupCreateConfig::builder()
        .ciphersuite(CIPHERSUITE)
        .use_ratchet_tree_extension(true)
        .build();
    let join = MlsGroupJoinConfig::builder().build();
    let mut at_bob = Group::create(&bob, b"two of us", &create)?;
    let sent = at_bob.add(&bob, &[key_package])?;
    at_bob.confirm(&bob)?;
    let welcome = sent.welcome.ok_or("an Add gives a Welcome")?; // -> Welcome, to both devices
    let mut at_phone = Group::join(&phone, &welcome, &join)?;
    let mut at_sensor = Group::join(&sensor, &welcome, &join)?;

    // One commit from the tape. The sensor makes it again, compares it, and merges its own.
    let sent = at_phone.update(&phone)?;
    if let Some(notify) = &sent.notify {
        at_sensor.process(&sensor, notify)?; // -> Notify, to the sensor
    }
    at_phone.confirm(&phone)?; // the delivery service has accepted the commit
    at_bob.process(&bob, &sent.commit)?; // -> Commit, to everybody
    let Received::Commit { events, .. } = at_sensor.process(&sensor, &sent.commit)? else {
        return Err("a commit is a commit".into());
    };
    for event in &events {
        match event {
            Event::Healed { by, devices, .. } => println!("{by} healed {devices:?}"),
            Event::SecurityChanged { device, from, to } => {
                println!("{device}: {} -> {}", from.name(), to.name());
            }
            other => println!("{other:?}"),
        }
    }

    // The phone made the last commit, so that it may speak, and the sensor may not.
    let said = at_phone.send(&phone, b"Is the window open?")?;
    if let Received::Application { message, .. } = at_bob.process(&bob, &said)? {
        println!("Bob, in epoch {}: {}", at_bob.epoch(), String::from_utf8_lossy(&message));
    }
    let refused = at_sensor.send(&sensor, b"It is.").err().ok_or("the sensor has no token")?;
    println!("the sensor: {refused}");
    Ok(())
}

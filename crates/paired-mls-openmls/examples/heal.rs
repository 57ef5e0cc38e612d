//! A phone heals a group on behalf of a sensor that never sends a byte.
//!
//! `cargo run -p paired-mls-openmls --example heal`

use openmls::prelude::{Ciphersuite, MlsGroupCreateConfig, MlsGroupJoinConfig};
use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    CipherSuite, DeviceId, Event, Pairing, PairingId, Secret, Seed, Vault,
    group::credential::AcceptAnyIdentity, vault::MemoryStorage,
};
use paired_mls_openmls::{Device, Group, MemoryProvider, Received};

const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
const SUITE: CipherSuite = CipherSuite::X25519Aes128;

type Failure = Box<dyn std::error::Error>;

fn device(identity: &str) -> Result<Device<MemoryProvider<RustCrypto>>, Failure> {
    // In a product the vault is a sealed file or hardware, and never lies with the MLS state.
    let vault = Vault::new(MemoryStorage::new());
    let provider = MemoryProvider::new(RustCrypto::default());
    Ok(Device::generate(provider, vault, CIPHERSUITE, identity.as_bytes(), AcceptAnyIdentity)?)
}

fn main() -> Result<(), Failure> {
    let (phone, sensor, bob) =
        (device("Alice's phone")?, device("Alice's sensor")?, device("Bob")?);

    // An ordinary MLS group. The phone adds the sensor first, so that they are siblings in the tree.
    let create = MlsGroupCreateConfig::builder()
        .ciphersuite(CIPHERSUITE)
        .use_ratchet_tree_extension(true)
        .build();
    let join = MlsGroupJoinConfig::builder().build();
    let mut at_phone = Group::create(&phone, b"family", &create)?;
    let key_packages = [sensor.key_package(CIPHERSUITE)?, bob.key_package(CIPHERSUITE)?];
    let sent = at_phone.add(&phone, &key_packages)?;
    at_phone.confirm(&phone)?; // the delivery service has accepted the commit
    let welcome = sent.welcome.ok_or("an Add gives a Welcome")?; // -> Welcome to the sensor and Bob
    let mut at_sensor = Group::join(&sensor, &welcome, &join)?;
    let mut at_bob = Group::join(&bob, &welcome, &join)?;

    // The phone and the sensor share a tape. The seed should come from hardware or an offline file.
    let pairing = Pairing::new(PairingId([1; 16]), [phone.signature_key(), sensor.signature_key()]);
    let both = [(&phone, &mut at_phone, DeviceId(0)), (&sensor, &mut at_sensor, DeviceId(1))];
    for (device, group, own) in both {
        let seed = Seed::new(SUITE, Secret::new(vec![42; 32]))?; // random bytes, for real
        pairing.install(device.vault(), SUITE, seed, own)?;
        group.pair(device, &pairing)?;
    }

    // One paired commit. To Bob it is a commit like any other; to the sensor it is a Notify.
    let sent = at_phone.update(&phone)?; // -> Commit to everybody
    at_phone.confirm(&phone)?;
    at_bob.process(&bob, &sent.commit)?;
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

    // Everybody is in the same epoch, and the sensor reads what Bob says.
    let said = at_bob.send(&bob, b"Is the window open?")?;
    if let Received::Application { message, .. } = at_sensor.process(&sensor, &said)? {
        println!("epoch {}: {}", at_sensor.epoch(), String::from_utf8_lossy(&message));
    }
    Ok(())
}

//! The code of README: it runs, and does what its comments say.

use openmls::prelude::{Ciphersuite, MlsGroupCreateConfig, MlsGroupJoinConfig};
use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    CipherSuite, DeviceId, EpochSecurity, Event, Pairing, PairingId, Secret, Seed, Vault,
    group::credential::AcceptAnyIdentity, vault::MemoryStorage,
};
use paired_mls_openmls::{Device, Group, MemoryProvider, Received};

type Failure = Box<dyn std::error::Error>;

const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;

fn device(identity: &str) -> Result<Device<MemoryProvider<RustCrypto>>, Failure> {
    let vault = Vault::new(MemoryStorage::new());
    let provider = MemoryProvider::new(RustCrypto::default());
    Ok(Device::generate(provider, vault, SUITE, identity.as_bytes(), AcceptAnyIdentity)?)
}

#[test]
fn the_code_of_readme_heals() -> Result<(), Failure> {
    let (phone, sensor, bob) = (device("phone")?, device("sensor")?, device("bob")?);
    let config =
        MlsGroupCreateConfig::builder().ciphersuite(SUITE).use_ratchet_tree_extension(true).build();
    let (join, suite) = (MlsGroupJoinConfig::builder().build(), SUITE);
    let (id, bytes) = (PairingId([1; 16]), || Secret::new(vec![42; 32]));
    let seed = Seed::new(CipherSuite::X25519Aes128, bytes())?;
    let received = {
        // README begins
        let mut at_phone = Group::create(&phone, b"family", &config)?;
        let sent = at_phone.add(&phone, &[sensor.key_package(suite)?, bob.key_package(suite)?])?;
        at_phone.confirm(&phone)?; // the delivery service accepted it
        let mut at_sensor = Group::join(&sensor, &sent.welcome.unwrap(), &join)?;

        let pairing = Pairing::new(id, [phone.signature_key(), sensor.signature_key()]);
        pairing.install(phone.vault(), CipherSuite::X25519Aes128, seed, DeviceId(0))?;
        at_phone.pair(&phone, &pairing)?; // the sensor does the same, as DeviceId(1)

        // README pauses
        let seed = Seed::new(CipherSuite::X25519Aes128, bytes())?;
        pairing.install(sensor.vault(), CipherSuite::X25519Aes128, seed, DeviceId(1))?;
        at_sensor.pair(&sensor, &pairing)?;
        // README goes on

        let sent = at_phone.update(&phone)?; // a paired commit: deliver it to everybody
        at_phone.confirm(&phone)?;
        at_sensor.process(&sensor, &sent.commit)? // healed, and it never sent a byte
        // README ends
    };
    let Received::Commit { events, .. } = received else { return Err("it is a commit".into()) };
    let healed = |event: &Event| {
        matches!(
            event,
            Event::SecurityChanged { device: DeviceId(1), to: EpochSecurity::Secure(_), .. }
        )
    };
    assert!(events.iter().any(healed), "{events:?}");
    Ok(())
}

/// The code between the marks, without layout.
fn ran() -> String {
    let mut kept = String::new();
    let mut inside = false;
    for line in include_str!("readme.rs").lines().map(str::trim) {
        match line {
            "// README begins" | "// README goes on" => inside = true,
            "// README pauses" | "// README ends" => inside = false,
            line if inside => kept.push_str(line),
            _ => {}
        }
    }
    without_layout(&kept)
}

fn without_layout(code: &str) -> String {
    code.chars().filter(|letter| !letter.is_whitespace() && *letter != ';').collect()
}

#[test]
fn it_is_the_code_of_readme() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, rest) = readme.split_once("```rust\n").unwrap();
    let (shown, _) = rest.split_once("```").unwrap();
    assert_eq!(ran(), without_layout(shown));
}

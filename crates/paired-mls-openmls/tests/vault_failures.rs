//! A vault that fails at any of its writes: nothing is lost, and what is merged is said to be merged.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use openmls::prelude::{
    Capabilities, Ciphersuite, Lifetime, MlsGroupCreateConfig, MlsGroupJoinConfig,
};
use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    CipherSuite, DeviceId, Event, Index, Pairing, PairingId, RecordName, Secret, Seed,
    StorageError, Vault, VaultStorage, group::credential::AcceptAnyIdentity, vault::MemoryStorage,
};
use paired_mls_openmls::{Device, Error, Group, MemoryProvider, PackageKind, Received};

const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
const PAIRING: PairingId = PairingId([4; 16]);
const SUITE: CipherSuite = CipherSuite::X25519Aes128;

/// A storage that has room for some more writes only.
#[derive(Clone)]
struct Limited {
    inner: MemoryStorage,
    writes_left: Arc<AtomicUsize>,
}

impl VaultStorage for Limited {
    fn load(&self, name: &RecordName) -> Result<Option<Secret>, StorageError> {
        self.inner.load(name)
    }

    fn store(&self, name: &RecordName, record: &Secret) -> Result<(), StorageError> {
        let take = |left: usize| left.checked_sub(1);
        self.writes_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .map_err(|_| "the disk is full")?;
        self.inner.store(name, record)
    }

    fn remove(&self, name: &RecordName) -> Result<(), StorageError> {
        self.inner.remove(name)
    }
}

struct Member {
    device: Device<MemoryProvider<RustCrypto>>,
    writes_left: Arc<AtomicUsize>,
}

fn member(identity: &str) -> Member {
    let writes_left = Arc::new(AtomicUsize::new(usize::MAX));
    let storage = Limited { inner: MemoryStorage::new(), writes_left: writes_left.clone() };
    let provider = MemoryProvider::new(RustCrypto::default());
    let device = Device::generate(
        provider,
        Vault::new(storage),
        CIPHERSUITE,
        identity.as_bytes(),
        AcceptAnyIdentity,
    )
    .unwrap();
    Member { device, writes_left }
}

fn paired(phone: &Member, sensor: &Member) -> (Group, Group) {
    let (phone, sensor) = (&phone.device, &sensor.device);
    let create = MlsGroupCreateConfig::builder()
        .ciphersuite(CIPHERSUITE)
        .use_ratchet_tree_extension(true)
        .build();
    let mut at_phone = Group::create(phone, b"group", &create).unwrap();
    let sent = at_phone.add(phone, &[sensor.key_package(CIPHERSUITE).unwrap()]).unwrap();
    at_phone.confirm(phone).unwrap();
    let join = MlsGroupJoinConfig::builder().build();
    let mut at_sensor = Group::join(sensor, &sent.welcome.unwrap(), &join).unwrap();
    let pairing = Pairing::new(PAIRING, [phone.signature_key(), sensor.signature_key()]);
    for (device, group, own) in [(phone, &mut at_phone, 0), (sensor, &mut at_sensor, 1)] {
        let seed = Seed::new(SUITE, Secret::new(vec![9; 32])).unwrap();
        pairing.install(device.vault(), SUITE, seed, DeviceId(own)).unwrap();
        group.pair(device, &pairing).unwrap();
    }
    (at_phone, at_sensor)
}

fn authenticator(group: &Group) -> Vec<u8> {
    group.mls().epoch_authenticator().as_slice().to_vec()
}

#[test]
fn a_follower_whose_vault_fails_follows_later() {
    let (phone, sensor) = (member("phone"), member("sensor"));
    let (mut at_phone, mut at_sensor) = paired(&phone, &sensor);
    let sent = at_phone.update(&phone.device).unwrap();
    at_phone.confirm(&phone.device).unwrap();
    let before = authenticator(&at_sensor);

    // The partner's lane, and its opening on the pairing's tape; the group's record, and its epoch.
    for writes in [0, 1, 2, 2] {
        sensor.writes_left.store(writes, Ordering::SeqCst);
        let failed = at_sensor.process(&sensor.device, &sent.commit);
        assert!(matches!(failed, Err(Error::Vault(_))), "{writes}: {failed:?}");
        assert_eq!(authenticator(&at_sensor), before, "{writes}");
    }

    // The last one erases the value: by then the commit is merged.
    sensor.writes_left.store(3, Ordering::SeqCst);
    let received = at_sensor.process(&sensor.device, &sent.commit).unwrap();
    let Received::Commit { events, .. } = received else { panic!("a commit is a commit") };
    assert!(matches!(events.first(), Some(Event::Healed { .. })), "{events:?}");
    assert_eq!(events.last(), Some(&Event::NotSettled));
    assert_eq!(authenticator(&at_sensor), authenticator(&at_phone));

    // With the next commit it is erased as well, and nothing more is said.
    sensor.writes_left.store(usize::MAX, Ordering::SeqCst);
    let sent = at_phone.update(&phone.device).unwrap();
    at_phone.confirm(&phone.device).unwrap();
    let received = at_sensor.process(&sensor.device, &sent.commit).unwrap();
    let Received::Commit { events, .. } = received else { panic!("a commit is a commit") };
    assert!(!events.contains(&Event::NotSettled), "{events:?}");
}

#[test]
fn a_sender_whose_vault_fails_sends_nothing() {
    let (phone, sensor) = (member("phone"), member("sensor"));
    let (mut at_phone, mut at_sensor) = paired(&phone, &sensor);
    // The own lane is opened, the index drawn, and the commit remembered.
    for writes in [0, 1, 2] {
        phone.writes_left.store(writes, Ordering::SeqCst);
        let failed = at_phone.update(&phone.device);
        assert!(matches!(failed, Err(Error::Vault(_))), "{writes}: {failed:?}");
        assert!(at_phone.mls().pending_commit().is_none(), "{writes}");
    }
    phone.writes_left.store(usize::MAX, Ordering::SeqCst);
    let sent = at_phone.update(&phone.device).unwrap();
    let first = Index::first_for(DeviceId(0), at_phone.epoch() + 1).unwrap();
    let second = at_phone.pending_index().unwrap().position();
    assert_eq!(second, first.position() + 1, "the burned index stays burned");
    at_phone.confirm(&phone.device).unwrap();
    at_sensor.process(&sensor.device, &sent.commit).unwrap();
    assert_eq!(authenticator(&at_sensor), authenticator(&at_phone));
}

/// A sensor whose leaf is renewed dies at any write of its vault: it is in the epoch before, as a whole, or
/// in the one after.
#[test]
fn a_refresh_at_a_vault_that_fails_is_processed_later() {
    let (phone, sensor) = (member("phone"), member("sensor"));
    let (mut at_phone, mut at_sensor) = paired(&phone, &sensor);
    let (lifetime, capabilities) = (Lifetime::default(), Capabilities::default());
    let package =
        Group::publish(&sensor.device, PAIRING, PackageKind::Once, lifetime, capabilities).unwrap();
    let sent = at_phone.node_mut().unwrap().refresh(&phone.device, &package).unwrap();
    at_phone.confirm(&phone.device).unwrap();
    let welcome = sent.refresh.unwrap();
    let (before, records) = (authenticator(&at_sensor), sensor.device.provider().records());

    let mut failures = 0;
    let events = loop {
        sensor.writes_left.store(failures, Ordering::SeqCst);
        match at_sensor.node_mut().unwrap().process_refresh(&sensor.device, &sent.commit, &welcome)
        {
            Ok(Received::Commit { events, .. }) => break events,
            Ok(other) => panic!("{other:?}"),
            Err(error) => assert!(matches!(error, Error::Vault(_)), "{failures}: {error:?}"),
        }
        assert_eq!(authenticator(&at_sensor), before, "{failures}");
        assert_eq!(sensor.device.provider().records(), records, "{failures}");
        at_sensor = Group::load(&sensor.device, b"group").unwrap();
        failures += 1;
    };
    assert!(failures > 0, "the vault is written before the MLS state");
    assert_eq!(
        events.last(),
        Some(&Event::NotSettled),
        "what follows the swap did not get through"
    );
    at_sensor = Group::load(&sensor.device, b"group").unwrap();
    assert_eq!(authenticator(&at_sensor), authenticator(&at_phone));

    sensor.writes_left.store(usize::MAX, Ordering::SeqCst);
    let sent = at_phone.update(&phone.device).unwrap();
    at_phone.confirm(&phone.device).unwrap();
    at_sensor.process(&sensor.device, &sent.commit).unwrap();
    let sent = at_sensor.update(&sensor.device).unwrap();
    at_sensor.confirm(&sensor.device).unwrap();
    at_phone.process(&phone.device, &sent.commit).unwrap();
    assert_eq!(authenticator(&at_sensor), authenticator(&at_phone));
}

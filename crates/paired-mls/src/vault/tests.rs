//! The vault's rules: persist before use, once and only once, whatever fails.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::{EpochContext, FIRST_OPENING, Index, Spot, TapeValue, leaf::PACKAGES_GROUP_ID};

const PHONE: DeviceId = DeviceId(0);
const SENSOR: DeviceId = DeviceId(1);
const PAIRING: PairingId = PairingId([3; 16]);
const SUITE: CipherSuite = CipherSuite::X25519Aes128;

/// A storage that fails, without writing, from its n-th write on.
struct Failing {
    inner: MemoryStorage,
    writes_left: Arc<AtomicUsize>,
}

impl VaultStorage for Failing {
    fn load(&self, name: &RecordName) -> Result<Option<Secret>, StorageError> {
        self.inner.load(name)
    }

    fn store(&self, name: &RecordName, record: &Secret) -> Result<(), StorageError> {
        let left = self
            .writes_left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_err() {
            return Err("the disk is full".into());
        }
        self.inner.store(name, record)
    }

    fn remove(&self, name: &RecordName) -> Result<(), StorageError> {
        self.inner.remove(name)
    }
}

fn vault_in(storage: impl VaultStorage + 'static, own: DeviceId) -> Vault {
    let vault = Vault::new(storage);
    let seed = Seed::new(SUITE, Secret::new(vec![42; 32])).unwrap();
    vault.create(SUITE, seed, PAIRING, &[PHONE, SENSOR], own).unwrap();
    vault
}

fn vault(own: DeviceId) -> Vault {
    vault_in(MemoryStorage::new(), own)
}

fn spot(device: DeviceId, opening: u64, position: u64) -> Spot {
    Spot { opening, index: Index::new(device, position).unwrap() }
}

fn path_secret(value: TapeValue) -> Secret {
    let context = EpochContext {
        group_id: b"group".to_vec(),
        epoch: 5,
        confirmed_transcript_hash: vec![1; 32],
    };
    Secret::copy_of(value.into_path_secret(&context).unwrap().secret().expose())
}

#[test]
fn two_devices_read_the_same_value() {
    let (phone, sensor) = (vault(PHONE), vault(SENSOR));
    let tape = phone.open_group(PAIRING, b"group").unwrap();
    assert_eq!(sensor.open_group(PAIRING, b"group").unwrap(), tape);

    let drawn = phone.draw(&tape, 0).unwrap();
    let claimed = sensor.claim(&tape, drawn.spot(), b"commit").unwrap();
    assert_eq!(path_secret(drawn), path_secret(claimed));
}

#[test]
fn a_value_that_could_not_be_stored_is_not_released() {
    let inner = MemoryStorage::new();
    let writes_left = Arc::new(AtomicUsize::new(3));
    let vault = vault_in(Failing { inner, writes_left: writes_left.clone() }, PHONE);
    let tape = vault.open_group(PAIRING, b"group").unwrap();

    // The pairing's tape is stored, the group's is not: the opening is used for nothing.
    let refused = vault.draw(&tape, 0);
    assert!(matches!(refused, Err(VaultError::Storage { .. })), "{refused:?}");
    writes_left.store(2, Ordering::SeqCst);
    assert_eq!(vault.draw(&tape, 0).unwrap().spot(), spot(PHONE, FIRST_OPENING + 1, 0));

    let refused = vault.draw(&tape, 0);
    assert!(matches!(refused, Err(VaultError::Storage { .. })), "{refused:?}");
    writes_left.store(1, Ordering::SeqCst);
    let next = vault.draw(&tape, 0).unwrap().spot();
    assert_eq!(next, spot(PHONE, FIRST_OPENING + 1, 1), "the failed draw released nothing");
}

#[test]
fn a_claim_survives_a_restart_for_its_own_message_only() {
    let storage = MemoryStorage::new();
    let sensor = vault_in(storage.clone(), SENSOR);
    let tape = sensor.open_group(PAIRING, b"group").unwrap();
    let index = spot(PHONE, FIRST_OPENING, 0);
    let before = path_secret(sensor.claim(&tape, index, b"commit").unwrap());

    let restarted = Vault::new(storage);
    let other = restarted.claim(&tape, index, b"another commit");
    assert!(matches!(other, Err(VaultError::Tape(TapeError::Spent))), "{other:?}");
    let after = path_secret(restarted.claim(&tape, index, b"commit").unwrap());
    assert_eq!(before, after);

    restarted.settle(&tape).unwrap();
    let settled = restarted.claim(&tape, index, b"commit");
    assert!(matches!(settled, Err(VaultError::Tape(TapeError::Spent))), "{settled:?}");
}

/// The process dies at each write of the first commit of a group, on either side.
#[test]
fn opening_a_lane_survives_a_crash_at_any_write() {
    for writes in 0..3 {
        let (on_phone, on_sensor) = (MemoryStorage::new(), MemoryStorage::new());
        let (phone, sensor) =
            (vault_in(on_phone.clone(), PHONE), vault_in(on_sensor.clone(), SENSOR));
        let tape = phone.open_group(PAIRING, b"group").unwrap();
        sensor.open_group(PAIRING, b"group").unwrap();
        let failing = |inner: &MemoryStorage| {
            let writes_left = Arc::new(AtomicUsize::new(writes));
            Vault::new(Failing { inner: inner.clone(), writes_left })
        };
        let died = failing(&on_phone).draw(&tape, 3);
        assert_eq!(died.is_ok(), writes == 2);
        let other = phone.open_group(PAIRING, b"other").unwrap();
        let elsewhere = phone.draw(&other, 3).unwrap().spot();
        let here = phone.draw(&tape, 3).unwrap();
        assert_ne!(elsewhere.opening, here.spot().opening, "an opening is for one group");

        let (there, expected) = (here.spot(), path_secret(here));
        let died = failing(&on_sensor).claim(&tape, there, b"commit");
        assert_eq!(died.is_ok(), writes == 2);
        let claimed = sensor.claim(&tape, there, b"commit").unwrap();
        assert_eq!(path_secret(claimed), expected);
        sensor.settle(&tape).unwrap();
        // Without the group's tape, the pairing's cannot give it a second time.
        sensor.erase(&RecordName::SubTape(tape.clone())).unwrap();
        sensor.open_group(PAIRING, b"group").unwrap();
        let again = sensor.claim(&tape, there, b"commit");
        let at = Index::new(PHONE, there.opening).unwrap();
        assert!(
            matches!(again, Err(VaultError::Tape(TapeError::OpeningSpent(index))) if index == at),
            "{again:?}"
        );
    }
}

/// What both devices of a pairing are members of costs nothing until one of them commits there; and
/// then it costs as much as one lane in order.
#[test]
fn a_hundred_thousand_groups_of_a_stranger_cost_nothing() {
    let (phone, sensor) = (vault(PHONE), vault(SENSOR));
    let nodes = |vault: &Vault| vault.pairing_info(PAIRING).unwrap().stored_nodes;
    let id = |n: u32| [b"a stranger's", &n.to_be_bytes()[..]].concat();
    for n in 0..100_000 {
        phone.open_group(PAIRING, &id(n)).unwrap();
    }
    assert_eq!(nodes(&phone), 1);
    // The phone commits in some of them; the sensor follows in all but each tenth of those.
    for n in 0..2000 {
        let group = phone.open_group(PAIRING, &id(n * 7)).unwrap();
        let drawn = phone.draw(&group, 1).unwrap().spot();
        if n % 10 != 0 {
            sensor.open_group(PAIRING, &id(n * 7)).unwrap();
            sensor.claim(&group, drawn, b"commit").unwrap();
            sensor.settle(&group).unwrap();
        }
        assert!(
            nodes(&phone) <= 64 && nodes(&sensor) <= 300,
            "{} {}",
            nodes(&phone),
            nodes(&sensor)
        );
    }
    let work = phone.open_group(PAIRING, b"work").unwrap();
    sensor.open_group(PAIRING, b"work").unwrap();
    let drawn = phone.draw(&work, 5).unwrap();
    let claimed = sensor.claim(&work, drawn.spot(), b"commit").unwrap();
    assert_eq!(path_secret(drawn), path_secret(claimed));
}

/// A partner's commits that never came leave no holes that count.
#[test]
fn what_lies_before_a_followed_index_is_given_up() {
    let (phone, sensor) = (vault(PHONE), vault(SENSOR));
    let tape = phone.open_group(PAIRING, b"group").unwrap();
    sensor.open_group(PAIRING, b"group").unwrap();
    let first = phone.draw(&tape, 1).unwrap().spot();
    for epoch in 2..8_080 {
        let drawn = phone.draw(&tape, epoch).unwrap().spot();
        if epoch % 2 == 0 {
            sensor.claim(&tape, drawn, b"commit").unwrap();
            sensor.settle(&tape).unwrap();
        }
    }
    for vault in [&phone, &sensor] {
        assert!(vault.tape_info(&tape).unwrap().stored_nodes <= 48);
    }
    let late = sensor.claim(&tape, first, b"commit");
    assert!(matches!(late, Err(VaultError::Tape(TapeError::Spent))), "{late:?}");
}

/// A device whose vault is an older copy, in a group that goes on: what it draws is behind all that its
/// partner has followed.
#[test]
fn an_older_copy_of_a_vault_draws_nothing_that_was_followed() {
    let storage = MemoryStorage::new();
    let (phone, sensor) = (vault_in(storage.clone(), PHONE), vault(SENSOR));
    let tape = phone.open_group(PAIRING, b"group").unwrap();
    sensor.open_group(PAIRING, b"group").unwrap();
    let follow = |drawn: TapeValue| {
        let claimed = sensor.claim(&tape, drawn.spot(), b"commit").unwrap();
        assert_eq!(path_secret(drawn), path_secret(claimed));
        sensor.settle(&tape).unwrap();
    };
    follow(phone.draw(&tape, 1).unwrap());
    let backup = storage.steal();
    for epoch in 2..40 {
        // Some commits are lost, and made again.
        for _ in 0..epoch % 3 {
            phone.draw(&tape, epoch).unwrap();
        }
        follow(phone.draw(&tape, epoch).unwrap());
    }
    let restored = Vault::new(backup);
    for epoch in 40..44 {
        follow(restored.draw(&tape, epoch).unwrap());
    }
}

/// A vault from before this device committed in a group: it would open a lane with what it has opened
/// another one with. It is told by the epoch, and skips ahead.
#[test]
fn an_older_copy_of_a_vault_is_told_and_opens_nothing_a_second_time() {
    let storage = MemoryStorage::new();
    let (phone, sensor) = (vault_in(storage.clone(), PHONE), vault(SENSOR));
    let ids = [&b"red"[..], b"blue", b"green"];
    let [red, blue, green] = ids.map(|id| phone.open_group(PAIRING, id).unwrap());
    for (id, tape) in ids.iter().zip([&red, &blue, &green]) {
        sensor.open_group(PAIRING, id).unwrap();
        phone.note_epoch(tape, 1).unwrap();
    }
    let follow = |drawn: TapeValue, tape: &TapeId| {
        let claimed = sensor.claim(tape, drawn.spot(), b"commit")?;
        assert_eq!(path_secret(drawn), path_secret(claimed));
        sensor.settle(tape)
    };
    let backup = storage.steal();
    for (tape, epoch) in [(&red, 2), (&blue, 2), (&blue, 3)] {
        follow(phone.draw(tape, epoch).unwrap(), tape).unwrap();
        phone.note_epoch(tape, epoch).unwrap();
    }
    assert_eq!(phone.freshness(&blue, 3).unwrap(), Freshness::Current);
    assert_eq!(phone.freshness(&blue, 2).unwrap(), Freshness::StateIsOlder);

    // The control: without the skip, the partner cannot follow.
    let careless = Vault::new(backup.steal());
    let refused = follow(careless.draw(&green, 2).unwrap(), &green);
    assert!(matches!(refused, Err(VaultError::Tape(TapeError::OpeningSpent(_)))), "{refused:?}");

    let restored = Vault::new(backup);
    assert_eq!(restored.freshness(&green, 1).unwrap(), Freshness::Current, "nothing came there");
    assert_eq!(restored.freshness(&blue, 3).unwrap(), Freshness::VaultIsOlder);
    restored.catch_up(&blue, 3).unwrap();
    assert_eq!(restored.freshness(&blue, 3).unwrap(), Freshness::Current);
    for (tape, epoch) in [(&green, 2), (&red, 3), (&blue, 4)] {
        follow(restored.draw(tape, epoch).unwrap(), tape).unwrap();
    }
}

#[test]
fn key_packages_need_no_agreement_on_an_opening() {
    let (phone, sensor) = (vault(PHONE), vault(SENSOR));
    let group = phone.open_group(PAIRING, b"group").unwrap();
    phone.draw(&group, 1).unwrap();
    let tape = phone.open_group(PAIRING, PACKAGES_GROUP_ID).unwrap();
    sensor.open_group(PAIRING, PACKAGES_GROUP_ID).unwrap();
    for (made, read) in [(&phone, &sensor), (&sensor, &phone)] {
        for position in 0..3 {
            let spot = made.reserve(&tape, 9).unwrap();
            assert_eq!((spot.opening, spot.index.position()), (0, position));
            let values = [made, read].map(|vault| path_secret(vault.preview(&tape, spot).unwrap()));
            assert_eq!(values[0], values[1]);
        }
    }
    // A death between the two records: the openings are punctured the next time.
    let inner = MemoryStorage::new();
    let writes_left = Arc::new(AtomicUsize::new(2));
    let dying = vault_in(Failing { inner: inner.clone(), writes_left }, PHONE);
    assert!(dying.open_group(PAIRING, PACKAGES_GROUP_ID).is_err());
    let vault = Vault::new(inner.clone());
    assert_eq!(vault.pairing_info(PAIRING).unwrap().stored_nodes, 1);
    vault.open_group(PAIRING, PACKAGES_GROUP_ID).unwrap();
    let record = inner.load(&RecordName::Pairing(PAIRING)).unwrap().unwrap();
    let pairing = Tape::from_record(&record).unwrap();
    assert!([PHONE, SENSOR].iter().all(|device| !pairing.holds(spot(*device, 0, 0).index)));
}

/// A vault of the version before says so.
#[test]
fn a_record_of_an_earlier_version_is_named() {
    let storage = MemoryStorage::new();
    let vault = vault_in(storage.clone(), PHONE);
    let tape = vault.open_group(PAIRING, b"group").unwrap();
    for name in [RecordName::Pairing(PAIRING), RecordName::SubTape(tape.clone())] {
        let record = storage.load(&name).unwrap().unwrap();
        storage.store(&name, &Secret::new([&[1], &record.expose()[1..]].concat())).unwrap();
    }
    for error in [vault.draw(&tape, 0).unwrap_err(), vault.pairing_info(PAIRING).unwrap_err()] {
        assert!(matches!(error, VaultError::Record(RecordError::Version(1))));
        assert!(error.to_string().contains("pair again"), "{error}");
    }
}

#[test]
fn a_pairing_is_created_once() {
    let vault = vault(PHONE);
    let seed = Seed::new(SUITE, Secret::new(vec![42; 32])).unwrap();
    let again = vault.create(SUITE, seed, PAIRING, &[PHONE, SENSOR], PHONE);
    assert!(matches!(again, Err(VaultError::Exists(_))), "{again:?}");
}

#[test]
fn errors_and_debug_name_records_and_never_show_one() {
    let vault = vault(PHONE);
    let missing = TapeId { pairing: PAIRING, group_id: b"elsewhere".to_vec() };
    let error = vault.draw(&missing, 0).unwrap_err().to_string();
    assert!(error.starts_with("the vault holds no tape-0303"), "{error}");
    assert_eq!(format!("{vault:?}"), "Vault");
}

#[test]
fn many_threads_never_draw_the_same_index() {
    let vault = vault(PHONE);
    let tape = vault.open_group(PAIRING, b"group").unwrap();
    let draws = |_| {
        let (vault, tape) = (vault.clone(), tape.clone());
        std::thread::spawn(move || {
            (0..8).map(|_| vault.draw(&tape, 0).unwrap().index()).collect::<Vec<_>>()
        })
    };
    let threads: Vec<_> = (0..4).map(draws).collect();
    let mut drawn: Vec<_> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
    drawn.sort();
    drawn.dedup();
    assert_eq!(drawn.len(), 32);
}

/// A record of an owner's that is damaged is named, and the owner says what to do.
#[test]
fn a_damaged_record_is_named_in_the_words_of_its_owner() {
    use crate::{group::GroupRecordError, pairing::KeyRecordError};

    let storage = MemoryStorage::new();
    let vault = vault_in(storage.clone(), PHONE);
    let group = RecordName::Group(b"group".to_vec());
    for (name, owners) in [
        (group.clone(), GroupRecordError::Version(99).to_string()),
        (RecordName::SignatureKey, KeyRecordError::Version(99).to_string()),
    ] {
        storage.store(&name, &Secret::new(vec![99])).unwrap();
        let refused = match name == group {
            true => vault.load_group(b"group").unwrap_err(),
            false => vault.with_signature_key(|_| ()).unwrap_err(),
        };
        assert_eq!(refused.to_string(), owners);
        assert!(matches!(refused, VaultError::Content { record, .. } if record == name));
    }
}

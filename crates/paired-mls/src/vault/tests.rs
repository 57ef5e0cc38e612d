//! The vault's rules: persist before use, once and only once, whatever fails.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;
use crate::EpochContext;

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

    let drawn = phone.draw(&tape).unwrap();
    let claimed = sensor.claim(&tape, drawn.index(), b"commit").unwrap();
    assert_eq!(path_secret(drawn), path_secret(claimed));
}

#[test]
fn a_value_that_could_not_be_stored_is_not_released() {
    let inner = MemoryStorage::new();
    let writes_left = Arc::new(AtomicUsize::new(3));
    let vault = vault_in(Failing { inner, writes_left: writes_left.clone() }, PHONE);
    let tape = vault.open_group(PAIRING, b"group").unwrap();

    let refused = vault.draw(&tape);
    assert!(matches!(refused, Err(VaultError::Storage { .. })), "{refused:?}");

    writes_left.store(1, Ordering::SeqCst);
    let first = vault.draw(&tape).unwrap().index();
    assert_eq!(first, Index::new(PHONE, 0).unwrap(), "the failed draw released nothing");
}

#[test]
fn a_claim_survives_a_restart_for_its_own_message_only() {
    let storage = MemoryStorage::new();
    let sensor = vault_in(storage.clone(), SENSOR);
    let tape = sensor.open_group(PAIRING, b"group").unwrap();
    let index = Index::new(PHONE, 0).unwrap();
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

#[test]
fn opening_a_group_survives_a_crash_between_its_two_writes() {
    let inner = MemoryStorage::new();
    // One write for the pairing's tape and one for the sub-tape; the puncture does not get through.
    let failing = Failing { inner: inner.clone(), writes_left: Arc::new(AtomicUsize::new(2)) };
    let vault = vault_in(failing, PHONE);
    assert!(vault.open_group(PAIRING, b"group").is_err());

    let restarted = Vault::new(inner.clone());
    let tape = restarted.open_group(PAIRING, b"group").unwrap();
    assert_eq!(restarted.draw(&tape).unwrap().index().position(), 0);
    assert_eq!(restarted.open_group(PAIRING, b"group").unwrap(), tape);
    assert_eq!(restarted.draw(&tape).unwrap().index().position(), 1, "never the same one twice");

    // Without the sub-tape, the pairing's tape cannot give it a second time.
    restarted.erase(&RecordName::SubTape(tape)).unwrap();
    let again = restarted.open_group(PAIRING, b"group");
    assert!(matches!(again, Err(VaultError::Tape(TapeError::Spent))), "{again:?}");
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
    let error = vault.draw(&missing).unwrap_err().to_string();
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
            (0..8).map(|_| vault.draw(&tape).unwrap().index()).collect::<Vec<_>>()
        })
    };
    let threads: Vec<_> = (0..4).map(draws).collect();
    let mut drawn: Vec<_> = threads.into_iter().flat_map(|t| t.join().unwrap()).collect();
    drawn.sort();
    drawn.dedup();
    assert_eq!(drawn.len(), 32);
}

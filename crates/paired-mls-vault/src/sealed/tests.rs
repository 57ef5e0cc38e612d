//! The sealed file: what opens it, what does not, and what it says.

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;
use crate::{CounterError, FileCounter, format::SealedRecords};

fn passphrase(text: &str) -> Secret {
    Secret::copy_of(text.as_bytes())
}

fn name() -> RecordName {
    RecordName::Group(b"group".to_vec())
}

struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("vault")
    }

    fn options(&self) -> SealedFileOptions {
        SealedFile::at(self.path()).parameters(KdfParameters::RANDOM_KEY)
    }

    fn create(&self) -> SealedFile {
        self.options().create(&passphrase("right")).unwrap()
    }

    fn open(&self) -> Result<SealedFile, SealedError> {
        self.options().open(&passphrase("right"))
    }

    fn counter(&self) -> FileCounter {
        let path = self.0.path().join("counter");
        FileCounter::open(&path).or_else(|_| FileCounter::create(&path)).unwrap()
    }

    fn file(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }

    fn put(&self, file: &[u8]) {
        std::fs::write(self.path(), file).unwrap();
    }
}

fn store(vault: &SealedFile, record: &[u8]) {
    vault.store(&name(), &Secret::copy_of(record)).unwrap();
}

fn load(vault: &SealedFile) -> Option<Vec<u8>> {
    vault.load(&name()).unwrap().map(|record| record.expose().to_vec())
}

/// The same file, with the checksum of somebody who changed it on purpose.
fn with_checksum(mut file: Vec<u8>) -> Vec<u8> {
    let body = file.len() - 32;
    let checksum = Sha256::digest(&file[..body]);
    file[body..].copy_from_slice(&checksum);
    file
}

#[test]
fn records_come_back_after_a_restart() {
    let bench = Bench::new();
    let vault = bench.create();
    assert_eq!(load(&vault), None);
    store(&vault, b"record");
    let generation = vault.generation();
    drop(vault);
    let vault = bench.open().unwrap();
    assert_eq!(load(&vault), Some(b"record".to_vec()));
    assert_eq!(vault.generation(), generation, "opening writes nothing");
    vault.remove(&name()).unwrap();
    assert_eq!((load(&vault), vault.generation()), (None, generation + 1));
    vault.remove(&name()).unwrap();
    assert_eq!(vault.generation(), generation + 1, "nothing to remove");
}

/// What a thief of the file reads without the passphrase, and what he does not.
#[test]
fn numbers_are_public_and_names_are_not() {
    let bench = Bench::new();
    let vault = bench.create();
    store(&vault, b"a record");
    let (file, generation) = (bench.file(), vault.generation());
    let sealed = SealedRecords::parse(&file).unwrap();
    assert_eq!(sealed.header().generation, generation);
    let KeySlot::Passphrase(slot) = &sealed.header().slot else { panic!("a passphrase") };
    assert_eq!(slot.parameters().unwrap(), vault.parameters().unwrap());
    let record_name = name().to_string();
    assert!(!file.windows(record_name.len()).any(|window| window == record_name.as_bytes()));
    store(&vault, b"a longer record");
    assert_eq!(bench.file().len(), file.len() + b"longer ".len(), "the length is public");
}

#[test]
fn a_wrong_passphrase_is_not_called_damage() {
    let bench = Bench::new();
    drop(bench.create());
    let wrong = bench.options().open(&passphrase("wrong"));
    assert!(matches!(wrong, Err(SealedError::WrongPassphrase)), "{wrong:?}");
    bench.open().unwrap();
    let empty = bench.options().open(&passphrase(""));
    assert!(matches!(empty, Err(SealedError::WrongPassphrase)), "{empty:?}");
}

#[test]
fn an_accident_to_any_byte_is_not_called_a_wrong_passphrase() {
    let bench = Bench::new();
    store(&bench.create(), b"record");
    let file = bench.file();
    for position in 0..file.len() {
        let mut damaged = file.clone();
        damaged[position] ^= 0x10;
        bench.put(&damaged);
        let refused = bench.open();
        assert!(matches!(refused, Err(SealedError::Format(_))), "byte {position}: {refused:?}");
    }
    for len in 0..file.len() {
        bench.put(&file[..len]);
        let refused = bench.open();
        assert!(matches!(refused, Err(SealedError::Format(_))), "{len} bytes: {refused:?}");
    }
    bench.put(&file);
    bench.open().unwrap();
}

#[test]
fn a_forger_changes_no_byte_of_the_file() {
    let bench = Bench::new();
    store(&bench.create(), b"record");
    let file = bench.file();
    for position in 0..file.len() - 32 {
        let mut forged = file.clone();
        forged[position] ^= 1;
        bench.put(&with_checksum(forged));
        assert!(bench.open().is_err(), "byte {position}");
    }
}

#[test]
fn a_file_that_asks_for_absurd_work_is_refused_before_it() {
    let bench = Bench::new();
    drop(bench.create());
    // magic 8, version 2, vault_id 16, generation 8, counter 1, kind 1: then the parameters.
    for (position, value) in [(36, u32::MAX), (36, (2 << 20) + 1), (40, u32::MAX), (44, 0)] {
        let mut file = bench.file();
        file[position..position + 4].copy_from_slice(&value.to_be_bytes());
        let good = bench.file();
        bench.put(&with_checksum(file));
        let refused = bench.open();
        assert!(matches!(refused, Err(SealedError::Parameters(_))), "{refused:?}");
        bench.put(&good);
    }
    assert!(KdfParameters::new(7, 1, 1).is_err());
    assert!(KdfParameters::new(2 << 20, 1, 4).is_ok(), "the first option of RFC 9106");
}

#[test]
fn a_passphrase_is_changed_and_the_old_one_opens_nothing_new() {
    let bench = Bench::new();
    let vault = bench.create();
    store(&vault, b"record");
    let before = bench.file();
    let stronger = KdfParameters::new(64, 2, 1).unwrap();
    vault.change_passphrase(&passphrase("new"), stronger).unwrap();
    assert_eq!(load(&vault), Some(b"record".to_vec()));
    let refused = vault.change_passphrase(&passphrase(""), stronger);
    assert!(matches!(refused, Err(SealedError::EmptyPassphrase)), "{refused:?}");
    drop(vault);

    let refused = bench.open();
    assert!(matches!(refused, Err(SealedError::WrongPassphrase)), "{refused:?}");
    let vault = bench.options().open(&passphrase("new")).unwrap();
    assert_eq!(vault.parameters().unwrap(), stronger);
    let key_now = Secret::copy_of(vault.lock().data_key.expose());
    drop(vault);
    bench.put(&before);
    assert_ne!(key_now, bench.open().unwrap().lock().data_key, "a new key for the contents");
}

#[test]
fn an_upgrade_keeps_the_passphrase_and_asks_for_it() {
    let bench = Bench::new();
    let vault = bench.create();
    let stronger = KdfParameters::new(64, 2, 1).unwrap();
    let refused = vault.upgrade(&passphrase("wrong"), stronger);
    assert!(matches!(refused, Err(SealedError::WrongPassphrase)), "{refused:?}");
    assert_eq!(vault.parameters().unwrap(), KdfParameters::RANDOM_KEY);
    vault.upgrade(&passphrase("right"), stronger).unwrap();
    drop(vault);
    assert_eq!(bench.open().unwrap().parameters().unwrap(), stronger);
}

#[test]
fn an_older_copy_is_refused_with_a_counter_and_not_noticed_without() {
    let bench = Bench::new();
    let vault = bench.options().counter(bench.counter()).create(&passphrase("right")).unwrap();
    store(&vault, b"old");
    let copy = bench.file();
    store(&vault, b"new");
    drop(vault);

    let newest = bench.file();
    bench.put(&copy);
    let refused = bench.options().counter(bench.counter()).open(&passphrase("right"));
    assert!(matches!(refused, Err(SealedError::RolledBack { file: 2, counter: 3 })), "{refused:?}");
    assert!(refused.unwrap_err().to_string().contains("Put the newest copy back"));
    bench.put(&newest);
    bench.options().counter(bench.counter()).open(&passphrase("right")).unwrap();

    let refused = bench.open();
    assert!(matches!(refused, Err(SealedError::CounterRequired)), "{refused:?}");
    let vault = bench.options().forget_counter().open(&passphrase("right")).unwrap();
    store(&vault, b"newer");
    drop(vault);
    let copy = bench.file();
    store(&bench.open().unwrap(), b"newest");
    bench.put(&copy);
    assert_eq!(load(&bench.open().unwrap()), Some(b"newer".to_vec()), "as documented");
}

#[test]
fn a_crash_between_file_and_counter_does_not_lock_the_owner_out() {
    let bench = Bench::new();
    let vault = bench.options().counter(bench.counter()).create(&passphrase("right")).unwrap();
    let counter_before = std::fs::read(bench.0.path().join("counter")).unwrap();
    store(&vault, b"record");
    drop(vault);
    std::fs::write(bench.0.path().join("counter"), counter_before).unwrap();

    let vault = bench.options().counter(bench.counter()).open(&passphrase("right")).unwrap();
    assert_eq!(load(&vault), Some(b"record".to_vec()));
    drop(vault);
    assert_eq!(bench.counter().read().unwrap(), 2, "brought up at the opening");
}

#[test]
fn a_counter_can_be_added_and_has_to_be_there() {
    let bench = Bench::new();
    drop(bench.create());
    let path = bench.0.path().join("counter");
    let missing = FileCounter::open(&path);
    assert!(matches!(missing, Err(CounterError::Missing { .. })), "{missing:?}");
    drop(bench.options().counter(bench.counter()).open(&passphrase("right")).unwrap());
    let refused = bench.open();
    assert!(matches!(refused, Err(SealedError::CounterRequired)), "{refused:?}");
    let exists = FileCounter::create(&path);
    assert!(matches!(exists, Err(CounterError::Exists { .. })), "{exists:?}");
    std::fs::write(&path, "12").unwrap();
    let damaged = FileCounter::open(&path);
    assert!(matches!(damaged, Err(CounterError::Damaged { .. })), "{damaged:?}");
}

#[test]
fn there_is_one_opener_at_a_time() {
    let bench = Bench::new();
    let vault = bench.create();
    let second = bench.open();
    assert!(matches!(second, Err(SealedError::Disk(DiskError::InUse { .. }))), "{second:?}");
    drop(vault);
    let again = bench.options().create(&passphrase("right"));
    assert!(matches!(again, Err(SealedError::Exists { .. })), "{again:?}");
    std::fs::remove_file(bench.path()).unwrap();
    let missing = bench.open();
    assert!(matches!(missing, Err(SealedError::Missing { .. })), "{missing:?}");
}

#[test]
fn a_file_that_is_replaced_while_open_is_noticed() {
    let bench = Bench::new();
    let vault = bench.create();
    let copy = bench.file();
    store(&vault, b"record");
    bench.put(&copy);
    let error = vault.load(&name()).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(SealedError::Changed)), "{error}");
    assert!(vault.store(&name(), &Secret::copy_of(b"other")).is_err());
}

#[test]
fn errors_and_debug_show_no_secret() {
    let bench = Bench::new();
    let vault = bench.create();
    store(&vault, b"attack at dawn");
    let shown = format!("{vault:?} {:?}", bench.options());
    assert!(shown.starts_with("SealedFile { path:"), "{shown}");
    assert!(!shown.contains("right") && !shown.contains("attack"), "{shown}");
}

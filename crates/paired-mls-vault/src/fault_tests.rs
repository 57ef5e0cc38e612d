//! Every back end on files, stopped at every step of a write: by a system call that fails, and by
//! a kill. Afterwards it opens and holds the old or the new record, and the vault on top of it
//! never gives an index twice.

use std::path::Path;

use paired_mls::{CipherSuite, DeviceId, PairingId, RecordName, Secret, Seed, Vault, VaultStorage};

use crate::{
    FileCounter, KdfParameters, PlainFile, SealedFile,
    disk::fault::{Fault, with_fault},
};

type Storage = Box<dyn VaultStorage>;

/// A vault takes a storage by value.
struct Boxed(Storage);

impl VaultStorage for Boxed {
    fn load(&self, name: &RecordName) -> Result<Option<Secret>, paired_mls::StorageError> {
        self.0.load(name)
    }
    fn store(&self, name: &RecordName, record: &Secret) -> Result<(), paired_mls::StorageError> {
        self.0.store(name, record)
    }
    fn remove(&self, name: &RecordName) -> Result<(), paired_mls::StorageError> {
        self.0.remove(name)
    }
}

fn plain(folder: &Path) -> Storage {
    Box::new(PlainFile::open(folder.join("plain")).unwrap())
}

fn sealed(folder: &Path) -> Storage {
    let passphrase = Secret::copy_of(b"passphrase");
    let path = folder.join("sealed");
    let options = SealedFile::at(&path).parameters(KdfParameters::RANDOM_KEY);
    Box::new(
        if path.exists() { options.open(&passphrase) } else { options.create(&passphrase) }
            .unwrap(),
    )
}

fn counted(folder: &Path) -> Storage {
    let passphrase = Secret::copy_of(b"passphrase");
    let (path, counter) = (folder.join("counted"), folder.join("counter"));
    let counter = FileCounter::open(&counter).or_else(|_| FileCounter::create(&counter)).unwrap();
    let options = SealedFile::at(&path).parameters(KdfParameters::RANDOM_KEY).counter(counter);
    Box::new(
        if path.exists() { options.open(&passphrase) } else { options.create(&passphrase) }
            .unwrap(),
    )
}

const BACK_ENDS: [fn(&Path) -> Storage; 3] = [plain, sealed, counted];

fn load(storage: &Storage) -> Option<Vec<u8>> {
    storage.load(&name()).unwrap().map(|record| record.expose().to_vec())
}

fn name() -> RecordName {
    RecordName::Group(b"group".to_vec())
}

/// Runs `check` with a fault at every step, until one is behind the last step.
fn at_every_step(mut check: impl FnMut(fn(&Path) -> Storage, Fault, u32, &Path) -> bool) {
    for open in BACK_ENDS {
        for fault in [Fault::Error, Fault::Kill] {
            let mut steps = 0;
            loop {
                let folder = tempfile::tempdir().unwrap();
                if !check(open, fault, steps, folder.path()) {
                    break;
                }
                steps += 1;
            }
            assert!(steps > 2, "the faults fired");
        }
    }
}

#[test]
fn a_stopped_write_leaves_the_old_or_the_new_record() {
    let (old, new) = (vec![1; 500], vec![2; 700]);
    at_every_step(|open, fault, steps, folder| {
        let storage = open(folder);
        storage.store(&name(), &Secret::copy_of(&old)).unwrap();
        let mut done = false;
        let fired = with_fault(steps, fault, || {
            done = storage.store(&name(), &Secret::copy_of(&new)).is_ok();
        });
        if fault == Fault::Error {
            // The same process goes on.
            let found = load(&storage).unwrap();
            assert!(found == new || (found == old && !done), "step {steps}");
        }
        drop(storage);

        let storage = open(folder);
        let found = load(&storage).unwrap();
        assert!(found == new || (found == old && !done), "{fault:?} at step {steps}");
        storage.store(&name(), &Secret::copy_of(&new)).unwrap();
        assert_eq!(load(&storage), Some(new.clone()));
        assert_eq!(leftovers(folder), 0, "{fault:?} at step {steps}");
        fired
    });
}

#[test]
fn a_stopped_removal_leaves_the_record_or_none() {
    at_every_step(|open, fault, steps, folder| {
        let storage = open(folder);
        storage.store(&name(), &Secret::copy_of(b"record")).unwrap();
        let mut done = false;
        let fired = with_fault(steps, fault, || done = storage.remove(&name()).is_ok());
        drop(storage);

        let found = load(&open(folder));
        assert!(found.is_none() || (found.as_deref() == Some(b"record") && !done));
        fired
    });
}

#[test]
fn a_stopped_draw_never_gives_an_index_twice() {
    let pairing = PairingId([3; 16]);
    at_every_step(|open, fault, steps, folder| {
        let vault = Vault::new(Boxed(open(folder)));
        let suite = CipherSuite::X25519Aes128;
        let seed = Seed::new(suite, Secret::new(vec![42; 32])).unwrap();
        let devices = [DeviceId(0), DeviceId(1)];
        vault.create(suite, seed, pairing, &devices, devices[0]).unwrap();
        let tape = vault.open_group(pairing, b"group").unwrap();

        let mut drawn = vec![vault.draw(&tape, 1).unwrap().index()];
        let fired = with_fault(steps, fault, || {
            drawn.extend(vault.draw(&tape, 1).map(|value| value.index()));
        });
        if fault == Fault::Error {
            drawn.push(vault.draw(&tape, 1).unwrap().index());
        }
        drop(vault);
        let vault = Vault::new(Boxed(open(folder)));
        drawn.push(vault.draw(&tape, 1).unwrap().index());
        assert!(drawn.is_sorted_by(|a, b| a < b), "{fault:?} at step {steps}: {drawn:?}");
        fired
    });
}

/// Files that a writer made and did not give their name.
fn leftovers(folder: &Path) -> usize {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let count = |path: std::path::PathBuf| match path.is_dir() {
        true => leftovers(&path),
        false => usize::from(path.extension().is_some_and(|extension| extension == "new")),
    };
    paths.map(count).sum()
}

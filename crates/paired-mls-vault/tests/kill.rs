//! A process that writes is killed at random moments and started again on its files.
//!
//! Afterwards the vault opens, holds the old or the new record, never a torn one, has given no
//! index twice, and no record in the clear lies in a file of a sealed vault.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "the helpers of tests")]

mod support;

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    thread,
    time::Duration,
};

use paired_mls::{
    CipherSuite, DeviceId, PairingId, RecordName, Secret, Seed, StorageError, TapeId, Vault,
    VaultStorage,
};
use paired_mls_vault::{FileCounter, KdfParameters, PlainFile, SealedFile};

const CHILD: &str = "child";
const OPENED: &str = "opened";
const MARKER: &[u8] = b"a record that nobody may find in the clear";
const PAIRING: PairingId = PairingId([3; 16]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BackEnd {
    Plain,
    Sealed,
    Counted,
    #[cfg(feature = "pkcs11")]
    Token,
}

impl BackEnd {
    fn parse(name: &str) -> Self {
        let all = [
            Self::Plain,
            Self::Sealed,
            Self::Counted,
            #[cfg(feature = "pkcs11")]
            Self::Token,
        ];
        all.into_iter().find(|back_end| format!("{back_end:?}") == name).unwrap()
    }

    /// SoftHSM rewrites its token's own file at every login, and a kill there tears it.
    fn opens_atomically(self) -> bool {
        !format!("{self:?}").contains("Token")
    }

    /// Opens the storage in this folder, and makes it if it is not there.
    fn open(self, folder: &Path) -> Shared {
        let passphrase = Secret::copy_of(b"passphrase");
        let path = folder.join("vault");
        let mut options = SealedFile::at(&path).parameters(KdfParameters::RANDOM_KEY);
        match self {
            Self::Plain => return Shared(Arc::new(PlainFile::open(path).unwrap())),
            Self::Sealed => {}
            Self::Counted => {
                let counter = folder.join("counter");
                let counter = match counter.exists() {
                    true => FileCounter::open(counter),
                    false => FileCounter::create(counter),
                };
                options = options.counter(counter.unwrap());
            }
            #[cfg(feature = "pkcs11")]
            Self::Token => {
                use paired_mls_vault::TokenVault;
                let module = env::var_os("PAIRED_MLS_PKCS11_MODULE").unwrap();
                let token = support::token::open(Path::new(&module), "kill");
                let vault = match path.exists() {
                    true => TokenVault::open(path, &token),
                    false => TokenVault::create(path, &token),
                };
                return Shared(Arc::new(vault.unwrap()));
            }
        }
        let vault = match path.exists() {
            true => options.open(&passphrase),
            false => options.create(&passphrase),
        };
        Shared(Arc::new(vault.unwrap()))
    }
}

#[derive(Clone)]
struct Shared(Arc<dyn VaultStorage>);

impl VaultStorage for Shared {
    fn load(&self, name: &RecordName) -> Result<Option<Secret>, StorageError> {
        self.0.load(name)
    }
    fn store(&self, name: &RecordName, record: &Secret) -> Result<(), StorageError> {
        self.0.store(name, record)
    }
    fn remove(&self, name: &RecordName) -> Result<(), StorageError> {
        self.0.remove(name)
    }
}

fn name() -> RecordName {
    RecordName::Group(b"marked".to_vec())
}

/// A record that shows when it is torn: its number, many times, with a length of its own.
fn record(number: u32) -> Secret {
    let repeated = number.to_be_bytes().repeat(300 + number as usize % 7);
    Secret::new([MARKER, &repeated].concat())
}

/// The number of the stored record, if it is whole.
fn stored(storage: &Shared) -> u32 {
    let found = storage.load(&name()).unwrap().unwrap();
    let number = found.expose()[MARKER.len()..][..4].try_into().unwrap();
    let number = u32::from_be_bytes(number);
    assert_eq!(found, record(number), "a torn record");
    number
}

/// The process that is killed. It says what it has done only after it is done.
#[test]
fn child() {
    if !support::is_inside(CHILD) {
        return;
    }
    let folder = PathBuf::from(env::var_os("PAIRED_MLS_TEST_FOLDER").unwrap());
    let back_end = BackEnd::parse(&env::var("PAIRED_MLS_TEST_BACK_END").unwrap());
    let storage = back_end.open(&folder);
    let vault = Vault::new(storage.clone());
    let tape = TapeId { pairing: PAIRING, group_id: b"group".to_vec() };
    let mut number = stored(&storage);
    let mut out = std::io::stdout();
    writeln!(out, "\n{OPENED}").unwrap();
    loop {
        number += 1;
        storage.store(&name(), &record(number)).unwrap();
        writeln!(out, "stored {number}").unwrap();
        let drawn = vault.draw(&tape, 1).unwrap().index().position();
        writeln!(out, "drew {drawn}").unwrap();
    }
}

/// Starts a child and kills it: three times in four after some writes, in the midst of the next,
/// else at some moment of its first ones. Returns the whole lines that it printed.
fn kill_once(back_end: BackEnd, folder: &Path, run: u32) -> Vec<String> {
    let mut child = support::rerun(CHILD)
        .env("PAIRED_MLS_TEST_FOLDER", folder)
        .env("PAIRED_MLS_TEST_BACK_END", format!("{back_end:?}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut printed = String::new();
    // By what it has done and not by the clock, so that a busy machine gets as far as an idle one.
    let lines = getrandom::u32().unwrap() as usize % 6;
    let whole_life = run.is_multiple_of(4) && back_end.opens_atomically();
    while !whole_life && printed.lines().skip_while(|line| *line != OPENED).nth(lines).is_none() {
        assert_ne!(out.read_line(&mut printed).unwrap(), 0, "run {run}: {printed}");
    }
    let moment = getrandom::u32().unwrap() % 40_000;
    thread::sleep(Duration::from_micros(moment.into()));
    child.kill().unwrap();
    out.read_to_string(&mut printed).unwrap();
    let output = child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(9), "run {run} ended by itself: {errors}");
    let lines = printed.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    lines.map(str::to_owned).collect()
}

fn kill_many_times(back_end: BackEnd) {
    let kills = env::var("PAIRED_MLS_KILLS").map_or(60, |kills| kills.parse::<u32>().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let storage = back_end.open(folder.path());
    storage.store(&name(), &record(0)).unwrap();
    let vault = Vault::new(storage);
    let suite = CipherSuite::X25519Aes128;
    let seed = Seed::new(suite, Secret::new(vec![42; 32])).unwrap();
    let devices = [DeviceId(0), DeviceId(1)];
    vault.create(suite, seed, PAIRING, &devices, devices[0]).unwrap();
    vault.open_group(PAIRING, b"group").unwrap();
    drop(vault);

    let (mut last_stored, mut drawn) = (0, Vec::new());
    for run in 0..kills {
        for line in kill_once(back_end, folder.path(), run) {
            match line.split_once(' ') {
                Some(("stored", number)) => last_stored = number.parse().unwrap(),
                Some(("drew", position)) => drawn.push(position.parse::<u64>().unwrap()),
                _ => {}
            }
        }
        // The sealed kinds, before and after what the killed process left is cleaned up.
        let in_the_clear = usize::from(back_end == BackEnd::Plain);
        assert!(support::files_with(folder.path(), MARKER) <= 2 * in_the_clear, "run {run}");
        let now = stored(&back_end.open(folder.path()));
        assert!((last_stored..=last_stored + 1).contains(&now), "run {run}: {last_stored} {now}");
        last_stored = now;
        assert_eq!(support::files_with(folder.path(), MARKER), in_the_clear, "run {run}");
    }
    assert!(drawn.is_sorted_by(|a, b| a < b), "an index was given twice: {drawn:?}");
    println!("{back_end:?}: {kills} kills, {} indices, none twice", drawn.len());
    assert!(drawn.len() > kills as usize / 4, "the kills came before the writes: {}", drawn.len());
}

#[test]
fn a_killed_plain_file_is_whole() {
    kill_many_times(BackEnd::Plain);
}

#[test]
fn a_killed_sealed_file_is_whole() {
    kill_many_times(BackEnd::Sealed);
}

#[test]
fn a_killed_sealed_file_with_a_counter_is_whole() {
    kill_many_times(BackEnd::Counted);
}

#[cfg(feature = "pkcs11")]
#[test]
fn a_killed_token_vault_is_whole() {
    support::with_softhsm("a_killed_token_vault_is_whole", |module| {
        assert_eq!(env::var_os("PAIRED_MLS_PKCS11_MODULE").as_deref(), Some(module.as_os_str()));
        support::token::make(module, "kill");
        kill_many_times(BackEnd::Token);
    });
}

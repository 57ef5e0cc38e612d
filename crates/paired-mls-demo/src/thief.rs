//! The thief: he copies the sensor's folder while nobody looks, and lives off these files and off what
//! goes over the wire.

use std::{collections::BTreeSet, fs, path::Path};

use openmls_rust_crypto::RustCrypto;
use paired_mls::{
    Vault,
    conformance::{Heard, Listener as _, Thief as _},
};
use paired_mls_api::GroupId;
use paired_mls_openmls::SqliteProvider;
use paired_mls_peers::OpenMlsThief;
use paired_mls_vault::PlainFile;

use super::{
    DemoError, SUITE,
    stage::{Entry, Service},
};

/// Somebody with the files of a device, all but its vault, and with the wire.
pub(crate) struct Thief {
    spoils: OpenMlsThief<SqliteProvider<RustCrypto>>,
    /// The stolen files, as they were.
    files: Vec<Vec<u8>>,
    /// How far he has read the log.
    cursor: u64,
}

impl Thief {
    /// Copies the folder `home` to `loot`, and settles in the group.
    pub(crate) fn steal(
        home: &Path,
        loot: &Path,
        group: &GroupId,
        service: &Service,
    ) -> Result<Self, DemoError> {
        let mut files = Vec::new();
        copy(home, loot, &mut files)?;
        let database = loot.join("mls.sqlite");
        let state = SqliteProvider::open(RustCrypto::default(), &database)
            .map_err(DemoError::mls("open the stolen MLS state"))?;
        let spoils = OpenMlsThief::with_spoils(state, SUITE, group.as_bytes())
            .map_err(DemoError::mls("find the group in the stolen MLS state"))?;
        let cursor = service.log(group, 0)?.last().map_or(0, |entry| entry.position);
        Ok(Self { spoils, files, cursor })
    }

    /// Follows what has come over the wire; returns what he could read of it.
    pub(crate) fn follow(&mut self, wire: &[Entry]) -> Vec<String> {
        let mut heard = Vec::new();
        for entry in wire.iter().filter(|entry| entry.position > self.cursor) {
            // Whether he has followed a commit is seen by what he reads afterwards.
            if let Ok(Heard::Application(text)) = self.spoils.process(&entry.message) {
                heard.push(String::from_utf8_lossy(&text).into_owned());
            }
        }
        self.cursor = wire.last().map_or(self.cursor, |entry| entry.position.max(self.cursor));
        heard
    }

    /// What he has put on the wire himself is no news to him.
    pub(crate) fn skip(&mut self, position: u64) {
        self.cursor = position;
    }

    /// How far he has read.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// How many files he has.
    pub(crate) fn files(&self) -> usize {
        self.files.len()
    }

    /// Which of these byte strings are in his files: as they are, or as a record of the MLS state has
    /// them.
    pub(crate) fn find<'a>(&self, wanted: &'a [Vec<u8>]) -> Result<Vec<&'a Vec<u8>>, DemoError> {
        let strings = self.spoils.strings().map_err(DemoError::mls("read the stolen files"))?;
        let in_a_file = |wanted: &Vec<u8>| {
            self.files.iter().any(|file| file.windows(wanted.len()).any(|window| window == wanted))
        };
        Ok(wanted.iter().filter(|wanted| strings.contains(*wanted) || in_a_file(wanted)).collect())
    }

    /// The public keys of the nodes whose private keys he has.
    pub(crate) fn known_nodes(&self) -> Result<BTreeSet<Vec<u8>>, DemoError> {
        self.spoils.known_nodes().map_err(DemoError::mls("read the stolen files"))
    }

    /// The private keys that his loot gives.
    pub(crate) fn keys(&self) -> usize {
        self.spoils.keys()
    }

    /// How often he has tried a key on a ciphertext.
    pub(crate) fn attempts(&self) -> usize {
        self.spoils.attempts()
    }

    /// How often that has opened one that OpenMLS would not have.
    pub(crate) fn opened(&self) -> usize {
        self.spoils.opened()
    }
}

/// Copies a folder, and reads its files on the way.
fn copy(from: &Path, to: &Path, files: &mut Vec<Vec<u8>>) -> Result<(), DemoError> {
    fs::create_dir_all(to).map_err(DemoError::folder("make", to))?;
    for entry in fs::read_dir(from).map_err(DemoError::folder("read", from))? {
        let entry = entry.map_err(DemoError::folder("read", from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target, files)?;
        } else {
            files.push(fs::read(&source).map_err(DemoError::folder("read", &source))?);
            fs::copy(&source, &target).map_err(DemoError::folder("copy", &source))?;
        }
    }
    Ok(())
}

/// The secrets of a vault: what is left of its tapes, and the private signature key.
///
/// In the record of a tape, every run of Nh bytes that follows a length of Nh is one.
pub(crate) fn secrets_in(vault: &Path) -> Result<Vec<Vec<u8>>, DemoError> {
    let mut tapes = Vec::new();
    for record in fs::read_dir(vault).map_err(DemoError::folder("read", vault))? {
        let path = record.map_err(DemoError::folder("read", vault))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("tape-") || name.starts_with("pairing-") {
            tapes.push(fs::read(&path).map_err(DemoError::folder("read", &path))?);
        }
    }
    let length = SUITE.kdf_len();
    let runs = tapes.iter().flat_map(|tape| tape.windows(length + 1));
    let secrets = runs.filter_map(|run| run.split_first());
    let secrets = secrets.filter(|(prefix, _)| usize::from(**prefix) == length);
    let mut secrets: Vec<_> = secrets.map(|(_, secret)| secret.to_vec()).collect();

    let storage = PlainFile::open(vault).map_err(DemoError::mls("open the sensor's vault"))?;
    let key = Vault::new(storage).with_signature_key(|pair| pair.private_key.expose().to_vec());
    secrets.extend(key.map_err(DemoError::mls("open the sensor's vault"))?);
    Ok(secrets)
}

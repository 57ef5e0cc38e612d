//! A directory of files of packets, each framed by SLIP: for what is copied, carried or queued by something else.
//!
//! A file has its name once it is whole. It is called `N.slip`, where N is a number of 20 digits that grows; several
//! beacons use several directories.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use super::{Delivery, MAX_PACKET};
use crate::slip::{Unframer, frame};

/// A file has about so many bytes.
const FILE_LEN: usize = 64 << 10;

/// The most files that a beacon leaves in a directory. The oldest go.
const MAX_FILES: usize = 1024;

/// What a listener reads of a file.
const MAX_READ: u64 = 4 << 20;

/// How often a listener looks.
const LOOK: Duration = Duration::from_millis(200);

const EXTENSION: &str = "slip";

#[derive(Debug)]
pub(super) struct DirOutlet {
    path: PathBuf,
    collected: Vec<u8>,
}

impl DirOutlet {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Ok(Self { path: path.to_owned(), collected: Vec::new() })
    }

    pub(super) fn send(&mut self, packet: &[u8]) -> io::Result<Delivery> {
        self.collected.extend_from_slice(&frame(packet));
        if self.collected.len() >= FILE_LEN {
            self.flush()?;
        }
        Ok(Delivery::Sent)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.collected.is_empty() {
            return Ok(());
        }
        let names = names(&self.path)?;
        let number = names.last().and_then(|name| number(name)).map_or(1, |last| last + 1);
        let unfinished = self.path.join("unfinished");
        let mut file = File::create(&unfinished)?;
        file.write_all(&self.collected)?;
        file.sync_all()?;
        fs::rename(&unfinished, self.path.join(format!("{number:020}.{EXTENSION}")))?;
        self.collected.clear();
        for name in names.iter().take((names.len() + 1).saturating_sub(MAX_FILES)) {
            fs::remove_file(self.path.join(name))?;
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct DirInlet {
    path: PathBuf,
    read: BTreeSet<String>,
}

impl DirInlet {
    pub(super) fn open(path: &Path) -> Self {
        Self { path: path.to_owned(), read: BTreeSet::new() }
    }

    /// Reads one file that was not read yet.
    pub(super) fn receive(
        &mut self,
        timeout: Duration,
        found: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let there = match names(&self.path) {
            // It is mounted later, for instance.
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            names => names?,
        };
        self.read.retain(|name| there.contains(name));
        let Some(next) = there.into_iter().find(|name| !self.read.contains(name)) else {
            sleep(LOOK.min(timeout));
            return Ok(());
        };
        let mut bytes = Vec::new();
        match File::open(self.path.join(&next)) {
            // The beacon has removed it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file?.take(MAX_READ).read_to_end(&mut bytes)?,
        };
        Unframer::new(MAX_PACKET).push(&bytes, found);
        self.read.insert(next);
        Ok(())
    }
}

fn number(name: &str) -> Option<u64> {
    name.strip_suffix(EXTENSION)?.strip_suffix('.')?.parse().ok()
}

fn names(path: &Path) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        if let Some(name) = name.to_str().filter(|name| number(name).is_some()) {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

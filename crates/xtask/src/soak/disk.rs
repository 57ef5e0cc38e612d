//! A small disk, to be full at times.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use crate::Failure;

/// How large it is.
const SIZE: &str = "384m";
const FILLER: &str = "filler";

/// A file system in memory, mounted for the run if this user may; else a folder, which is never full.
pub(super) struct Disk {
    path: PathBuf,
    mounted: Mounted,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mounted {
    Own,
    Not,
}

impl Disk {
    pub(super) fn mount(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("disk");
        fs::create_dir(&path)?;
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={SIZE},mode=0755"), "tmpfs"])
            .arg(&path)
            .status();
        let mounted = match done {
            Ok(status) if status.success() => Mounted::Own,
            Ok(_) | Err(_) => Mounted::Not,
        };
        Ok(Self { path, mounted })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn says(&self) -> String {
        match self.mounted {
            Mounted::Own => format!("a file system of {SIZE}, which is filled at times"),
            Mounted::Not => "a folder: no right to mount a small one, so it is never full".into(),
        }
    }

    /// Fills it up. Returns whether it could.
    pub(super) fn fill(&self) -> Result<bool, Failure> {
        if self.mounted == Mounted::Not {
            return Ok(false);
        }
        let mut filler = File::create(self.path.join(FILLER))?;
        for length in [1 << 20, 4096, 1] {
            let zeros = vec![0; length];
            while match filler.write(&zeros) {
                Ok(written) => written > 0,
                Err(error) if error.kind() == io::ErrorKind::StorageFull => false,
                Err(error) => return Err(error.into()),
            } {}
        }
        Ok(true)
    }

    pub(super) fn free(&self) -> Result<(), Failure> {
        Ok(fs::remove_file(self.path.join(FILLER))?)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted == Mounted::Own {
            // Lazily: a database may still be at it.
            let _ = Command::new("umount").arg("-l").arg(&self.path).status();
        }
    }
}

use std::{io, path::PathBuf};

use thiserror::Error;

/// What the file system refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DiskError {
    /// A call to the operating system failed. The old file is still in place.
    #[error("cannot {action} {path}: {source}; the old state is still in place")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The new file is in place, and the operating system does not say that it will stay there.
    #[error("{path} was replaced, but may revert if the machine stops: {source}; check the disk")]
    Unsettled {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Another process, or another part of this one, has the vault open.
    #[error("{path} is in use: close the other program that has this vault open")]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// Others than the owner can enter the directory.
    #[error("{path} is open to others (mode {mode:o}): run `chmod 700` on it, or choose another")]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file is larger than any vault.
    #[error("{path} has {len} bytes, more than any vault: check the path")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
    },
    /// The path ends in no file name.
    #[error("{path} does not name a file: give the path of the vault's file")]
    NoFileName {
        /// The path.
        path: PathBuf,
    },
}

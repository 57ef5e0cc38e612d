use std::path::PathBuf;

use thiserror::Error;

use super::ParameterError;
use crate::{counter::CounterError, disk::DiskError, format::FormatError};

/// Why a sealed file cannot be used. The file is as it was, except where [`DiskError::Unsettled`]
/// and [`SealedError::Counter`] say otherwise.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SealedError {
    /// The passphrase does not open the vault.
    #[error("wrong passphrase: try again")]
    WrongPassphrase,
    /// There is no passphrase.
    #[error("the passphrase is empty: choose one")]
    EmptyPassphrase,
    /// There is no such file.
    #[error("there is no vault at {path}: check the path, or create it")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is a file of that name.
    #[error("there is a file at {path} already: open it, or choose another path")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file is an older copy.
    #[error(
        "the vault file has generation {file} and its counter stands at {counter}: this is an older \
         copy, which would give tape values twice. Put the newest copy back; if it is lost, end the \
         pairings, pair again in a new vault"
    )]
    RolledBack {
        /// The generation of the file.
        file: u64,
        /// The counter.
        counter: u64,
    },
    /// The vault has a counter and was opened without.
    #[error(
        "this vault goes with a roll-back counter: open it with its counter, or, if that is lost, \
         give it a new one (`pmls vault forget-counter`)"
    )]
    CounterRequired,
    /// Somebody replaced the file while it was open.
    #[error("the vault file was replaced while it was open: find out by what, then open it again")]
    Changed,
    /// There is not enough memory for the stored parameters.
    #[error("the passphrase's derivation needs {kib} KiB of memory: free some, or use `upgrade`")]
    Memory {
        /// What is needed.
        kib: u32,
    },
    /// The file asks for parameters that this software does not use.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// The file's bytes are not a vault.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The counter could not be read or raised. The file may hold the new state already; the value
    /// that it spends is not released.
    #[error("the vault's roll-back counter failed")]
    Counter(#[from] CounterError),
}

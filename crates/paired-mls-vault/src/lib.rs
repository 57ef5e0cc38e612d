//! Where the vault of Paired MLS keeps its records.
//!
//! Each back end implements [`VaultStorage`](paired_mls::VaultStorage); give one to
//! [`Vault::new`](paired_mls::Vault::new). `docs/THREAT-MODEL.md` says for each what a thief gets.
//!
//! | back end | its secret | feature |
//! |---|---|---|
//! | [`PlainFile`] | none: for a directory that is protected otherwise | |
//! | [`SealedFile`] | a passphrase | |
//! | [`SealedFile`] with a `KeyringKey` | the operating system's keyring | `keyring` |
//! | `TokenVault` | a PKCS #11 token and its PIN | `pkcs11` |
//!
//! An older copy of a vault gives tape values a second time. A [`MonotonicCounter`] tells it from
//! the vault: [`FileCounter`] against accidents, `TokenCounter` against thieves of the disk;
//! `TokenVault` needs none. [`harden_process`] keeps the memory of the process off the disk.
//!
//! This crate draws its randomness from the operating system: a key or a nonce that a caller could
//! choose is one that a caller could repeat.

mod counter;
mod disk;
#[cfg(test)]
mod fault_tests;
mod format;
mod harden;
#[cfg(feature = "keyring")]
mod keyring;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;
mod plain;
mod sealed;

#[cfg(feature = "keyring")]
pub use self::keyring::{KeyringError, KeyringKey};
#[cfg(feature = "pkcs11")]
pub use self::pkcs11::{TokenCounter, TokenVault};
pub use self::{
    counter::{CounterError, FileCounter, MonotonicCounter},
    disk::DiskError,
    format::FormatError,
    harden::{Hardening, Protection, harden_process},
    plain::PlainFile,
    sealed::{KdfParameters, ParameterError, SealedError, SealedFile, SealedFileOptions},
};
#[cfg(feature = "keyring")]
pub use keyring_core;

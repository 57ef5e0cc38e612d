use std::path::PathBuf;

use cryptoki::error::Error as Failure;
use paired_mls::StorageError;
use thiserror::Error;

use crate::{disk::DiskError, format::FormatError};

/// What a token, its library or its owner's PIN refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The token's library cannot be used.
    #[error("cannot use the PKCS #11 library {path}: {source}; install it, or correct the path")]
    Module {
        /// The library.
        path: PathBuf,
        /// What it, or the operating system, says.
        source: StorageError,
    },
    /// No token has this label.
    #[error("no token is called {label}: plug it in, or correct the label")]
    NoToken {
        /// The label.
        label: String,
    },
    /// More than one token has this label.
    #[error("several tokens are called {label}: unplug the others")]
    SeveralTokens {
        /// The label.
        label: String,
    },
    /// The PIN is not the token's.
    #[error("wrong PIN: try again; most tokens lock after a few attempts")]
    WrongPin,
    /// The token took too many wrong PINs.
    #[error("the token's PIN is locked: unlock it with the PUK or security officer's PIN")]
    PinLocked,
    /// The token or its library failed at something.
    #[error(
        "the token could not {action}: {source}; check that it is plugged in and supports this"
    )]
    Refused {
        /// What was tried.
        action: &'static str,
        /// What the token says.
        source: StorageError,
    },
    /// There is no key of this label.
    #[error("the token holds no signature key {label}: generate it, or correct the label")]
    NoKey {
        /// The label.
        label: String,
    },
    /// There is a key of this label.
    #[error("the token holds a key {label} already: choose another label")]
    KeyExists {
        /// The label.
        label: String,
    },
    /// The key of this label can leave the token.
    #[error("the key {label} can be extracted from the token: generate one that cannot")]
    Extractable {
        /// The label.
        label: String,
    },
    /// The key of this label is not one that this software can use.
    #[error(
        "the key {label} is not an Ed25519 or P-256 key as PKCS #11 writes it: generate another"
    )]
    UnknownKey {
        /// The label.
        label: String,
    },
    /// The token gave a signature that is none.
    #[error("the token returned a signature of {found} bytes and not of 64: do not use this token")]
    Signature {
        /// The length of the signature, in bytes.
        found: usize,
    },
}

impl TokenError {
    pub(super) fn refused(action: &'static str) -> impl Fn(Failure) -> Self {
        move |source| Self::Refused { action, source: source.into() }
    }
}

/// Why a vault under a token cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenVaultError {
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
        "the vault file has generation {file} and the token is at {token}: this is an older copy, \
         which would give tape values twice. Put the newest copy back; if it is lost, end the \
         pairings, pair again in a new vault"
    )]
    RolledBack {
        /// The generation of the file.
        file: u64,
        /// The generation of the token's key.
        token: u64,
    },
    /// The token has no key of this vault.
    #[error("the token has no key of this vault: plug in the token that it was made with")]
    NoKey,
    /// The token's key does not open the file's.
    #[error("the vault file was changed by somebody: put the newest copy back, or pair again")]
    Forged,
    /// Somebody replaced the file while it was open.
    #[error("the vault file was replaced while it was open: find out by what, then open it again")]
    Changed,
    /// The token refused.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The file's bytes are not a vault.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

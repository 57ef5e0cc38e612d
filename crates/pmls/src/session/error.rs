//! What can go wrong with a home, its vault and the keys in it.

use std::{io, path::PathBuf};

use paired_mls::{VaultError, pairing::StoreKeyError};
use paired_mls_api::SchemeError;
use paired_mls_client::{ClientError, ServerError};
use paired_mls_openmls::{SqliteError, UsageError};
use paired_mls_vault::{
    CounterError, DiskError, FormatError, ParameterError, SealedError, keyring_core,
    pkcs11::{TokenError, TokenVaultError},
};
use thiserror::Error;
use url::Url;

use super::{Holder, KeyError, ProfileError};

/// Why a home cannot be opened or worked with, with what to do next.
#[derive(Debug, Error)]
pub(crate) enum SessionError {
    /// No device was set up here.
    #[error(
        "there is no device in {home}: set one up with `pmls device init`, or give another --home"
    )]
    NoDevice {
        /// Where it was looked for.
        home: PathBuf,
    },
    /// `device init` was interrupted.
    #[error("the device in {home} is not set up completely: `pmls device init` goes on with it")]
    Unfinished {
        /// Where the device is.
        home: PathBuf,
    },
    /// The MLS state of a device is gone.
    #[error(
        "the MLS state of the device in {home} is gone: put mls.sqlite back, or run `pmls recover`, which brings the \
         device back into its groups"
    )]
    NoState {
        /// The home.
        home: PathBuf,
    },
    /// The MLS state cannot be read.
    #[error(
        "{path} is damaged, or no database: put a copy of it back, or run `pmls recover`, which puts it aside and \
         brings the device back into its groups"
    )]
    DamagedState {
        /// The database of the MLS state.
        path: PathBuf,
    },
    /// The MLS state is that of another home.
    #[error(
        "{path} is the MLS state of another device ({device}): put that of this device back, or run `pmls \
         recover`, which puts it aside and brings the device back into its groups"
    )]
    StateOfAnother {
        /// The database of the MLS state.
        path: PathBuf,
        /// Whose it is.
        device: String,
    },
    /// A new vault is to have the counter of another one.
    #[error(
        "{path} counts for another vault, which would then look like an older copy: give another --vault-counter; \
         if no vault has it any more, remove it"
    )]
    CounterOfAnother {
        /// The counter.
        path: PathBuf,
    },
    /// A recovery was begun.
    #[error("the device in {home} is being recovered: `pmls recover` goes on with it")]
    Recovering {
        /// The home.
        home: PathBuf,
    },
    /// `device init` of another device.
    #[error(
        "{home} has another device already ({found}): leave the flags away to go on with that one, or \
         give another --home"
    )]
    OtherDevice {
        /// The home.
        home: PathBuf,
        /// Whose device, and its name.
        found: String,
    },
    /// What was given is no recovery key.
    #[error(
        "this is no recovery key: it begins with pmlsr1 and has a check at its end, so compare it with the paper"
    )]
    NoRecoveryKey,
    /// The recovery key could not be read.
    #[error("cannot read the recovery key: {source}; type it, or correct --recovery-key-file")]
    RecoveryKeyInput {
        /// What the operating system says.
        source: io::Error,
    },
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes: try again")]
    Randomness,
    /// `device init` without what it needs.
    #[error("a new device needs --user and --server")]
    WhoseDevice,
    /// The vault's file or folder is gone.
    #[error(
        "there is no vault at {path}: put it back, or correct --vault-path; if it is lost, `pmls recover` brings \
         the device back with new keys"
    )]
    NoVault {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Another process works with the home.
    #[error(
        "{home} is in use by {holder}: wait for it to end (Ctrl-C ends `pmls watch`), or give another \
         --home"
    )]
    HomeInUse {
        /// The home.
        home: PathBuf,
        /// Who has it.
        holder: Holder,
    },
    /// Others than the owner can enter the home.
    #[error(
        "{home} is open to others (mode {mode:o}): run `chmod 700` on it, or give another --home"
    )]
    HomeExposed {
        /// The home.
        home: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file or folder of the home.
    #[error(
        "cannot {action} {path}: {source}; check the path and its permissions, or give another --home"
    )]
    Home {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Neither a file nor a terminal gives a passphrase or PIN.
    #[error(
        "the vault needs a {what}, and there is no terminal to ask at: give a file that holds it, \
         with --passphrase-file or PMLS_PASSPHRASE_FILE"
    )]
    NoPassphrase {
        /// `passphrase` or `PIN`.
        what: &'static str,
    },
    /// The file that should hold the passphrase or PIN.
    #[error("cannot read the {what} from {path}: {source}; correct --passphrase-file")]
    PassphraseFile {
        /// `passphrase` or `PIN`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Two different entries of a new passphrase.
    #[error("the two passphrases differ: try again")]
    PassphrasesDiffer,
    /// There is no keyring to remember the passphrase in.
    #[cfg(not(target_os = "linux"))]
    #[error("there is no keyring on this platform: use a vault of kind `sealed`")]
    NoKeyring,
    /// The key is not where the profile says.
    #[error("the vault has no signature key: `pmls device init` goes on with setting it up")]
    NoKey,
    /// The key in the vault or token is another one.
    #[error(
        "the signature key is not the one of this device: check the vault's path, or the token and \
         its label"
    )]
    OtherKey,
    /// The address of the service.
    #[error("{url} cannot be the service: {source}; correct --server")]
    Server {
        /// The address.
        url: Url,
        /// What is wrong with it.
        source: ServerError,
    },
    /// `device.toml`.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The device's signature key did not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The vault refused.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The vault has a signature key, or cannot take one.
    #[error(transparent)]
    StoreKey(#[from] StoreKeyError),
    /// The file of a plain vault.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A sealed vault.
    #[error(transparent)]
    Sealed(#[from] SealedError),
    /// The parameters of Argon2id.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// The bytes of a vault.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The vault has no counter in a file.
    #[error("this vault has no counter in a file of its own, so there is none to be replaced")]
    NoCounterKind,
    /// The counter is not lost.
    #[error(
        "the vault's counter {path} is there and is not replaced: if the vault is an older copy, `pmls recover` \
         brings this device back with new keys"
    )]
    CounterThere {
        /// The counter.
        path: PathBuf,
    },
    /// A roll-back counter.
    #[error(transparent)]
    Counter(#[from] CounterError),
    /// A vault under a token.
    #[error(transparent)]
    TokenVault(#[from] TokenVaultError),
    /// A token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The operating system's keyring.
    #[error("the keyring refuses: {0}; unlock it, or use a vault of kind `sealed`")]
    Keyring(#[from] keyring_core::Error),
    /// The MLS state.
    #[error(transparent)]
    MlsState(#[from] SqliteError),
    /// A signature key cannot be made.
    #[error(transparent)]
    Mls(#[from] paired_mls_openmls::Error),
    /// A call that cannot be made.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// A signature scheme that the service does not take.
    #[error(transparent)]
    Scheme(#[from] SchemeError),
    /// The client of the service cannot be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A file that is no part of a home.
    #[error("cannot {action} {path}: {source}; check the path and its permissions")]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

impl SessionError {
    pub(crate) fn home(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Home { action, path, source }
    }

    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source }
    }
}

//! Opening the vault, whatever its kind.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use paired_mls::{Secret, Vault};
use paired_mls_vault::{
    CounterError, FileCounter, MonotonicCounter as _, PlainFile, SealedError, SealedFile,
    TokenVault, pkcs11::Token,
};

use super::{
    SessionError,
    keyring::Remembered,
    profile::VaultPlace,
    recovery::put_one_aside,
    unlock::{self, Wanted},
};
use crate::settings::GlobalOptions;

/// An open vault, and what only its kind knows.
#[derive(Clone, Debug)]
pub(crate) enum OpenVault {
    /// A folder of files in the clear.
    Plain(Arc<PlainFile>),
    /// A file under a passphrase.
    Sealed(Arc<SealedFile>),
    /// A file under a token.
    Token(Arc<TokenVault>, Token),
}

/// Whether the vault may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It has to be there.
    Existing,
    /// It is made if it is not there: by `device init`, which may be at its second try.
    OrNew,
}

impl OpenVault {
    /// Opens the vault of a device whose home is `home`.
    pub(super) fn open(
        place: &VaultPlace,
        home: &Path,
        options: &GlobalOptions,
        opening: Opening,
    ) -> Result<Self, SessionError> {
        let path = home.join(place.path());
        let there = match (path.exists(), opening) {
            (true, _) => There::Already,
            (false, Opening::OrNew) => There::NotYet,
            (false, Opening::Existing) => return Err(SessionError::NoVault { path }),
        };
        match place {
            VaultPlace::Plain { .. } => Ok(Self::Plain(Arc::new(PlainFile::open(path)?))),
            VaultPlace::Sealed { counter, .. } => {
                let passphrase = unlock::ask(there.wanted(), options.passphrase_file.as_deref())?;
                sealed(&path, &home.join(counter), &passphrase, there)
            }
            VaultPlace::SealedKeyring { counter, .. } => {
                let (counter, remembered) = (home.join(counter), Remembered::of(&path)?);
                if let Some(passphrase) =
                    remembered.passphrase()?.filter(|_| there == There::Already)
                {
                    match sealed(&path, &counter, &passphrase, there) {
                        // It was changed where this keyring does not reach.
                        Err(SessionError::Sealed(SealedError::WrongPassphrase)) => {}
                        opened => return opened,
                    }
                }
                let passphrase = unlock::ask(there.wanted(), options.passphrase_file.as_deref())?;
                let opened = sealed(&path, &counter, &passphrase, there)?;
                remembered.remember(&passphrase)?;
                Ok(opened)
            }
            VaultPlace::Pkcs11 { module, token, .. } => {
                let pin = unlock::ask(Wanted::Pin, options.passphrase_file.as_deref())?;
                let token = Token::open(module, token, &pin)?;
                let vault = match there {
                    There::NotYet => TokenVault::create(&path, &token)?,
                    There::Already => TokenVault::open(&path, &token)?,
                };
                Ok(Self::Token(Arc::new(vault), token))
            }
        }
    }

    /// The vault itself.
    pub(super) fn vault(&self) -> Vault {
        match self {
            Self::Plain(storage) => Vault::new(storage.clone()),
            Self::Sealed(storage) => Vault::new(storage.clone()),
            Self::Token(storage, _) => Vault::new(storage.clone()),
        }
    }
}

/// Refuses a counter for a new vault that counts for another one already. The one beside the home can only have
/// counted for a vault that was in this home before.
pub(super) fn check_counter(place: &VaultPlace, home: &Path) -> Result<(), SessionError> {
    let (VaultPlace::Sealed { counter, .. } | VaultPlace::SealedKeyring { counter, .. }) = place
    else {
        return Ok(());
    };
    let path = home.join(counter);
    if path == VaultPlace::counter_beside(home) || !path.exists() {
        return Ok(());
    }
    match FileCounter::open(&path)?.read()? {
        0 => Ok(()),
        _ => Err(SessionError::CounterOfAnother { path }),
    }
}

/// Gives a sealed vault a new counter in the place of one that is lost or damaged.
///
/// Nothing says any more whether the vault's file is the newest one: whoever calls this is sure of it. One that
/// is there, and says that the file is an older copy, is believed.
pub(super) fn renew_counter(
    place: &VaultPlace,
    home: &Path,
    options: &GlobalOptions,
) -> Result<Arc<SealedFile>, SessionError> {
    let (VaultPlace::Sealed { counter, .. } | VaultPlace::SealedKeyring { counter, .. }) = place
    else {
        return Err(SessionError::NoCounterKind);
    };
    let (path, counter) = (home.join(place.path()), home.join(counter));
    match FileCounter::open(&counter) {
        Err(CounterError::Missing { .. }) => {}
        Err(CounterError::Damaged { .. }) => put_one_aside(&counter)?,
        Err(error) => return Err(error.into()),
        Ok(_) => return Err(SessionError::CounterThere { path: counter }),
    }
    let remembered = match place {
        VaultPlace::SealedKeyring { .. } => Remembered::of(&path)?.passphrase()?,
        _ => None,
    };
    let passphrase = match remembered {
        Some(passphrase) => passphrase,
        None => unlock::ask(Wanted::Passphrase, options.passphrase_file.as_deref())?,
    };
    // Dies it in between, the counter is still missing, or stands at zero and is brought up.
    drop(SealedFile::at(&path).forget_counter().open(&passphrase)?);
    let counter = FileCounter::create(counter)?;
    Ok(Arc::new(SealedFile::at(&path).counter(counter).open(&passphrase)?))
}

impl VaultPlace {
    /// The place with what the options say instead: the same vault, found somewhere else.
    pub(crate) fn with(self, options: &GlobalOptions) -> Result<Self, SessionError> {
        let Some(path) = &options.vault_path else {
            return Ok(self);
        };
        let path = std::path::absolute(path).map_err(SessionError::file("find", path))?;
        Ok(match self {
            Self::Plain { .. } => Self::Plain { path },
            Self::Sealed { counter, .. } => Self::Sealed { path, counter },
            Self::SealedKeyring { counter, .. } => Self::SealedKeyring { path, counter },
            Self::Pkcs11 { module, token, .. } => Self::Pkcs11 { path, module, token },
        })
    }

    /// Where the counter of a sealed vault is, unless somebody says otherwise: where a backup of the home does not
    /// reach.
    pub(crate) fn counter_beside(home: &Path) -> PathBuf {
        let mut name = home.file_name().unwrap_or_default().to_owned();
        name.push(".vault-counter");
        home.with_file_name(name)
    }

    /// Its file or folder; a relative path begins at the home.
    pub(crate) fn path(&self) -> &PathBuf {
        match self {
            Self::Plain { path }
            | Self::Sealed { path, .. }
            | Self::SealedKeyring { path, .. }
            | Self::Pkcs11 { path, .. } => path,
        }
    }
}

/// Whether the vault's file is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum There {
    Already,
    NotYet,
}

impl There {
    fn wanted(self) -> Wanted {
        match self {
            Self::Already => Wanted::Passphrase,
            Self::NotYet => Wanted::NewPassphrase,
        }
    }
}

fn sealed(
    path: &Path,
    counter: &Path,
    passphrase: &Secret,
    there: There,
) -> Result<OpenVault, SessionError> {
    // The first try of `device init` may have ended between the two files.
    let counter = match there {
        There::NotYet if !counter.exists() => FileCounter::create(counter)?,
        _ => FileCounter::open(counter)?,
    };
    let file = SealedFile::at(path).counter(counter);
    let file = match there {
        There::NotYet => file.create(passphrase)?,
        There::Already => file.open(passphrase)?,
    };
    Ok(OpenVault::Sealed(Arc::new(file)))
}

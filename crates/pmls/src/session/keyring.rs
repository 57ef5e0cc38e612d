//! The operating system's keyring, which remembers a passphrase.
//!
//! It is not the only way to the vault: the kernel's keyring forgets at a restart, and then the person is
//! asked again.

use std::{path::Path, sync::Arc};

use paired_mls::Secret;
use paired_mls_vault::keyring_core::{self, CredentialStore, Entry};
use zeroize::Zeroizing;

use super::SessionError;

/// The keyring's entry for the passphrase of one vault.
pub(crate) struct Remembered {
    entry: Entry,
}

impl Remembered {
    /// The entry for the vault at this path.
    pub(crate) fn of(vault: &Path) -> Result<Self, SessionError> {
        let vault = std::path::absolute(vault).map_err(SessionError::home("find", vault))?;
        let entry = store()?.build("pmls", &vault.display().to_string(), None)?;
        Ok(Self { entry })
    }

    /// The passphrase, if it is remembered.
    pub(crate) fn passphrase(&self) -> Result<Option<Secret>, SessionError> {
        match self.entry.get_secret().map(Zeroizing::new) {
            Ok(passphrase) => Ok(Some(Secret::copy_of(&passphrase))),
            Err(keyring_core::Error::NoEntry) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Remembers the passphrase.
    pub(crate) fn remember(&self, passphrase: &Secret) -> Result<(), SessionError> {
        Ok(self.entry.set_secret(passphrase.expose())?)
    }
}

#[cfg(target_os = "linux")]
fn store() -> Result<Arc<CredentialStore>, SessionError> {
    Ok(linux_keyutils_keyring_store::Store::new()?)
}

#[cfg(not(target_os = "linux"))]
fn store() -> Result<Arc<CredentialStore>, SessionError> {
    Err(SessionError::NoKeyring)
}

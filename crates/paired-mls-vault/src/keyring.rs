//! The key of a sealed file, in the operating system's keyring.

use std::sync::Arc;

use keyring_core::{CredentialStore, Entry};
use paired_mls::Secret;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::format::{FormatError, KEY_LEN, random_key};

/// A random key that takes the place of a passphrase, kept in the operating system's keyring.
///
/// The store is one for the platform that implements [`keyring_core`]'s trait: the desktop's Secret
/// Service, the kernel's keyutils, the macOS Keychain, the Windows Credential Manager. Open the
/// [`SealedFile`](crate::SealedFile) with the key, and make it with
/// [`KdfParameters::RANDOM_KEY`](crate::KdfParameters::RANDOM_KEY): a random key needs no stretching.
///
/// # Security
///
/// Who is logged in as the user, and every program that runs as that user, gets the key from most
/// keyrings. It protects the file on a stolen disk, as long as the keyring itself is sealed there.
/// The kernel's keyutils forget at a reboot; keep a second way to the vault.
#[derive(Debug)]
pub struct KeyringKey {
    entry: Entry,
}

/// Why the keyring gives no key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// The keyring is locked, absent or fails.
    #[error("the keyring refuses: {0}; unlock it, or use a passphrase")]
    Store(#[from] keyring_core::Error),
    /// The keyring holds no key of that name.
    #[error("the keyring holds no key for this vault: create it, or open the vault another way")]
    Missing,
    /// The keyring holds a key already.
    #[error("the keyring holds a key of that name already, which may open a vault: choose another")]
    Exists,
    /// What the keyring holds is not a key of this software.
    #[error("the keyring's entry has {0} bytes and a key has 32: choose another name")]
    NotAKey(usize),
    /// The operating system gives no random numbers.
    #[error(transparent)]
    Random(#[from] FormatError),
}

impl KeyringKey {
    /// The entry of this service and vault name. Nothing is read or written yet.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Store`] if the store does not take such names.
    pub fn new(
        store: &Arc<CredentialStore>,
        service: &str,
        vault: &str,
    ) -> Result<Self, KeyringError> {
        Ok(Self { entry: store.build(service, vault, None)? })
    }

    /// Draws a key and stores it.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Exists`] if there is one, [`KeyringError::Store`].
    pub fn create(&self) -> Result<Secret, KeyringError> {
        match self.load() {
            Err(KeyringError::Missing) => {}
            Ok(_) | Err(KeyringError::NotAKey(_)) => return Err(KeyringError::Exists),
            Err(error) => return Err(error),
        }
        let key = random_key()?;
        self.entry.set_secret(key.expose())?;
        Ok(key)
    }

    /// Reads the key.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Missing`], [`KeyringError::NotAKey`], [`KeyringError::Store`].
    pub fn load(&self) -> Result<Secret, KeyringError> {
        let key = match self.entry.get_secret() {
            Ok(key) => Zeroizing::new(key),
            Err(keyring_core::Error::NoEntry) => return Err(KeyringError::Missing),
            Err(error) => return Err(error.into()),
        };
        (key.len() == KEY_LEN)
            .then(|| Secret::copy_of(&key))
            .ok_or(KeyringError::NotAKey(key.len()))
    }

    /// Removes the key; no error if there is none.
    ///
    /// # Errors
    ///
    /// [`KeyringError::Store`].
    ///
    /// # Security
    ///
    /// A vault that has no other passphrase does not open again.
    pub fn remove(&self) -> Result<(), KeyringError> {
        match self.entry.delete_credential() {
            Ok(()) | Err(keyring_core::Error::NoEntry) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

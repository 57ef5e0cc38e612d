//! Making a device, so that a kill at any point loses nothing.
//!
//! ```text
//! device.toml   what was asked for            so that the second try needs no flags
//! the vault     its counter, then its file    found again by the second try
//! the key       in the vault or token         found again by the second try
//! device.toml   with the id of the key        from now on this is a device
//! (the service) knows the device              until then another one can be made in its place
//! ```

use std::{fs, path::Path};

use openmls_rust_crypto::RustCrypto;
use paired_mls::CipherSuite;
use paired_mls_openmls::{VaultKey, generate_signature_key};
use paired_mls_vault::pkcs11::{SignatureAlgorithm, TokenSigner};

use super::{
    DeviceFile, DeviceKey, Home, KeyPlace, OpenVault, Opening, ServerPlace, Session, SessionError,
    VaultPlace, device_key,
    recovery::{put_aside, put_state_aside},
    vault::check_counter,
};
use crate::settings::GlobalOptions;

/// The device that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewDevice {
    /// Whose it is.
    pub(crate) user: String,
    /// What its owner calls it.
    pub(crate) name: String,
    /// Its cipher suite.
    pub(crate) suite: CipherSuite,
    /// The service that it uses.
    pub(crate) server: ServerPlace,
    /// Where its vault is to be.
    pub(crate) vault: VaultPlace,
    /// Where its signature key is to be.
    pub(crate) key: KeyPlace,
}

impl Session {
    /// Makes the device, or goes on with making it; opens the one that is made already.
    ///
    /// `wanted` is `None` to go on with whatever was begun. It registers nothing at the service.
    pub(crate) fn set_up(
        options: &GlobalOptions,
        wanted: Option<NewDevice>,
    ) -> Result<Self, SessionError> {
        let home = Home::create(options)?;
        let path = home.device_file();
        let found = DeviceFile::read(&path)?;
        // What was begun, and what the service never got to know, does not stand in the way of another device.
        let found = match (found, &wanted) {
            (Some(found), Some(wanted)) if found.is_of(wanted) => Some(found),
            (Some(found), Some(wanted)) if found.device.is_none() || found.is_new() => {
                // What cannot be made leaves everything as it was.
                DeviceFile::from(wanted.clone()).check(&path)?;
                // A vault elsewhere may be that of another home.
                match home.folder().join(found.vault.path()).starts_with(home.folder()) {
                    true => put_aside(&home, &found.vault)?,
                    false => put_state_aside(&home)?,
                }
                None
            }
            (found, _) => found,
        };
        let begun = found.is_none();
        let vault_was_there =
            wanted.as_ref().is_some_and(|wanted| home.folder().join(wanted.vault.path()).exists());
        let mut file = match (found, wanted) {
            (None, None) => return Err(SessionError::WhoseDevice),
            (None, Some(wanted)) => {
                let file = DeviceFile::from(wanted);
                // What cannot be read again, or used, is refused before it is written.
                file.check(&path)?;
                if !vault_was_there {
                    check_counter(&file.vault, home.folder())?;
                }
                file.write(&path)?;
                file
            }
            (Some(found), Some(wanted)) if !found.is_of(&wanted) => {
                let found = format!("{}'s {}", found.user, found.name);
                return Err(SessionError::OtherDevice { home: home.folder().to_owned(), found });
            }
            (Some(found), _) => found,
        };
        // The vault of a device that is made must not be replaced by an empty one.
        let opening = match file.device {
            Some(_) => Opening::Existing,
            None => Opening::OrNew,
        };
        let suite = file.suite(&path)?;
        let place = file.vault.clone().with(options)?;
        let opened = OpenVault::open(&place, home.folder(), options, opening);
        let open_vault = match opened {
            Ok(open_vault) => open_vault,
            Err(failure) => {
                if begun {
                    take_back(&path, &home.folder().join(place.path()), vault_was_there);
                }
                return Err(failure);
            }
        };
        let key = match device_key(&open_vault, &file.key, suite)? {
            Some(key) => key,
            None if file.device.is_some() => return Err(SessionError::NoKey),
            None => make_key(&open_vault, &file.key, suite)?,
        };
        if *file.device.get_or_insert_with(|| key.device()) != key.device() {
            return Err(SessionError::OtherKey);
        }
        file.write(&path)?;
        let unfinished = || SessionError::Unfinished { home: home.folder().to_owned() };
        let profile = file.profile(&path)?.ok_or_else(unfinished)?;
        Self::assemble(home, profile, open_vault, key, options)
    }
}

impl Session {
    /// The service knows the device: nothing takes its place in this home any more.
    pub(crate) fn is_registered(&self) -> Result<(), SessionError> {
        let path = self.home().device_file();
        let unfinished = || SessionError::Unfinished { home: self.home().folder().to_owned() };
        let mut file = DeviceFile::read(&path)?.ok_or_else(unfinished)?;
        if file.is_known_now() {
            file.write(&path)?;
        }
        Ok(())
    }
}

/// A device that could not even get a vault: nothing of it stays, so that the next try is like the first.
fn take_back(file: &Path, vault: &Path, vault_was_there: bool) {
    // What cannot be removed is found by the next try.
    let _ = fs::remove_file(file);
    if !vault_was_there && vault.is_file() {
        let _ = fs::remove_file(vault);
    }
}

fn make_key(
    open_vault: &OpenVault,
    place: &KeyPlace,
    suite: CipherSuite,
) -> Result<DeviceKey, SessionError> {
    match (place, open_vault) {
        (KeyPlace::Token { label }, OpenVault::Token(_, token)) => {
            let algorithm = match suite {
                CipherSuite::P256Aes128 => SignatureAlgorithm::EcdsaP256,
                _ => SignatureAlgorithm::Ed25519,
            };
            DeviceKey::in_token(TokenSigner::generate(token, label, algorithm)?, suite)
        }
        (KeyPlace::Token { .. }, _) => Err(SessionError::OtherKey),
        (KeyPlace::Vault, _) => {
            let vault = open_vault.vault();
            vault.store_signature_key(&generate_signature_key(&RustCrypto::default(), suite)?)?;
            DeviceKey::in_vault(&vault, VaultKey::Own, suite)?.ok_or(SessionError::NoKey)
        }
    }
}

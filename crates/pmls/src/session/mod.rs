//! An opened home: locked, with its vault and its MLS state.
//!
//! Every command that acts as the device begins with [`Session::open`], and holds the home until it
//! ends. The signature key stays in the vault or its token but for one signature at a time.

mod directory;
mod error;
mod home;
mod key;
mod keyring;
mod profile;
mod recovery;
mod recovery_key;
mod roles;
mod set_up;
mod state;
mod unlock;
mod vault;

use std::time::Duration;

use openmls_rust_crypto::RustCrypto;
use paired_mls::{CipherSuite, Secret, Vault};
use paired_mls_api::{RequestKey as _, SignatureScheme};
use paired_mls_openmls::{
    KeyVectorCrypto, SqliteProvider, VaultKey,
    openmls::prelude::{BasicCredential, CredentialWithKey},
};
use paired_mls_vault::pkcs11::{TokenError, TokenSigner};

pub(crate) use self::{
    directory::Directory,
    error::SessionError,
    home::{Holder, Home},
    key::{DeviceKey, KeyError, mls_suite},
    profile::{DeviceFile, KeyPlace, Profile, ProfileError, ServerPlace, Transport, VaultPlace},
    recovery::{Keys, Known, KnownGroup, KnownPairing, Lost, Recovery, is_counter_lost, is_loss},
    recovery_key::RecoveryKey,
    set_up::NewDevice,
    unlock::{Wanted, ask},
    vault::{OpenVault, Opening},
};
use self::{keyring::Remembered, roles::LazyClient};
use crate::settings::GlobalOptions;

/// Cryptography that knows leaves with several signature keys.
pub(crate) type Crypto = KeyVectorCrypto<RustCrypto>;

/// Cryptography, and the MLS state in the home.
pub(crate) type Provider = SqliteProvider<Crypto>;

/// The service as a device sees it.
pub(crate) type Client = paired_mls_client::Client<DeviceKey>;

/// The device as a member of groups, with its own key.
pub(crate) type OwnDevice = paired_mls_openmls::Device<Provider>;

/// An opened home.
pub(crate) struct Session {
    profile: Profile,
    device: OwnDevice,
    key: DeviceKey,
    open_vault: OpenVault,
    directory: Directory,
    client: LazyClient,
    timeout: Duration,
    // The lock is the last to go.
    home: Home,
}

impl Session {
    /// Opens the home: locks it, opens the vault and the MLS state.
    ///
    /// Fails with [`SessionError::NoDevice`] or [`SessionError::Unfinished`] before `device init` is done, with
    /// [`SessionError::HomeInUse`] while another process has it, and with those of the vault.
    pub(crate) fn open(options: &GlobalOptions) -> Result<Self, SessionError> {
        let home = Home::open(options)?;
        home.require_whole()?;
        Self::open_in(home, options)
    }

    fn open_in(home: Home, options: &GlobalOptions) -> Result<Self, SessionError> {
        let path = home.device_file();
        let unfinished = || SessionError::Unfinished { home: home.folder().to_owned() };
        let file = DeviceFile::read(&path)?.ok_or_else(unfinished)?;
        let mut profile = file.profile(&path)?.ok_or_else(unfinished)?;
        profile.server = profile.server.with(options)?;
        profile.vault = profile.vault.with(options)?;
        let open_vault =
            OpenVault::open(&profile.vault, home.folder(), options, Opening::Existing)?;
        let key =
            device_key(&open_vault, &profile.key, profile.suite)?.ok_or(SessionError::NoKey)?;
        if key.device() != profile.device {
            return Err(SessionError::OtherKey);
        }
        Self::assemble(home, profile, open_vault, key, options)
    }

    fn assemble(
        home: Home,
        profile: Profile,
        open_vault: OpenVault,
        key: DeviceKey,
        options: &GlobalOptions,
    ) -> Result<Self, SessionError> {
        let provider = state::open(&home.mls_state(), &profile.device)?;
        let credential = CredentialWithKey {
            credential: BasicCredential::new(profile.user.as_bytes().to_vec()).into(),
            signature_key: key.public_key().into(),
        };
        let directory = Directory::new(SignatureScheme::of_suite(profile.suite.code_point())?);
        directory.learn(&profile.device, Some(&profile.user));
        let device = OwnDevice::new(
            provider,
            open_vault.vault(),
            key.clone(),
            credential,
            directory.clone(),
        );
        let client = LazyClient::default();
        let timeout = options.timeout;
        Ok(Self { profile, device, key, open_vault, directory, client, timeout, home })
    }

    /// Who the device is.
    pub(crate) fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The device as a member of groups, with its own key.
    pub(crate) fn device(&self) -> &OwnDevice {
        &self.device
    }

    /// What is known of who is who.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The vault.
    pub(crate) fn vault(&self) -> &Vault {
        self.device.vault()
    }

    /// The vault, for what only its kind knows.
    pub(crate) fn open_vault(&self) -> &OpenVault {
        &self.open_vault
    }

    /// The passphrase of a sealed vault once more, for what asks for it again.
    pub(crate) fn passphrase(&self, options: &GlobalOptions) -> Result<Secret, SessionError> {
        let remembered = self.remembered()?.map(|entry| entry.passphrase()).transpose()?.flatten();
        if let Some(passphrase) = remembered {
            return Ok(passphrase);
        }
        ask(Wanted::Passphrase, options.passphrase_file.as_deref())
    }

    /// Tells the keyring a new passphrase, if it remembers the old one.
    pub(crate) fn remember_passphrase(&self, passphrase: &Secret) -> Result<(), SessionError> {
        self.remembered()?.map_or(Ok(()), |entry| entry.remember(passphrase))
    }

    fn remembered(&self) -> Result<Option<Remembered>, SessionError> {
        match &self.profile.vault {
            VaultPlace::SealedKeyring { path, .. } => {
                Remembered::of(&self.home.folder().join(path)).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The home.
    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// The device's signature key.
    pub(crate) fn key(&self) -> &DeviceKey {
        &self.key
    }
}

/// The key of the device; `None` if it has none yet.
fn device_key(
    open_vault: &OpenVault,
    place: &KeyPlace,
    suite: CipherSuite,
) -> Result<Option<DeviceKey>, SessionError> {
    match (place, open_vault) {
        (KeyPlace::Token { label }, OpenVault::Token(_, token)) => {
            match TokenSigner::find(token, label) {
                Ok(signer) => DeviceKey::in_token(signer, suite).map(Some),
                Err(TokenError::NoKey { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            }
        }
        (KeyPlace::Token { .. }, _) => Err(SessionError::OtherKey),
        (KeyPlace::Vault, _) => DeviceKey::in_vault(&open_vault.vault(), VaultKey::Own, suite),
    }
}

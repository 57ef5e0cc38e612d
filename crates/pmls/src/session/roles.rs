//! The device in its other roles: behind a leaf that it shares, and at the service.

use std::{cell::OnceCell, time::Duration};

use paired_mls_openmls::{VaultKey, openmls::prelude::CredentialWithKey};

use super::{Client, DeviceKey, OwnDevice, Session, SessionError};

/// The client of the service, once it was needed.
pub(super) type LazyClient = OnceCell<Client>;

impl Session {
    /// The device once more, on the same state, to be kept with a group.
    pub(crate) fn own_device(&self) -> OwnDevice {
        OwnDevice::new(
            self.device().provider().clone(),
            self.vault().clone(),
            self.key().clone(),
            self.device().credential().clone(),
            self.directory().clone(),
        )
    }

    /// The device with another key or another credential, on the same state: behind a shared leaf.
    pub(crate) fn device_with(
        &self,
        key: VaultKey,
        credential: CredentialWithKey,
    ) -> Result<OwnDevice, SessionError> {
        let provider = self.device().provider().clone();
        Ok(OwnDevice::new(
            provider,
            self.vault().clone(),
            self.key_of(key)?,
            credential,
            self.directory().clone(),
        ))
    }

    /// The service as this device sees it.
    pub(crate) fn client(&self) -> Result<&Client, SessionError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::new(self.profile().server.server()?, self.key().clone())?;
        let client = client.with_timeout(self.timeout);
        Ok(self.client.get_or_init(|| client))
    }

    /// How long the service may take for an answer, from now on; returns how long it might until now.
    pub(crate) fn set_timeout(&mut self, timeout: Duration) -> Duration {
        let client = self.client.take().map(|client| client.with_timeout(timeout));
        self.client = client.map(OnceCell::from).unwrap_or_default();
        std::mem::replace(&mut self.timeout, timeout)
    }

    /// The service as the holder of another key of the vault sees it.
    pub(crate) fn client_with(&self, key: VaultKey) -> Result<Client, SessionError> {
        let client = Client::new(self.profile().server.server()?, self.key_of(key)?)?;
        Ok(client.with_timeout(self.timeout))
    }

    fn key_of(&self, key: VaultKey) -> Result<DeviceKey, SessionError> {
        match key {
            VaultKey::Own => Ok(self.key().clone()),
            anchor => DeviceKey::in_vault(self.vault(), anchor, self.profile().suite)?
                .ok_or(SessionError::NoKey),
        }
    }
}

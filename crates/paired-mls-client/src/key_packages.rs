//! KeyPackages.

use paired_mls_api::{DeviceId, KeyPackageCount, KeyPackageUpload, MLS_MESSAGE, path};

use crate::{Client, ClientError, ClientKey, answer::if_found, request::Request};

impl<K: ClientKey> Client<K> {
    /// Uploads KeyPackages of this device, all or none. Those that are there already are no error.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`]: one is not valid, or was given out before (which is also the answer to an
    /// upload that is repeated because its answer was lost, if one was claimed in between: then they are
    /// there); there would be too many.
    pub async fn upload(&self, key_packages: &KeyPackageUpload) -> Result<(), ClientError> {
        self.ask(Request::post(path::KEY_PACKAGES).json(key_packages)).await?.nothing()
    }

    /// How many KeyPackages of this device can still be claimed, for each suite.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn count(&self) -> Result<Vec<KeyPackageCount>, ClientError> {
        self.ask(Request::get(path::KEY_PACKAGES)).await?.json()
    }

    /// Takes a KeyPackage of a device, for a cipher suite by its code point; nothing if it has none. It
    /// is not asked for twice: with the answer, a KeyPackage would be lost.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoAnswer`], [`ClientError::Unavailable`]: a KeyPackage may be lost. Claim another.
    pub async fn claim(
        &self,
        device: &DeviceId,
        suite: u16,
    ) -> Result<Option<Vec<u8>>, ClientError> {
        let path = path::of_device(path::DEVICE_KEY_PACKAGE, device);
        let request = Request::post(path).with("suite", suite).never_blindly_again();
        let claimed = if_found(self.ask(request).await)?;
        claimed.map(|answer| answer.bytes(MLS_MESSAGE)).transpose()
    }

    /// Withdraws all KeyPackages of this device, those of the last resort included: nobody can claim
    /// them any more.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn withdraw(&self) -> Result<(), ClientError> {
        self.ask(Request::delete(path::KEY_PACKAGES)).await?.nothing()
    }
}

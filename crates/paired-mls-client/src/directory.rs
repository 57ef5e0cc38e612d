//! Users, devices, and pairings of standard mode.

use paired_mls_api::{
    Approval, ApprovalView, DeviceId, DeviceView, PAIRING_MESSAGE, PairingView, Recover, Recovered,
    RecoveryKey, RecoveryKeyView, RegisterDevice, RevokeDevice, UserId, UserView, path,
};

use crate::{Client, ClientError, ClientKey, request::Request};

impl<K: ClientKey> Client<K> {
    /// Registers this device. Doing it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`]: not approved by another device of the user, if it has one; registered
    /// for another user; revoked.
    pub async fn register(&self, device: &RegisterDevice) -> Result<DeviceView, ClientError> {
        self.ask(Request::post(path::DEVICES).json(device)).await?.json()
    }

    /// Lets a further device register for this device's user, for a day. Doing it again begins the day anew.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn approve(&self, device: &DeviceId) -> Result<(), ClientError> {
        let approval = Approval { device: device.clone() };
        self.ask(Request::post(path::APPROVALS).json(&approval)).await?.nothing()
    }

    /// The approvals of this device's user that no device has used.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn approvals(&self) -> Result<Vec<ApprovalView>, ClientError> {
        self.ask(Request::get(path::APPROVALS)).await?.json()
    }

    /// Takes an approval of this device's user back. Doing it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn disapprove(&self, device: &DeviceId) -> Result<(), ClientError> {
        self.ask(Request::delete(path::of_device(path::APPROVAL, device))).await?.nothing()
    }

    /// What is known of a device.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if it is not known.
    pub async fn device_view(&self, device: &DeviceId) -> Result<DeviceView, ClientError> {
        self.ask(Request::get(path::of_device(path::DEVICE, device))).await?.json()
    }

    /// What is known of a user.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if it is not known.
    pub async fn user(&self, user: &UserId) -> Result<UserView, ClientError> {
        self.ask(Request::get(path::of_user(user))).await?.json()
    }

    /// Revokes a device of this device's user, for ever. Doing it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if the user has no such device.
    pub async fn revoke(&self, device: &DeviceId) -> Result<RevokeDevice, ClientError> {
        self.ask(Request::delete(path::of_device(path::DEVICE, device))).await?.json()
    }

    /// The recovery key of this device's user.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn recovery_key(&self) -> Result<RecoveryKeyView, ClientError> {
        self.ask(Request::get(path::RECOVERY_KEY)).await?.json()
    }

    /// Gives this device's user a recovery key in place of the one that it has. Doing it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn set_recovery_key(&self, key: &RecoveryKey) -> Result<(), ClientError> {
        self.ask(Request::put(path::RECOVERY_KEY).json(key)).await?.nothing()
    }

    /// Takes the recovery key of this device's user away. Doing it again changes nothing.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn drop_recovery_key(&self) -> Result<(), ClientError> {
        self.ask(Request::delete(path::RECOVERY_KEY)).await?.nothing()
    }

    /// Lets a device register for a user: this client's key is the user's recovery key. Doing it again changes
    /// nothing, and begins the day anew.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`]: there is no such user, it has no recovery key, or another one; it is shut out.
    pub async fn recover(&self, recovery: &Recover) -> Result<Recovered, ClientError> {
        self.ask(Request::post(path::RECOVERY).json(recovery)).await?.json()
    }

    /// Asks for a pairing of standard mode, with the message that each of its devices sends. Doing it
    /// again changes nothing.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if the request is not valid, not this device's to make, of hidden mode, or
    /// other than that of another device.
    pub async fn ask_pairing(&self, request: &[u8]) -> Result<PairingView, ClientError> {
        let request = Request::post(path::PAIRINGS).bytes(PAIRING_MESSAGE, request.to_vec());
        self.ask(request).await?.json()
    }

    /// What is known of a pairing of standard mode.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] if it is not known.
    pub async fn pairing(&self, pairing: &[u8; 16]) -> Result<PairingView, ClientError> {
        self.ask(Request::get(path::of_pairing(pairing))).await?.json()
    }
}

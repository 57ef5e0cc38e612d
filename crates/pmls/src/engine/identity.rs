//! Who is who, as the directory says: a device's key belongs to one user, for ever.
//!
//! What the directory has said is kept, so that it is asked once, and so that it can be used without a
//! network.

use paired_mls::{
    leaf::SignatureKeys,
    wire::{CredentialType, KeyPackage, MlsMessage},
};
use paired_mls_api::{DeviceId, DeviceView, ProblemKind, UserId, UserView};

use super::{Engine, EngineError};
use crate::output::printable;

impl Engine {
    /// Whose device this is; `None` if it is nobody's.
    ///
    /// # Errors
    ///
    /// [`EngineError::Client`] if it is not known here and the directory cannot be asked.
    pub(super) async fn owner_of(
        &mut self,
        device: &DeviceId,
    ) -> Result<Option<UserId>, EngineError> {
        if let Some(known) = self.session.directory().owner(device) {
            return Ok(Some(known));
        }
        let owner = match self.client()?.device_view(device).await {
            Ok(view) if view.device == *device && is_of_its_key(&view) => Some(view.user),
            Ok(_) => None,
            Err(error) if error.problem() == Some(ProblemKind::NotFound) => None,
            Err(error) => return Err(error.into()),
        };
        self.learn(device, owner.as_ref())?;
        Ok(owner)
    }

    fn learn(&self, device: &DeviceId, owner: Option<&UserId>) -> Result<(), EngineError> {
        self.session.directory().learn(device, owner);
        // That there is no such device may change.
        owner.map_or(Ok(()), |owner| self.store().remember_owner(device, owner))
    }

    /// The directory's page of a user, without what contradicts itself.
    pub(super) async fn user_view(&self, user: &UserId) -> Result<UserView, EngineError> {
        let mut view = self.client()?.user(user).await.map_err(|error| match error.problem() {
            Some(ProblemKind::NotFound) => EngineError::NoUser(printable(user.as_bytes())),
            _ => error.into(),
        })?;
        view.devices.retain(|device| device.user == *user && is_of_its_key(device));
        for device in &view.devices {
            self.learn(&device.device, Some(user))?;
        }
        Ok(view)
    }
}

/// The id of a device is made from its key: nobody can put another key behind it.
fn is_of_its_key(view: &DeviceView) -> bool {
    DeviceId::of_key(view.scheme, &view.signature_key.0) == view.device
}

/// Checks that a KeyPackage that the service hands out is of the device that was asked for: its
/// credential names the user, its suite is the one that was asked for, and its signature key is the one of
/// the device; of a leaf that devices share, each key is one of the user's devices, and the device's is among
/// them.
pub(super) fn check_key_package(
    message: &[u8],
    wanted: &DeviceView,
    of_user: &UserView,
    suite: u16,
) -> Result<(), EngineError> {
    let forged = || EngineError::ForgedKeyPackage {
        user: printable(wanted.user.as_bytes()),
        device: wanted.device.clone(),
    };
    let Ok(MlsMessage::KeyPackage(package)) = MlsMessage::decode(message) else {
        return Err(forged());
    };
    let names_user = identity(&package).is_some_and(|name| name == wanted.user.as_bytes());
    if !names_user || package.cipher_suite() != suite {
        return Err(forged());
    }
    let key = package.leaf_node().signature_key();
    let active = |key: &[u8]| {
        let mut devices = of_user.devices.iter().filter(|device| device.revoked_at.is_none());
        devices.any(|device| device.signature_key.0 == key)
    };
    let own = &wanted.signature_key.0;
    let fits = key == own.as_slice()
        || SignatureKeys::decode(key, wanted.scheme.key_len()).is_ok_and(|keys| {
            keys.keys().contains(own) && keys.keys().iter().all(|key| active(key))
        });
    if fits { Ok(()) } else { Err(forged()) }
}

/// The identity in the basic credential of a KeyPackage.
fn identity(package: &KeyPackage) -> Option<&[u8]> {
    let credential = package.leaf_node().credential();
    (credential.credential_type() == CredentialType::BASIC).then(|| credential.content())
}

//! Bodies of the directory.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Base64Url, DeviceId, SignatureScheme, UserId};

/// A device asks to be known. The request is signed with the key that it is about: that is the proof
/// of possession.
///
/// The first device of a user is taken as it comes. Each further one has to have been approved by
/// one that the user has, with [`Approval`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterDevice {
    /// Whose device it is.
    pub user: UserId,
    /// What the device signs with.
    pub scheme: SignatureScheme,
    /// Its public signature key, as in an MLS leaf.
    pub signature_key: Base64Url,
}

impl RegisterDevice {
    /// The id of the device.
    pub fn device(&self) -> DeviceId {
        DeviceId::of_key(self.scheme, &self.signature_key.0)
    }
}

/// A device lets another one join its user, for a day. Doing it again begins the day anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The id of the device that may register.
    pub device: DeviceId,
}

/// An approval that no device has used yet. It ends a day after it was given, or with the device that has given
/// it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalView {
    /// The device that may register.
    pub device: DeviceId,
    /// The device that has approved it; absent if it was the operator of the service, or the recovery key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<DeviceId>,
    /// When it ends, in seconds since 1970-01-01T00:00:00Z.
    pub expires_at: u64,
}

/// What is known of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceView {
    /// Its id.
    pub device: DeviceId,
    /// Whose it is.
    pub user: UserId,
    /// What it signs with.
    pub scheme: SignatureScheme,
    /// Its public signature key.
    pub signature_key: Base64Url,
    /// When it was revoked, in seconds since 1970-01-01T00:00:00Z; absent if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<u64>,
}

/// What a revocation answers with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevokeDevice {
    /// When the device was revoked, in seconds since 1970-01-01T00:00:00Z.
    pub revoked_at: u64,
}

/// What is known of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserView {
    /// Its id.
    pub user: UserId,
    /// All devices, revoked ones included, in the order of their ids.
    pub devices: Vec<DeviceView>,
}

/// How far a pairing of standard mode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PairingState {
    /// Some devices have not asked for it yet.
    Pending,
    /// All have, and their keys are tied to the anchor.
    Registered,
}

/// What the directory knows of a pairing of standard mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PairingView {
    /// The pairing, 16 bytes.
    pub pairing: Base64Url,
    /// How far it is.
    pub state: PairingState,
    /// The numbers, in the pairing, of the devices that have not asked yet.
    pub waiting_for: Vec<u16>,
    /// The signature keys that are tied to the anchor, once it is registered.
    pub signature_keys: Vec<Base64Url>,
    /// A message of the pairing protocol, for the devices of the pairing only: the request that they
    /// are to send too, or the directory's Accept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Base64Url>,
}

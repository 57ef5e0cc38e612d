//! Bodies of what concerns recovery keys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Base64Url, DeviceId, UserId};

/// The recovery key of an account, its public part: who has the private one lets a device register when the
/// account has none left that could.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoveryKey {
    /// An Ed25519 public key, 32 bytes.
    pub signature_key: Base64Url,
}

/// The recovery key that an account has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecoveryKeyView {
    /// Its public part; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature_key: Option<Base64Url>,
}

/// What becomes of the devices that a user has when another one is let in by the recovery key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OldDevices {
    /// They stay.
    Keep,
    /// They are revoked: they are lost, or somebody else has them.
    Revoke,
}

/// Lets a device register for a user within a day, as one of the user's devices would. The request is signed by the
/// recovery key, under the id that a device with that key would have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recover {
    /// The user.
    pub user: UserId,
    /// The device that may register.
    pub device: DeviceId,
    /// What becomes of the others.
    pub old_devices: OldDevices,
}

/// What a recovery answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recovered {
    /// How many devices were revoked.
    pub revoked: u64,
}

//! What can be subscribed to.

use std::{fmt, sync::Arc};

use paired_mls_api::{Base64Url, DeviceId, GroupId};
use sha2::{Digest, Sha256};

/// The log of a group, or the mailbox of a device.
///
/// Its name is short enough for a notification of PostgreSQL, whatever the group id is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Topic(Arc<str>);

impl Topic {
    /// The log of a group.
    pub(crate) fn group(group: &GroupId) -> Self {
        Self::hashed('g', group.as_bytes())
    }

    /// The mailbox of a device.
    pub(crate) fn mailbox(device: &DeviceId) -> Self {
        Self::hashed('m', device.as_bytes())
    }

    /// Whether a device was revoked.
    pub(crate) fn revocation(device: &DeviceId) -> Self {
        Self::hashed('r', device.as_bytes())
    }

    /// The topic of this name.
    pub(crate) fn named(name: &str) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    fn hashed(kind: char, id: &[u8]) -> Self {
        Self(format!("{kind}{}", Base64Url(Sha256::digest(id).to_vec())).into())
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

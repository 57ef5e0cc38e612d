//! One request to the service, as it is stored to be sent.

use std::fmt;

use paired_mls_api::{
    Base64Url, CreateGroup, DeviceId, Envelope, GroupId, KeyPackageUpload, PublishCommit,
    RegisterDevice,
};
use serde::{Deserialize, Serialize};

use super::EngineError;
use crate::output::short;

/// One request to the service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Item {
    /// A new group.
    Group(CreateGroup),
    /// A commit, with everything that belongs to it.
    Commit { group: GroupId, publish: Box<PublishCommit> },
    /// A commit that the service has accepted: it is to be merged, when the log gets there.
    Merge(GroupId),
    /// An external commit of this device, and the GroupInfo that it comes from.
    Rejoin {
        group: GroupId,
        publish: Box<PublishCommit>,
        info: Base64Url,
        /// The state that it leads to, of a leaf of the device's own.
        #[serde(default)]
        state: Option<State>,
    },
    /// A proposal or an application message.
    Message {
        group: GroupId,
        message: Base64Url,
        /// What it is made of again if its epoch is over before the service has it.
        #[serde(default)]
        again: Option<Again>,
    },
    /// An envelope for a mailbox.
    Letter { to: DeviceId, envelope: Base64Url },
    /// A request of the pairing protocol to the directory.
    Pairing(Base64Url),
    /// The key of a leaf that devices share is registered like a device of its own.
    Anchor { pairing: [u8; 16], register: RegisterDevice },
    /// KeyPackages of that leaf.
    AnchorPackages { pairing: [u8; 16], upload: KeyPackageUpload },
    /// KeyPackages of the device.
    Packages(KeyPackageUpload),
    /// No more KeyPackages of the device are given out.
    Withdraw,
    /// The key of a leaf that is shared no more is taken out of use.
    Revoke(DeviceId),
}

/// A state of MLS that waits, as secret as the one that is stored beside it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct State(pub(super) Base64Url);

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Again {
    /// An application message of this content.
    Say(Base64Url),
    /// The proposal to leave.
    Leave,
}

impl Item {
    /// An envelope with this content for a mailbox.
    pub(super) fn letter(to: DeviceId, content: &[u8]) -> Result<Self, EngineError> {
        let envelope = Envelope::seal(content)?.into_bytes().into();
        Ok(Self::Letter { to, envelope })
    }

    /// The group that it is about.
    pub(super) fn group(&self) -> Option<&GroupId> {
        match self {
            Self::Group(create) => Some(&create.group),
            Self::Commit { group, .. }
            | Self::Merge(group)
            | Self::Rejoin { group, .. }
            | Self::Message { group, .. } => Some(group),
            _ => None,
        }
    }

    /// What it is, for people.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Group(_) => "the new group".to_owned(),
            Self::Commit { .. } | Self::Merge(_) => "the commit".to_owned(),
            Self::Rejoin { .. } => "the commit from outside".to_owned(),
            Self::Message { again: Some(Again::Leave), .. } => "the proposal to leave".to_owned(),
            Self::Message { .. } => "the message".to_owned(),
            Self::Letter { to, .. } => {
                format!("what is for the mailbox of device {}", short(&to.to_string()))
            }
            Self::Pairing(_) => "the request to pair".to_owned(),
            Self::Anchor { .. } => "the key of the shared leaf".to_owned(),
            Self::AnchorPackages { .. } => "KeyPackages of the shared leaf".to_owned(),
            Self::Packages(_) => "KeyPackages".to_owned(),
            Self::Withdraw => "the withdrawal of KeyPackages".to_owned(),
            Self::Revoke(_) => "the end of the shared leaf's key".to_owned(),
        }
    }
}

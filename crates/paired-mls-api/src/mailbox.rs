//! Bodies that are about mailboxes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Base64Url, DeviceId};

/// An envelope and who it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeFor {
    /// The device whose mailbox it goes to.
    pub recipient: DeviceId,
    /// The [`Envelope`](crate::Envelope).
    pub envelope: Base64Url,
}

/// What is in a mailbox. It does not say who sent it, nor what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MailboxItem {
    /// Its position: they grow, and never repeat.
    pub position: u64,
    /// The [`Envelope`](crate::Envelope).
    pub envelope: Base64Url,
}

/// A part of a mailbox. An empty one says that there is nothing after the cursor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MailboxPage {
    /// The items after the cursor, in their order.
    pub items: Vec<MailboxItem>,
}

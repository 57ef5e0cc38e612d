//! What the service says of itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The header that names the incarnation of the service: in each answer the present one, and in a request the
/// one that the client knows, if it says so.
pub const INCARNATION: &str = "pmls-incarnation";

/// What a client has to know of a service before it asks for anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceView {
    /// The version of its software.
    pub version: String,
    /// The names, with port where it is not the default, that requests to it can be signed for. None:
    /// any.
    pub names: Vec<String>,
    /// What it takes and gives.
    pub limits: ServiceLimits,
}

/// What a service takes and gives, as far as its clients have to keep to it. Another version may say
/// more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceLimits {
    /// The longest body, in bytes.
    pub body: u64,
    /// What one request may write, in bytes, with all copies in mailboxes.
    pub written: u64,
    /// Recipients of one commit.
    pub recipients: u64,
    /// Entries on one page.
    pub page: u64,
    /// The messages or envelopes of one page, in bytes. One that is longer comes alone.
    pub page_bytes: u64,
    /// How old a signature may be, in seconds; it may be from the future by a quarter of that.
    pub signature_window: u64,
    /// Of how many past epochs application messages are taken.
    pub past_epochs: u64,
    /// Items in one mailbox.
    pub mailbox_items: u64,
    /// After how many seconds an item is dropped that nobody has fetched.
    pub mailbox_seconds: u64,
    /// KeyPackages of one device.
    pub key_packages: u64,
    /// Devices of one user.
    pub devices: u64,
    /// After how many days a group ends that nobody uses, and in which nobody has missed anything; never if there is none.
    #[serde(default)]
    pub group_days: Option<u64>,
    /// The same, though somebody has not read all of it.
    #[serde(default)]
    pub group_unread_days: Option<u64>,
    /// After how many days a user ends that is not seen, and that nothing needs.
    #[serde(default)]
    pub user_days: Option<u64>,
    /// After how many days a pairing ends that has not come about, or of which no two devices are left.
    #[serde(default)]
    pub pairing_days: Option<u64>,
    /// Requests of one device in one second.
    pub requests_per_second: u64,
    /// Requests of one device at once.
    pub device_requests: u64,
    /// Subscriptions of one device.
    pub device_subscriptions: u64,
    /// Connections on which one device has signed requests.
    pub device_connections: u64,
}

//! Messages that leave the device.

use alloc::vec::Vec;

use paired_mls::Event;

/// What a commit gives the caller to deliver. Each is a serialized `MLSMessage` (RFC 9420
/// section 6).
///
/// Deliver it, and then tell the group the outcome: `confirm` if the delivery service accepted the
/// commit, `discard` if another one won the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// For all members.
    pub commit: Vec<u8>,
    /// For those whom the commit adds.
    pub welcome: Option<Vec<u8>>,
    /// For the partner whose leaf the commit renews, in place of `welcome`: the Welcome, and what proves
    /// that a device of the pairing has made it. It goes by mailbox.
    pub refresh: Option<Vec<u8>>,
    /// The new epoch's GroupInfo, if the group is configured to publish it.
    pub group_info: Option<Vec<u8>>,
    /// For the other devices of a shared leaf, ahead of the commit; they follow more easily with it.
    pub notify: Option<Vec<u8>>,
    /// What the commit does not do that one might expect of it: for instance, a proposal that it leaves
    /// out.
    pub events: Vec<Event>,
}

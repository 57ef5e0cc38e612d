//! Bodies of the delivery service that are about a group.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Base64Url, DeviceId, EnvelopeFor, GroupId, UserId};

/// Who may fetch the GroupInfo of a group and join it by an external commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// The accounts of the roster only: to come back after a loss, for instance.
    #[default]
    Roster,
    /// Every registered device that knows the group's id.
    Anyone,
}

/// A group begins. Its creator's account is the first of the roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateGroup {
    /// The MLS group id, by [`GroupId::of_creator`] for the account of the caller.
    pub group: GroupId,
    /// The epoch in which the group is brought here; 0 for a new one.
    #[serde(default)]
    pub epoch: u64,
    /// Who may join by an external commit.
    #[serde(default)]
    pub access: Access,
    /// The GroupInfo of that epoch, an `MLSMessage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_info: Option<Base64Url>,
}

/// Where a group is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupView {
    /// The group.
    pub group: GroupId,
    /// Its current epoch.
    pub epoch: u64,
    /// The position of the last entry of its log; 0 for none.
    pub head: u64,
    /// The position before the first entry that the account may read: it reads from the commit on that has
    /// added it first.
    #[serde(default)]
    pub start: u64,
    /// Who may join by an external commit.
    pub access: Access,
}

/// A Welcome and who it is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WelcomeFor {
    /// The devices whose mailboxes it goes to, all those of an account as a rule; their accounts join the
    /// roster. A device that was revoked or whose mailbox is full is left out as long as another one of
    /// its account is reached; otherwise the commit is refused, and the problem names the device.
    pub recipients: Vec<DeviceId>,
    /// The Welcome, an `MLSMessage` in an [`Envelope`](crate::Envelope).
    pub envelope: Base64Url,
}

/// How a commit changes who may use the group here. The service cannot read the tree of a group whose
/// handshakes are encrypted, so its members say it. What it can read, it checks, and it removes the accounts
/// that have lost their last leaf also if the sender does not say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RosterChange {
    /// Users that have no leaf in the group any more. They can read the log up to this commit.
    #[serde(default)]
    pub remove: Vec<UserId>,
    /// Users that have one now, beside those that a Welcome is addressed to.
    #[serde(default)]
    pub add: Vec<UserId>,
}

/// Accounts that were removed from the roster are put back, as a repair: it changes nobody's leaf.
///
/// Any account on the roster can do it, for any account that was there. One that was removed itself can do it for
/// those that the same commit has removed, for a week, and until another account than that of the commit's sender
/// sends something in a later epoch, and so shows that it has followed the commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RosterRepair {
    /// The users.
    pub put_back: Vec<UserId>,
}

/// Who is on the roster again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RosterRepaired {
    /// Those of the request that were removed. The others were on the roster.
    pub put_back: Vec<UserId>,
}

/// A commit, with everything that belongs to it. All of it takes effect, or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishCommit {
    /// The commit, an `MLSMessage`: a `PublicMessage` or `PrivateMessage` of the current epoch.
    pub commit: Base64Url,
    /// One [`Envelope`](crate::Envelope) for the other devices of the sender's account. It is never
    /// absent: where there is nothing to tell them, it is
    /// [cover](crate::Envelope::cover).
    pub account_envelope: Base64Url,
    /// Welcomes.
    #[serde(default)]
    pub welcomes: Vec<WelcomeFor>,
    /// Further envelopes.
    #[serde(default)]
    pub envelopes: Vec<EnvelopeFor>,
    /// The GroupInfo of the new epoch, an `MLSMessage`. Without one nobody can join from outside until a member
    /// publishes it, or the next commit brings one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_info: Option<Base64Url>,
    /// Who comes and goes.
    #[serde(default)]
    pub roster: RosterChange,
}

/// A message has its place in the log. A retry of the same request answers the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Published {
    /// Its position.
    pub position: u64,
    /// The epoch in which it was sent.
    pub epoch: u64,
}

//! What an operator is shown.

use paired_mls_api::{ApprovalView, DeviceId, GroupId, UserId};
use serde::Serialize;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserLine {
    /// Who.
    pub user: UserId,
    /// How many devices it has, revoked ones included.
    pub devices: u64,
    /// How many of them are revoked.
    pub revoked: u64,
    /// Whether it has a recovery key.
    pub recovery_key: OnPaper,
    /// Since when it is shut out, in seconds since 1970-01-01T00:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub banned_at: Option<u64>,
}

/// Whether a user has a recovery key. Which one is nobody's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnPaper {
    /// It has one.
    Yes,
    /// It has none: without a device, only the operator helps it.
    No,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceLine {
    /// Which.
    pub device: DeviceId,
    /// Whose.
    pub user: UserId,
    /// What it signs with.
    pub scheme: String,
    /// When it was revoked, in seconds since 1970-01-01T00:00:00Z.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<u64>,
    /// Items in its mailbox.
    pub items: u64,
    /// KeyPackages that it offers.
    pub key_packages: u64,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupLine {
    /// Which.
    pub group: GroupId,
    /// The epoch that it is in.
    pub epoch: u64,
    /// The last position of its log.
    pub head: u64,
    /// The last position that is gone; 0 for none.
    pub pruned_through: u64,
    /// Who may join from outside: `roster` or `anyone`.
    pub access: String,
    /// The epoch of the GroupInfo that the service has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_info_epoch: Option<u64>,
    /// Accounts on the roster.
    pub members: u64,
    /// Accounts that were on it.
    pub removed: u64,
}

/// An account that is or was on a roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberLine {
    /// Who.
    pub user: UserId,
    /// The position of the commit that has added it.
    pub joined_at: u64,
    /// The position of the commit that has removed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<u64>,
}

/// A group of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OwnGroup {
    /// Which.
    pub group: GroupId,
    /// The position of the commit that has removed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<u64>,
}

/// An approval, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApprovalOf {
    /// Whose device may register.
    pub user: UserId,
    /// Which, and until when.
    #[serde(flatten)]
    pub approval: ApprovalView,
}

/// A user with its devices and groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserDetails {
    /// The user.
    #[serde(flatten)]
    pub line: UserLine,
    /// Its devices.
    pub list: Vec<DeviceLine>,
    /// The groups on whose roster it is or was.
    pub groups: Vec<OwnGroup>,
    /// Devices that may register for it now.
    pub approvals: Vec<ApprovalOf>,
}

/// A group with its roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupDetails {
    /// The group.
    #[serde(flatten)]
    pub line: GroupLine,
    /// Who is or was on its roster.
    pub roster: Vec<MemberLine>,
}

/// What was let go of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// Devices.
    pub devices: u64,
    /// Groups.
    pub groups: u64,
    /// Entries of logs.
    pub entries: u64,
}

/// A backup that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// How long it is, in bytes.
    pub bytes: u64,
}

/// Whether KeyPackages of a backup stay, that may have been claimed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPackages {
    /// They go, apart from those of last resort and those whose time has not begun. Devices publish new ones.
    Dropped,
    /// They stay: some may be given out for a second time.
    Kept,
}

/// A new history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// KeyPackages that went, since they may have been claimed after the backup.
    pub key_packages: u64,
    /// Approvals that went.
    pub approvals: u64,
    /// What was taken over from the database that was replaced; absent if that could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shut_out: Option<ShutOutAgain>,
}

/// Who was shut out after the backup, and is shut out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ShutOutAgain {
    /// Revoked devices.
    pub devices: u64,
    /// Banned users.
    pub users: u64,
}

/// Something that is not as this software keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub what: String,
    /// What the operator can do about it.
    pub next: String,
}

/// What a check has looked at, and found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Groups.
    pub groups: u64,
    /// Entries of logs.
    pub entries: u64,
    /// Devices.
    pub devices: u64,
    /// What was found, one for each thing that is wrong.
    pub findings: Vec<Finding>,
}

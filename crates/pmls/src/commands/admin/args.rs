//! What can be said to `pmls admin`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use paired_mls_api::{DeviceId, GroupId, UserId};

use super::{Consent, DeviceArgs, GroupArgs, UserArgs, user};

/// Which part of a list.
#[derive(Args)]
pub(super) struct PageArgs {
    /// Begin behind this one, the last of the page before.
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub(super) after: Option<String>,
    /// How many at most, up to 1000.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) limit: u32,
}

#[derive(Subcommand)]
pub(super) enum ListCommand {
    /// Users, with the number of their devices.
    Users(PageArgs),
    /// Devices, of one user or of all.
    Devices {
        /// Of this user.
        #[arg(long, value_name = "USER", value_parser = user)]
        user: Option<UserId>,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Groups, with epoch and log.
    Groups(PageArgs),
    /// Devices that may register now.
    Approvals {
        /// For this user.
        #[arg(long, value_name = "USER", value_parser = user)]
        user: Option<UserId>,
    },
}

#[derive(Subcommand)]
pub(super) enum ShowCommand {
    /// A user with its devices and groups.
    User(UserArgs),
    /// A device.
    Device(DeviceArgs),
    /// A group with its roster.
    Group(GroupArgs),
}

#[derive(Subcommand)]
pub(super) enum DeleteCommand {
    /// A user with its devices; its name is free then.
    User {
        #[command(flatten)]
        user: UserArgs,
        #[command(flatten)]
        consent: Consent,
    },
    /// A device; to shut it out for ever, revoke it instead.
    Device {
        #[command(flatten)]
        device: DeviceArgs,
        #[command(flatten)]
        consent: Consent,
    },
    /// A group with its log.
    Group {
        #[command(flatten)]
        group: GroupArgs,
        #[command(flatten)]
        consent: Consent,
    },
    /// An approval that no device has used.
    Approval {
        #[command(flatten)]
        user: UserArgs,
        #[command(flatten)]
        device: DeviceArgs,
        #[command(flatten)]
        consent: Consent,
    },
}

/// Whom to let in.
#[derive(Args)]
pub(super) struct FreeArgs {
    /// The user, as it is shown.
    #[arg(value_parser = user)]
    pub(super) user: UserId,
    /// The new device, by the id that `pmls device init` says there: its owner has to tell you.
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    pub(super) device: DeviceId,
    /// Revoke all devices that the user has: they are lost, or somebody else has them.
    #[arg(long)]
    pub(super) revoke_others: bool,
}

/// Where to end a log.
#[derive(Args)]
pub(super) struct RollBackArgs {
    #[command(flatten)]
    pub(super) group: GroupArgs,
    /// The last entry that stays.
    pub(super) position: u64,
    #[command(flatten)]
    pub(super) consent: Consent,
}

/// What to drop of a log.
#[derive(Args)]
pub(super) struct PruneArgs {
    /// The id of the group.
    #[arg(value_name = "GROUP", allow_hyphen_values = true)]
    pub(super) group: GroupId,
    /// The last entry that goes; those of the current epoch stay.
    #[arg(long, value_name = "POSITION")]
    pub(super) through: u64,
    /// Drop also what somebody on the roster has not read: whoever needs it has to rejoin.
    #[arg(long)]
    pub(super) unread: bool,
}

/// What to restore.
#[derive(Args)]
pub(super) struct RestoreArgs {
    /// The backup.
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) mark: MarkArgs,
}

/// What becomes of what a backup brings back.
#[derive(Args)]
pub(super) struct MarkArgs {
    /// Keep KeyPackages that may have been claimed since the backup: some may be used for a second time.
    #[arg(long)]
    pub(super) keep_key_packages: bool,
    #[command(flatten)]
    pub(super) consent: Consent,
}

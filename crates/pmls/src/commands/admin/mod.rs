//! `pmls admin …`: what an operator does to the database of a service, also while it runs.

mod args;
mod view;

use std::{fmt, path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::random::OpenMlsRand as _;
use paired_mls_api::{DeviceId, GroupId, UserId};
use paired_mls_service::{
    Admin, Clock, KeyPackages, OldDevices, SystemClock, Unread, require_file,
    restore as restore_backup,
};

use self::{
    args::{
        DeleteCommand, FreeArgs, ListCommand, MarkArgs, PageArgs, PruneArgs, RestoreArgs,
        RollBackArgs, ShowCommand,
    },
    view::{Done, Listed, Plan, Shown},
};
use super::device::user;
use crate::{
    failure::Failure,
    output::{Output, printable},
    settings::ConfigFile,
};

/// What an operator does.
#[derive(Args)]
pub(crate) struct AdminArgs {
    /// The database of the service [default: that of `pmls serve`].
    #[arg(long, value_name = "URL", env = "PMLS_DATABASE", hide_env_values = true, global = true)]
    database: Option<String>,
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Subcommand)]
enum AdminCommand {
    /// List what there is, in pages.
    #[command(subcommand)]
    List(ListCommand),
    /// Show one user, device or group.
    #[command(subcommand)]
    Show(ShowCommand),
    /// Revoke a device, for ever.
    Revoke(DeviceArgs),
    /// Let a device register for a user that has none left to approve it.
    Free(FreeArgs),
    /// Shut a user out: none of its devices may make a request.
    Ban(UserArgs),
    /// Let a user in again that was shut out.
    Unban(UserArgs),
    /// Delete something with all that is its own.
    #[command(subcommand)]
    Delete(DeleteCommand),
    /// Put everybody back on the roster of a group who ever was on it.
    Reopen(GroupArgs),
    /// Drop the end of a group's log, with what it did to epoch and roster.
    RollBack(RollBackArgs),
    /// Drop the beginning of a group's log.
    Prune(PruneArgs),
    /// Write a backup of a SQLite database, also while the service runs.
    Backup {
        /// The file to write, which must not be there.
        file: PathBuf,
    },
    /// Put a backup in the place of a SQLite database, with the service stopped.
    Restore(RestoreArgs),
    /// Say that the database was restored by other means: a new history begins.
    RestoreMark(MarkArgs),
    /// Look whether everything is as it should be.
    Check,
}

/// Which user.
#[derive(Args)]
struct UserArgs {
    /// The user, as it is shown.
    #[arg(value_parser = user)]
    user: UserId,
}

/// Which device.
#[derive(Args)]
struct DeviceArgs {
    /// The id of the device.
    // Ids are base64url, and may begin with a dash.
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    device: DeviceId,
}

/// Which group.
#[derive(Args)]
struct GroupArgs {
    /// The id of the group.
    #[arg(value_name = "GROUP", allow_hyphen_values = true)]
    group: GroupId,
}

/// Whether a command that cannot be undone does it.
#[derive(Args)]
struct Consent {
    /// Do it: without this it is only said what would be done.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(
    args: &AdminArgs,
    file: &ConfigFile,
    output: Output,
) -> Result<(), Failure> {
    let database = args.database.as_deref().or(file.serve.database()).unwrap_or(DATABASE);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // Said first, and also when the server is down: these are the tools of PostgreSQL.
    if matches!(args.command, AdminCommand::Backup { .. } | AdminCommand::Restore(_)) {
        require_file(database)?;
    }
    if let AdminCommand::Restore(args) = &args.command {
        return restore(args, database, clock, output).await;
    }
    let admin = Admin::open(database, clock).await?;
    let done = command(&args.command, &admin, output).await;
    admin.close().await;
    done
}

/// The database of a service that nobody has configured.
const DATABASE: &str = "sqlite://pmls-service.sqlite";

async fn command(command: &AdminCommand, admin: &Admin, output: Output) -> Result<(), Failure> {
    match command {
        AdminCommand::List(what) => list(what, admin, output).await,
        AdminCommand::Show(what) => show(what, admin, output).await,
        AdminCommand::Delete(what) => delete(what, admin, output).await,
        AdminCommand::Revoke(DeviceArgs { device }) => {
            let revoked_at = admin.revoke(device).await?.ok_or_else(|| no_device(device))?;
            output.show(&Done::new("revoked", device).with("revoked_at", revoked_at))
        }
        AdminCommand::Free(FreeArgs { user, device, revoke_others }) => {
            let old = if *revoke_others { OldDevices::Revoked } else { OldDevices::Kept };
            let revoked = admin.free(user, device, old).await?.ok_or_else(|| no_user(user))?;
            output.show(&Done::new("approved", device).with("revoked", revoked))
        }
        AdminCommand::Ban(UserArgs { user }) => match admin.ban(user).await? {
            true => output.show(&Done::new("banned", printable(user.as_bytes()))),
            false => Err(no_user(user)),
        },
        AdminCommand::Unban(UserArgs { user }) => match admin.unban(user).await? {
            true => output.show(&Done::new("unbanned", printable(user.as_bytes()))),
            false => Err(no_user(user)),
        },
        AdminCommand::Reopen(GroupArgs { group }) => {
            let back = admin.reopen(group).await?.ok_or_else(|| no_group(group))?;
            output.show(&Done::new("reopened", group).with("back", back))
        }
        AdminCommand::RollBack(args) => roll_back(args, admin, output).await,
        AdminCommand::Prune(PruneArgs { group, through, unread }) => {
            let found = admin.group(group).await?.ok_or_else(|| no_group(group))?;
            if *through > found.line.head {
                return Err(Failure::NoPosition { from: 1, to: found.line.head });
            }
            let unread = if *unread { Unread::Dropped } else { Unread::Kept };
            let entries = admin.prune(group, *through, unread).await?;
            output.show(&Done::new("pruned", group).with("entries", entries))
        }
        AdminCommand::Backup { file } => {
            let backup = admin.backup(file).await?;
            output.show(&Done::new("backup", file.display()).with("bytes", backup.bytes))
        }
        AdminCommand::Restore(_) => Ok(()),
        AdminCommand::RestoreMark(MarkArgs { keep_key_packages, consent }) => {
            let plan =
                format!("Would begin a new history of the database{}", fate(*keep_key_packages));
            agree(consent, plan, output)?;
            let restored =
                admin.mark_restored(key_packages(*keep_key_packages), incarnation()?).await?;
            output.show(&Shown(restored))
        }
        AdminCommand::Check => {
            let checked = admin.check().await?;
            let findings = checked.findings.len();
            output.show(&Shown(checked))?;
            if findings == 0 { Ok(()) } else { Err(Failure::Findings { findings }) }
        }
    }
}

async fn list(what: &ListCommand, admin: &Admin, output: Output) -> Result<(), Failure> {
    match what {
        ListCommand::Users(PageArgs { after, limit }) => {
            let after = after.as_deref().map(user).transpose().map_err(Failure::Name)?;
            output.show(&Listed::new(admin.users(after.as_ref(), *limit).await?, *limit))
        }
        ListCommand::Devices { user, page } => {
            let after = parse(page.after.as_deref())?;
            let lines = admin.devices(user.as_ref(), after.as_ref(), page.limit).await?;
            output.show(&Listed::new(lines, page.limit))
        }
        ListCommand::Groups(PageArgs { after, limit }) => {
            let after = parse(after.as_deref())?;
            output.show(&Listed::new(admin.groups(after.as_ref(), *limit).await?, *limit))
        }
        ListCommand::Approvals { user } => {
            output.show(&Listed::new(admin.approvals(user.as_ref()).await?, 1000))
        }
    }
}

fn parse<T: std::str::FromStr<Err: fmt::Display>>(
    text: Option<&str>,
) -> Result<Option<T>, Failure> {
    text.map(str::parse).transpose().map_err(|error: T::Err| Failure::Name(error.to_string()))
}

async fn show(what: &ShowCommand, admin: &Admin, output: Output) -> Result<(), Failure> {
    match what {
        ShowCommand::User(UserArgs { user }) => {
            output.show(&Shown(admin.user(user).await?.ok_or_else(|| no_user(user))?))
        }
        ShowCommand::Device(DeviceArgs { device }) => {
            output.show(&Shown(admin.device(device).await?.ok_or_else(|| no_device(device))?))
        }
        ShowCommand::Group(GroupArgs { group }) => {
            output.show(&Shown(admin.group(group).await?.ok_or_else(|| no_group(group))?))
        }
    }
}

async fn delete(what: &DeleteCommand, admin: &Admin, output: Output) -> Result<(), Failure> {
    match what {
        DeleteCommand::User { user: UserArgs { user }, consent } => {
            let found = admin.user(user).await?.ok_or_else(|| no_user(user))?;
            let (name, alone) = (printable(user.as_bytes()), admin.groups_alone(user).await?.len());
            let plan = format!(
                "Would delete the user {name} with {} devices, take it off the rosters of {} groups, and \
                 delete {alone} of them that nobody else ever was in. Its leaves stay in the others until a \
                 member removes them, and whoever comes first can take the name",
                found.line.devices,
                found.groups.len(),
            );
            agree(consent, plan, output)?;
            let deleted = admin.delete_user(user).await?.ok_or_else(|| no_user(user))?;
            output.show(&Done::deleted(name, deleted))
        }
        DeleteCommand::Device { device: DeviceArgs { device }, consent } => {
            let found = admin.device(device).await?.ok_or_else(|| no_device(device))?;
            let plan = format!(
                "Would delete the device {device} of {} with {} items in its mailbox and {} KeyPackages. \
                 Unlike one that is revoked it can be registered again",
                printable(found.user.as_bytes()),
                found.items,
                found.key_packages,
            );
            agree(consent, plan, output)?;
            match admin.delete_device(device).await? {
                true => output.show(&Done::new("deleted", device)),
                false => Err(no_device(device)),
            }
        }
        DeleteCommand::Group { group: GroupArgs { group }, consent } => {
            let found = admin.group(group).await?.ok_or_else(|| no_group(group))?.line;
            let plan = format!(
                "Would delete the group {group} with its log of {} entries and a roster of {} accounts. \
                 Its members cannot send or fetch anything of it any more",
                found.head.saturating_sub(found.pruned_through),
                found.members,
            );
            agree(consent, plan, output)?;
            let deleted = admin.delete_group(group).await?.ok_or_else(|| no_group(group))?;
            output.show(&Done::deleted(group, deleted))
        }
        DeleteCommand::Approval {
            user: UserArgs { user },
            device: DeviceArgs { device },
            consent,
        } => {
            let name = printable(user.as_bytes());
            let plan = format!("Would delete the approval of the device {device} for {name}");
            agree(consent, plan, output)?;
            match admin.delete_approval(user, device).await? {
                true => output.show(&Done::new("deleted", device)),
                false => Err(Failure::NoSuch { what: "approval", name: device.to_string() }),
            }
        }
    }
}

async fn roll_back(args: &RollBackArgs, admin: &Admin, output: Output) -> Result<(), Failure> {
    let RollBackArgs { group: GroupArgs { group }, position, consent } = args;
    let found = admin.group(group).await?.ok_or_else(|| no_group(group))?.line;
    let (from, to) = (found.pruned_through, found.head);
    if !(from..=to).contains(position) {
        return Err(Failure::NoPosition { from, to });
    }
    let plan = format!(
        "Would drop {} entries of the group {group}, those behind {position}, with what their commits did to \
         the epoch and the roster. Members that have followed them have to rejoin",
        to - position,
    );
    agree(consent, plan, output)?;
    let rolled = admin.roll_back(group, *position).await?;
    let rolled = rolled.ok_or(Failure::NoPosition { from, to })?;
    let done = Done::new("rolled_back", group).with("epoch", rolled.epoch);
    output.show(&done.with("head", rolled.head).with("entries", rolled.entries))
}

async fn restore(
    args: &RestoreArgs,
    database: &str,
    clock: Arc<dyn Clock>,
    output: Output,
) -> Result<(), Failure> {
    let RestoreArgs { file, mark: MarkArgs { keep_key_packages, consent } } = args;
    let plan = format!(
        "Would replace the database by the backup {}: all that has happened since is lost. To keep it, run `pmls \
         admin backup` first. Would begin a new history{}",
        file.display(),
        fate(*keep_key_packages),
    );
    agree(consent, plan, output)?;
    let packages = key_packages(*keep_key_packages);
    output.show(&Shown(restore_backup(database, file, packages, incarnation()?, clock).await?))
}

fn key_packages(keep: bool) -> KeyPackages {
    if keep { KeyPackages::Kept } else { KeyPackages::Dropped }
}

fn fate(keep: bool) -> &'static str {
    match keep {
        true => ", drop all approvals, and keep KeyPackages that may have been claimed since",
        false => ", and drop all approvals, and the KeyPackages that may have been claimed since",
    }
}

fn incarnation() -> Result<[u8; 16], Failure> {
    RustCrypto::default().random_array().map_err(|_| Failure::Randomness)
}

/// Goes on if the operator has said so.
fn agree(consent: &Consent, plan: String, output: Output) -> Result<(), Failure> {
    if consent.yes {
        return Ok(());
    }
    output.show(&Plan { would: plan })?;
    Err(Failure::NeedsYes)
}

fn no_user(user: &UserId) -> Failure {
    Failure::NoSuch { what: "user", name: printable(user.as_bytes()) }
}

fn no_device(device: &DeviceId) -> Failure {
    Failure::NoSuch { what: "device", name: device.to_string() }
}

fn no_group(group: &GroupId) -> Failure {
    Failure::NoSuch { what: "group", name: group.to_string() }
}

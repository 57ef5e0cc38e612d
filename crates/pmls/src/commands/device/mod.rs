//! `pmls device …`: this device, and the user's others.

mod directory;
mod init;
mod packages;
mod provision;
mod recovery;
pub(super) mod register;
mod show;

use clap::Subcommand;

pub(crate) use self::directory::user;

use crate::{failure::Failure, output::Output, session::Session, settings::GlobalOptions};

/// What is to be done with a device.
#[derive(Subcommand)]
pub(crate) enum DeviceCommand {
    /// Set this device up and register it; after an interruption, go on with it.
    Init(init::InitArgs),
    /// Register this device at the service, once another one of the user has approved it.
    Register(register::RegisterNowArgs),
    /// Show who this device is.
    Show,
    /// List the devices of a user.
    List(directory::ListArgs),
    /// Let another device of the user register.
    Approve(directory::ApproveArgs),
    /// List the approvals that no device has used yet, or take one back.
    Approvals(directory::ApprovalsArgs),
    /// Shut out a device of the user, for ever.
    Revoke(directory::RevokeArgs),
    /// Show whether the user has a recovery key, replace it, or take it away.
    RecoveryKey(recovery::RecoveryKeyArgs),
    /// Publish KeyPackages, by which others add this device to groups.
    Publish(packages::PublishArgs),
    /// Withdraw all KeyPackages of this device.
    Withdraw,
    /// Make this device ready for years in which it only receives: its partners get what they renew its leaf with.
    Provision(provision::ProvisionArgs),
}

pub(super) async fn run(
    command: &DeviceCommand,
    options: &GlobalOptions,
    output: Output,
) -> Result<(), Failure> {
    if let DeviceCommand::Init(args) = command {
        return output.show(&init::init(args, options, output).await?);
    }
    if let DeviceCommand::Provision(args) = command {
        return provision::provision(args, options, output).await;
    }
    let session = Session::open(options)?;
    match command {
        DeviceCommand::Init(_) | DeviceCommand::Provision(_) | DeviceCommand::Show => {
            output.show(&show::DeviceReport::of(&session))
        }
        DeviceCommand::Register(args) => {
            output.show(&register::register_now(args, &session, output).await?)
        }
        DeviceCommand::List(args) => output.show(&directory::list(args, &session).await?),
        DeviceCommand::Approve(args) => output.show(&directory::approve(args, &session).await?),
        DeviceCommand::Approvals(args) => output.show(&directory::approvals(args, &session).await?),
        DeviceCommand::Revoke(args) => output.show(&directory::revoke(args, &session).await?),
        DeviceCommand::RecoveryKey(args) => {
            output.show(&recovery::recovery_key(args, &session).await?)
        }
        DeviceCommand::Publish(args) => output.show(&packages::publish(args, &session).await?),
        DeviceCommand::Withdraw => output.show(&packages::withdraw(&session).await?),
    }
}

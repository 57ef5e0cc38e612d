//! `pmls device …`: this device, and the user's others.

mod init;
mod show;

use clap::Subcommand;

use crate::{failure::Failure, output::Output, settings::GlobalOptions};

/// What is to be done with a device.
#[derive(Subcommand)]
pub(crate) enum DeviceCommand {
    /// Set this device up; after an interruption, go on with it.
    Init(init::InitArgs),
    /// Show who this device is.
    Show,
}

pub(super) async fn run(
    command: &DeviceCommand,
    options: &GlobalOptions,
    output: Output,
) -> Result<(), Failure> {
    match command {
        DeviceCommand::Init(args) => init::init(args, options, output).await,
        DeviceCommand::Show => output.show(&show::show(options)?),
    }
}

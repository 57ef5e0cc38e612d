//! The commands. Each module has the arguments of one, what it does, and what it reports.

mod device;
mod vault;

use std::process::ExitCode;

use clap::Subcommand;

use crate::{
    cli::Parsed,
    demo,
    failure::{Exit, Failure},
    output::Output,
};

/// What is to be done.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// This device, and the user's others.
    #[command(subcommand)]
    Device(device::DeviceCommand),
    /// The vault of this device.
    #[command(subcommand)]
    Vault(vault::VaultCommand),
    /// Play the main job with real members: a theft, ordinary MLS, and then Paired MLS.
    Demo(demo::Options),
}

/// Does what was said.
pub(crate) async fn run(parsed: Parsed, output: Output) -> Result<ExitCode, Failure> {
    let options = || parsed.options();
    match &parsed.cli.command {
        Command::Device(command) => device::run(command, &options()?, output).await?,
        Command::Vault(command) => vault::run(command, &options()?, output)?,
        Command::Demo(options) => return Ok(demo::run(options)?),
    }
    Ok(Exit::Done.into())
}

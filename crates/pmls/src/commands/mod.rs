//! The commands. Each module has the arguments of one, what it does, and what it reports.

mod device;
mod group;
mod newcomer;
mod pair;
mod sync;
mod token;
mod tree;
mod update;
mod vault;

use std::process::ExitCode;

use clap::Subcommand;

use crate::{
    cli::Parsed,
    demo,
    engine::{self, EngineError},
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
    /// Groups, their members, and what they say.
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// Pairings of this device with others.
    #[command(subcommand)]
    Pair(pair::PairCommand),
    /// Commit new keys, and heal the partners of this device with them.
    Update(update::UpdateArgs),
    /// Fetch and process everything that waits for this device, and send what waits here.
    Sync,
    /// Do so whenever something comes, until it is stopped: this is how a passive device lives.
    Watch(sync::WatchArgs),
    /// Draw the ratchet tree of a group, with anchor and healed devices.
    Tree(tree::TreeArgs),
    /// The right to send from a leaf that devices share.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Play the main job with real members: a theft, ordinary MLS, and then Paired MLS.
    Demo(demo::Options),
}

/// Does what was said.
pub(crate) async fn run(parsed: Parsed, output: Output) -> Result<ExitCode, Failure> {
    let options = || parsed.options();
    match &parsed.cli.command {
        Command::Device(command) => device::run(command, &options()?, output).await?,
        Command::Vault(command) => vault::run(command, &options()?, output)?,
        Command::Group(command) => group::run(command, &options()?, output).await?,
        Command::Pair(command) => pair::run(command, &options()?, output).await?,
        Command::Update(args) => update::run(args, &options()?, output).await?,
        Command::Sync => sync::sync(&options()?, output).await?,
        Command::Watch(args) => sync::watch(args, &options()?, output).await?,
        Command::Tree(args) => tree::run(args, &options()?, output)?,
        Command::Token(command) => token::run(command, &options()?, output).await?,
        Command::Demo(options) => return Ok(demo::run(options)?),
    }
    Ok(Exit::Done.into())
}

/// Shows what happened, also where something failed in the end.
fn told(
    done: Result<(), EngineError>,
    report: &engine::Report,
    output: Output,
) -> Result<(), Failure> {
    if done.is_ok() || !report.events.is_empty() {
        output.show(report)?;
    }
    Ok(done?)
}

//! The commands. Each module has the arguments of one, what it does, and what it reports.

mod admin;
mod beacon;
mod caller;
mod config;
mod demo;
mod device;
mod doctor;
mod generate;
mod group;
mod listen;
mod newcomer;
mod outbox;
mod pair;
mod serve;
mod status;
mod sync;
mod token;
mod tree;
mod update;
mod vault;

use std::{num::NonZero, process::ExitCode};

use clap::{
    Subcommand,
    builder::{NonEmptyStringValueParser, TypedValueParser},
};
use paired_mls_vault::Hardening;
use tokio::runtime::Builder;

pub(crate) use self::beacon::BeaconError;
use self::caller::{Caller, delegate, input_of};
use crate::{
    agent::Host,
    cli::Parsed,
    engine::{self, Engine, EngineError},
    failure::{Exit, Failure},
    output::{Output, Printer},
};

/// A name on the command line, or the beginning of one: an empty one names nothing.
fn named() -> NonEmptyStringValueParser {
    NonEmptyStringValueParser::new()
}

/// A new name, which people can see: not only white space, and on one line.
fn visible() -> impl TypedValueParser<Value = String> {
    NonEmptyStringValueParser::new().try_map(|name| {
        if name.trim().is_empty() {
            return Err("a name needs something that can be seen");
        }
        match name.contains(char::is_control) {
            true => Err("a name has no line breaks, tabs or other control characters"),
            false => Ok(name),
        }
    })
}

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
    /// Show how it is with this device, and what needs attention: devices, groups, pairings, KeyPackages,
    /// outbox.
    Status(status::StatusArgs),
    /// Find out what is wrong with this device, and which command helps: exit code 8 if there is anything.
    Doctor,
    /// Bring this device back after a loss of its MLS state or its vault, or when groups cannot go on.
    Recover(doctor::RecoverArgs),
    /// Send the logs of this device's groups to listeners that cannot answer, until it is stopped.
    Beacon(beacon::BeaconArgs),
    /// Hear and follow what a partner's beacon sends, and send nothing, until it is stopped.
    Listen(listen::ListenArgs),
    /// Draw the ratchet tree of a group, with anchor and healed devices.
    Tree(tree::TreeArgs),
    /// The right to send from a leaf that devices share.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// What this device still has to send, and what the service has refused.
    #[command(subcommand)]
    Outbox(outbox::OutboxCommand),
    /// The configuration: file, environment and flags.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Run the delivery service and directory.
    Serve(Box<serve::ServeArgs>),
    /// Look after the database of a service, also while it runs.
    Admin(admin::AdminArgs),
    /// Play the main job with real members: a theft, ordinary MLS, and then Paired MLS.
    Demo(demo::DemoArgs),
    /// Print completions for a shell.
    Completions(generate::CompletionsArgs),
    /// Write the manual, one page for each command.
    Man(generate::ManArgs),
}

impl Command {
    /// A device does one thing after the other, on one thread; a server many at once, with a thread to spare if one
    /// waits for a disk.
    pub(crate) fn runtime(&self) -> Builder {
        match self {
            Self::Serve(_) => {
                let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
                let mut runtime = Builder::new_multi_thread();
                runtime.worker_threads(threads + 1);
                runtime
            }
            _ => Builder::new_current_thread(),
        }
    }
}

/// Does a command that acts with an open device: for this process, or for another one.
pub(crate) async fn act(
    command: &Command,
    engine: &mut Engine,
    caller: &Caller,
    output: Printer<'_>,
) -> Result<Exit, Failure> {
    match act_once(command, engine, caller, output).await {
        Err(Failure::Engine(error)) => Err(engine.cause_of(error).into()),
        done => done,
    }
}

async fn act_once(
    command: &Command,
    engine: &mut Engine,
    caller: &Caller,
    output: Printer<'_>,
) -> Result<Exit, Failure> {
    match command {
        Command::Group(command) => group::run(command, engine, caller, output).await?,
        Command::Pair(command) => pair::run(command, engine, caller, output).await?,
        Command::Update(args) => update::run(args, engine, output).await?,
        Command::Sync => sync::sync(engine, output).await?,
        Command::Status(args) => return status::run(args, engine, output),
        Command::Tree(args) => tree::run(args, engine, output)?,
        Command::Token(command) => token::run(command, engine, output).await?,
        Command::Outbox(command) => outbox::run(command, engine, output)?,
        _ => return Err(Failure::NotForOthers),
    }
    Ok(Exit::Done)
}

/// Does what was said.
pub(crate) async fn run(
    parsed: &Parsed,
    hardening: &Hardening,
    output: Output,
) -> Result<ExitCode, Failure> {
    let options = || parsed.options();
    match &parsed.cli.command {
        command @ (Command::Group(_)
        | Command::Pair(_)
        | Command::Update(_)
        | Command::Sync
        | Command::Status(_)
        | Command::Tree(_)
        | Command::Token(_)
        | Command::Outbox(_)) => {
            let options = options()?;
            let input = input_of(command)?;
            if let Some(host) = Host::find(&options)? {
                return Ok(delegate(host, command, &input, &options)?.into());
            }
            let mut engine = Engine::open(&options)?;
            let caller = Caller::ThisProcess { input };
            return Ok(act(command, &mut engine, &caller, output).await?.into());
        }
        Command::Device(command) => device::run(command, &options()?, output).await?,
        Command::Watch(args) => sync::watch(args, &options()?, output).await?,
        Command::Doctor => return Ok(doctor::doctor(&options()?, output).await?.into()),
        Command::Recover(args) => doctor::recover(args, &options()?, output).await?,
        Command::Beacon(args) => beacon::run(args, &options()?, output).await?,
        Command::Listen(args) => listen::run(args, &options()?, output).await?,
        Command::Vault(command) => vault::run(command, &options()?, hardening, output)?,
        Command::Config(command) => config::run(command, parsed, output)?,
        Command::Serve(args) => {
            serve::run(args, parsed, output).await?;
        }
        Command::Admin(args) => admin::run(args, &parsed.config_file()?, output).await?,
        Command::Demo(args) => return Err(demo::run(args, output)),
        Command::Completions(args) => generate::completions(args)?,
        Command::Man(args) => generate::man(args)?,
    }
    Ok(Exit::Done.into())
}

/// Shows what happened, also where something failed in the end.
fn told(
    done: Result<(), EngineError>,
    report: &engine::Report,
    output: Printer<'_>,
) -> Result<(), Failure> {
    if done.is_ok() || !report.events.is_empty() {
        output.show(report)?;
        output.show_beside(&report.events);
    }
    Ok(done?)
}

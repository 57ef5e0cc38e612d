//! Long tests that have commands of their own: `cargo xtask crash --runs 1000`, `cargo xtask load`,
//! `cargo xtask mutants`, `cargo xtask peers`, `cargo xtask soak`.

mod crash;
mod load;
mod mutants;
mod peers;
mod service;
mod soak;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Whatever went wrong. It can leave the thread or task that it happened in.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(about = "Long tests of Paired MLS")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Kill two paired devices at random moments, restart them from their files, and look for a
    /// lost group, an index that was used twice, and a secret in a stray file.
    Crash(crash::Options),
    /// One of the devices that `crash` kills.
    #[command(hide = true)]
    CrashDevice(crash::DeviceOptions),
    /// Load the service: commits in a second, and how fast one reaches a thousand subscribers, beside
    /// what the bare database does in the same run.
    Load(load::Options),
    /// Break what decides, a little, one place at a time, and see whether a test notices.
    Mutants(mutants::Options),
    /// Random plays of peers on four implementations of RFC 9420, with the devices of a pairing and thieves
    /// who look on. A play that fails is repeated by its seed, and shrunk.
    Peers(peers::Options),
    /// Run the real service for long: honest clients beside hostile ones, while service and database are
    /// killed, the disk fills up, and clocks are wrong.
    Soak(soak::Options),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Crash(options) => crash::run(&options),
        Command::CrashDevice(options) => crash::live(&options),
        Command::Load(options) => load::run(&options),
        Command::Mutants(options) => mutants::run(&options),
        Command::Peers(options) => peers::run(&options),
        Command::Soak(options) => soak::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because: {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

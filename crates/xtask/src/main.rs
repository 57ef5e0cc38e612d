//! Long tests that have commands of their own: `cargo xtask crash --runs 1000`.

mod crash;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Whatever went wrong.
type Failure = Box<dyn std::error::Error>;

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
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Crash(options) => crash::run(&options),
        Command::CrashDevice(options) => crash::live(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

//! `pmls`: Paired MLS on the command line.
//!
//! Exit codes: 0, all is well; 1, something that was claimed does not hold; 2, the command line is
//! wrong; 3, something failed, and the message says what to do.

mod demo;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Paired MLS: an active device heals an MLS group on behalf of a passive one.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Play the main job with real members: a theft, ordinary MLS, and then Paired MLS.
    Demo(demo::Options),
}

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    let done = match command {
        Command::Demo(options) => demo::run(&options),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprint!("pmls: {error}");
            let causes = std::iter::successors(error.source(), |error| error.source());
            causes.for_each(|cause| eprint!(": {cause}"));
            eprintln!();
            ExitCode::from(3)
        }
    }
}

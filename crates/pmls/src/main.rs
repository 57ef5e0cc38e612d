//! `pmls`: Paired MLS on the command line.
//!
//! Parse, options, run, print the error, exit code: [`failure::Exit`] has the codes, and
//! `pmls --help` shows them.

mod cli;
mod commands;
mod demo;
mod engine;
mod failure;
mod output;
mod session;
mod settings;

use std::process::ExitCode;

use cli::{Cli, Parsed};
use failure::Failure;
use output::Output;

fn main() -> ExitCode {
    let parsed = Cli::read();
    let output = parsed.cli.output();
    match run(parsed, output) {
        Ok(code) => code,
        Err(failure) => {
            output.fail(&failure);
            failure.exit().into()
        }
    }
}

fn run(parsed: Parsed, output: Output) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::Runtime)?.block_on(commands::run(parsed, output))
}

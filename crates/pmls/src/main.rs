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
use paired_mls_vault::{Hardening, harden_process};

fn main() -> ExitCode {
    let hardening = harden_process();
    let parsed = Cli::read();
    let output = parsed.cli.output();
    match run(&parsed, &hardening, output) {
        Ok(code) => code,
        Err(failure) => {
            output.fail(&failure);
            failure.exit().into()
        }
    }
}

fn run(parsed: &Parsed, hardening: &Hardening, output: Output) -> Result<ExitCode, Failure> {
    let runtime = parsed.cli.command.runtime().enable_all().build().map_err(Failure::Runtime)?;
    runtime.block_on(commands::run(parsed, hardening, output))
}

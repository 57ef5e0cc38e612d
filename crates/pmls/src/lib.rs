//! `pmls`: Paired MLS on the command line, as a library for its two programs: `pmls`, and the demo, which plays
//! its devices with it. Nothing else is meant to be built on it.
//!
//! Parse, options, run, print the error, exit code: [`Exit`] has the codes, and `pmls --help` shows them.

mod agent;
mod cli;
mod commands;
mod engine;
mod failure;
mod output;
mod session;
mod settings;

use std::process::ExitCode;

use cli::{Cli, Parsed};
use failure::Failure;
use paired_mls_vault::{Hardening, harden_process};

pub use self::{
    failure::{Exit, WithCauses},
    output::{Form, Output},
};

/// Does what the arguments of this process say. Returns its exit code.
pub fn main() -> ExitCode {
    let hardening = harden_process();
    let parsed = Cli::read();
    let output = parsed.cli.output();
    match run(&parsed, &hardening, output) {
        Ok(code) => code,
        Err(failure) => {
            output.fail(failure.message(), failure.exit());
            failure.exit().into()
        }
    }
}

fn run(parsed: &Parsed, hardening: &Hardening, output: Output) -> Result<ExitCode, Failure> {
    let runtime = parsed.cli.command.runtime().enable_all().build().map_err(Failure::Runtime)?;
    runtime.block_on(commands::run(parsed, hardening, output))
}

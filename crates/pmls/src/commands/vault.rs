//! `pmls vault …`: the vault of this device.

use std::fmt;

use clap::Subcommand;
use serde::Serialize;

use crate::{failure::Failure, output::Output, session::Session, settings::GlobalOptions};

/// What is to be done with the vault.
#[derive(Subcommand)]
pub(crate) enum VaultCommand {
    /// Show of which kind it is, and what it holds; never the contents.
    Status,
}

pub(super) fn run(
    command: &VaultCommand,
    options: &GlobalOptions,
    output: Output,
) -> Result<(), Failure> {
    match command {
        VaultCommand::Status => {
            let session = Session::open(options)?;
            output.show(&Status { kind: session.profile().vault.to_string() })
        }
    }
}

#[derive(Serialize)]
struct Status {
    kind: String,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind  {}", self.kind)
    }
}

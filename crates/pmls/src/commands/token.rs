//! `pmls token …`: who may send from a shared leaf.

use std::fmt;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::told;
use crate::{
    engine::{Engine, Report},
    failure::Failure,
    output::Output,
    settings::GlobalOptions,
};

/// What is to be done with the token.
#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Show which device has it.
    Show(GroupArgs),
    /// Ask the partners for it.
    Ask(GroupArgs),
    /// Give it away: this device sends nothing more until its next `pmls update`.
    Give(GroupArgs),
}

/// A group.
#[derive(Args)]
pub(crate) struct GroupArgs {
    /// The group's name, or the beginning of its identifier.
    group: String,
}

pub(super) async fn run(
    command: &TokenCommand,
    options: &GlobalOptions,
    output: Output,
) -> Result<(), Failure> {
    let mut engine = Engine::open(options)?;
    let mut report = Report::default();
    let done = match command {
        TokenCommand::Show(args) => {
            let (holder, own) = engine.token(&args.group)?;
            return output.show(&Holder { holder, own });
        }
        TokenCommand::Ask(args) => engine.ask_token(&args.group, &mut report).await,
        TokenCommand::Give(args) => engine.give_token(&args.group, &mut report).await,
    };
    told(done, &report, output)
}

/// Who has the token.
#[derive(Debug, Serialize)]
struct Holder {
    holder: Option<u16>,
    own: Option<u16>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.holder {
            None => f.write_str("no device has the token: `pmls update` takes it"),
            Some(_) if self.holder == self.own => f.write_str("this device has the token"),
            Some(holder) => {
                write!(f, "device {holder} has the token: `pmls update` takes it with a commit")
            }
        }
    }
}

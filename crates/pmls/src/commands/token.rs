//! `pmls token …`: who may send from a shared leaf.

use std::fmt;

use super::told;
use crate::{
    engine::{Engine, Report, Token, TokenState},
    failure::Failure,
    output::Printer,
};
use clap::{Args, Subcommand};

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
    engine: &mut Engine,
    output: Printer<'_>,
) -> Result<(), Failure> {
    let mut report = Report::default();
    let done = match command {
        TokenCommand::Show(args) => {
            return output.show(&engine.token(&args.group)?);
        }
        TokenCommand::Ask(args) => engine.ask_token(&args.group, &mut report).await,
        TokenCommand::Give(args) => engine.give_token(&args.group, &mut report).await,
    };
    told(engine.outcome(done), &report, output)
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, state, holder, own } = self;
        let who = match holder {
            Some(_) if holder == own => "this device".to_owned(),
            Some(holder) => format!("device {holder}"),
            None => "no device".to_owned(),
        };
        match state {
            TokenState::Own => write!(f, "{who} has the token"),
            TokenState::Nobody => write!(f, "{who} has the token: `pmls update {group}` takes it"),
            TokenState::Elsewhere => write!(
                f,
                "{who} has the token: `pmls token ask {group}` asks for it, and `pmls update {group}` takes it"
            ),
            TokenState::GivenAway => write!(
                f,
                "{who} has given the token away: `pmls update {group}` takes it, on whichever device"
            ),
        }
    }
}

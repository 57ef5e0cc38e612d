//! `pmls outbox`: what this device still has to send, and what the service has refused.

use std::fmt;

use clap::Subcommand;
use serde::Serialize;

use crate::{
    engine::{Engine, Waiting},
    failure::Failure,
    output::Printer,
};

/// What is to be done with the outbox.
#[derive(Subcommand)]
pub(crate) enum OutboxCommand {
    /// Show what waits, and what was refused, with the reason.
    List,
    /// Forget what was refused.
    Clear,
}

/// The outbox.
#[derive(Debug, Serialize)]
struct Outbox {
    outbox: Vec<Waiting>,
}

pub(super) fn run(
    command: &OutboxCommand,
    engine: &mut Engine,
    output: Printer<'_>,
) -> Result<(), Failure> {
    if let OutboxCommand::Clear = command {
        engine.store().forget_refused()?;
    }
    output.show(&Outbox { outbox: engine.store().waiting()? })
}

impl fmt::Display for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.outbox.is_empty() {
            return f.write_str("nothing waits, and nothing was refused");
        }
        for (n, Waiting { what, group, state, tries, why, .. }) in self.outbox.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{state:8} {what}")?;
            group.iter().try_for_each(|group| write!(f, " in {group}"))?;
            if *tries > 0 {
                write!(f, ", tried {tries} {}", if *tries == 1 { "time" } else { "times" })?;
            }
            why.iter().try_for_each(|why| write!(f, ": {why}"))?;
        }
        Ok(())
    }
}

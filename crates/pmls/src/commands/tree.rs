//! `pmls tree`: the ratchet tree of a group.

use clap::Args;

use crate::{engine::Engine, failure::Failure, output::Printer};

/// Which group.
#[derive(Args)]
pub(crate) struct TreeArgs {
    /// The group's name, or the beginning of its identifier.
    group: String,
}

pub(super) fn run(args: &TreeArgs, engine: &Engine, output: Printer<'_>) -> Result<(), Failure> {
    output.show(&engine.look(&args.group)?)
}

//! `pmls tree`: the ratchet tree of a group.

use clap::Args;

use crate::{engine::Engine, failure::Failure, output::Output, settings::GlobalOptions};

/// Which group.
#[derive(Args)]
pub(crate) struct TreeArgs {
    /// The group's name, or the beginning of its identifier.
    group: String,
}

pub(super) fn run(args: &TreeArgs, options: &GlobalOptions, output: Output) -> Result<(), Failure> {
    output.show(&Engine::open(options)?.look(&args.group)?)
}

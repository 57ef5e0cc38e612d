//! `pmls device provision`: a device that will only receive is made ready for years.

use clap::Args;

use crate::{
    commands::told,
    engine::{Engine, Life, Report},
    failure::Failure,
    output::Output,
    settings::GlobalOptions,
};

/// Ready, or no more.
#[derive(Args)]
pub(crate) struct ProvisionArgs {
    /// Make nothing ahead any more: this device commits again.
    #[arg(long)]
    off: bool,
}

pub(super) async fn provision(
    args: &ProvisionArgs,
    options: &GlobalOptions,
    output: Output,
) -> Result<(), Failure> {
    let mut engine = Engine::open(options)?;
    let mut report = Report::default();
    let life = if args.off { Life::Ordinary } else { Life::OnlyReceives };
    let done = engine.set_life(life, &mut report).await;
    told(engine.outcome(done), &report, output)
}

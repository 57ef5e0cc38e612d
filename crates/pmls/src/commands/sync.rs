//! `pmls sync` and `pmls watch`: what waits for this device.

use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::told;
use crate::{
    engine::{Engine, Report, Watch, Watching},
    failure::Failure,
    output::Output,
    settings::GlobalOptions,
};

/// For how long.
#[derive(Args)]
pub(crate) struct WatchArgs {
    /// Stop after so many seconds.
    #[arg(long = "for", value_name = "SECONDS")]
    time: Option<u64>,
}

pub(super) async fn sync(options: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let mut engine = Engine::open(options)?;
    let mut report = Report::default();
    let done = engine.sync(&mut report).await;
    told(engine.outcome(done), &report, output)
}

/// Ends at Ctrl-C or a SIGTERM, between two messages: nothing is half done.
pub(super) async fn watch(
    args: &WatchArgs,
    options: &GlobalOptions,
    output: Output,
) -> Result<(), Failure> {
    let mut engine = Engine::open(options)?;
    let mut watching = Watching::new(args.time.map(Duration::from_secs));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    loop {
        let news = tokio::select! {
            news = engine.watch(&mut watching) => news?,
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        };
        match news {
            Watch::News(report) => {
                for happening in &report.events {
                    output.show(happening)?;
                }
            }
            Watch::Trouble(error) => output.fail(&error.into()),
            Watch::Over => return Ok(()),
        }
    }
}

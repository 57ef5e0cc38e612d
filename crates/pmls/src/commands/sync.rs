//! `pmls sync` and `pmls watch`: what waits for this device.

use std::{fmt, time::Duration};

use clap::Args;
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::{caller::act_for, told};
use crate::{
    agent::{Bound, Calls},
    engine::{Connection, Engine, Report, Watch, Watching},
    failure::Failure,
    output::{Output, Printer},
    settings::GlobalOptions,
};

/// How it is with the service, while the command goes on.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Signal {
    /// The service answers, and whatever was there is processed.
    Connected,
    /// It does so again.
    Reconnected,
    /// It does not, or a group cannot be followed; the command goes on trying.
    Trouble { error: String },
    /// There is no socket: other commands cannot be done meanwhile.
    Alone { error: String },
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected; waiting for what comes"),
            Self::Reconnected => f.write_str("connected again"),
            Self::Trouble { error } => write!(f, "{error}; still trying"),
            Self::Alone { error } => write!(
                f,
                "other commands cannot work with this home meanwhile: its socket cannot be opened ({error})"
            ),
        }
    }
}

/// For how long.
#[derive(Args)]
pub(crate) struct WatchArgs {
    /// Stop after so many seconds.
    #[arg(long = "for", value_name = "SECONDS")]
    time: Option<u64>,
    /// Do nothing for other commands: they find the home in use.
    #[arg(long)]
    alone: bool,
}

pub(super) async fn sync(engine: &mut Engine, output: Printer<'_>) -> Result<(), Failure> {
    let mut report = Report::default();
    let done = engine.sync(&mut report).await;
    told(engine.outcome(done), &report, output)
}

/// Ends at Ctrl-C or a SIGTERM, between two messages: nothing is half done. Does what other commands ask for
/// meanwhile.
pub(super) async fn watch(
    args: &WatchArgs,
    options: &GlobalOptions,
    output: Output,
) -> Result<(), Failure> {
    let mut engine = Engine::open(options)?;
    let calls = match args.alone {
        true => None,
        false => open_socket(&engine, output)?,
    };
    let mut watching = Watching::new(args.time.map(Duration::from_secs));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    loop {
        let news = tokio::select! {
            news = engine.watch(&mut watching, async || Calls::next(calls.as_ref()).await) => {
                news.map_err(|error| engine.cause_of(error))?
            }
            _ = interrupt.recv() => return Ok(()),
            _ = terminate.recv() => return Ok(()),
        };
        match news {
            Watch::News(report) => {
                for happening in &report.events {
                    output.show(happening)?;
                }
            }
            Watch::Connected(Connection::First) => output.show(&Signal::Connected)?,
            Watch::Connected(Connection::Again) => output.show(&Signal::Reconnected)?,
            Watch::Trouble(error) => {
                let error = Failure::from(error).message().to_string();
                output.show(&Signal::Trouble { error })?;
            }
            Watch::Called(call) => {
                let Some(calls) = &calls else { continue };
                let act = async |request| act_for(request, &mut engine, output).await;
                // A caller of a process that ends is told that its command may be done or not.
                tokio::select! {
                    () = calls.serve(call, act) => {}
                    _ = interrupt.recv() => return Ok(()),
                    _ = terminate.recv() => return Ok(()),
                }
            }
            Watch::Over => return Ok(()),
        }
    }
}

/// The socket for other commands. Without one, the device lives on.
fn open_socket(engine: &Engine, output: Output) -> Result<Option<Calls>, Failure> {
    match Calls::open(engine.home(), Bound::of(engine.profile())) {
        Ok(calls) => Ok(Some(calls)),
        Err(error) => {
            output.show(&Signal::Alone { error: error.to_string() })?;
            Ok(None)
        }
    }
}

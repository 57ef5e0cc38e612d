//! `pmls serve`: the delivery service and directory.

use std::{fmt, io, net::SocketAddr};

use clap::{ArgMatches, Args};
use paired_mls_service::{Config, Server, StopSignals, init_logging};
use serde::Serialize;

use crate::{
    failure::Failure,
    output::Output,
    settings::{ConfigFile, LimitSettings, ServeSettings},
};

/// How to serve.
#[derive(Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    serve: ServeSettings,
    #[command(flatten)]
    limits: LimitSettings,
    /// Stop when standard input ends as well: whoever has started the service is gone.
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

/// Where the service is: printed once it can be reached.
#[derive(Serialize)]
struct Serving {
    url: String,
    listening: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<SocketAddr>,
}

/// Serves until the process is told to stop, by SIGINT or SIGTERM.
pub(super) async fn run(
    args: &ServeArgs,
    file: &ConfigFile,
    matches: &ArgMatches,
    output: Output,
) -> Result<(), Failure> {
    let limits = args.limits.effective(file, matches)?.settings;
    let serve = args.serve.effective(file, matches)?.settings;
    init_logging(serve.log_format());
    let config = serve.config(limits.into())?;
    let signals = StopSignals::listen()?;
    let server = Server::start(&config).await?;
    output.show(&Serving::of(&server, &config))?;
    if !args.until_stdin_ends {
        return Ok(server.serve_until(signals).await?);
    }
    tokio::select! {
        stopped = server.serve_until(signals) => Ok(stopped?),
        () = stdin_ends() => Ok(()),
    }
}

/// Waits in a thread of its own, which does not keep the process from ending.
async fn stdin_ends() {
    let (ended, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // An error is an end, too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        // Nobody waits any more if the service was told to stop.
        let _ = ended.send(());
    });
    // A sender that is gone without a word means the same.
    let _ = wait.await;
}

impl Serving {
    fn of(server: &Server, config: &Config) -> Self {
        let listening = server.listening();
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{listening}");
        Self { url, listening, metrics: server.metrics_listening() }
    }
}

impl fmt::Display for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Serving at {}", self.url)?;
        match self.metrics {
            Some(metrics) => write!(f, ", metrics at http://{metrics}/metrics"),
            None => Ok(()),
        }
    }
}

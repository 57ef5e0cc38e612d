//! `pmls serve`: the delivery service and directory.

use std::{fmt, io, net::SocketAddr};

use clap::Args;
use paired_mls_service::{Config, Logging, Server, Signals, check_log_level, init_logging};
use serde::Serialize;

use crate::{
    cli::Parsed,
    failure::Failure,
    output::Output,
    settings::{LimitSettings, ServeSettings},
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

/// Serves until the process is told to stop, by SIGINT or SIGTERM. By SIGHUP it reads the configuration
/// file again.
pub(super) async fn run(args: &ServeArgs, parsed: &Parsed, output: Output) -> Result<(), Failure> {
    let serve = args.settings(parsed)?;
    let logging = init_logging(serve.log_format(), serve.log_level())?;
    let config = args.config(parsed, serve)?;
    let mut signals = Signals::listen()?;
    let server = tokio::select! {
        server = Server::start(&config) => server?,
        // A database that does not answer keeps nobody waiting.
        () = signals.stop() => return Ok(()),
    };
    output.show(&Serving::of(&server, &config))?;
    let configured = || args.reload(parsed, &logging);
    if !args.until_stdin_ends {
        return Ok(server.serve_until(&mut signals, configured).await?);
    }
    tokio::select! {
        stopped = server.serve_until(&mut signals, configured) => Ok(stopped?),
        () = stdin_ends() => Ok(()),
    }
}

impl ServeArgs {
    /// What flags, environment and configuration file say now.
    fn settings(&self, parsed: &Parsed) -> Result<ServeSettings, Failure> {
        Ok(self.serve.effective(&parsed.config_file()?, parsed.serve_matches())?.settings)
    }

    /// The same, with the limits.
    fn config(&self, parsed: &Parsed, serve: ServeSettings) -> Result<Config, Failure> {
        let limits = self.limits.effective(&parsed.config_file()?, parsed.serve_matches())?;
        Ok(serve.config(limits.settings.into())?)
    }

    /// Reads the configuration again, and takes over the log level if the rest could be served with.
    fn reload(&self, parsed: &Parsed, logging: &Logging) -> Result<Config, Cause> {
        let read = || {
            let serve = self.settings(parsed)?;
            let level = serve.log_level().to_owned();
            check_log_level(&level)?;
            let config = self.config(parsed, serve)?;
            Server::check(&config)?;
            logging.set_level(&level)?;
            Ok::<_, Failure>(config)
        };
        read().map_err(Cause)
    }
}

/// A failure, with what has led to it, in one line.
struct Cause(Failure);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = std::error::Error::source(&self.0);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
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

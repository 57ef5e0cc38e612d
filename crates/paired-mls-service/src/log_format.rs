//! Logs: structured, with ids, and never a payload.

use std::{
    io::{self, IsTerminal as _},
    panic,
    sync::{OnceLock, mpsc},
    time::Duration,
};

use thiserror::Error;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, Registry, fmt, layer::SubscriberExt as _, reload, util::SubscriberInitExt as _,
};

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A log level that cannot be read. To blame is the operator.
#[derive(Debug, Error)]
#[error(
    "the log level {level} cannot be read: say error, warn, info, debug or trace, or what RUST_LOG takes"
)]
pub struct LogLevelError {
    level: String,
    source: tracing_subscriber::filter::ParseError,
}

/// Lines that wait for standard error to take them. Those that find no room are lost, and counted.
const LINES: usize = 16_384;

/// How many lines were lost, of the one who writes the logs of this process.
static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// How many lines of the logs were lost, since standard error did not take them.
pub(crate) fn lost_lines() -> u64 {
    LOST.get().map_or(0, |lost| u64::try_from(lost.dropped_lines()).unwrap_or(u64::MAX))
}

/// Logs that are written. When this is dropped, what waits is written, as far as it is taken within two
/// seconds.
#[derive(Debug)]
#[must_use = "logs are written for as long as it lives"]
pub struct Logging {
    level: reload::Handle<EnvFilter, Registry>,
    writer: Option<WorkerGuard>,
}

impl Drop for Logging {
    fn drop(&mut self) {
        let Some(writer) = self.writer.take() else { return };
        let (ended, wait) = mpsc::channel::<()>();
        // It complains to standard output if standard error takes nothing, and that may be gone, too.
        std::thread::spawn(move || {
            drop(writer);
            drop(ended);
        });
        // Either way it is over.
        let _over = wait.recv_timeout(LAST);
    }
}

/// How long what waits has to be written in the end.
const LAST: Duration = Duration::from_secs(2);

impl Logging {
    /// From now on, as much as `level` says.
    ///
    /// # Errors
    ///
    /// [`LogLevelError`]; then as much as before.
    pub fn set_level(&self, level: &str) -> Result<(), LogLevelError> {
        let filter = filter(level)?;
        // It fails where something else writes the logs of this process.
        let _elsewhere = self.level.reload(filter);
        Ok(())
    }
}

/// Checks a log level.
///
/// # Errors
///
/// [`LogLevelError`].
pub fn check_log_level(level: &str) -> Result<(), LogLevelError> {
    filter(level).map(drop)
}

fn filter(level: &str) -> Result<EnvFilter, LogLevelError> {
    let parsed = EnvFilter::builder().parse(level);
    parsed.map_err(|source| LogLevelError { level: level.to_owned(), source })
}

/// Writes logs to standard error, as much as `level` says: a level, or what `RUST_LOG` takes. A thread of
/// its own writes them, so that nobody waits for a reader who has stopped to read. Panics are written as
/// logs, too. Does nothing if something else in this process writes logs already.
///
/// # Errors
///
/// [`LogLevelError`].
pub fn init_logging(format: LogFormat, level: &str) -> Result<Logging, LogLevelError> {
    let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(LINES);
    let (writer, guard) = builder.thread_name("logs").finish(io::stderr());
    let lost = writer.error_counter();
    let (filter, handle) = reload::Layer::new(filter(level)?);
    let registry = tracing_subscriber::registry().with(filter);
    let done = match format {
        LogFormat::Text => {
            let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            registry.with(fmt::layer().with_ansi(colour).with_writer(writer)).try_init()
        }
        LogFormat::Json => registry.with(fmt::layer().json().with_writer(writer)).try_init(),
    };
    match done {
        Ok(()) => {
            // It is set once, as the subscriber is.
            let _first = LOST.set(lost);
            panic::set_hook(Box::new(|panic| {
                let place = panic.location().map(tracing::field::display);
                let said = panic.payload_as_str().unwrap_or("no text");
                tracing::error!(place, said, "a thread has panicked");
            }));
        }
        Err(_) => tracing::debug!("logs are written elsewhere already"),
    }
    Ok(Logging { level: handle, writer: Some(guard) })
}

//! Why the demo could not be played to its end.

use std::{io, path::PathBuf};

use paired_mls::conformance::Refused;
use thiserror::Error;

/// Why the demo stopped. Whatever it had started is gone by the time that this is read.
#[derive(Debug, Error)]
pub(crate) enum DemoError {
    /// A command of a device failed.
    #[error("the demo stopped: {who}: `pmls {command}` failed: {error}")]
    Command {
        /// Whose device.
        who: &'static str,
        /// What was said.
        command: String,
        /// What it answered on standard error.
        error: String,
    },
    /// A command worked that must not.
    #[error("the demo stopped: {who}: `pmls {command}` should have been refused, and was not")]
    NotRefused {
        /// Whose device.
        who: &'static str,
        /// What was said.
        command: String,
    },
    /// A stock member could not do what it was told.
    #[error("the demo stopped: {who} could not {order}: {error}")]
    Member {
        /// Which one.
        who: &'static str,
        /// What it was told.
        order: &'static str,
        /// Why.
        error: String,
    },
    /// A process could not be started or talked to.
    #[error("the demo stopped: cannot run {who}: {source}; free some memory or file descriptors")]
    Process {
        /// Which one.
        who: &'static str,
        /// What the operating system says.
        source: io::Error,
    },
    /// A process that was to stay has ended.
    #[error("the demo stopped: {who} has ended: {error}")]
    Ended {
        /// Which one.
        who: &'static str,
        /// Its last words.
        error: String,
    },
    /// An answer that is no JSON, or says something else.
    #[error("the demo stopped: {who} has answered something else: {source}")]
    Answer {
        /// Which process.
        who: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Something that has to be there at this point of the story is not.
    #[error("the demo stopped: {0}")]
    Missing(&'static str),
    /// The temporary folder.
    #[error("cannot {action} {path}: {source}; set TMPDIR to a folder with some space")]
    Folder {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The report.
    #[error(
        "cannot write {path}: {source}; choose another with --report, or leave it with --no-report"
    )]
    Report {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The story could not be told on.
    #[error("cannot write the output: {0}")]
    Output(#[source] io::Error),
    /// The service's database, which is read beside the service.
    #[error("the demo stopped: the service's database: {0}")]
    Database(#[from] rusqlite::Error),
    /// What is looked at in the group, or done by a stock member or the thief.
    #[error("the demo stopped: {what}: {source}")]
    Mls {
        /// What was to be done.
        what: &'static str,
        /// Why it is not.
        source: Refused,
    },
    /// Ctrl-C, or a signal.
    #[error("interrupted; the demo's processes and files are gone")]
    Interrupted,
}

impl DemoError {
    /// The error of something that was to be done with MLS.
    pub(super) fn mls<E: Into<Refused>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Mls { what, source: source.into() }
    }

    /// The error of a file or folder.
    pub(super) fn folder(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Folder { action, path: path.into(), source }
    }
}

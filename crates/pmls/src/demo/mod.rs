//! The main job, played by real members: a service, and processes of the command line.
//!
//! ```text
//! story, hidden      the four acts, and what each of them proves
//!    │
//!  cast              everybody in one group: commits, and looks at each epoch
//!    ├─ stage        the folder and the processes: service, devices, stock members
//!    ├─ thief        stolen files, and the wire
//!    └─ picture      the ratchet tree of an epoch
//! ```

mod cast;
mod epoch;
mod error;
mod facts;
mod hidden;
mod member;
mod narrate;
mod picture;
mod report;
mod role;
mod stage;
mod story;
mod telling;
mod thief;
mod times;

use std::{
    fs::Permissions,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use paired_mls::CipherSuite;
use serde::Serialize;
use tempfile::NamedTempFile;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    epoch::Act, facts::Fact, narrate::Narrator, stage::Stage, telling::Telling, times::Comparison,
};
pub(crate) use self::{
    error::DemoError,
    member::{MemberArgs, run as run_member},
};
use crate::{failure::Failure, output::Output};

/// The suite of the demo.
const SUITE: CipherSuite = CipherSuite::X25519Aes128;

/// What the demo can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// Where to write the HTML report.
    #[arg(long, value_name = "FILE", default_value = "paired-mls-demo.html")]
    report: PathBuf,
    /// Write no report.
    #[arg(long, conflicts_with = "report")]
    no_report: bool,
}

/// Everything that the demo has found out.
#[derive(Serialize)]
pub(crate) struct Findings {
    pub(crate) facts: Vec<Fact>,
    pub(crate) acts: Vec<Act>,
    pub(crate) comparison: Comparison,
}

/// Plays the demo. The exit code is 1 if a fact does not hold.
pub(crate) async fn run(options: &Options, output: Output) -> Result<ExitCode, Failure> {
    // Before anything else: it is found out now if the report cannot be written.
    let report = match options.no_report {
        true => None,
        false => Some(Report::begin(&options.report)?),
    };
    let narrator = Narrator::new(output);
    narrator.opening()?;
    let mut telling = Telling::new(narrator);
    let comparison = play(&mut telling).await?;
    let Telling { narrator, acts, facts } = telling;
    narrator.closing(&comparison, &facts)?;
    let findings = Findings { facts, acts, comparison };
    if let Some(report) = report {
        report.finish(&findings)?;
        narrator.report(&options.report)?;
    }
    output.show_data(&findings).map_err(Failure::Output)?;
    Ok(facts::exit_code(&findings.facts))
}

/// Plays, and tidies up in any case.
async fn play(telling: &mut Telling) -> Result<Comparison, DemoError> {
    let stage = Stage::open()?;
    let played = tokio::select! {
        // Whatever else fails at that moment.
        biased;
        interrupted = interrupted() => Err(interrupted),
        played = story::play(&stage, telling) => played,
    };
    let closed = stage.close().await;
    let comparison = played?;
    closed.map(|()| comparison)
}

/// Waits until somebody wants the demo to end.
async fn interrupted() -> DemoError {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [interrupt, terminate, hangup] = signals.map(signal);
    let failed = |source| DemoError::Process { who: "this program", source };
    match (interrupt, terminate, hangup) {
        (Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            DemoError::Interrupted
        }
        (Err(source), ..) | (_, Err(source), _) | (.., Err(source)) => failed(source),
    }
}

/// The report, under a name of its own until it is complete.
struct Report<'a> {
    file: NamedTempFile,
    path: &'a Path,
}

impl<'a> Report<'a> {
    fn begin(path: &'a Path) -> Result<Self, DemoError> {
        let failed = |source| DemoError::Report { path: path.to_owned(), source };
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        // As for any new file, the umask takes from it.
        let mut builder = tempfile::Builder::new();
        let builder = builder.permissions(Permissions::from_mode(0o666));
        Ok(Self { file: builder.tempfile_in(folder).map_err(failed)?, path })
    }

    fn finish(mut self, findings: &Findings) -> Result<(), DemoError> {
        let failed = |source| DemoError::Report { path: self.path.to_owned(), source };
        self.file.write_all(report::html(findings).as_bytes()).map_err(failed)?;
        self.file.persist(self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

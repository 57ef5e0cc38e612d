//! The main job, played by real members: a service, and processes of the command line. `pmls demo` starts it.
//!
//! ```text
//! story, hidden      the four acts, and what each of them proves
//!    │
//!  cast              everybody in one group: commits, and looks at each epoch
//!    ├─ stage        the folder and the processes: service, devices, stock members
//!    ├─ thief        stolen files, and the wire
//!    └─ picture      the ratchet tree of an epoch
//! ```
//!
//! This program is `pmls` as well: the devices and the service of the story are processes of it.

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
    env,
    fs::Permissions,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use paired_mls::CipherSuite;
use paired_mls_vault::harden_process;
use pmls::{Exit, Form, Output, WithCauses};
use serde::Serialize;
use tempfile::NamedTempFile;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    epoch::Act, error::DemoError, facts::Fact, member::MemberArgs, narrate::Narrator, stage::Stage,
    telling::Telling, times::Comparison,
};

/// The suite of the demo.
const SUITE: CipherSuite = CipherSuite::X25519Aes128;

/// How `pmls demo` starts this program, and how the demo starts its stock members.
#[derive(Parser)]
#[command(name = "pmls-demo", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The parts of this program that are not `pmls`.
#[derive(Subcommand)]
enum Command {
    /// Play the demo.
    Play(Options),
    /// Be a stock member, and obey lines of JSON.
    Member(MemberArgs),
}

/// What the demo can be told.
#[derive(Args)]
struct Options {
    /// Where to write the HTML report.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    match env::args_os().nth(1) {
        Some(word) if word == "play" || word == "member" => {}
        _ => return pmls::main(),
    }
    // What could not be hardened is no concern of the demo: its secrets are worth nothing.
    let _ = harden_process();
    let command = Cli::parse().command;
    let form = match &command {
        Command::Play(Options { json: true, .. }) => Form::Json,
        Command::Play(_) | Command::Member(_) => Form::Text,
    };
    let output = Output::new(form);
    let done = run(&command, output);
    done.unwrap_or_else(|error| {
        output.fail(WithCauses(&error), Exit::Failed);
        Exit::Failed.into()
    })
}

fn run(command: &Command, output: Output) -> Result<ExitCode, DemoError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| DemoError::Process { who: "this program", source })?;
    runtime.block_on(async {
        match command {
            Command::Play(options) => direct(options, output).await,
            Command::Member(args) => {
                member::run(args).await?;
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}

/// Everything that the demo has found out.
#[derive(Serialize)]
pub(crate) struct Findings {
    pub(crate) facts: Vec<Fact>,
    pub(crate) acts: Vec<Act>,
    pub(crate) comparison: Comparison,
}

/// Plays the demo. The exit code is 1 if a fact does not hold.
async fn direct(options: &Options, output: Output) -> Result<ExitCode, DemoError> {
    // Before anything else: it is found out now if the report cannot be written.
    let report = options.report.as_deref().map(ReportFile::begin).transpose()?;
    let narrator = Narrator::new(output);
    narrator.opening()?;
    let mut telling = Telling::new(narrator);
    let comparison = play(&mut telling).await?;
    let Telling { narrator, acts, facts } = telling;
    narrator.closing(&comparison, &facts)?;
    let findings = Findings { facts, acts, comparison };
    if let Some(report) = report {
        narrator.report(report.finish(&findings)?)?;
    }
    output.show_data(&findings).map_err(DemoError::Output)?;
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
struct ReportFile<'a> {
    file: NamedTempFile,
    path: &'a Path,
}

impl<'a> ReportFile<'a> {
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

    fn finish(mut self, findings: &Findings) -> Result<&'a Path, DemoError> {
        let failed = |source| DemoError::Report { path: self.path.to_owned(), source };
        self.file.write_all(report::html(findings).as_bytes()).map_err(failed)?;
        self.file.persist(self.path).map_err(|error| failed(error.error))?;
        Ok(self.path)
    }
}

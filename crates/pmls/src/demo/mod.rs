//! The main job, played by real members.

mod cast;
mod facts;
mod hidden;
mod hidden_pairing;
mod narrate;
mod pairing;
mod picture;
mod report;
mod story;
mod times;

use std::{fs, io::IsTerminal as _, path::PathBuf, process::ExitCode};

use clap::Args;
use paired_mls::conformance::Refused;
use serde::Serialize;

use self::{facts::Fact, story::Act, times::Comparison};

/// What the demo can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// Print the facts as JSON, and nothing else.
    #[arg(long)]
    json: bool,
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
pub(crate) fn run(options: &Options) -> Result<ExitCode, Refused> {
    let findings = story::play()?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        print!("{}", narrate::narrate(&findings, colour));
    }
    if !options.no_report {
        let path = &options.report;
        fs::write(path, report::html(&findings)).map_err(|error| {
            format!("cannot write {}: {error}; choose another with --report", path.display())
        })?;
        if !options.json {
            println!("\nThe report, with the ratchet tree of each epoch: {}", path.display());
        }
    }
    Ok(facts::exit_code(&findings.facts))
}

//! Small breaks in what decides, one at a time, by `cargo mutants`: each has to be seen by a test. The fast
//! test set is that of the core, of the adapter, and the conformance suite with cipher suite 1.
//!
//! A break that no test sees is a survivor. It is killed by a test, or explained in
//! `crates/xtask/mutants-explained.txt`; a run fails for a survivor that is not, and for an explanation of
//! one that is seen.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use crate::Failure;

/// What decides about a group, a pairing or a tape.
const FILES: [&str; 10] = [
    "crates/paired-mls/src/anchor/**/*.rs",
    "crates/paired-mls/src/group/**/*.rs",
    "crates/paired-mls/src/leaf/**/*.rs",
    "crates/paired-mls/src/notify.rs",
    "crates/paired-mls/src/pairing/**/*.rs",
    "crates/paired-mls/src/tape/**/*.rs",
    "crates/paired-mls/src/vault/**/*.rs",
    "crates/paired-mls-group/src/**/*.rs",
    "crates/paired-mls-openmls/src/**/*.rs",
    "crates/pmls/src/engine/**/*.rs",
];
const TESTED: [&str; 4] =
    ["paired-mls", "paired-mls-group", "paired-mls-openmls", "paired-mls-peers"];
const EXPLAINED: &str = "crates/xtask/mutants-explained.txt";
const TICK: Duration = Duration::from_millis(500);

/// What `mutants` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// One part of all breaks, as `2/40`: the third of forty.
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// Only breaks in what has changed since this commit.
    #[arg(long, value_name = "COMMIT")]
    since: Option<String>,
    /// Stop after so many minutes; what was tried by then counts.
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<u64>,
    /// Also files of the command line's engine, with its own, slower tests.
    #[arg(long)]
    engine: bool,
}

/// Runs it and prints the figures.
///
/// # Errors
///
/// A survivor without an explanation, an explanation without a survivor, or no `cargo mutants`.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    let output = tempfile::tempdir()?;
    let mut command = Command::new("cargo");
    command
        .args(["mutants", "--all-features", "--no-times", "--colors", "never", "--output"])
        .arg(output.path())
        .args(["--cargo-arg", "--locked", "--minimum-test-timeout", "120"])
        .env("PAIRED_MLS_SUITES", "1")
        .stdin(Stdio::null());
    for package in TESTED {
        command.args(["--test-package", package]);
    }
    if options.engine {
        command.args(["--test-package", "pmls"]);
    }
    for file in FILES.iter().filter(|file| options.engine || !file.contains("/pmls/")) {
        command.args(["--file", file]);
    }
    if let Some(shard) = &options.shard {
        command.args(["--shard", shard]);
    }
    if let Some(since) = &options.since {
        command.arg("--in-diff").arg(difference(since, output.path())?);
    }
    let limit = options.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let ended = wait(command.spawn()?, limit)?;
    let results = output.path().join("mutants.out");
    if !results.exists() {
        println!("there is nothing to break");
        return Ok(());
    }
    let [caught, missed, timed_out, unviable] =
        ["caught", "missed", "timeout", "unviable"].map(|name| lines(&results, name));
    let explained = explanations()?;
    let is_explained = |mutant: &&String| explained.contains_key(without_place(mutant).as_str());
    let survivors: Vec<_> = missed.iter().filter(|mutant| !is_explained(mutant)).collect();
    println!(
        "{}: {} seen, {} not seen ({} explained), {} by a time-out, {} did not build",
        if ended { "all of it" } else { "as far as the time went" },
        caught.len(),
        missed.len(),
        missed.len() - survivors.len(),
        timed_out.len(),
        unviable.len()
    );
    let seen = caught.iter().find(is_explained);
    match (survivors.is_empty(), seen) {
        (true, None) => Ok(()),
        (true, Some(mutant)) => {
            Err(format!("{EXPLAINED} explains a break that is seen: {mutant}").into())
        }
        (false, _) => {
            survivors.iter().for_each(|mutant| println!("not seen: {mutant}"));
            Err(format!("{} breaks are seen by no test", survivors.len()).into())
        }
    }
}

/// What has changed, as `cargo mutants` reads it.
fn difference(since: &str, folder: &Path) -> Result<PathBuf, Failure> {
    let made = Command::new("git").args(["diff", "--no-color", since, "--", "crates"]).output()?;
    if !made.status.success() {
        return Err(format!("git knows no commit {since}").into());
    }
    let file = folder.join("change.diff");
    fs::write(&file, made.stdout)?;
    Ok(file)
}

/// Returns whether it came to its end.
fn wait(mut child: Child, limit: Option<Duration>) -> Result<bool, Failure> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            // 2 and 3: there were survivors or time-outs, which is looked at afterwards.
            return match status.code() {
                Some(0 | 2 | 3) => Ok(true),
                _ => Err(format!("cargo mutants failed: {status}").into()),
            };
        }
        if limit.is_some_and(|limit| started.elapsed() > limit) {
            // It stops its own children when it is told to.
            Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
            child.wait()?;
            return Ok(false);
        }
        thread::sleep(TICK);
    }
}

fn lines(results: &Path, name: &str) -> Vec<String> {
    let text = fs::read_to_string(results.join(format!("{name}.txt"))).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// `crates/a/src/b.rs:12:5: replace f -> bool with true`, without the line and column, which move.
fn without_place(mutant: &str) -> String {
    let mut parts = mutant.splitn(4, ':');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(file), Some(_), Some(_), Some(what)) => format!("{file}:{what}"),
        _ => mutant.to_owned(),
    }
}

/// Breaks that no test can see, and why: a line each, with the reason after ` # `.
fn explanations() -> Result<BTreeMap<String, String>, Failure> {
    let text = fs::read_to_string(EXPLAINED)?;
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| match line.split_once(" # ") {
            Some((mutant, why)) if !why.trim().is_empty() => {
                Ok((mutant.trim().to_owned(), why.trim().to_owned()))
            }
            _ => Err(format!("{EXPLAINED}: no reason after ` # `: {line}").into()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_break_is_known_again_when_its_line_moves() {
        let there = "crates/a/src/b.rs:12:5: replace f -> bool with true";
        let moved = "crates/a/src/b.rs:99:1: replace f -> bool with true";
        assert_eq!(without_place(there), without_place(moved));
        assert_eq!(without_place(there), "crates/a/src/b.rs: replace f -> bool with true");
    }
}

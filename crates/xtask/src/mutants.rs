//! Small breaks in what decides, one at a time, by `cargo mutants`: each has to be seen by a test.
//!
//! A break is tried in two rounds: first with the tests of its own crate, which are quick, and what they do not
//! see, then with those of the core, the engine and the adapter, and the conformance suite with cipher suite 1.
//! What both let pass is a survivor. It is killed by a test, or explained in
//! `crates/xtask/mutants-explained.txt`; a run fails for a survivor that is not, and for an explanation of
//! one that is seen.
//!
//! The breaks are made in a copy of the tree, `target/mutants/tree`, and never in the tree itself.

mod copy;
mod round;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use clap::Args;

use self::round::{Outcome, Round, Wide};
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
const EXPLAINED: &str = "crates/xtask/mutants-explained.txt";

/// What `mutants` can be told.
#[derive(Args)]
pub(crate) struct Options {
    /// One part of all breaks, as `2/40`: the third of forty.
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
    /// Only breaks in what has changed since this commit.
    #[arg(long, value_name = "COMMIT")]
    since: Option<String>,
    /// Only breaks in files that this pattern matches, as `crates/paired-mls/src/anchor/**/*.rs`.
    #[arg(long, value_name = "GLOB")]
    file: Vec<String>,
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
/// A survivor without an explanation, an explanation without a survivor, no time to try any, or no `cargo mutants`.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    if !Command::new("cargo").args(["mutants", "--version"]).output()?.status.success() {
        return Err("cargo mutants is missing: cargo install --locked cargo-mutants".into());
    }
    let explained = explanations()?;
    let started = Instant::now();
    let limit = options.minutes.map(|minutes| Duration::from_secs(60 * minutes));
    let output = tempfile::tempdir()?;
    let tree = copy::tree()?;
    let mut chosen = vec!["--colors".to_owned(), "never".to_owned()];
    for file in files(options) {
        chosen.extend(["--file".to_owned(), file.to_owned()]);
    }
    if let Some(shard) = &options.shard {
        chosen.extend(["--shard".to_owned(), shard.clone()]);
    }
    if let Some(since) = &options.since {
        let difference = difference(since, output.path())?;
        chosen.extend(["--in-diff".to_owned(), difference.display().to_string()]);
    }
    let left = || limit.map(|limit| limit.saturating_sub(started.elapsed()));
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let target = env::current_dir()?.join(target);
    let round = |name| {
        let output = output.path().join(name);
        Round { tree: &tree, target: &target, output, limit: left() }
    };
    let wide = if options.engine { Wide::Engine } else { Wide::Library };
    let near = round("near").near(&chosen)?;
    let wide = match near.missed.as_slice() {
        [] => Outcome::default(),
        missed => round("wide").wide(missed, wide)?,
    };
    Report { near, wide, explained }.print(started.elapsed())
}

fn files(options: &Options) -> Vec<&str> {
    if options.file.is_empty() {
        let all = FILES.into_iter();
        return all.filter(|file| options.engine || !file.contains("/pmls/")).collect();
    }
    options.file.iter().map(String::as_str).collect()
}

/// What both rounds have found.
struct Report {
    near: Outcome,
    wide: Outcome,
    explained: BTreeMap<String, String>,
}

impl Report {
    fn print(&self, took: Duration) -> Result<(), Failure> {
        let Self { near, wide, explained } = self;
        let is_explained = |mutant: &&String| explained.contains_key(&without_place(mutant));
        let (of_old, survivors): (Vec<_>, Vec<_>) = wide.missed.iter().partition(is_explained);
        let timed_out: Vec<_> = near.timed_out.iter().chain(&wide.timed_out).collect();
        let tried = near.tried() - near.missed.len() + wide.tried();
        println!(
            "{} breaks made, {tried} tried: {} seen, {} not seen, {} not seen and explained, {} only by a \
             time-out, {} did not build; {} were left for want of time; {} min",
            near.made,
            near.caught.len() + wide.caught.len(),
            survivors.len(),
            of_old.len(),
            timed_out.len(),
            near.unviable.len() + wide.unviable.len(),
            near.made.saturating_sub(tried),
            took.as_secs().div_ceil(60),
        );
        if tried == 0 && near.made > 0 {
            return Err("none was tried: give it more --minutes, or a smaller --shard".into());
        }
        timed_out.iter().for_each(|mutant| println!("only by a time-out: {mutant}"));
        survivors.iter().for_each(|mutant| println!("not seen: {mutant}"));
        if !survivors.is_empty() {
            return Err(format!("{} breaks are seen by no test", survivors.len()).into());
        }
        match near.caught.iter().chain(&wide.caught).find(is_explained) {
            Some(mutant) => {
                Err(format!("{EXPLAINED} explains a break that is seen: {mutant}").into())
            }
            None => Ok(()),
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

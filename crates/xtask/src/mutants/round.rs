//! One round: `cargo mutants` with one set of tests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::Failure;

/// The tests of the second round.
const WIDE: [&str; 4] =
    ["paired-mls", "paired-mls-group", "paired-mls-openmls", "paired-mls-peers"];
/// Tests of a bound that take longer than all others of their crate together: for the second round.
const LONG: [&str; 3] = [
    "a_hundred_thousand_groups_of_a_stranger_cost_nothing",
    "what_lies_before_a_followed_index_is_given_up",
    "a_long_random_schedule_agrees_with_the_model",
];
const TICK: Duration = Duration::from_millis(500);

/// Which tests are of the second round.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wide {
    Library,
    /// Those of the command line, too.
    Engine,
}

/// Where and how long `cargo mutants` runs.
pub(super) struct Round<'a> {
    pub(super) tree: &'a Path,
    /// Where cargo builds: that of the tree itself, so that what others have made is not built again.
    pub(super) target: &'a Path,
    pub(super) output: PathBuf,
    /// `None`: to its end.
    pub(super) limit: Option<Duration>,
}

/// What came of the breaks of a round, as `cargo mutants` names them.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) made: usize,
    pub(super) caught: Vec<String>,
    pub(super) missed: Vec<String>,
    pub(super) timed_out: Vec<String>,
    pub(super) unviable: Vec<String>,
}

impl Outcome {
    pub(super) fn tried(&self) -> usize {
        self.caught.len() + self.missed.len() + self.timed_out.len() + self.unviable.len()
    }
}

impl Round<'_> {
    /// The breaks that `chosen` says, each with the tests of its own crate.
    pub(super) fn near(self, chosen: &[String]) -> Result<Outcome, Failure> {
        let mut command = self.cargo_mutants();
        command.args(chosen).args(["--", "--"]);
        for test in LONG {
            command.args(["--skip", test]);
        }
        let listed = Command::new("cargo")
            .args(["mutants", "--workspace", "--list"])
            .args(chosen)
            .current_dir(self.tree)
            .output()?;
        if !listed.status.success() {
            return Err(String::from_utf8_lossy(&listed.stderr).into_owned().into());
        }
        let made = String::from_utf8_lossy(&listed.stdout).lines().count();
        if made == 0 {
            return Ok(Outcome::default());
        }
        Ok(Outcome { made, ..self.run(command)? })
    }

    /// These breaks, with all tests.
    pub(super) fn wide(self, mutants: &[String], wide: Wide) -> Result<Outcome, Failure> {
        let mut command = self.cargo_mutants();
        for package in WIDE {
            command.args(["--test-package", package]);
        }
        if wide == Wide::Engine {
            command.args(["--test-package", "pmls"]);
        }
        for mutant in mutants {
            command.arg("--re").arg(format!("^{}$", escaped(mutant)));
        }
        Ok(Outcome { made: mutants.len(), ..self.run(command)? })
    }

    fn cargo_mutants(&self) -> Command {
        let mut command = Command::new("cargo");
        command
            .args(["mutants", "--workspace", "--in-place", "--all-features", "--no-times"])
            .args(["--cargo-arg", "--locked", "--minimum-test-timeout", "120", "--output"])
            .arg(&self.output)
            .env("PAIRED_MLS_SUITES", "1")
            .env("CARGO_TARGET_DIR", self.target)
            .current_dir(self.tree)
            .stdin(Stdio::null());
        command
    }

    fn run(self, mut command: Command) -> Result<Outcome, Failure> {
        fs::create_dir_all(&self.output)?;
        wait(command.spawn()?, self.limit)?;
        let results = self.output.join("mutants.out");
        let lines = |name: &str| {
            let text = fs::read_to_string(results.join(name)).unwrap_or_default();
            text.lines().map(str::to_owned).collect()
        };
        Ok(Outcome {
            made: 0,
            caught: lines("caught.txt"),
            missed: lines("missed.txt"),
            timed_out: lines("timeout.txt"),
            unviable: lines("unviable.txt"),
        })
    }
}

/// Waits for its end, or ends it.
fn wait(mut child: Child, limit: Option<Duration>) -> Result<(), Failure> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            // 2 and 3: there were survivors or time-outs, which is looked at afterwards.
            return match status.code() {
                Some(0 | 2 | 3) => Ok(()),
                _ => Err(format!("cargo mutants failed: {status}").into()),
            };
        }
        if limit.is_some_and(|limit| started.elapsed() > limit) {
            // It stops its own children when it is told to.
            Command::new("kill").args(["-INT", &child.id().to_string()]).status()?;
            child.wait()?;
            return Ok(());
        }
        thread::sleep(TICK);
    }
}

/// As a regular expression that matches nothing else.
fn escaped(name: &str) -> String {
    let special = |letter: &char| r"\.+*?()|[]{}^$#&-~".contains(*letter);
    let escape = |letter| special(&letter).then_some('\\').into_iter().chain([letter]);
    name.chars().flat_map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_matches_itself_only() {
        let name = "src/a.rs:1:2: replace f -> Vec<(u8, [u8; 2])> with vec![]";
        let expected = r"src/a\.rs:1:2: replace f \-> Vec<\(u8, \[u8; 2\]\)> with vec!\[\]";
        assert_eq!(escaped(name), expected);
    }
}

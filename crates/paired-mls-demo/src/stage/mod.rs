//! What is behind the scenes: one temporary folder, and processes that do not outlive the demo.

mod device;
mod member;
mod service;

use std::{
    cell::RefCell,
    env,
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

pub(super) use self::{
    device::{Device, News, TreeView},
    member::Member,
    service::{Entry, Service},
};
use super::DemoError;

/// A folder, and the processes that stay.
///
/// A process that is here is killed with the stage. One that runs a single command is killed when
/// nobody waits for it any more.
pub(crate) struct Stage {
    folder: TempDir,
    program: PathBuf,
    processes: RefCell<Vec<Child>>,
}

/// A process that stays, to be talked to.
pub(super) struct Pipes {
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    /// The file of what it says on standard error.
    pub(super) errors: PathBuf,
}

impl Stage {
    /// Makes the folder.
    pub(crate) fn open() -> Result<Self, DemoError> {
        let folder = TempDir::with_prefix("pmls-demo-")
            .map_err(DemoError::folder("make a folder in", env::temp_dir()))?;
        let program = env::current_exe()
            .map_err(|source| DemoError::Process { who: "this program", source })?;
        // What the person at this terminal has configured is not for the demo.
        let config = folder.path().join(CONFIG);
        fs::write(&config, "").map_err(DemoError::folder("write", config))?;
        Ok(Self { folder, program, processes: RefCell::default() })
    }

    /// A new folder of its own for somebody.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, DemoError> {
        let path = self.folder.path().join(name);
        fs::create_dir(&path).map_err(DemoError::folder("make", &path))?;
        Ok(path)
    }

    /// This program, without whatever the environment says about it, in this folder.
    pub(super) fn program(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.program);
        let ours = |name: &OsString| name.to_string_lossy().starts_with("PMLS_");
        for name in env::vars_os().map(|(name, _)| name).filter(ours) {
            command.env_remove(name);
        }
        // Ctrl-C at the terminal is for the demo alone, which then ends the others.
        command.process_group(0);
        command.env_remove("RUST_LOG").current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// This program as `pmls`, whose output is for us, in this folder.
    pub(super) fn command(&self, folder: &Path) -> Command {
        let mut command = self.program(folder);
        command.arg("--json").arg("--config").arg(self.folder.path().join(CONFIG));
        command
    }

    /// Starts a process that stays until the stage is closed.
    pub(super) fn start(
        &self,
        who: &'static str,
        mut command: Command,
        errors: PathBuf,
    ) -> Result<Pipes, DemoError> {
        let file = File::create(&errors).map_err(DemoError::folder("make", &errors))?;
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().map_err(|source| DemoError::Process { who, source })?;
        let pipes = (child.stdin.take(), child.stdout.take());
        self.processes.borrow_mut().push(child);
        let (Some(stdin), Some(stdout)) = pipes else {
            return Err(DemoError::Missing("a process with pipes has them"));
        };
        Ok(Pipes { stdin, stdout, errors })
    }

    /// Ends all processes, waits for their end, and removes the folder.
    pub(crate) async fn close(self) -> Result<(), DemoError> {
        for mut child in self.processes.take() {
            // It may have ended already.
            let _ = child.kill().await;
        }
        let path = self.folder.path().to_owned();
        for _ in 0..TRIES {
            // A command that was interrupted may be about to write its last file.
            if fs::remove_dir_all(&path).is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        match path.exists() {
            true => self.folder.close().map_err(DemoError::folder("remove", path)),
            false => Ok(()),
        }
    }
}

/// The configuration file: empty.
const CONFIG: &str = "config.toml";

/// How often it is tried to remove the folder.
const TRIES: u32 = 20;

/// The last words of a process that has ended.
fn last_words(errors: &Path) -> String {
    let text = fs::read_to_string(errors).unwrap_or_default();
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    match lines.get(lines.len().saturating_sub(LAST_LINES)..) {
        Some(last) if !last.is_empty() => last.join("\n"),
        _ => "it said nothing".to_owned(),
    }
}

/// How many lines that are at most.
const LAST_LINES: usize = 6;

//! The database behind the service.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::DatabaseKind;
use crate::Failure;

/// How long PostgreSQL may take to come back.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file, or a server of our own.
pub(super) enum Database {
    Sqlite(PathBuf),
    Postgres(Postgres),
}

/// A PostgreSQL server, as durable as it is by default.
pub(super) struct Postgres {
    programs: PathBuf,
    data: PathBuf,
    folder: PathBuf,
}

impl Database {
    pub(super) fn start(kind: DatabaseKind, disk: &Path) -> Result<Self, Failure> {
        Ok(match kind {
            DatabaseKind::Sqlite => Self::Sqlite(disk.join("service.sqlite")),
            DatabaseKind::Postgres => Self::Postgres(Postgres::start(disk)?),
        })
    }

    pub(super) fn url(&self) -> String {
        match self {
            Self::Sqlite(file) => format!("sqlite://{}", file.display()),
            Self::Postgres(server) => {
                format!("postgres://postgres@localhost/postgres?host={}", server.folder.display())
            }
        }
    }

    /// Kills the database with no time to say goodbye. Returns whether there is a process to kill.
    pub(super) fn kill_and_restart(&self) -> Result<bool, Failure> {
        match self {
            Self::Sqlite(_) => Ok(false),
            Self::Postgres(server) => {
                server.kill()?;
                server.run()?;
                Ok(true)
            }
        }
    }
}

impl Postgres {
    fn start(disk: &Path) -> Result<Self, Failure> {
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let programs = versions
            .map(|version| version.path().join("bin"))
            .find(|bin| bin.join("initdb").exists())
            .ok_or("no PostgreSQL server: install Debian's package postgresql")?;
        let folder = disk.join("postgres");
        fs::create_dir(&folder)?;
        let server = Self { programs, data: folder.join("data"), folder };
        // PostgreSQL does not run as root; Debian's package brings a user for it.
        let owned = Command::new("chown").arg("postgres").arg(&server.folder).status()?;
        if !owned.success() {
            return Err(
                "the folder of PostgreSQL cannot be given to its user: run it as root".into()
            );
        }
        server.program("initdb", &["-U", "postgres", "-A", "trust"])?;
        server.run()?;
        Ok(server)
    }

    fn run(&self) -> Result<(), Failure> {
        let until = Instant::now() + PATIENCE;
        let options =
            format!("-k {} -c listen_addresses= -c max_connections=100", self.folder.display());
        let log = self.folder.join("log").display().to_string();
        // After a kill the old processes may still hold the memory that they share.
        while self.program("pg_ctl", &["-w", "-l", &log, "-o", &options, "start"]).is_err() {
            if Instant::now() > until {
                return Err("PostgreSQL does not start".into());
            }
            thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    fn program(&self, name: &str, arguments: &[&str]) -> Result<(), Failure> {
        let status = Command::new("runuser")
            .args(["-u", "postgres", "--"])
            .arg(self.programs.join(name))
            .arg("-D")
            .arg(&self.data)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if status.success() { Ok(()) } else { Err(format!("{name} failed: {status}").into()) }
    }

    fn kill(&self) -> Result<(), Failure> {
        let pid = fs::read_to_string(self.data.join("postmaster.pid"))?;
        let pid = pid.lines().next().ok_or("PostgreSQL has no process")?.trim().to_owned();
        // Its children, and then itself.
        let _ = Command::new("pkill").args(["-KILL", "-P", &pid]).status()?;
        Command::new("kill").args(["-KILL", &pid]).status()?;
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.program("pg_ctl", &["-m", "immediate", "stop"]);
    }
}

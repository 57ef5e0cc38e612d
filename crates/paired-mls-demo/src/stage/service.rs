//! The service, and what whoever runs it can see and do: it is not trusted, and for this story it is
//! the thief's.

use std::{fs, path::PathBuf, time::Duration};

use paired_mls_api::{EntryKind, GroupId, LogChain, LogEntry};
use rusqlite::{Connection, params};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{ChildStdin, ChildStdout},
};
use url::Url;

use super::{Pipes, Stage, last_words};
use crate::{DemoError, role::Seating};

const WHO: &str = "the service";

/// A running `pmls serve`, with its database.
pub(crate) struct Service {
    pub(crate) url: Url,
    database: Connection,
    /// Its log of requests: ids and routes, never a payload.
    requests: PathBuf,
    /// The service ends when these do.
    _pipes: (ChildStdin, BufReader<ChildStdout>),
}

/// A message in a group's log.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) position: u64,
    pub(crate) is_commit: bool,
    pub(crate) message: Vec<u8>,
}

/// What a device has asked of the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Requests {
    /// All of them.
    pub(crate) all: usize,
    /// Those that bring something into a group.
    pub(crate) into_groups: usize,
}

#[derive(Deserialize)]
struct Serving {
    url: Url,
}

#[derive(Deserialize)]
struct Line {
    span: Option<Request>,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    route: String,
    device: Option<String>,
}

impl Service {
    /// Starts it on a free port of this machine.
    pub(crate) async fn start(stage: &Stage, seating: Seating) -> Result<Self, DemoError> {
        let folder = stage.folder(&format!("{}-service", seating.name()))?;
        let mut command = stage.command(&folder);
        command.args(["serve", "--until-stdin-ends", "--listen", "127.0.0.1:0"]);
        command.args(["--database", "sqlite://service.db", "--log-format", "json"]);
        // All devices are of one machine that has nothing else to do.
        command.args(["--requests-per-second", "10000", "--request-burst", "10000"]);
        command.env("RUST_LOG", "info");
        let Pipes { stdin, stdout, errors } = stage.start(WHO, command, folder.join("log"))?;
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        let read = stdout.read_line(&mut line).await;
        read.map_err(|source| DemoError::Process { who: WHO, source })?;
        if line.is_empty() {
            return Err(DemoError::Ended { who: WHO, error: last_words(&errors) });
        }
        let Serving { url } =
            serde_json::from_str(&line).map_err(|source| DemoError::Answer { who: WHO, source })?;
        let database = Connection::open(folder.join("service.db"))?;
        database.busy_timeout(Duration::from_secs(20))?;
        Ok(Self { url, database, requests: errors, _pipes: (stdin, stdout) })
    }

    /// The log of a group after a position.
    pub(crate) fn log(&self, group: &GroupId, after: u64) -> Result<Vec<Entry>, DemoError> {
        let mut statement = self.database.prepare(
            "SELECT position, kind = 'commit', message FROM log
             WHERE group_id = ?1 AND position > ?2 ORDER BY position",
        )?;
        let rows = statement.query_map(params![group.as_bytes(), after], |row| {
            let (position, is_commit, message) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Entry { position, is_commit, message })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The position of the last message of a group.
    pub(crate) fn last_position(&self, group: &GroupId) -> Result<u64, DemoError> {
        let sql = "SELECT head FROM groups WHERE group_id = ?1";
        Ok(self.database.query_row(sql, params![group.as_bytes()], |row| row.get(0))?)
    }

    /// The last commit in the log of a group.
    pub(crate) fn last_commit(&self, group: &GroupId) -> Result<Entry, DemoError> {
        let log = self.log(group, 0)?;
        let last = log.into_iter().rfind(|entry| entry.is_commit);
        last.ok_or(DemoError::Missing("a commit is in the log"))
    }

    /// Delivers an old message once more, as if it were new and of the current epoch. Returns its new
    /// position.
    pub(crate) fn deliver_again(&self, group: &GroupId, old: &Entry) -> Result<u64, DemoError> {
        let id = group.as_bytes();
        self.database.execute_batch("BEGIN IMMEDIATE")?;
        let (epoch, head, chain): (u64, u64, Vec<u8>) = self.database.query_row(
            "SELECT groups.epoch, head, chain FROM groups JOIN log USING (group_id)
             WHERE group_id = ?1 AND position = head",
            params![id],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )?;
        // The service makes the hash chain: it can have it say what it likes, from here on.
        let chain = LogChain::from_bytes(&chain).ok_or(DemoError::Missing("a log has a chain"))?;
        let entry = LogEntry {
            position: head + 1,
            epoch,
            kind: EntryKind::Commit,
            message: old.message.clone().into(),
            chain,
        };
        let chain = chain.and_entry(&entry);
        self.database.execute(
            "INSERT INTO log (group_id, position, epoch, kind, message, digest, chain)
             VALUES (?1, ?2, ?3, 'commit', ?4, randomblob(32), ?5)",
            params![id, entry.position, epoch, old.message, chain.as_bytes()],
        )?;
        self.database
            .execute("UPDATE groups SET head = head + 1 WHERE group_id = ?1", params![id])?;
        self.database.execute_batch("COMMIT")?;
        self.last_position(group)
    }

    /// Loses what lies in the mailbox of a device. Returns how many envelopes that were.
    pub(crate) fn lose_mail(&self, device: &str) -> Result<usize, DemoError> {
        let device: paired_mls_api::DeviceId =
            device.parse().map_err(DemoError::mls("the id of a device"))?;
        let sql = "DELETE FROM mailbox WHERE device_id = ?1";
        Ok(self.database.execute(sql, params![device.as_bytes()])?)
    }

    /// What a device has asked for until now.
    pub(crate) fn requests_of(&self, device: &str) -> Result<Requests, DemoError> {
        let log = fs::read_to_string(&self.requests)
            .map_err(DemoError::folder("read", &self.requests))?;
        let mut requests = Requests::default();
        for line in log.lines() {
            let Ok(Line { span: Some(request) }) = serde_json::from_str(line) else { continue };
            if request.device.as_deref() == Some(device) {
                requests.all += 1;
                let writes = request.method != "GET" && request.route.starts_with("/v1/groups");
                requests.into_groups += usize::from(writes);
            }
        }
        Ok(requests)
    }
}

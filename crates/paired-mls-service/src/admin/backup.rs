//! Backups of a SQLite database, and restoring them.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::{
    Connection, ErrorCode, OpenFlags,
    backup::{Backup as Copying, StepResult},
};
use thiserror::Error;

use super::{Admin, Backup, KeyPackages, Restored, ShutOutAgain};
use crate::{
    Clock, StoreError,
    store::{ByOperator, KeyOfUser, NewIncarnation, ShutOut, Store, Transaction, sqlite_file},
};

/// Why a backup could not be written, or not be restored. What there was before is as it was.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// SQLite, on one of the files.
    #[error("SQLite cannot {action} {path}: look at the disk, the folder and its permissions")]
    Sqlite {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: rusqlite::Error,
    },
    /// A file.
    #[error("cannot {action} {path}: look at the disk, the folder and its permissions")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A backup replaces no other file.
    #[error("{0} is there already: give another name")]
    Exists(PathBuf),
    /// Another one is at work, or was ended.
    #[error("{0} is there: another backup or restore is under way; if none is, remove that file")]
    UnderWay(PathBuf),
    /// SQLite takes names in UTF-8 only.
    #[error("{0} is no name in UTF-8: give another one")]
    Name(PathBuf),
    /// A service, or somebody else, uses the database that is to be replaced.
    #[error("{0} is in use: stop the service first")]
    InUse(PathBuf),
    /// The database that is to be replaced cannot be read.
    #[error("{0} is damaged: move it away, with its -wal and -shm, and restore again")]
    Damaged(PathBuf),
    /// The backup is none.
    #[error("{0} is no backup of the service: give another file")]
    NoBackup(PathBuf),
    /// The backup is damaged.
    #[error("the backup {0} is damaged: take an older one")]
    DamagedBackup(PathBuf),
}

impl Admin {
    /// Writes a backup of a SQLite database while a service runs: what it had at one moment. It is
    /// read again before it gets its name.
    ///
    /// # Errors
    ///
    /// [`RestoreError`]; then there is no file of that name.
    pub async fn backup(&self, to: &Path) -> Result<Backup, RestoreError> {
        if to.exists() {
            return Err(RestoreError::Exists(to.to_owned()));
        }
        let partial = Partial::create(beside(to, ".partial"))?;
        let name = partial.0.to_str().ok_or_else(|| RestoreError::Name(to.to_owned()))?;
        self.store.vacuum_into(name).await?;
        if !sound(&open(&partial.0)?) {
            return Err(RestoreError::DamagedBackup(partial.0.clone()));
        }
        let bytes = partial.publish(to)?;
        Ok(Backup { bytes })
    }
}

/// Puts a backup in the place of a SQLite database that nobody uses, with a new incarnation. The backup is copied,
/// read and brought up to date first; then it replaces the database as a whole, or not at all. Devices that were
/// revoked since, and users that were banned, are so again, if the database can be read.
///
/// # Errors
///
/// [`RestoreError`]; then the database is as it was.
pub async fn restore(
    database: &str,
    backup: &Path,
    key_packages: KeyPackages,
    incarnation: [u8; 16],
    clock: Arc<dyn Clock>,
) -> Result<Restored, RestoreError> {
    let place = sqlite_file(database)?;
    let source = open(backup)?;
    if !is_ours(&source) {
        return Err(RestoreError::NoBackup(backup.to_owned()));
    }
    let present = match place.exists() {
        true => Some(take(&place)?),
        false => None,
    };
    let partial = Partial::create(beside(&place, ".restoring"))?;
    {
        let mut target = Connection::open(&partial.0).map_err(sqlite("open", &partial.0))?;
        copy(&source, &mut target, &partial.0)?;
        if !sound(&target) {
            return Err(RestoreError::DamagedBackup(backup.to_owned()));
        }
    }
    let shut_out = present.as_ref().and_then(|present| shut_out(present).ok());
    let name = partial.0.to_str().ok_or_else(|| RestoreError::Name(partial.0.clone()))?;
    let store = Store::open(&format!("sqlite://{name}"), 1, None, Arc::new(|_| {})).await?;
    let changed = async {
        let new = NewIncarnation { incarnation, key_packages, now: clock.now() };
        let (key_packages, approvals) = store.run(&ByOperator(new)).await?;
        let shut_out = match shut_out {
            None => None,
            Some(shut_out) => {
                let (devices, users) = again(&store, shut_out).await?;
                Some(ShutOutAgain { devices, users })
            }
        };
        Ok::<_, StoreError>(Restored { key_packages, approvals, shut_out })
    };
    let restored = changed.await;
    store.close().await;
    let restored = restored?;
    match present {
        Some(mut present) => copy(&open(&partial.0)?, &mut present, &place)?,
        None => _ = partial.publish(&place)?,
    }
    Ok(restored)
}

async fn again<T: Transaction>(store: &Store, shut_out: T) -> Result<T::Output, StoreError> {
    store.run(&ByOperator(shut_out)).await
}

/// A file that is not complete yet, and is removed unless it becomes so.
struct Partial(PathBuf);

impl Partial {
    fn create(path: PathBuf) -> Result<Self, RestoreError> {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(_) => Ok(Self(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(RestoreError::UnderWay(path))
            }
            Err(source) => Err(RestoreError::Io { action: "create", path, source }),
        }
    }

    /// Gives it a name that no file has, once it is on the disk. Returns how long it is.
    fn publish(&self, to: &Path) -> Result<u64, RestoreError> {
        let failed = |action| {
            let path = to.to_owned();
            move |source| RestoreError::Io { action, path, source }
        };
        let file = File::open(&self.0).map_err(failed("write"))?;
        file.sync_all().map_err(failed("write"))?;
        let bytes = file.metadata().map_err(failed("write"))?.len();
        fs::hard_link(&self.0, to).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => RestoreError::Exists(to.to_owned()),
            _ => RestoreError::Io { action: "create", path: to.to_owned(), source },
        })?;
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new(".")));
        folder.and_then(|folder| folder.sync_all()).map_err(failed("write"))?;
        Ok(bytes)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            // What cannot be removed is named by the next one.
            let _gone = fs::remove_file(beside(&self.0, suffix));
        }
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn sqlite(action: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> RestoreError {
    let path = path.to_owned();
    move |source| RestoreError::Sqlite { action, path, source }
}

/// Opens a file that is there, to read it.
fn open(path: &Path) -> Result<Connection, RestoreError> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(sqlite("open", path))
}

/// Takes the database that is to be replaced from everybody else, until the connection is closed.
fn take(path: &Path) -> Result<Connection, RestoreError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(sqlite("open", path))?;
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            RestoreError::InUse(path.to_owned())
        }
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            RestoreError::Damaged(path.to_owned())
        }
        _ => sqlite("take", path)(error),
    };
    let pragma = |statement: &str| -> rusqlite::Result<String> {
        connection.query_row(statement, [], |row| row.get(0))
    };
    pragma("PRAGMA locking_mode = EXCLUSIVE").map_err(failed)?;
    // Nobody else can have it open for this.
    let mode = pragma("PRAGMA journal_mode = DELETE").map_err(failed)?;
    if mode != "delete" {
        return Err(RestoreError::InUse(path.to_owned()));
    }
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT").map_err(failed)?;
    Ok(connection)
}

fn copy(from: &Connection, to: &mut Connection, path: &Path) -> Result<(), RestoreError> {
    let copied = Copying::new(from, to).and_then(|copying| copying.step(-1));
    match copied.map_err(sqlite("write", path))? {
        StepResult::Done => Ok(()),
        _ => Err(RestoreError::InUse(path.to_owned())),
    }
}

/// Whether SQLite finds nothing wrong.
fn sound(connection: &Connection) -> bool {
    let found =
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    found.is_ok_and(|found| found == "ok")
}

/// Whether it is a database of the service.
fn is_ours(connection: &Connection) -> bool {
    let tables = connection.query_row(
        "SELECT COUNT(*) FROM sqlite_master
         WHERE type = 'table' AND name IN ('_sqlx_migrations', 'users', 'devices', 'groups', 'log')",
        [],
        |row| row.get::<_, i64>(0),
    );
    tables.is_ok_and(|tables| tables == 5)
}

/// Who is shut out of the database that is to be replaced.
fn shut_out(present: &Connection) -> rusqlite::Result<ShutOut> {
    let read = |query| {
        let mut statement = present.prepare(query)?;
        let rows = statement.query_map([], |row| {
            let at: i64 = row.get(1)?;
            Ok((row.get::<_, Vec<u8>>(0)?, u64::try_from(at).unwrap_or_default()))
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    Ok(ShutOut {
        devices: read("SELECT device_id, revoked_at FROM devices WHERE revoked_at IS NOT NULL")?,
        users: read("SELECT user_id, banned_at FROM users WHERE banned_at IS NOT NULL")?,
        recovery_keys: recovery_keys(present)?,
    })
}

/// The recovery keys of all users; of none if the database is of a version that knows no such keys.
fn recovery_keys(present: &Connection) -> rusqlite::Result<Vec<KeyOfUser>> {
    let known = "SELECT COUNT(*) FROM pragma_table_info('users') WHERE name = 'recovery_key'";
    if present.query_row(known, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(Vec::new());
    }
    let mut statement = present.prepare("SELECT user_id, recovery_key FROM users")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

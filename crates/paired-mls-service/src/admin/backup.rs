//! Backups of a SQLite database, and restoring them.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
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
    /// Another one is at work.
    #[error("another backup or restore is under way with {0}: wait until it has ended")]
    UnderWay(PathBuf),
    /// A file of the name that a backup or restore writes first, which is none that one was killed with.
    #[error("{0} is in the way, and is no database: move it away")]
    InTheWay(PathBuf),
    /// The backup is the database that would be replaced.
    #[error(
        "{0} is the database itself, and no backup of it: give a file that `pmls admin backup` has written"
    )]
    Itself(PathBuf),
    /// The backup is the file that is written first.
    #[error("{0} would be replaced itself: copy it to another name, and restore from there")]
    Same(PathBuf),
    /// A journal without its database would be taken for one of the restored database.
    #[error("{0} is of a database that is not there: move it away, and restore again")]
    Leftover(PathBuf),
    /// SQLite takes names in UTF-8 only.
    #[error("{0} is no name in UTF-8: give another one")]
    Name(PathBuf),
    /// A service, or somebody else, uses the database that is to be replaced.
    #[error("{0} is in use: stop the service first")]
    InUse(PathBuf),
    /// The database that is to be replaced cannot be read.
    #[error("{0} is damaged: move it away, with its -wal and -shm, and restore again")]
    Damaged(PathBuf),
    /// What would be replaced is a database of something else.
    #[error("{0} is a database, and not one of the service: correct --database")]
    Foreign(PathBuf),
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
        let name = partial.path.to_str().ok_or_else(|| RestoreError::Name(to.to_owned()))?;
        self.store.vacuum_into(name).await?;
        if !sound(&open(&partial.path)?) {
            return Err(RestoreError::DamagedBackup(partial.path.clone()));
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
    let restoring = beside(&place, ".restoring");
    let file = identity(fs::metadata(backup));
    let is_it = |path| file.is_some() && identity(fs::metadata(path)) == file;
    if is_it(&place) {
        return Err(RestoreError::Itself(backup.to_owned()));
    }
    if is_it(&restoring) {
        return Err(RestoreError::Same(backup.to_owned()));
    }
    let source = open(backup)?;
    if !is_ours(&source) {
        return Err(RestoreError::NoBackup(backup.to_owned()));
    }
    if is_of_others(&place) {
        return Err(RestoreError::Foreign(place));
    }
    // First of all: what was left may be the database by another name, whose locks it would take away.
    let partial = Partial::create(restoring)?;
    let present = match place.exists() {
        true => Some(take(&place)?),
        false => {
            let journals = ["-wal", "-journal"].map(|suffix| beside(&place, suffix));
            if let Some(journal) = journals.into_iter().find(|journal| journal.exists()) {
                return Err(RestoreError::Leftover(journal));
            }
            None
        }
    };
    {
        let mut target = Connection::open(&partial.path).map_err(sqlite("open", &partial.path))?;
        copy(&source, &mut target, &partial.path)?;
        if !sound(&target) {
            return Err(RestoreError::DamagedBackup(backup.to_owned()));
        }
    }
    let shut_out = present.as_ref().and_then(|present| shut_out(present).ok());
    let name = partial.path.to_str().ok_or_else(|| RestoreError::Name(partial.path.clone()))?;
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
    settle(&partial.path)?;
    match present {
        Some(mut present) => copy(&open(&partial.path)?, &mut present, &place)?,
        None => _ = partial.publish(&place)?,
    }
    Ok(restored)
}

async fn again<T: Transaction>(store: &Store, shut_out: T) -> Result<T::Output, StoreError> {
    store.run(&ByOperator(shut_out)).await
}

/// A file that is not complete yet, and is removed unless it becomes so. Its lock goes with the process: what one that
/// was killed has left is known by that.
struct Partial {
    path: PathBuf,
    /// Held open until the end: SQLite loses its own locks of a file when another handle of it is closed.
    _lock: File,
}

impl Partial {
    fn create(path: PathBuf) -> Result<Self, RestoreError> {
        loop {
            let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
            let file = match made {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    Self::remove_left(&path)?;
                    continue;
                }
                Err(source) => return Err(RestoreError::Io { action: "create", path, source }),
            };
            lock(&file, &path)?;
            // Between the two, another one may have taken it for one that was left.
            if is_at(&file, &path) {
                return Ok(Self { path, _lock: file });
            }
        }
    }

    /// Removes the name of what a killed process has left. The file itself may be the database already, by its other
    /// name.
    fn remove_left(path: &Path) -> Result<(), RestoreError> {
        let failed = |source| RestoreError::Io { action: "remove", path: path.to_owned(), source };
        let left = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            left => left.map_err(failed)?,
        };
        lock(&left, path)?;
        if is_at(&left, path) {
            if !is_a_start(&left).map_err(failed)? {
                return Err(RestoreError::InTheWay(path.to_owned()));
            }
            remove_with_journals(path);
            if path.exists() {
                return Err(failed(io::ErrorKind::PermissionDenied.into()));
            }
        }
        Ok(())
    }

    /// Gives it a name that no file has, once it is on the disk. Returns how long it is.
    fn publish(&self, to: &Path) -> Result<u64, RestoreError> {
        let failed = |action| {
            let path = to.to_owned();
            move |source| RestoreError::Io { action, path, source }
        };
        let file = File::open(&self.path).map_err(failed("write"))?;
        file.sync_all().map_err(failed("write"))?;
        let bytes = file.metadata().map_err(failed("write"))?.len();
        fs::hard_link(&self.path, to).map_err(|source| match source.kind() {
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
        remove_with_journals(&self.path);
    }
}

fn remove_with_journals(path: &Path) {
    for suffix in ["-wal", "-shm", "-journal", ""] {
        // What cannot be removed is found by the next one.
        let _gone = fs::remove_file(beside(path, suffix));
    }
}

fn lock(file: &File, path: &Path) -> Result<(), RestoreError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => RestoreError::UnderWay(path.to_owned()),
        TryLockError::Error(source) => {
            RestoreError::Io { action: "lock", path: path.to_owned(), source }
        }
    })
}

/// Whether this is the file that has the name now.
fn is_at(file: &File, path: &Path) -> bool {
    let open = identity(file.metadata());
    open.is_some() && open == identity(fs::metadata(path))
}

/// Which file it is, whatever its names; nothing if there is none.
fn identity(metadata: io::Result<fs::Metadata>) -> Option<(u64, u64)> {
    metadata.ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Whether SQLite may have written this file until it was killed: its first page may come last.
fn is_a_start(file: &File) -> io::Result<bool> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let mut start = Vec::new();
    let length = u64::try_from(MAGIC.len()).unwrap_or(u64::MAX);
    file.take(length).read_to_end(&mut start)?;
    Ok(start == MAGIC || start.iter().all(|byte| *byte == 0))
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

/// Brings everything that is in the journal of a database into its file, which is whole by itself then.
fn settle(path: &Path) -> Result<(), RestoreError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .map_err(sqlite("open", path))?;
    let mode =
        connection.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0));
    match mode.map_err(sqlite("write", path))?.as_str() {
        "delete" => Ok(()),
        _ => Err(RestoreError::UnderWay(path.to_owned())),
    }
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

/// Whether a file is a database of something else: that is not to be replaced, and one that cannot be read is.
fn is_of_others(path: &Path) -> bool {
    let Ok(connection) = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY) else {
        return false;
    };
    let tables = connection.query_row(
        "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table'",
        [],
        |row| row.get::<_, i64>(0),
    );
    tables.is_ok_and(|tables| tables > 0) && !is_ours(&connection)
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

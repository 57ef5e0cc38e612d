//! Why a transaction failed.

use std::{fmt, io, path::PathBuf};

use sqlx::{
    error::DatabaseError, migrate::MigrateError, postgres::PgDatabaseError, sqlite::SqliteError,
};
use thiserror::Error;

/// Why a transaction failed. To blame is the database, or whoever has written into it by other means.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database refused, or is out of reach.
    #[error(
        "the database failed, or is out of reach: look whether its server runs, and at its log"
    )]
    Database(#[source] sqlx::Error),
    /// What the database is stored on takes nothing. Nothing of the transaction has taken effect, unless
    /// the disk has failed with it.
    #[error("{0}")]
    Storage(StorageFault, #[source] sqlx::Error),
    /// Another process holds the lock of the SQLite file.
    #[error(
        "another process keeps the database locked: find out which one has the file open, for instance \
         a backup, and end it"
    )]
    Locked(#[source] Option<sqlx::Error>),
    /// Another process serves the SQLite file.
    #[error(
        "another process{by} serves this database already, as the lock on {path} says: stop that one \
         first, or give this one a database of its own"
    )]
    Served {
        /// The file that is locked.
        path: PathBuf,
        /// Who holds it.
        by: Holder,
    },
    /// The database has said nothing for a while.
    #[error("the database does not answer")]
    Silent,
    /// The file of the database cannot be made, or not for its owner alone.
    #[error("the database file {path} cannot be made: check the folder and its permissions")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Its schema is not the one that this version brings.
    #[error("the schema of the database cannot be brought up to date")]
    Migration(#[source] MigrateError),
    /// The address of the database names none that is supported.
    #[error("a database is sqlite://<path> or postgres://…")]
    UnknownDatabase,
    /// An operator's command is for a database that is there.
    #[error("there is no database {path}: correct --database")]
    NoDatabase {
        /// The file.
        path: PathBuf,
    },
    /// It is another program's.
    #[error("this is no database of the service: correct --database")]
    NotOurs,
    /// Its schema is older than this version.
    #[error("the database is of an older version: run `pmls serve` of this version on it once")]
    Behind,
    /// Its schema is newer than this version.
    #[error("the database is of a newer version: use `pmls` of that version")]
    Ahead,
    /// What exists for SQLite only.
    #[error(
        "this is for a SQLite database: back a PostgreSQL database up by `pg_dump`, restore it by `pg_restore` \
         with the service stopped, and then run `pmls admin restore-mark --yes`"
    )]
    SqliteOnly,
    /// Another transaction that was to be committed with this one has failed.
    #[error("the database failed with another transaction")]
    Undone,
    /// There are more reads than can be remembered.
    #[error("more is read than can be remembered")]
    Crowded,
    /// The nonce of the request was spent before.
    #[error("the request has been made before")]
    Replayed,
    /// A number of the request that does not fit a column.
    #[error("a number is 2^63 or more")]
    OutOfRange,
    /// A number of ours that is below zero.
    #[error("the database holds a negative number that was not written by this software")]
    Negative,
    /// A row holds what this software never writes.
    #[error("the table {0} holds a value that was not written by this software")]
    Corrupt(&'static str),
}

/// A process, if it is known which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder(pub(super) Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => write!(f, " (pid {pid})"),
            None => Ok(()),
        }
    }
}

/// What is wrong with what a database is stored on. An operator has to do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StorageFault {
    /// There is no room.
    #[error("the disk of the database, or the room that it may use, is full: make room")]
    Full,
    /// Nothing can be written.
    #[error("the database can only be read: look at its file, its folder and how they are mounted")]
    ReadOnly,
    /// A file cannot be opened.
    #[error(
        "a file of the database cannot be opened: look at the file, its folder, how they are mounted, \
         and how many files may be open"
    )]
    Unopened,
    /// Reading or writing has failed.
    #[error("the disk of the database fails: look at the system's log")]
    Io,
    /// The file is damaged.
    #[error("the database is damaged: restore it from a backup")]
    Damaged,
    /// The database has no memory, or is over another of its limits.
    #[error("the database is out of memory, or over a limit of its own")]
    Exhausted,
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match StorageFault::of(&error) {
            Some(fault) => Self::Storage(fault, error),
            None if is_locked(&error) => Self::Locked(Some(error)),
            None => Self::Database(error),
        }
    }
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)
                if is_locked(&error) =>
            {
                Self::Locked(Some(error))
            }
            error => Self::Migration(error),
        }
    }
}

impl StorageFault {
    /// What this error says of the storage, if anything.
    pub(super) fn of(error: &sqlx::Error) -> Option<Self> {
        match code(error.as_database_error()?)? {
            Code::Sqlite(code) => Some(match code {
                13 => Self::Full,
                // A file that is not the service's, or whose folder is not.
                3 | 8 => Self::ReadOnly,
                10 => Self::Io,
                14 => Self::Unopened,
                11 | 26 => Self::Damaged,
                7 => Self::Exhausted,
                _ => return None,
            }),
            Code::Postgres(code) => match code.as_str() {
                "53100" => Some(Self::Full),
                // Too many connections: that passes.
                "53300" => None,
                "25006" => Some(Self::ReadOnly),
                "58030" => Some(Self::Io),
                "58P01" => Some(Self::Unopened),
                "XX001" | "XX002" => Some(Self::Damaged),
                code if code.starts_with("53") => Some(Self::Exhausted),
                _ => None,
            },
        }
    }
}

impl StoreError {
    /// Whether the same transaction may well succeed when it is run again.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Database(error) => is_conflict(error),
            error => matches!(error, Self::Undone),
        }
    }

    /// Whether it says nothing of the connection that it came by.
    pub(super) fn spares_connection(&self) -> bool {
        self.is_transient()
            || matches!(
                self,
                Self::OutOfRange
                    | Self::Negative
                    | Self::Corrupt(_)
                    | Self::Replayed
                    | Self::Locked(_)
            )
    }

    /// What is wrong with the storage, if that is it.
    pub(crate) fn storage_fault(&self) -> Option<StorageFault> {
        match self {
            Self::Storage(fault, _) => Some(*fault),
            _ => None,
        }
    }
}

/// Whether another process holds the lock of a SQLite file, and has not given it up in the time that was
/// waited for it. Inside of this process whoever writes waits for its turn.
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(code);
    matches!(code, Some(Code::Sqlite(5)))
}

/// Whether another transaction was in the way.
pub(super) fn is_conflict(error: &sqlx::Error) -> bool {
    let database = error.as_database_error();
    let unique = database.is_some_and(DatabaseError::is_unique_violation);
    match database.and_then(code) {
        // Busy, locked; a key that another transaction has just inserted.
        Some(Code::Sqlite(code)) => [5, 6].contains(&code) || unique,
        // Serialization, deadlock; such a key.
        Some(Code::Postgres(code)) => ["40001", "40P01"].contains(&code.as_str()) || unique,
        None => false,
    }
}

enum Code {
    /// A primary result code: what distinguishes the extended ones is in the higher bits.
    Sqlite(u32),
    /// An SQLSTATE.
    Postgres(String),
}

fn code(error: &(dyn DatabaseError + 'static)) -> Option<Code> {
    let code = error.code()?;
    if error.try_downcast_ref::<SqliteError>().is_some() {
        return code.parse().ok().map(|code: u32| Code::Sqlite(code & 0xff));
    }
    error.try_downcast_ref::<PgDatabaseError>().map(|_| Code::Postgres(code.into_owned()))
}

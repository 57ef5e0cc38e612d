//! Why a transaction failed.

use thiserror::Error;

/// Why a transaction failed. To blame is the database, or whoever has written into it by other means.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database refused, or is out of reach.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// Its schema is not the one that this version brings.
    #[error("the schema of the database cannot be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The address of the database names none that is supported.
    #[error("a database is sqlite://<path> or postgres://…")]
    UnknownDatabase,
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

impl StoreError {
    /// Whether the same transaction may well succeed when it is run again.
    pub(crate) fn is_transient(&self) -> bool {
        let Self::Database(error) = self else { return false };
        match error {
            sqlx::Error::Database(database) => database.code().is_some_and(|code| {
                // PostgreSQL: serialization, deadlock; a key that another transaction has just
                // inserted. SQLite: busy, locked, busy snapshot, the unique keys.
                ["40001", "40P01", "23505", "5", "6", "517", "1555", "2067"]
                    .contains(&code.as_ref())
            }),
            _ => false,
        }
    }
}

//! OpenMLS' storage in an SQLite file, with transactions.

use std::{cell::Cell, path::Path, rc::Rc};

use openmls_sqlite_storage::{Codec, SqliteStorageProvider};
use openmls_traits::{OpenMlsProvider, crypto::OpenMlsCrypto, random::OpenMlsRand};
use rusqlite::{Connection, backup::Backup};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use super::Platform;
use crate::BoxError;

/// Records are stored as JSON.
#[derive(Debug, Default)]
pub struct JsonCodec;

impl Codec for JsonCodec {
    type Error = serde_json::Error;

    fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, Self::Error> {
        serde_json::to_vec(value)
    }

    fn from_slice<T: DeserializeOwned>(slice: &[u8]) -> Result<T, Self::Error> {
        serde_json::from_slice(slice)
    }
}

/// The database could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SqliteError {
    /// SQLite failed, or another process holds the database.
    #[error("SQLite cannot open the database of the MLS state; does another process use it?")]
    Open(#[from] rusqlite::Error),
    /// The tables could not be made or brought up to date.
    #[error("the tables of the MLS state cannot be made or brought up to date")]
    Migrate(#[source] BoxError),
}

/// Cryptography of the caller's choice, and the MLS state in an SQLite file.
///
/// SQLite connections are not `Sync`, and neither is this: the device stays on one thread. Copies are
/// of the same file: a device with several leaves, each with a signature key of its own, has one
/// [`Device`](crate::Device) for each on the same state.
///
/// # Tables of the caller's own
///
/// What a caller has to remember together with the MLS state, say what a message said that can be
/// decrypted only once, goes into tables of its own on [the same connection](Self::connection), in one
/// [transaction](Self::transaction) with the call that changes that state.
///
/// # Security
///
/// The file holds the device's complete MLS state in the clear, and is no vault: a thief of this
/// file is whom a pairing protects against.
pub struct SqliteProvider<C> {
    crypto: Rc<C>,
    storage: SqliteStorageProvider<JsonCodec, Rc<Connection>>,
    /// The connection that the storage works on.
    connection: Rc<Connection>,
    /// How many transactions are open, one inside the other.
    depth: Rc<Cell<usize>>,
}

impl<C> Clone for SqliteProvider<C> {
    fn clone(&self) -> Self {
        Self {
            crypto: self.crypto.clone(),
            storage: SqliteStorageProvider::new(self.connection.clone()),
            connection: self.connection.clone(),
            depth: self.depth.clone(),
        }
    }
}

impl<C> SqliteProvider<C> {
    /// Opens, and where needed creates, the database at `path`, and locks it against other
    /// processes.
    ///
    /// Deleted keys are overwritten in the file (`secure_delete`), no write-ahead log keeps old
    /// pages, and a transaction is on the disk once it is committed (`synchronous = FULL`).
    ///
    /// # Errors
    ///
    /// [`SqliteError::Open`] if the file cannot be opened or another process has it,
    /// [`SqliteError::Migrate`] if its tables cannot be brought up to date.
    pub fn open(crypto: C, path: &Path) -> Result<Self, SqliteError> {
        let mut connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA journal_mode = DELETE;
             PRAGMA synchronous = FULL;
             PRAGMA secure_delete = ON;
             BEGIN EXCLUSIVE; COMMIT;",
        )?;
        if is_empty(&connection)? {
            // Each table and the note that it is there are transactions of their own, and a death between
            // them would lock the device out. So they are made elsewhere, and copied in one transaction.
            let mut tables = Connection::open_in_memory()?;
            migrate(&mut tables)?;
            Backup::new(&tables, &mut connection)?.step(-1)?;
        } else {
            migrate(&mut connection)?;
        }
        let connection = Rc::new(connection);
        let storage = SqliteStorageProvider::new(connection.clone());
        Ok(Self { crypto: Rc::new(crypto), storage, connection, depth: Rc::default() })
    }

    /// The connection, for tables of the caller's own. Their names do not begin with `openmls`.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs `work` as one transaction, with those of the calls in it: its writes are kept if it
    /// succeeds, and undone if it fails.
    ///
    /// # Errors
    ///
    /// That of `work`, or of SQLite.
    ///
    /// # Security
    ///
    /// Only for calls that make a message: `send`, `update`, `add`, … A call that *merges a commit* lets
    /// the vault erase the tape value once its own transaction is durable, and inside of another one it
    /// would not be yet: a crash in between would lose the group. `process` may be called in here for an
    /// application message or a proposal only.
    pub fn transaction<T, E: From<rusqlite::Error>>(
        &self,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.enter()?;
        match work() {
            Ok(value) => {
                self.leave(Fate::Kept)?;
                Ok(value)
            }
            Err(error) => {
                // It fails only where SQLite has rolled back by itself, which is what is wanted.
                let _ = self.leave(Fate::Undone);
                Err(error)
            }
        }
    }

    fn enter(&self) -> Result<(), rusqlite::Error> {
        let depth = self.depth.get();
        match depth {
            0 => self.connection.execute_batch("BEGIN IMMEDIATE"),
            _ => self.connection.execute_batch(&format!("SAVEPOINT pmls_{depth}")),
        }?;
        self.depth.set(depth + 1);
        Ok(())
    }

    fn leave(&self, fate: Fate) -> Result<(), rusqlite::Error> {
        let depth = self.depth.get().saturating_sub(1);
        self.depth.set(depth);
        let [keep, undo] = match depth {
            0 => ["COMMIT".to_owned(), "ROLLBACK".to_owned()],
            _ => [
                format!("RELEASE pmls_{depth}"),
                format!("ROLLBACK TO pmls_{depth}; RELEASE pmls_{depth}"),
            ],
        };
        if fate == Fate::Undone {
            return self.connection.execute_batch(&undo);
        }
        self.connection.execute_batch(&keep).inspect_err(|_| {
            // It fails only where SQLite has rolled back by itself, which is what is wanted.
            let _ = self.connection.execute_batch(&undo);
        })
    }
}

/// What becomes of the writes of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Undone,
}

fn is_empty(connection: &Connection) -> Result<bool, rusqlite::Error> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get(0))
}

fn migrate(connection: &mut Connection) -> Result<(), SqliteError> {
    SqliteStorageProvider::<JsonCodec, _>::new(connection)
        .run_migrations()
        .map_err(|error| SqliteError::Migrate(Box::new(error)))
}

impl<C: OpenMlsCrypto + OpenMlsRand> OpenMlsProvider for SqliteProvider<C> {
    type CryptoProvider = C;
    type RandProvider = C;
    type StorageProvider = SqliteStorageProvider<JsonCodec, Rc<Connection>>;

    fn storage(&self) -> &Self::StorageProvider {
        &self.storage
    }

    fn crypto(&self) -> &C {
        &self.crypto
    }

    fn rand(&self) -> &C {
        &self.crypto
    }
}

impl<C> Platform for SqliteProvider<C>
where
    C: OpenMlsCrypto + OpenMlsRand<Error: Send + Sync + 'static> + Sync,
{
    /// SQLite keeps what it needs in its journal.
    type Transaction = ();

    fn begin(&self) -> Result<(), BoxError> {
        Ok(self.enter()?)
    }

    fn commit(&self, (): ()) -> Result<(), BoxError> {
        Ok(self.leave(Fate::Kept)?)
    }

    fn rollback(&self, (): ()) {
        // It fails only where SQLite has rolled back by itself, which is what is wanted.
        let _ = self.leave(Fate::Undone);
    }
}

//! Short reads of a SQLite file, made where they are needed.
//!
//! The driver has a thread for each connection. A row that is found by its key is there within a few microseconds,
//! and getting to that thread and back takes ten times as long. So a [`Lookup`] is made by whoever wants it, on a
//! connection of its own, that waits for nothing: when a lock is in the way, or anything fails, the driver does the
//! same again, waits as long as it should, and says what is wrong.
//!
//! A disk that hangs keeps a thread of the runtime, and with it whatever that thread would do next. So there is one
//! connection less than there are threads: whoever finds none at hand asks the driver, and a thread stays free.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{
    Connection, ErrorCode, OpenFlags,
    config::DbConfig,
    types::{ToSqlOutput, Value, ValueRef},
};
use tokio::runtime::Handle;

use super::{
    StoreError, file,
    lookup::{Key, Lookup},
    row::Columns,
};

/// Statements that a connection keeps ready.
const STATEMENTS: usize = 32;

/// Rows that are read here at most.
pub(super) const ROWS: usize = 64;

/// Connections for short reads.
pub(crate) struct Here {
    path: PathBuf,
    idle: Mutex<Idle>,
}

struct Idle {
    connections: Vec<Connection>,
    /// How many more there may be.
    more: usize,
}

impl Here {
    /// Those of the file that an address names; nothing if it asks for something that only the driver knows.
    pub(super) fn of_file(url: &str) -> Option<Self> {
        let path = file::path(url).ok()?;
        let parameters = url.split_once('?').map(|(_, parameters)| parameters);
        let ours = parameters.is_none_or(|parameters| parameters == "mode=rwc");
        if !ours || !path.is_file() {
            return None;
        }
        let threads = Handle::try_current().ok()?.metrics().num_workers();
        let more = threads.saturating_sub(1).max(1);
        Some(Self { path, idle: Mutex::new(Idle { connections: Vec::new(), more }) })
    }

    /// Looks something up; nothing if the driver has to.
    pub(super) fn look<L: Lookup>(&self, lookup: &L) -> Option<L::Output> {
        let keys = lookup.keys().ok()?;
        let connection = self.take()?;
        let rows = ask(&connection, L::STATEMENT, &keys);
        let spared = rows.as_ref().map_or_else(spares_connection, |_| true);
        self.give_back(spared.then_some(connection));
        lookup.read(&rows.ok()??).ok()
    }

    pub(super) fn take(&self) -> Option<Connection> {
        let mut idle = self.idle();
        if let Some(connection) = idle.connections.pop() {
            return Some(connection);
        }
        idle.more = idle.more.checked_sub(1)?;
        drop(idle);
        let opened = open(&self.path).ok();
        if opened.is_none() {
            self.give_back(None);
        }
        opened
    }

    /// Gives a connection back, or its place.
    pub(super) fn give_back(&self, connection: Option<Connection>) {
        let mut idle = self.idle();
        match connection {
            Some(connection) => idle.connections.push(connection),
            None => idle.more += 1,
        }
    }

    /// Ends those that are not in use.
    pub(super) fn close(&self) {
        let mut idle = self.idle();
        idle.more = 0;
        idle.connections.clear();
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::ZERO)?;
    // The plan of a statement is the same for all keys: otherwise SQLite would make it anew for each.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Whether an error says nothing of the connection.
fn spares_connection(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// A row that was found.
struct Found(Vec<Value>);

/// Nothing if there are many rows.
fn ask(
    connection: &Connection,
    statement: &str,
    keys: &[Key<'_>],
) -> rusqlite::Result<Option<Vec<Found>>> {
    let mut statement = connection.prepare_cached(statement)?;
    for index in 1..=statement.parameter_count() {
        // SQLite numbers parameters as they come; their names say which is meant.
        let name = statement.parameter_name(index).and_then(|name| name.strip_prefix('$'));
        let key = name.and_then(|name| name.parse::<usize>().ok()?.checked_sub(1));
        let key = key.and_then(|key| keys.get(key));
        let key = key.ok_or(rusqlite::Error::InvalidParameterCount(index, keys.len()))?;
        statement.raw_bind_parameter(index, key)?;
    }
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        if found.len() == ROWS {
            return Ok(None);
        }
        let values = (0..columns).map(|column| row.get::<_, Value>(column));
        found.push(Found(values.collect::<rusqlite::Result<_>>()?));
    }
    Ok(Some(found))
}

impl rusqlite::ToSql for Key<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Number(number) => ValueRef::Integer(*number),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Not what the column should be: the driver looks again, and says so.
const OTHER: StoreError = StoreError::Corrupt("rows");

impl Columns for Found {
    fn number(&self, column: usize) -> Result<i64, StoreError> {
        self.optional_number(column)?.ok_or(OTHER)
    }

    fn optional_number(&self, column: usize) -> Result<Option<i64>, StoreError> {
        match self.0.get(column) {
            Some(Value::Integer(number)) => Ok(Some(*number)),
            Some(Value::Null) => Ok(None),
            _ => Err(OTHER),
        }
    }

    fn bytes(&self, column: usize) -> Result<Vec<u8>, StoreError> {
        self.optional_bytes(column)?.ok_or(OTHER)
    }

    fn optional_bytes(&self, column: usize) -> Result<Option<Vec<u8>>, StoreError> {
        match self.0.get(column) {
            Some(Value::Blob(bytes)) => Ok(Some(bytes.clone())),
            Some(Value::Null) => Ok(None),
            _ => Err(OTHER),
        }
    }

    fn text(&self, column: usize) -> Result<String, StoreError> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Ok(text.clone()),
            _ => Err(OTHER),
        }
    }
}

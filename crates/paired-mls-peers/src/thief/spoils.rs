//! Stolen MLS state: OpenMLS works on it, and every byte of it can be read.

use std::collections::HashMap;

use paired_mls::conformance::Refused;
use paired_mls_openmls::{MemoryProvider, Platform, SqliteProvider};
use rusqlite::types::ValueRef;

use crate::device::TestCrypto;

/// The MLS state of a device in the hands of a thief.
pub trait Spoils: Platform {
    /// Everything that is stored: each key, each value.
    ///
    /// # Errors
    ///
    /// Whatever keeps the storage from being read.
    fn cells(&self) -> Result<Vec<Vec<u8>>, Refused>;
}

impl<C: TestCrypto> Spoils for MemoryProvider<C> {
    fn cells(&self) -> Result<Vec<Vec<u8>>, Refused> {
        Ok(cells(self.records()))
    }
}

/// Every cell of every table, whosever it is.
impl<C: TestCrypto> Spoils for SqliteProvider<C> {
    fn cells(&self) -> Result<Vec<Vec<u8>>, Refused> {
        let database = self.connection();
        let mut tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
        let tables: Vec<String> =
            tables.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let mut cells = Vec::new();
        for table in tables {
            let mut statement = database.prepare(&format!("SELECT * FROM \"{table}\""))?;
            let columns = statement.column_count();
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                for column in 0..columns {
                    match row.get_ref(column)? {
                        ValueRef::Blob(bytes) | ValueRef::Text(bytes) => cells.push(bytes.to_vec()),
                        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => {}
                    }
                }
            }
        }
        Ok(cells)
    }
}

/// The keys and values of records.
pub(crate) fn cells(records: HashMap<Vec<u8>, Vec<u8>>) -> Vec<Vec<u8>> {
    records.into_iter().flat_map(|(key, value)| [key, value]).collect()
}

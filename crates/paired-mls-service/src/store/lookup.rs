//! What is found by a key: one statement that reads a few short rows.

use super::{StoreError, Transaction, Tx, here::Here, row::Columns};

/// What is looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key<'a> {
    Number(i64),
    Bytes(&'a [u8]),
}

/// A read of one statement, that finds a few short rows by an index, so that it is over in some microseconds. On
/// SQLite it is made [here](Here) where that goes at once.
pub(crate) trait Lookup: Sync {
    /// Its name, for logs and metrics.
    const NAME: &'static str;
    /// What is asked, with `$1` for the first of the keys.
    const STATEMENT: &'static str;
    /// What it gives.
    type Output: Send;

    /// What is looked for.
    fn keys(&self) -> Result<Vec<Key<'_>>, StoreError>;

    /// Reads what was found.
    fn read(&self, rows: &[impl Columns]) -> Result<Self::Output, StoreError>;
}

impl<L: Lookup> Transaction for L {
    const NAME: &'static str = L::NAME;
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = L::Output;

    async fn run(&self, tx: &mut Tx) -> Result<L::Output, StoreError> {
        let mut query = sqlx::query(L::STATEMENT);
        for key in self.keys()? {
            query = match key {
                Key::Number(number) => query.bind(number),
                Key::Bytes(bytes) => query.bind(bytes),
            };
        }
        self.read(&query.fetch_all(tx.connection()).await?)
    }

    fn at_once(&self, here: &Here) -> Option<L::Output> {
        here.look(self)
    }
}

//! What nobody asks for.

use sqlx::Executor as _;

use super::{
    Database, Store, StoreError, Transaction, Tx,
    row::{int, uint},
};

/// How much there is.
pub(crate) struct Measure {
    database: &'static str,
}

impl Measure {
    /// By the means of this database.
    pub(crate) fn of(database: &Database) -> Self {
        Self {
            database: match database {
                Database::Sqlite { .. } => {
                    "SELECT p.page_count * s.page_size FROM pragma_page_count() p, \
                     pragma_page_size() s"
                }
                Database::Postgres { .. } => "SELECT pg_database_size(current_database())",
            },
        }
    }
}

/// What there is.
pub(crate) struct Amounts {
    /// The database, in bytes.
    pub(crate) database: u64,
    /// Items in all mailboxes.
    pub(crate) items: u64,
    /// Items in the mailbox that has the most.
    pub(crate) fullest: u64,
}

impl Transaction for Measure {
    const NAME: &'static str = "measure";
    const WRITES: bool = false;
    type Output = Amounts;

    async fn run(&self, tx: &mut Tx) -> Result<Amounts, StoreError> {
        let database = sqlx::query(self.database).fetch_one(tx.connection()).await?;
        let items = sqlx::query(
            "SELECT CAST(COALESCE(SUM(items), 0) AS BIGINT), CAST(COALESCE(MAX(items), 0) AS BIGINT)
             FROM (SELECT COUNT(*) AS items FROM mailbox GROUP BY device_id) AS boxes",
        )
        .fetch_one(tx.connection())
        .await?;
        let (items, fullest) = (uint(&items, 0)?, uint(&items, 1)?);
        Ok(Amounts { database: uint(&database, 0)?, items, fullest })
    }
}

/// Drops what has expired: nonces, items of mailboxes, KeyPackages.
pub(crate) struct Sweep {
    pub(crate) now: u64,
}

impl Transaction for Sweep {
    const NAME: &'static str = "sweep";
    /// How many rows went.
    type Output = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, StoreError> {
        let mut gone = 0;
        for statement in [
            "DELETE FROM nonces WHERE expires_at < $1",
            "DELETE FROM mailbox WHERE expires_at < $1",
            "DELETE FROM key_packages WHERE not_after < $1",
            "DELETE FROM claimed_key_packages WHERE not_after < $1",
            "DELETE FROM removals WHERE expires_at < $1",
            "DELETE FROM approvals WHERE expires_at < $1",
            "DELETE FROM claims WHERE expires_at < $1",
        ] {
            let now = int(self.now)?;
            gone +=
                sqlx::query(statement).bind(now).execute(tx.connection()).await?.rows_affected();
        }
        Ok(gone)
    }
}

impl Store {
    /// Writes the journal of SQLite into the database and cuts it off, so that what was deleted is on the
    /// disk no more. Readers that are in the way put it off until the next time.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub(crate) async fn cut_journal(&self) -> Result<(), StoreError> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let _turn = self.between_batches(writer).await?;
        let mut writer = self.writers.acquire().await?;
        // Whatever happens to it now, this connection is not used again: it has another patience.
        writer.close_on_drop();
        writer.execute("PRAGMA busy_timeout = 200").await?;
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        Ok(())
    }
}

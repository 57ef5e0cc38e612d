//! What nobody asks for.

use sqlx::Executor as _;

use super::{Database, Store, StoreError, Transaction, Tx, row::int};

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
        let (Database::Sqlite { .. }, Some(turn)) = (&self.database, &self.turn) else {
            return Ok(());
        };
        let _turn = turn.lock().await;
        let mut writer = self.writers.acquire().await?;
        // Whatever happens to it now, this connection is not used again: it has another patience.
        writer.close_on_drop();
        writer.execute("PRAGMA busy_timeout = 200").await?;
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        Ok(())
    }
}

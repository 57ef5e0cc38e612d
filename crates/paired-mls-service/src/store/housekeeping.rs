//! What nobody asks for.

use super::{StoreError, Transaction, Tx, row::int};

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
        ] {
            let now = int(self.now)?;
            gone +=
                sqlx::query(statement).bind(now).execute(tx.connection()).await?.rows_affected();
        }
        Ok(gone)
    }
}

/// Asks whether the database answers.
pub(crate) struct Ping;

impl Transaction for Ping {
    const NAME: &'static str = "ping";
    const WRITES: bool = false;
    type Output = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), StoreError> {
        sqlx::query("SELECT user_id FROM users LIMIT 1").execute(tx.connection()).await?;
        Ok(())
    }
}

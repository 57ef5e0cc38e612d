//! Reading the log of a group.

use paired_mls_api::{GroupId, LogChain, LogEntry, UserId};
use sqlx::any::AnyRow;

use super::{
    StoreError, Transaction, Tx,
    chain::{chain, chain_at, kind},
    part::rows_between,
    row::{bytes, int, uint, user},
};

/// A page of the log: the entries after a position, in their order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntriesAfter<'a> {
    pub(crate) group: &'a GroupId,
    pub(crate) after: u64,
    /// The last position that is read.
    pub(crate) through: u64,
    pub(crate) limit: u32,
}

impl Transaction for EntriesAfter<'_> {
    const NAME: &'static str = "entries_after";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<LogEntry>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<LogEntry>, StoreError> {
        let rows = rows_between(
            tx,
            "SELECT position, epoch, kind, message, chain FROM log
             WHERE group_id = $1 AND position > $2 AND position <= $3
             ORDER BY position LIMIT $4",
            self.group.as_bytes(),
            [self.after, self.through],
            self.limit,
        )
        .await?;
        rows.iter().map(read).collect()
    }
}

/// The same, with the hash of the log up to where the page begins.
pub(crate) struct PageAfter<'a>(pub(crate) EntriesAfter<'a>);

impl Transaction for PageAfter<'_> {
    const NAME: &'static str = "page_after";
    const WRITES: bool = false;
    type Output = (LogChain, Vec<LogEntry>);

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        let chain = chain_at(tx, self.0.group, self.0.after).await?;
        Ok((chain, self.0.run(tx).await?))
    }
}

fn read(row: &AnyRow) -> Result<LogEntry, StoreError> {
    Ok(LogEntry {
        position: uint(row, 0)?,
        epoch: uint(row, 1)?,
        kind: kind(row, 2)?,
        message: bytes(row, 3)?.into(),
        chain: chain(row, 4)?,
    })
}

/// The proposals of an epoch, in their order.
pub(crate) struct ProposalsOf<'a> {
    pub(crate) group: &'a GroupId,
    pub(crate) epoch: u64,
    pub(crate) limit: u32,
    /// The longest that is read, in bytes.
    pub(crate) longest: u32,
}

impl Transaction for ProposalsOf<'_> {
    const NAME: &'static str = "proposals_of_epoch";
    const WRITES: bool = false;
    type Output = Vec<Vec<u8>>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows = sqlx::query(
            "SELECT message FROM log WHERE group_id = $1 AND epoch = $2 AND kind = 'proposal'
             AND LENGTH(message) <= $4 ORDER BY position LIMIT $3",
        )
        .bind(self.group.as_bytes())
        .bind(int(self.epoch)?)
        .bind(i64::from(self.limit))
        .bind(i64::from(self.longest))
        .fetch_all(tx.connection())
        .await?;
        rows.iter().map(|row| bytes(row, 0)).collect()
    }
}

/// The accounts that left the roster after one position, up to another, and where.
pub(crate) struct Removed<'a> {
    pub(crate) group: &'a GroupId,
    pub(crate) after: u64,
    pub(crate) through: u64,
}

impl Transaction for Removed<'_> {
    const NAME: &'static str = "removed_accounts";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<(u64, UserId)>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<(u64, UserId)>, StoreError> {
        let rows = sqlx::query(
            "SELECT removed_at, user_id FROM roster
             WHERE group_id = $1 AND removed_at > $2 AND removed_at <= $3",
        )
        .bind(self.group.as_bytes())
        .bind(int(self.after)?)
        .bind(int(self.through)?)
        .fetch_all(tx.connection())
        .await?;
        rows.iter().map(|row| Ok((uint(row, 0)?, user(row, 1)?))).collect()
    }
}

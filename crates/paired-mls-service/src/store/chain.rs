//! The hash chain of a log, and which history the database has.

use paired_mls_api::{EntryKind, GroupId, LogChain};
use sqlx::{Row as _, any::AnyRow};

use super::{
    Store, StoreError, Transaction, Tx,
    row::{bytes, int, uint},
};

/// How many entries get their hash in one transaction.
const BATCH: i64 = 1000;

/// The hash of a log up to a position that is there, or the last that is gone.
pub(super) async fn chain_at(
    tx: &mut Tx,
    group: &GroupId,
    position: u64,
) -> Result<LogChain, StoreError> {
    if position == 0 {
        return Ok(LogChain::start(group));
    }
    let row = sqlx::query(
        "SELECT chain FROM log WHERE group_id = $1 AND position = $2
         UNION ALL SELECT pruned_chain FROM groups WHERE group_id = $1 AND pruned_through = $2",
    )
    .bind(group.as_bytes())
    .bind(int(position)?)
    .fetch_optional(tx.connection())
    .await?;
    row.as_ref().map(|row| chain(row, 0)).unwrap_or(Err(StoreError::Corrupt("log")))
}

/// The hash in this column.
pub(super) fn chain(row: &AnyRow, column: usize) -> Result<LogChain, StoreError> {
    LogChain::from_bytes(&bytes(row, column)?).ok_or(StoreError::Corrupt("log"))
}

/// The kind of entry in this column.
pub(super) fn kind(row: &AnyRow, column: usize) -> Result<EntryKind, StoreError> {
    let kind: String = row.try_get(column)?;
    let known = [EntryKind::Commit, EntryKind::Proposal, EntryKind::Application];
    let kind = known.into_iter().find(|known| known.name() == kind);
    kind.ok_or(StoreError::Corrupt("log"))
}

impl Store {
    /// Gives each entry its hash that was written before there were any.
    pub(super) async fn chain_up(&self) -> Result<(), StoreError> {
        while self.run(&ChainUp).await? > 0 {}
        Ok(())
    }
}

/// Gives entries of one log their hash.
struct ChainUp;

impl Transaction for ChainUp {
    const NAME: &'static str = "chain_up";
    /// How many.
    type Output = usize;

    async fn run(&self, tx: &mut Tx) -> Result<usize, StoreError> {
        let first = sqlx::query(
            "SELECT group_id, position FROM log WHERE chain IS NULL ORDER BY group_id, position LIMIT 1",
        )
        .fetch_optional(tx.connection())
        .await?;
        let Some(first) = first else { return Ok(0) };
        let group = GroupId::new(bytes(&first, 0)?).map_err(|_| StoreError::Corrupt("log"))?;
        let rows = sqlx::query(
            "SELECT position, epoch, kind, digest FROM log
             WHERE group_id = $1 AND position >= $2 ORDER BY position LIMIT $3",
        )
        .bind(group.as_bytes())
        .bind(int(uint(&first, 1)?)?)
        .bind(BATCH)
        .fetch_all(tx.connection())
        .await?;
        let mut chain = chain_at(tx, &group, uint(&first, 1)?.saturating_sub(1)).await?;
        for row in &rows {
            let (position, epoch, kind) = (uint(row, 0)?, uint(row, 1)?, kind(row, 2)?);
            let digest = bytes(row, 3)?.try_into().map_err(|_| StoreError::Corrupt("log"))?;
            chain = chain.and(position, epoch, kind, &digest);
            sqlx::query("UPDATE log SET chain = $3 WHERE group_id = $1 AND position = $2")
                .bind(group.as_bytes())
                .bind(int(position)?)
                .bind(chain.as_bytes().as_slice())
                .execute(tx.connection())
                .await?;
        }
        Ok(rows.len())
    }
}

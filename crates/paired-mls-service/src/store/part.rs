//! A part of a log or of a mailbox.

use sqlx::{SqlSafeStr, any::AnyRow};

use super::{StoreError, Tx, row::int};

/// The rows of a log or a mailbox between two positions, the first of them left out. The statement is given its
/// owner, both positions and the limit, in this order.
pub(super) async fn rows_between(
    tx: &mut Tx,
    statement: impl SqlSafeStr,
    owner: &[u8],
    [after, through]: [u64; 2],
    limit: u32,
) -> Result<Vec<AnyRow>, StoreError> {
    let rows = sqlx::query(statement)
        .bind(owner)
        .bind(int(after)?)
        .bind(int(through.min(i64::MAX as u64))?)
        .bind(i64::from(limit))
        .fetch_all(tx.connection())
        .await?;
    Ok(rows)
}

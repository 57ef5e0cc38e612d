//! How long entries and items are: what they are is read once it is known that there is room for it.

use paired_mls_api::{DeviceId, GroupId};
use sqlx::any::AnyRow;

use super::{
    StoreError, Transaction, Tx,
    row::{int, uint},
};

/// A position, and how many bytes are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) position: u64,
    pub(crate) bytes: usize,
}

fn read(row: &AnyRow) -> Result<Size, StoreError> {
    let bytes = usize::try_from(uint(row, 1)?).map_err(|_| StoreError::OutOfRange)?;
    Ok(Size { position: uint(row, 0)?, bytes })
}

/// Those of the entries of a log after a position, in their order.
pub(crate) struct EntrySizes<'a> {
    pub(crate) group: &'a GroupId,
    pub(crate) after: u64,
    /// The last position that counts.
    pub(crate) through: u64,
    pub(crate) limit: u32,
}

impl Transaction for EntrySizes<'_> {
    const NAME: &'static str = "entry_sizes";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<Size>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Size>, StoreError> {
        let rows = sqlx::query(
            "SELECT position, CAST(LENGTH(message) AS BIGINT) FROM log
             WHERE group_id = $1 AND position > $2 AND position <= $3
             ORDER BY position LIMIT $4",
        )
        .bind(self.group.as_bytes())
        .bind(int(self.after)?)
        .bind(int(self.through.min(i64::MAX as u64))?)
        .bind(i64::from(self.limit))
        .fetch_all(tx.connection())
        .await?;
        rows.iter().map(read).collect()
    }
}

/// Those of the items of a mailbox after a position, in their order.
pub(crate) struct ItemSizes<'a> {
    pub(crate) device: &'a DeviceId,
    pub(crate) after: u64,
    pub(crate) limit: u32,
}

impl Transaction for ItemSizes<'_> {
    const NAME: &'static str = "item_sizes";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<Size>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Size>, StoreError> {
        let rows = sqlx::query(
            "SELECT position, CAST(LENGTH(envelope) AS BIGINT) FROM mailbox
             WHERE device_id = $1 AND position > $2 ORDER BY position LIMIT $3",
        )
        .bind(self.device.as_bytes())
        .bind(int(self.after)?)
        .bind(i64::from(self.limit))
        .fetch_all(tx.connection())
        .await?;
        rows.iter().map(read).collect()
    }
}

//! How long entries and items are: what they are is read once it is known that there is room for it.

use sqlx::any::AnyRow;

use super::{EntriesAfter, ItemsAfter, StoreError, Transaction, Tx, part::rows_between, row::uint};

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

/// How long what a page would have is, in its order.
pub(crate) struct Sizes<T>(pub(crate) T);

impl Transaction for Sizes<EntriesAfter<'_>> {
    const NAME: &'static str = "entry_sizes";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<Size>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Size>, StoreError> {
        let rows = rows_between(
            tx,
            "SELECT position, CAST(LENGTH(message) AS BIGINT) FROM log
             WHERE group_id = $1 AND position > $2 AND position <= $3
             ORDER BY position LIMIT $4",
            self.0.group.as_bytes(),
            [self.0.after, self.0.through],
            self.0.limit,
        )
        .await?;
        rows.iter().map(read).collect()
    }
}

impl Transaction for Sizes<ItemsAfter<'_>> {
    const NAME: &'static str = "item_sizes";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<Size>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Size>, StoreError> {
        let rows = rows_between(
            tx,
            "SELECT position, CAST(LENGTH(envelope) AS BIGINT) FROM mailbox
             WHERE device_id = $1 AND position > $2 AND position <= $3 ORDER BY position LIMIT $4",
            self.0.device.as_bytes(),
            [self.0.after, self.0.through],
            self.0.limit,
        )
        .await?;
        rows.iter().map(read).collect()
    }
}

//! How long entries and items are: what they are is read once it is known that there is room for it.

use super::{
    EntriesAfter, ItemsAfter, StoreError,
    lookup::{Key, Lookup},
    row::{Columns, int, uint},
};

/// A position, and how many bytes are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) position: u64,
    pub(crate) bytes: usize,
}

fn read(row: &impl Columns) -> Result<Size, StoreError> {
    let bytes = usize::try_from(uint(row, 1)?).map_err(|_| StoreError::OutOfRange)?;
    Ok(Size { position: uint(row, 0)?, bytes })
}

/// The rows of an owner between two positions, the first of them left out, and how many at most.
fn between(
    owner: &[u8],
    [after, through]: [u64; 2],
    limit: u32,
) -> Result<Vec<Key<'_>>, StoreError> {
    let through = int(through.min(i64::MAX as u64))?;
    Ok(vec![
        Key::Bytes(owner),
        Key::Number(int(after)?),
        Key::Number(through),
        Key::Number(limit.into()),
    ])
}

/// How long what a page would have is, in its order.
pub(crate) struct Sizes<T>(pub(crate) T);

impl Lookup for Sizes<EntriesAfter<'_>> {
    const NAME: &'static str = "entry_sizes";
    const STATEMENT: &'static str = "SELECT position, CAST(LENGTH(message) AS BIGINT) FROM log
         WHERE group_id = $1 AND position > $2 AND position <= $3 ORDER BY position LIMIT $4";
    type Output = Vec<Size>;

    fn keys(&self) -> Result<Vec<Key<'_>>, StoreError> {
        let EntriesAfter { group, after, through, limit } = self.0;
        between(group.as_bytes(), [after, through], limit)
    }

    fn read(&self, rows: &[impl Columns]) -> Result<Vec<Size>, StoreError> {
        rows.iter().map(read).collect()
    }
}

impl Lookup for Sizes<ItemsAfter<'_>> {
    const NAME: &'static str = "item_sizes";
    const STATEMENT: &'static str = "SELECT position, CAST(LENGTH(envelope) AS BIGINT) FROM mailbox
         WHERE device_id = $1 AND position > $2 AND position <= $3 ORDER BY position LIMIT $4";
    type Output = Vec<Size>;

    fn keys(&self) -> Result<Vec<Key<'_>>, StoreError> {
        let ItemsAfter { device, after, through, limit } = self.0;
        between(device.as_bytes(), [after, through], limit)
    }

    fn read(&self, rows: &[impl Columns]) -> Result<Vec<Size>, StoreError> {
        rows.iter().map(read).collect()
    }
}

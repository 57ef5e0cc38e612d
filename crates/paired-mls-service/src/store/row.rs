//! Numbers and ids in rows.

use paired_mls_api::{DeviceId, SignatureScheme, UserId};
use sqlx::{Row as _, any::AnyRow};

use super::StoreError;

/// A row, whoever has found it.
pub(crate) trait Columns {
    /// The number in a column.
    fn number(&self, column: usize) -> Result<i64, StoreError>;
    /// The number in a column, or nothing.
    fn optional_number(&self, column: usize) -> Result<Option<i64>, StoreError>;
    /// The bytes in a column.
    fn bytes(&self, column: usize) -> Result<Vec<u8>, StoreError>;
    /// The bytes in a column, or nothing.
    fn optional_bytes(&self, column: usize) -> Result<Option<Vec<u8>>, StoreError>;
    /// The text in a column.
    fn text(&self, column: usize) -> Result<String, StoreError>;
}

impl Columns for AnyRow {
    fn number(&self, column: usize) -> Result<i64, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn optional_number(&self, column: usize) -> Result<Option<i64>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn bytes(&self, column: usize) -> Result<Vec<u8>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn optional_bytes(&self, column: usize) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.try_get(column)?)
    }

    fn text(&self, column: usize) -> Result<String, StoreError> {
        Ok(self.try_get(column)?)
    }
}

/// A number as the database has it: below 2^63.
pub(super) fn int(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::OutOfRange)
}

/// The number in this column; none of ours is negative.
pub(super) fn uint(row: &impl Columns, column: usize) -> Result<u64, StoreError> {
    u64::try_from(row.number(column)?).map_err(|_| StoreError::Negative)
}

/// The number in this column, or nothing.
pub(super) fn optional_uint(row: &impl Columns, column: usize) -> Result<Option<u64>, StoreError> {
    let value = row.optional_number(column)?;
    value.map(|value| u64::try_from(value).map_err(|_| StoreError::Negative)).transpose()
}

/// The bytes in this column.
pub(super) fn bytes(row: &impl Columns, column: usize) -> Result<Vec<u8>, StoreError> {
    row.bytes(column)
}

/// The device in this column.
pub(super) fn device(row: &impl Columns, column: usize) -> Result<DeviceId, StoreError> {
    DeviceId::new(bytes(row, column)?).map_err(|_| StoreError::Corrupt("devices"))
}

/// The device in this column, or nothing.
pub(super) fn optional_device(
    row: &impl Columns,
    column: usize,
) -> Result<Option<DeviceId>, StoreError> {
    let id = row.optional_bytes(column)?;
    id.map(DeviceId::new).transpose().map_err(|_| StoreError::Corrupt("devices"))
}

/// The user in this column.
pub(super) fn user(row: &impl Columns, column: usize) -> Result<UserId, StoreError> {
    UserId::new(bytes(row, column)?).map_err(|_| StoreError::Corrupt("users"))
}

/// The scheme in this column.
pub(super) fn scheme(row: &impl Columns, column: usize) -> Result<SignatureScheme, StoreError> {
    SignatureScheme::from_name(&row.text(column)?).map_err(|_| StoreError::Corrupt("devices"))
}

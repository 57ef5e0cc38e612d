//! Numbers and ids in rows.

use paired_mls_api::{DeviceId, SignatureScheme, UserId};
use sqlx::{Row as _, any::AnyRow};

use super::StoreError;

/// A number as the database has it: below 2^63.
pub(super) fn int(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::OutOfRange)
}

/// The number in this column; none of ours is negative.
pub(super) fn uint(row: &AnyRow, column: usize) -> Result<u64, StoreError> {
    let value: i64 = row.try_get(column)?;
    u64::try_from(value).map_err(|_| StoreError::Negative)
}

/// The number in this column, or nothing.
pub(super) fn optional_uint(row: &AnyRow, column: usize) -> Result<Option<u64>, StoreError> {
    let value: Option<i64> = row.try_get(column)?;
    value.map(|value| u64::try_from(value).map_err(|_| StoreError::Negative)).transpose()
}

/// The bytes in this column.
pub(super) fn bytes(row: &AnyRow, column: usize) -> Result<Vec<u8>, StoreError> {
    Ok(row.try_get(column)?)
}

/// The device in this column.
pub(super) fn device(row: &AnyRow, column: usize) -> Result<DeviceId, StoreError> {
    DeviceId::new(bytes(row, column)?).map_err(|_| StoreError::Corrupt("devices"))
}

/// The device in this column, or nothing.
pub(super) fn optional_device(row: &AnyRow, column: usize) -> Result<Option<DeviceId>, StoreError> {
    let id: Option<Vec<u8>> = row.try_get(column)?;
    id.map(DeviceId::new).transpose().map_err(|_| StoreError::Corrupt("devices"))
}

/// The user in this column.
pub(super) fn user(row: &AnyRow, column: usize) -> Result<UserId, StoreError> {
    UserId::new(bytes(row, column)?).map_err(|_| StoreError::Corrupt("users"))
}

/// The scheme in this column.
pub(super) fn scheme(row: &AnyRow, column: usize) -> Result<SignatureScheme, StoreError> {
    let name: String = row.try_get(column)?;
    SignatureScheme::from_name(&name).map_err(|_| StoreError::Corrupt("devices"))
}

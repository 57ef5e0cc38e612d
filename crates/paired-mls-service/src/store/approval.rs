//! Approvals: which further devices may register for a user.

use paired_mls_api::{ApprovalView, DeviceId, UserId};
use sqlx::any::AnyRow;

use super::{
    StoreError, Transaction, Tx,
    row::{device, int, optional_device, uint},
};
use crate::clock::DAY;

/// For how many seconds an approval is good, whoever gives it: a device of the user, its recovery key, or the operator.
pub(crate) const APPROVED: u64 = DAY;

/// Lets a further device register for a user, for some time. Doing it again begins that time anew.
pub(crate) struct Approve<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) device: &'a DeviceId,
    /// The device that approves: when it is revoked, so is this.
    pub(crate) by: &'a DeviceId,
    pub(crate) now: u64,
    pub(crate) expires_at: u64,
    /// How many approvals a user can have that no device has used and that have not ended.
    pub(crate) limit: u64,
}

impl Transaction for Approve<'_> {
    const NAME: &'static str = "approve_device";
    /// Whether there was room.
    type Output = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) FROM approvals
             WHERE user_id = $1 AND expires_at >= $2 AND device_id <> $3",
        )
        .bind(self.user.as_bytes())
        .bind(int(self.now)?)
        .bind(self.device.as_bytes())
        .fetch_one(tx.connection())
        .await?;
        if uint(&row, 0)? >= self.limit {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO approvals (user_id, device_id, approved_by, expires_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (user_id, device_id) DO UPDATE SET approved_by = $3, expires_at = $4",
        )
        .bind(self.user.as_bytes())
        .bind(self.device.as_bytes())
        .bind(self.by.as_bytes())
        .bind(int(self.expires_at)?)
        .execute(tx.connection())
        .await?;
        Ok(true)
    }
}

/// The approvals of a user that are not used and have not ended, in the order of the devices.
pub(crate) struct ApprovalsOf<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) now: u64,
}

impl Transaction for ApprovalsOf<'_> {
    const NAME: &'static str = "approvals_of_user";
    const WRITES: bool = false;
    type Output = Vec<ApprovalView>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<ApprovalView>, StoreError> {
        let rows = sqlx::query(
            "SELECT device_id, approved_by, expires_at FROM approvals
             WHERE user_id = $1 AND expires_at >= $2 ORDER BY device_id",
        )
        .bind(self.user.as_bytes())
        .bind(int(self.now)?)
        .fetch_all(tx.connection())
        .await?;
        let read = |row: &AnyRow| -> Result<_, StoreError> {
            Ok(ApprovalView {
                device: device(row, 0)?,
                approved_by: optional_device(row, 1)?,
                expires_at: uint(row, 2)?,
            })
        };
        rows.iter().map(read).collect()
    }
}

/// Takes an approval back. One that is not there is none.
pub(crate) struct WithdrawApproval<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) device: &'a DeviceId,
}

impl Transaction for WithdrawApproval<'_> {
    const NAME: &'static str = "withdraw_approval";
    type Output = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM approvals WHERE user_id = $1 AND device_id = $2")
            .bind(self.user.as_bytes())
            .bind(self.device.as_bytes())
            .execute(tx.connection())
            .await?;
        Ok(())
    }
}

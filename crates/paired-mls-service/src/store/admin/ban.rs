//! Shutting a user out, and letting one in again who has no device left.

use paired_mls_api::{DeviceId, UserId};

use super::super::{
    StoreError, Topic, Transaction, Tx, directory::DevicesOfUser, row::int, unused::revive,
};

/// Shuts a user out: no device of it may make requests, nor register.
pub(crate) struct Ban<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) now: u64,
}

impl Transaction for Ban<'_> {
    const NAME: &'static str = "ban_user";
    /// Whether there is such a user.
    type Output = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let banned =
            sqlx::query("UPDATE users SET banned_at = COALESCE(banned_at, $2) WHERE user_id = $1")
                .bind(self.user.as_bytes())
                .bind(int(self.now)?)
                .execute(tx.connection())
                .await?;
        // Their subscriptions end.
        for device in DevicesOfUser(self.user).run(tx).await? {
            tx.wake(Topic::revocation(&device.device));
        }
        Ok(banned.rows_affected() == 1)
    }
}

/// Lets a user in again that was shut out.
pub(crate) struct Unban<'a>(pub(crate) &'a UserId);

impl Transaction for Unban<'_> {
    const NAME: &'static str = "unban_user";
    /// Whether there is such a user.
    type Output = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let unbanned = sqlx::query("UPDATE users SET banned_at = NULL WHERE user_id = $1")
            .bind(self.0.as_bytes())
            .execute(tx.connection())
            .await?;
        Ok(unbanned.rows_affected() == 1)
    }
}

/// Lets a device register for a user, as one of its own would.
pub(crate) struct FreeDevice<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) device: &'a DeviceId,
    pub(crate) expires_at: u64,
}

impl Transaction for FreeDevice<'_> {
    const NAME: &'static str = "free_user";
    /// Whether there is such a user. One that has ended is there again.
    type Output = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        revive(tx, self.user).await?;
        let approved = sqlx::query(
            "INSERT INTO approvals (user_id, device_id, approved_by, expires_at)
             SELECT user_id, $2, NULL, $3 FROM users WHERE user_id = $1
             ON CONFLICT (user_id, device_id) DO UPDATE SET approved_by = NULL, expires_at = $3",
        )
        .bind(self.user.as_bytes())
        .bind(self.device.as_bytes())
        .bind(int(self.expires_at)?)
        .execute(tx.connection())
        .await?;
        Ok(approved.rows_affected() == 1)
    }
}

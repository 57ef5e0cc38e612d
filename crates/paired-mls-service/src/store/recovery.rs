//! Recovery keys: how a user that has lost its devices lets in a new one.

use paired_mls_api::{DeviceId, OldDevices, UserId};
use sqlx::Row as _;

use super::{
    StoreError, Transaction, Tx,
    directory::{DevicesOfUser, RevokeDevice},
    row::{int, optional_uint},
    unused::{ended_key, revive},
};

/// The recovery key of a user, its public part; nothing if it has none, or if there is no such user. One that has
/// ended has it still.
pub(crate) struct RecoveryKeyOf<'a>(pub(crate) &'a UserId);

impl Transaction for RecoveryKeyOf<'_> {
    const NAME: &'static str = "recovery_key";
    const WRITES: bool = false;
    type Output = Option<Vec<u8>>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT recovery_key FROM users WHERE user_id = $1")
            .bind(self.0.as_bytes())
            .fetch_optional(tx.connection())
            .await?;
        match row {
            Some(row) => Ok(row.try_get(0)?),
            None => ended_key(tx, self.0).await,
        }
    }
}

/// Gives a user another recovery key, or none.
pub(crate) struct SetRecoveryKey<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) key: Option<&'a [u8]>,
}

impl Transaction for SetRecoveryKey<'_> {
    const NAME: &'static str = "set_recovery_key";
    type Output = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), StoreError> {
        sqlx::query("UPDATE users SET recovery_key = $2 WHERE user_id = $1")
            .bind(self.user.as_bytes())
            .bind(self.key)
            .execute(tx.connection())
            .await?;
        Ok(())
    }
}

/// Lets a device register for a user, by the user's recovery key.
pub(crate) struct RecoverUser<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) device: &'a DeviceId,
    /// The key that the request was verified with.
    pub(crate) key: &'a [u8],
    pub(crate) old: OldDevices,
    pub(crate) now: u64,
    pub(crate) expires_at: u64,
}

/// What became of a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// The device may register; as many others were revoked.
    Approved(u64),
    /// The operator has shut the user out.
    Banned,
    /// The key was replaced in between.
    OtherKey,
}

impl Transaction for RecoverUser<'_> {
    const NAME: &'static str = "recover_user";
    type Output = Recovery;

    async fn run(&self, tx: &mut Tx) -> Result<Recovery, StoreError> {
        if ended_key(tx, self.user).await?.as_deref() == Some(self.key) {
            revive(tx, self.user).await?;
        }
        // Locks the user, so that no device replaces the key meanwhile.
        let row = sqlx::query(
            "UPDATE users SET recovery_key = recovery_key
             WHERE user_id = $1 AND recovery_key = $2 RETURNING banned_at",
        )
        .bind(self.user.as_bytes())
        .bind(self.key)
        .fetch_optional(tx.connection())
        .await?;
        let Some(row) = row else { return Ok(Recovery::OtherKey) };
        if optional_uint(&row, 0)?.is_some() {
            return Ok(Recovery::Banned);
        }
        let mut revoked = 0;
        if self.old == OldDevices::Revoke {
            for device in DevicesOfUser(self.user).run(tx).await? {
                if device.revoked_at.is_none() && device.device != *self.device {
                    let (user, device, now) = (self.user, &device.device, self.now);
                    RevokeDevice { user, device, now }.run(tx).await?;
                    revoked += 1;
                }
            }
        }
        // One at a time, so that who has the key cannot fill the table.
        sqlx::query("DELETE FROM approvals WHERE user_id = $1 AND approved_by IS NULL")
            .bind(self.user.as_bytes())
            .execute(tx.connection())
            .await?;
        sqlx::query(
            "INSERT INTO approvals (user_id, device_id, approved_by, expires_at)
             VALUES ($1, $2, NULL, $3)
             ON CONFLICT (user_id, device_id) DO UPDATE SET approved_by = NULL, expires_at = $3",
        )
        .bind(self.user.as_bytes())
        .bind(self.device.as_bytes())
        .bind(int(self.expires_at)?)
        .execute(tx.connection())
        .await?;
        Ok(Recovery::Approved(revoked))
    }

    fn keeps(output: &Recovery) -> bool {
        matches!(output, Recovery::Approved(_))
    }
}

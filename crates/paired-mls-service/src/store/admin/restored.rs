//! A database that was restored from a backup.

use super::super::{StoreError, Transaction, Tx, row::int};
use crate::admin::KeyPackages;

/// Begins a new history. What was given out or taken back since the backup would be good for a second time
/// otherwise.
pub(crate) struct NewIncarnation {
    pub(crate) incarnation: [u8; 16],
    pub(crate) key_packages: KeyPackages,
    pub(crate) now: u64,
}

impl Transaction for NewIncarnation {
    const NAME: &'static str = "new_incarnation";
    /// How many KeyPackages and approvals went.
    type Output = (u64, u64);

    async fn run(&self, tx: &mut Tx) -> Result<(u64, u64), StoreError> {
        sqlx::query("UPDATE service SET incarnation = $1")
            .bind(self.incarnation.as_slice())
            .execute(tx.connection())
            .await?;
        let approvals = sqlx::query("DELETE FROM approvals").execute(tx.connection()).await?;
        let packages = match self.key_packages {
            KeyPackages::Kept => 0,
            // Nobody can have claimed those whose time has not begun.
            KeyPackages::Dropped => {
                sqlx::query("DELETE FROM key_packages WHERE last_resort = 0 AND not_before <= $1")
                    .bind(int(self.now)?)
                    .execute(tx.connection())
                    .await?
                    .rows_affected()
            }
        };
        Ok((packages, approvals.rows_affected()))
    }
}

/// A user, and its recovery key.
pub(crate) type KeyOfUser = (Vec<u8>, Option<Vec<u8>>);

/// Who is shut out: devices that were revoked, and users that were banned, each since when.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShutOut {
    pub(crate) devices: Vec<(Vec<u8>, u64)>,
    pub(crate) users: Vec<(Vec<u8>, u64)>,
    /// The recovery keys of all users: one that was replaced is not good any more.
    pub(crate) recovery_keys: Vec<KeyOfUser>,
}

impl Transaction for ShutOut {
    const NAME: &'static str = "shut_out_again";
    /// How many devices and users of the backup were not shut out yet.
    type Output = (u64, u64);

    async fn run(&self, tx: &mut Tx) -> Result<(u64, u64), StoreError> {
        let (mut devices, mut users) = (0, 0);
        for (device, at) in &self.devices {
            let revoked = sqlx::query(
                "UPDATE devices SET revoked_at = $2 WHERE device_id = $1 AND revoked_at IS NULL",
            )
            .bind(device.as_slice())
            .bind(int(*at)?)
            .execute(tx.connection())
            .await?
            .rows_affected();
            if revoked == 1 {
                let statements = [
                    "DELETE FROM key_packages WHERE device_id = $1",
                    "DELETE FROM mailbox WHERE device_id = $1",
                    "DELETE FROM approvals WHERE approved_by = $1",
                ];
                super::each(tx.connection(), &statements, device).await?;
            }
            devices += revoked;
        }
        for (user, at) in &self.users {
            let banned = sqlx::query(
                "UPDATE users SET banned_at = $2 WHERE user_id = $1 AND banned_at IS NULL",
            )
            .bind(user.as_slice())
            .bind(int(*at)?)
            .execute(tx.connection())
            .await?;
            users += banned.rows_affected();
        }
        for (user, key) in &self.recovery_keys {
            sqlx::query("UPDATE users SET recovery_key = $2 WHERE user_id = $1")
                .bind(user.as_slice())
                .bind(key.as_deref())
                .execute(tx.connection())
                .await?;
        }
        Ok((devices, users))
    }
}

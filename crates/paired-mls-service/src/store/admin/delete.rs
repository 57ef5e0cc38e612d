//! Deleting users, devices, groups and approvals, with everything that is theirs.

use paired_mls_api::{DeviceId, GroupId, UserId};

use super::{
    super::{
        StoreError, Topic, Transaction, Tx,
        directory::DevicesOfUser,
        row::{bytes, int, optional_uint},
    },
    STEP, each,
};

/// Deletes a device. Nonces that it has spent stay until they expire, so that nothing is taken twice.
pub(crate) struct DeleteDevice<'a>(pub(crate) &'a DeviceId);

impl Transaction for DeleteDevice<'_> {
    const NAME: &'static str = "delete_device";
    /// How many rows went.
    type Output = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, StoreError> {
        let gone = drop_device(tx, self.0).await?;
        drop_pairings(tx).await?;
        Ok(gone)
    }
}

/// Deletes devices of a user, all of them.
pub(crate) struct DropDevices<'a>(pub(crate) &'a UserId);

impl Transaction for DropDevices<'_> {
    const NAME: &'static str = "delete_devices";
    /// How many devices went.
    type Output = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, StoreError> {
        let mut gone = 0;
        for device in DevicesOfUser(self.0).run(tx).await? {
            drop_device(tx, &device.device).await?;
            gone += 1;
        }
        drop_pairings(tx).await?;
        Ok(gone)
    }
}

pub(in crate::store) async fn drop_device(
    tx: &mut Tx,
    device: &DeviceId,
) -> Result<u64, StoreError> {
    let statements = [
        "DELETE FROM approvals WHERE approved_by = $1",
        "DELETE FROM mailbox WHERE device_id = $1",
        "DELETE FROM key_packages WHERE device_id = $1",
        "DELETE FROM key_package_stock WHERE device_id = $1",
        "DELETE FROM paired_devices WHERE device_id = $1 OR partner_id = $1",
        "DELETE FROM pairing_requests WHERE device_id = $1",
        "DELETE FROM readers WHERE device_id = $1",
        "DELETE FROM devices WHERE device_id = $1",
    ];
    // Its subscriptions end.
    tx.wake(Topic::revocation(device));
    each(tx.connection(), &statements, device.as_bytes()).await
}

/// Those that no device is left of.
pub(in crate::store) async fn drop_pairings(tx: &mut Tx) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM pairings WHERE NOT EXISTS
             (SELECT 1 FROM pairing_requests r WHERE r.pairing_id = pairings.pairing_id)",
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The groups that nobody else ever was in.
pub(crate) struct GroupsAlone<'a>(pub(crate) &'a UserId);

impl Transaction for GroupsAlone<'_> {
    const NAME: &'static str = "groups_alone";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<GroupId>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<GroupId>, StoreError> {
        let rows = sqlx::query(
            "SELECT r.group_id FROM roster r WHERE r.user_id = $1 AND NOT EXISTS
                 (SELECT 1 FROM roster o WHERE o.group_id = r.group_id AND o.user_id <> $1)",
        )
        .bind(self.0.as_bytes())
        .fetch_all(tx.connection())
        .await?;
        let group = |row| GroupId::new(bytes(row, 0)?).map_err(|_| StoreError::Corrupt("roster"));
        rows.iter().map(group).collect()
    }
}

/// Deletes a user that has no devices any more.
pub(crate) struct DeleteUser<'a>(pub(crate) &'a UserId);

impl Transaction for DeleteUser<'_> {
    const NAME: &'static str = "delete_user";
    type Output = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let statements = [
            "DELETE FROM approvals WHERE user_id = $1",
            "DELETE FROM removals WHERE user_id = $1",
            "DELETE FROM roster WHERE user_id = $1",
            "DELETE FROM proposers WHERE user_id = $1",
            "DELETE FROM users WHERE user_id = $1",
        ];
        each(tx.connection(), &statements, self.0.as_bytes()).await?;
        Ok(())
    }
}

/// Deletes entries of a log from its beginning, some of them. For a group that goes altogether.
pub(crate) struct DeleteLog<'a>(pub(crate) &'a GroupId);

impl Transaction for DeleteLog<'_> {
    const NAME: &'static str = "delete_log";
    /// How many went.
    type Output = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, StoreError> {
        let id = self.0.as_bytes();
        // From now on nobody is in it.
        let statements = [
            "UPDATE groups SET group_info = NULL, group_info_epoch = NULL WHERE group_id = $1",
            "DELETE FROM removals WHERE group_id = $1",
            "DELETE FROM roster WHERE group_id = $1",
            "DELETE FROM readers WHERE group_id = $1",
            "DELETE FROM log_days WHERE group_id = $1",
            "DELETE FROM proposers WHERE group_id = $1",
        ];
        each(tx.connection(), &statements, id).await?;
        tx.wake(Topic::group(self.0));
        let last = sqlx::query(
            "SELECT MAX(position) FROM
                 (SELECT position FROM log WHERE group_id = $1 ORDER BY position LIMIT $2) AS first",
        )
        .bind(id)
        .bind(i64::from(STEP))
        .fetch_one(tx.connection())
        .await?;
        let Some(through) = optional_uint(&last, 0)? else { return Ok(0) };
        sqlx::query(
            "UPDATE groups SET pruned_through = $2, pruned_chain =
                 (SELECT chain FROM log WHERE group_id = $1 AND position = $2)
             WHERE group_id = $1",
        )
        .bind(id)
        .bind(int(through)?)
        .execute(tx.connection())
        .await?;
        let gone = sqlx::query("DELETE FROM log WHERE group_id = $1 AND position <= $2")
            .bind(id)
            .bind(int(through)?)
            .execute(tx.connection())
            .await?;
        Ok(gone.rows_affected())
    }
}

/// Deletes a group whose log is gone.
pub(crate) struct DeleteGroup<'a>(pub(crate) &'a GroupId);

impl Transaction for DeleteGroup<'_> {
    const NAME: &'static str = "delete_group";
    type Output = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let statements = [
            "DELETE FROM removals WHERE group_id = $1",
            "DELETE FROM roster WHERE group_id = $1",
            "DELETE FROM readers WHERE group_id = $1",
            "DELETE FROM log_days WHERE group_id = $1",
            "DELETE FROM proposers WHERE group_id = $1",
            "DELETE FROM log WHERE group_id = $1",
            "DELETE FROM groups WHERE group_id = $1",
        ];
        each(tx.connection(), &statements, self.0.as_bytes()).await?;
        tx.wake(Topic::group(self.0));
        Ok(())
    }
}

/// Deletes an approval.
pub(crate) struct DeleteApproval<'a> {
    pub(crate) user: &'a UserId,
    pub(crate) device: &'a DeviceId,
}

impl Transaction for DeleteApproval<'_> {
    const NAME: &'static str = "delete_approval";
    /// Whether there was one.
    type Output = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let gone = sqlx::query("DELETE FROM approvals WHERE user_id = $1 AND device_id = $2")
            .bind(self.user.as_bytes())
            .bind(self.device.as_bytes())
            .execute(tx.connection())
            .await?;
        Ok(gone.rows_affected() == 1)
    }
}

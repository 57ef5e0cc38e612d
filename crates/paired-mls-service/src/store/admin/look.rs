//! What there is, in pages.

use paired_mls_api::{ApprovalView, GroupId, UserId};
use sqlx::{Row as _, any::AnyRow};

use super::super::{
    StoreError, Transaction, Tx,
    row::{bytes, device, int, optional_device, optional_uint, uint, user},
};
use crate::admin::{ApprovalOf, DeviceLine, GroupLine, MemberLine, OnPaper, OwnGroup, UserLine};

/// Users behind a name, or the one of a name.
pub(crate) struct Users<'a> {
    pub(crate) from: &'a [u8],
    pub(crate) through: Option<&'a UserId>,
    pub(crate) limit: u32,
}

impl Transaction for Users<'_> {
    const NAME: &'static str = "list_users";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<UserLine>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        let query = match self.through {
            None => {
                "SELECT u.user_id, u.banned_at,
                     (SELECT COUNT(*) FROM devices d WHERE d.user_id = u.user_id),
                     (SELECT COUNT(*) FROM devices d
                      WHERE d.user_id = u.user_id AND d.revoked_at IS NOT NULL),
                     CASE WHEN u.recovery_key IS NULL THEN 0 ELSE 1 END
                 FROM users u WHERE u.user_id > $1 ORDER BY u.user_id LIMIT $2"
            }
            Some(_) => {
                "SELECT u.user_id, u.banned_at,
                     (SELECT COUNT(*) FROM devices d WHERE d.user_id = u.user_id),
                     (SELECT COUNT(*) FROM devices d
                      WHERE d.user_id = u.user_id AND d.revoked_at IS NOT NULL),
                     CASE WHEN u.recovery_key IS NULL THEN 0 ELSE 1 END
                 FROM users u WHERE u.user_id = $1 LIMIT $2"
            }
        };
        let rows = sqlx::query(query)
            .bind(self.through.map_or(self.from, UserId::as_bytes))
            .bind(i64::from(self.limit))
            .fetch_all(tx.connection())
            .await?;
        let line = |row| {
            let banned_at = optional_uint(row, 1)?;
            let (devices, revoked) = (uint(row, 2)?, uint(row, 3)?);
            let recovery_key = if uint(row, 4)? == 0 { OnPaper::No } else { OnPaper::Yes };
            Ok(UserLine { user: user(row, 0)?, devices, revoked, recovery_key, banned_at })
        };
        rows.iter().map(line).collect()
    }
}

/// Devices of a user, or of all, behind an id.
pub(crate) struct Devices<'a> {
    pub(crate) from: &'a [u8],
    pub(crate) of: Option<&'a UserId>,
    pub(crate) limit: u32,
}

impl Transaction for Devices<'_> {
    const NAME: &'static str = "list_devices";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<DeviceLine>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        let rows = sqlx::query(
            "SELECT d.device_id, d.user_id, d.scheme, d.revoked_at,
                 (SELECT COUNT(*) FROM mailbox m WHERE m.device_id = d.device_id),
                 (SELECT COUNT(*) FROM key_packages k WHERE k.device_id = d.device_id)
             FROM devices d WHERE d.device_id > $1 AND ($2 = 0 OR d.user_id = $3)
             ORDER BY d.device_id LIMIT $4",
        )
        .bind(self.from)
        .bind(i64::from(self.of.is_some()))
        .bind(self.of.map(UserId::as_bytes).unwrap_or_default())
        .bind(i64::from(self.limit))
        .fetch_all(tx.connection())
        .await?;
        rows.iter().map(device_line).collect()
    }
}

fn device_line(row: &AnyRow) -> Result<DeviceLine, StoreError> {
    Ok(DeviceLine {
        device: device(row, 0)?,
        user: user(row, 1)?,
        scheme: row.try_get(2)?,
        revoked_at: optional_uint(row, 3)?,
        items: uint(row, 4)?,
        key_packages: uint(row, 5)?,
    })
}

/// Groups behind an id, or the one of an id.
pub(crate) struct Groups<'a> {
    pub(crate) from: &'a [u8],
    pub(crate) only: Option<&'a GroupId>,
    pub(crate) limit: u32,
}

impl Transaction for Groups<'_> {
    const NAME: &'static str = "list_groups";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<GroupLine>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        let rows = sqlx::query(
            "SELECT g.group_id, g.epoch, g.head, g.pruned_through, g.access, g.group_info_epoch,
                 (SELECT COUNT(*) FROM roster r
                  WHERE r.group_id = g.group_id AND r.removed_at IS NULL),
                 (SELECT COUNT(*) FROM roster r
                  WHERE r.group_id = g.group_id AND r.removed_at IS NOT NULL)
             FROM groups g
             WHERE (($3 = 0 AND g.group_id > $1) OR ($3 = 1 AND g.group_id = $1))
             ORDER BY g.group_id LIMIT $2",
        )
        .bind(self.only.map_or(self.from, GroupId::as_bytes))
        .bind(i64::from(self.limit))
        .bind(i64::from(self.only.is_some()))
        .fetch_all(tx.connection())
        .await?;
        let line = |row| {
            Ok(GroupLine {
                group: group(row, 0)?,
                epoch: uint(row, 1)?,
                head: uint(row, 2)?,
                pruned_through: uint(row, 3)?,
                access: row.try_get(4)?,
                group_info_epoch: optional_uint(row, 5)?,
                members: uint(row, 6)?,
                removed: uint(row, 7)?,
            })
        };
        rows.iter().map(line).collect()
    }
}

/// Who is and was on the roster of a group.
pub(crate) struct Members<'a>(pub(crate) &'a GroupId);

impl Transaction for Members<'_> {
    const NAME: &'static str = "list_members";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<MemberLine>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        let rows = sqlx::query(
            "SELECT r.user_id, r.joined_at, r.removed_at FROM roster r
             WHERE r.group_id = $1 ORDER BY r.user_id",
        )
        .bind(self.0.as_bytes())
        .fetch_all(tx.connection())
        .await?;
        let line = |row| {
            let (joined_at, removed_at) = (uint(row, 1)?, optional_uint(row, 2)?);
            Ok(MemberLine { user: user(row, 0)?, joined_at, removed_at })
        };
        rows.iter().map(line).collect()
    }
}

/// The groups on whose roster a user is or was.
pub(crate) struct OwnGroups<'a>(pub(crate) &'a UserId);

impl Transaction for OwnGroups<'_> {
    const NAME: &'static str = "list_own_groups";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<OwnGroup>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        let rows = sqlx::query(
            "SELECT group_id, removed_at FROM roster WHERE user_id = $1 ORDER BY group_id",
        )
        .bind(self.0.as_bytes())
        .fetch_all(tx.connection())
        .await?;
        let line = |row| Ok(OwnGroup { group: group(row, 0)?, removed_at: optional_uint(row, 1)? });
        rows.iter().map(line).collect()
    }
}

/// Approvals that have not ended, of one user or of all.
pub(crate) struct Approvals<'a> {
    pub(crate) of: Option<&'a UserId>,
    pub(crate) now: u64,
    pub(crate) limit: u32,
}

impl Transaction for Approvals<'_> {
    const NAME: &'static str = "list_approvals";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<ApprovalOf>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        let rows = sqlx::query(
            "SELECT user_id, device_id, approved_by, expires_at FROM approvals
             WHERE expires_at >= $1 AND ($2 = 0 OR user_id = $3)
             ORDER BY user_id, device_id LIMIT $4",
        )
        .bind(int(self.now)?)
        .bind(i64::from(self.of.is_some()))
        .bind(self.of.map(UserId::as_bytes).unwrap_or_default())
        .bind(i64::from(self.limit))
        .fetch_all(tx.connection())
        .await?;
        let line = |row: &AnyRow| {
            let approval = ApprovalView {
                device: device(row, 1)?,
                approved_by: optional_device(row, 2)?,
                expires_at: uint(row, 3)?,
            };
            Ok(ApprovalOf { user: user(row, 0)?, approval })
        };
        rows.iter().map(line).collect()
    }
}

fn group(row: &AnyRow, column: usize) -> Result<GroupId, StoreError> {
    GroupId::new(bytes(row, column)?).map_err(|_| StoreError::Corrupt("groups"))
}

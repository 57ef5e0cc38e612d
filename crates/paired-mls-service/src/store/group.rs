//! Groups and who may use them.

use paired_mls_api::{Access, GroupId, UserId};

use super::{
    StoreError, Transaction, Tx,
    lookup::{Key, Lookup},
    row::{Columns, bytes, int, optional_uint, uint},
};

/// Where a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) epoch: u64,
    pub(crate) head: u64,
    pub(crate) access: Access,
    pub(crate) standing: Standing,
    /// The position before the first that the account may read: before the commit that has added it first.
    pub(crate) start: u64,
    /// On which day it was used last, counted from 1970-01-01; nothing: since it was looked last.
    pub(crate) used_day: Option<u64>,
}

/// What an account is to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is on the roster.
    Listed,
    /// It was, up to this position of the log.
    RemovedAt(u64),
    /// It never was.
    Stranger,
}

impl Group {
    /// The last position that the account may read.
    pub(crate) fn readable(&self) -> u64 {
        match self.standing {
            Standing::Listed => self.head,
            Standing::RemovedAt(position) => position.min(self.head),
            Standing::Stranger => 0,
        }
    }

    /// Whether the account may have the GroupInfo, and join by an external commit.
    pub(crate) fn may_join(&self) -> bool {
        self.standing == Standing::Listed || self.access == Access::Anyone
    }
}

/// A group, and what an account is to it; nothing if there is no such group.
pub(crate) struct GroupById<'a> {
    pub(crate) group: &'a GroupId,
    pub(crate) user: &'a UserId,
}

impl Lookup for GroupById<'_> {
    const NAME: &'static str = "group_by_id";
    const STATEMENT: &'static str =
        "SELECT g.epoch, g.head, g.access, r.user_id, r.removed_at, r.joined_at, g.used_day FROM groups g
         LEFT JOIN roster r ON r.group_id = g.group_id AND r.user_id = $2 WHERE g.group_id = $1";
    type Output = Option<Group>;

    fn keys(&self) -> Result<Vec<Key<'_>>, StoreError> {
        Ok(vec![Key::Bytes(self.group.as_bytes()), Key::Bytes(self.user.as_bytes())])
    }

    fn read(&self, rows: &[impl Columns]) -> Result<Option<Group>, StoreError> {
        let Some(row) = rows.first() else { return Ok(None) };
        let standing = match (row.optional_bytes(3)?, optional_uint(row, 4)?) {
            (None, _) => Standing::Stranger,
            (Some(_), None) => Standing::Listed,
            (Some(_), Some(position)) => Standing::RemovedAt(position),
        };
        Ok(Some(Group {
            epoch: uint(row, 0)?,
            head: uint(row, 1)?,
            access: access_of(&row.text(2)?)?,
            standing,
            start: optional_uint(row, 5)?.unwrap_or_default().saturating_sub(1),
            used_day: optional_uint(row, 6)?,
        }))
    }
}

/// How far a GroupInfo can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchoring {
    /// It follows, commit by commit in the clear, from the one that the group was created with.
    Anchored,
    /// A member says so.
    Claimed,
}

impl Anchoring {
    pub(super) fn column(self) -> i64 {
        i64::from(self == Self::Anchored)
    }
}

/// A GroupInfo as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredGroupInfo {
    pub(crate) epoch: u64,
    pub(crate) anchoring: Anchoring,
    pub(crate) message: Vec<u8>,
}

/// The last GroupInfo of a group, if there was one. Its epoch may be behind that of the group.
pub(crate) struct GroupInfo<'a>(pub(crate) &'a GroupId);

impl Transaction for GroupInfo<'_> {
    const NAME: &'static str = "group_info";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Option<StoredGroupInfo>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        let row = sqlx::query(
            "SELECT group_info_epoch, group_info_anchored, group_info FROM groups
             WHERE group_id = $1 AND group_info IS NOT NULL AND group_info_epoch IS NOT NULL",
        )
        .bind(self.0.as_bytes())
        .fetch_optional(tx.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let anchoring = match uint(&row, 1)? {
            0 => Anchoring::Claimed,
            _ => Anchoring::Anchored,
        };
        Ok(Some(StoredGroupInfo { epoch: uint(&row, 0)?, anchoring, message: bytes(&row, 2)? }))
    }
}

/// Replaces the GroupInfo of a group, if the group is still in its epoch. The caller has seen that it agrees with one
/// of the same epoch, if there is one.
pub(crate) struct SetGroupInfo<'a> {
    pub(crate) group: &'a GroupId,
    pub(crate) epoch: u64,
    pub(crate) group_info: &'a [u8],
}

impl Transaction for SetGroupInfo<'_> {
    const NAME: &'static str = "set_group_info";
    /// Whether the group was in that epoch.
    type Output = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let set = sqlx::query(
            "UPDATE groups SET group_info = $3, group_info_epoch = $2, group_info_anchored =
                 CASE WHEN group_info_epoch = $2 THEN group_info_anchored ELSE 0 END
             WHERE group_id = $1 AND epoch = $2",
        )
        .bind(self.group.as_bytes())
        .bind(int(self.epoch)?)
        .bind(self.group_info)
        .execute(tx.connection())
        .await?;
        Ok(set.rows_affected() == 1)
    }
}

/// Creates a group, with its creator on the roster.
pub(crate) struct OpenGroup<'a> {
    pub(crate) group: &'a GroupId,
    pub(crate) user: &'a UserId,
    pub(crate) epoch: u64,
    pub(crate) access: Access,
    pub(crate) group_info: Option<&'a [u8]>,
    pub(crate) anchoring: Anchoring,
}

impl Transaction for OpenGroup<'_> {
    const NAME: &'static str = "create_group";
    /// Whether it was created; otherwise it was there before.
    type Output = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let created = sqlx::query(
            "INSERT INTO groups
                 (group_id, epoch, head, access, group_info, group_info_epoch, group_info_anchored)
             VALUES ($1, $2, 0, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        )
        .bind(self.group.as_bytes())
        .bind(int(self.epoch)?)
        .bind(access_name(self.access))
        .bind(self.group_info)
        .bind(self.group_info.map(|_| int(self.epoch)).transpose()?)
        .bind(self.anchoring.column())
        .execute(tx.connection())
        .await?
        .rows_affected()
            == 1;
        if created {
            list(tx, self.group, self.user, 0).await?;
        }
        Ok(created)
    }
}

/// Puts an account on the roster by the commit at a position, also one that was removed before: its log has
/// no holes, it reads on from where it joined first.
pub(super) async fn list(
    tx: &mut Tx,
    group: &GroupId,
    user: &UserId,
    position: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO roster (group_id, user_id, joined_at) VALUES ($1, $2, $3)
         ON CONFLICT (group_id, user_id) DO UPDATE SET removed_at = NULL",
    )
    .bind(group.as_bytes())
    .bind(user.as_bytes())
    .bind(int(position)?)
    .execute(tx.connection())
    .await?;
    Ok(())
}

fn access_name(access: Access) -> &'static str {
    match access {
        Access::Roster => "roster",
        Access::Anyone => "anyone",
    }
}

fn access_of(name: &str) -> Result<Access, StoreError> {
    match name {
        "roster" => Ok(Access::Roster),
        "anyone" => Ok(Access::Anyone),
        _ => Err(StoreError::Corrupt("groups")),
    }
}

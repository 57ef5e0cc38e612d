//! Groups and who may use them.

use paired_mls_api::{Access, GroupId, UserId};
use sqlx::Row as _;

use super::{
    StoreError, Transaction, Tx,
    row::{int, optional_uint, uint},
};

/// Where a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) epoch: u64,
    pub(crate) head: u64,
    pub(crate) access: Access,
    pub(crate) standing: Standing,
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

impl Transaction for GroupById<'_> {
    const NAME: &'static str = "group_by_id";
    const WRITES: bool = false;
    type Output = Option<Group>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Group>, StoreError> {
        let row = sqlx::query(
            "SELECT g.epoch, g.head, g.access, r.user_id, r.removed_at FROM groups g
             LEFT JOIN roster r ON r.group_id = g.group_id AND r.user_id = $2
             WHERE g.group_id = $1",
        )
        .bind(self.group.as_bytes())
        .bind(self.user.as_bytes())
        .fetch_optional(tx.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let listed: Option<Vec<u8>> = row.try_get(3)?;
        let standing = match (listed, optional_uint(&row, 4)?) {
            (None, _) => Standing::Stranger,
            (Some(_), None) => Standing::Listed,
            (Some(_), Some(position)) => Standing::RemovedAt(position),
        };
        let access: String = row.try_get(2)?;
        Ok(Some(Group {
            epoch: uint(&row, 0)?,
            head: uint(&row, 1)?,
            access: access_of(&access)?,
            standing,
        }))
    }
}

/// The GroupInfo of the current epoch, if the last commit brought one.
pub(crate) struct GroupInfo<'a>(pub(crate) &'a GroupId);

impl Transaction for GroupInfo<'_> {
    const NAME: &'static str = "group_info";
    const WRITES: bool = false;
    type Output = Option<Vec<u8>>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT group_info FROM groups WHERE group_id = $1")
            .bind(self.0.as_bytes())
            .fetch_optional(tx.connection())
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
    }
}

/// Creates a group, with its creator on the roster.
pub(crate) struct OpenGroup<'a> {
    pub(crate) group: &'a GroupId,
    pub(crate) user: &'a UserId,
    pub(crate) epoch: u64,
    pub(crate) access: Access,
    pub(crate) group_info: Option<&'a [u8]>,
}

impl Transaction for OpenGroup<'_> {
    const NAME: &'static str = "create_group";
    /// Whether it was created; otherwise it was there before.
    type Output = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let created = sqlx::query(
            "INSERT INTO groups (group_id, epoch, head, access, group_info)
             VALUES ($1, $2, 0, $3, $4) ON CONFLICT DO NOTHING",
        )
        .bind(self.group.as_bytes())
        .bind(int(self.epoch)?)
        .bind(access_name(self.access))
        .bind(self.group_info)
        .execute(tx.connection())
        .await?
        .rows_affected()
            == 1;
        if created {
            list(tx, self.group, self.user).await?;
        }
        Ok(created)
    }
}

/// Puts an account on the roster, also one that was removed before.
pub(super) async fn list(tx: &mut Tx, group: &GroupId, user: &UserId) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO roster (group_id, user_id) VALUES ($1, $2)
         ON CONFLICT (group_id, user_id) DO UPDATE SET removed_at = NULL",
    )
    .bind(group.as_bytes())
    .bind(user.as_bytes())
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

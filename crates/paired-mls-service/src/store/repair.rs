//! Undoing what was done to a group: a roster change, or more.
//!
//! The service cannot judge an encrypted commit. So what a commit does to the roster takes effect, and can
//! be undone: by any account that is still on the roster, and, as long as nobody else has built on the commit, by
//! those that it has removed. What is left is for the operator.

use paired_mls_api::{GroupId, UserId};

use super::{
    Refusal, StoreError, Topic, Transaction, Tx,
    group::{GroupById, Standing},
    retention::measure_log,
    row::{int, optional_uint, uint},
};

/// A commit that has removed accounts.
pub(super) struct Removal<'a> {
    pub(super) user: &'a UserId,
    /// The epoch that it has ended.
    pub(super) epoch: u64,
    /// Until when it can be contested.
    pub(super) until: u64,
}

impl Removal<'_> {
    pub(super) async fn insert(
        &self,
        tx: &mut Tx,
        group: &GroupId,
        position: u64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO removals (group_id, position, epoch, user_id, expires_at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(group.as_bytes())
        .bind(int(position)?)
        .bind(int(self.epoch)?)
        .bind(self.user.as_bytes())
        .bind(int(self.until)?)
        .execute(tx.connection())
        .await?;
        sqlx::query("UPDATE groups SET contested = 1 WHERE group_id = $1")
            .bind(group.as_bytes())
            .execute(tx.connection())
            .await?;
        Ok(())
    }
}

/// Whether an account was on the roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delisted {
    /// Until now.
    Now,
    /// It was not.
    Before,
}

/// Takes an account off the roster.
pub(super) async fn delist(
    tx: &mut Tx,
    group: &GroupId,
    user: &UserId,
    position: u64,
) -> Result<Delisted, StoreError> {
    let gone = sqlx::query(
        "UPDATE roster SET removed_at = $3
         WHERE group_id = $1 AND user_id = $2 AND removed_at IS NULL",
    )
    .bind(group.as_bytes())
    .bind(user.as_bytes())
    .bind(int(position)?)
    .execute(tx.connection())
    .await?;
    Ok(if gone.rows_affected() == 1 { Delisted::Now } else { Delisted::Before })
}

/// An account sends a message of an epoch: whatever others have removed in epochs before it is final, for it
/// has followed them.
pub(super) async fn acknowledge(
    tx: &mut Tx,
    group: &GroupId,
    user: &UserId,
    epoch: u64,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM removals WHERE group_id = $1 AND user_id <> $2 AND epoch < $3")
        .bind(group.as_bytes())
        .bind(user.as_bytes())
        .bind(int(epoch)?)
        .execute(tx.connection())
        .await?;
    sqlx::query(
        "UPDATE groups SET contested = 0
         WHERE group_id = $1 AND NOT EXISTS (SELECT 1 FROM removals WHERE group_id = $1)",
    )
    .bind(group.as_bytes())
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Puts accounts back that were removed.
pub(crate) struct PutBack<'a> {
    pub(crate) group: &'a GroupId,
    pub(crate) by: &'a UserId,
    pub(crate) users: &'a [UserId],
    pub(crate) now: u64,
}

/// Whom an account may put back.
enum Scope {
    /// Everybody who was removed.
    All,
    /// Those that the commit at this position has removed.
    Of(u64),
}

impl Transaction for PutBack<'_> {
    const NAME: &'static str = "put_back";
    /// Who is back; whoever was there is not among them.
    type Output = Result<Vec<UserId>, Refusal>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        lock(tx, self.group).await?;
        let mut back = Vec::new();
        let scope = match self.scope(tx).await? {
            Ok(scope) => scope,
            Err(refusal) => return Ok(Err(refusal)),
        };
        for user in self.users {
            let row =
                sqlx::query("SELECT removed_at FROM roster WHERE group_id = $1 AND user_id = $2")
                    .bind(self.group.as_bytes())
                    .bind(user.as_bytes())
                    .fetch_optional(tx.connection())
                    .await?;
            let Some(row) = row else { return Ok(Err(Refusal::NeverListed(user.clone()))) };
            match (optional_uint(&row, 0)?, &scope) {
                (None, _) => continue,
                (Some(position), Scope::Of(commit)) if position != *commit => {
                    return Ok(Err(Refusal::RemovalStands));
                }
                _ => back.push(user.clone()),
            }
            sqlx::query("UPDATE roster SET removed_at = NULL WHERE group_id = $1 AND user_id = $2")
                .bind(self.group.as_bytes())
                .bind(user.as_bytes())
                .execute(tx.connection())
                .await?;
        }
        tx.wake(Topic::group(self.group));
        Ok(Ok(back))
    }

    fn keeps(output: &Self::Output) -> bool {
        output.is_ok()
    }
}

impl PutBack<'_> {
    async fn scope(&self, tx: &mut Tx) -> Result<Result<Scope, Refusal>, StoreError> {
        let (group, user) = (self.group, self.by);
        let Some(found) = (GroupById { group, user }).run(tx).await? else {
            return Ok(Err(Refusal::NoGroup));
        };
        let position = match found.standing {
            Standing::Listed => return Ok(Ok(Scope::All)),
            Standing::RemovedAt(position) => position,
            Standing::Stranger if found.may_join() => return Ok(Err(Refusal::NotListed)),
            Standing::Stranger => return Ok(Err(Refusal::NoGroup)),
        };
        let open = sqlx::query(
            "SELECT position FROM removals
             WHERE group_id = $1 AND position = $2 AND expires_at >= $3",
        )
        .bind(self.group.as_bytes())
        .bind(int(position)?)
        .bind(int(self.now)?)
        .fetch_optional(tx.connection())
        .await?;
        Ok(open.map(|_| Scope::Of(position)).ok_or(Refusal::RemovalStands))
    }
}

/// Whether there is the group; it stays locked until the end of the transaction.
async fn lock(tx: &mut Tx, group: &GroupId) -> Result<Option<u64>, StoreError> {
    let row = sqlx::query("UPDATE groups SET head = head WHERE group_id = $1 RETURNING head")
        .bind(group.as_bytes())
        .fetch_optional(tx.connection())
        .await?;
    row.map(|row| uint(&row, 0)).transpose()
}

/// Puts everybody back who ever was on the roster. For an operator.
pub(crate) struct Reopen<'a>(pub(crate) &'a GroupId);

impl Transaction for Reopen<'_> {
    const NAME: &'static str = "reopen_group";
    /// How many accounts are back; nothing if there is no such group.
    type Output = Option<u64>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<u64>, StoreError> {
        let Some(_) = lock(tx, self.0).await? else { return Ok(None) };
        let back = sqlx::query(
            "UPDATE roster SET removed_at = NULL WHERE group_id = $1 AND removed_at IS NOT NULL",
        )
        .bind(self.0.as_bytes())
        .execute(tx.connection())
        .await?;
        forget_removals(tx, self.0, 0).await?;
        tx.wake(Topic::group(self.0));
        Ok(Some(back.rows_affected()))
    }
}

/// Drops what is behind a position of a log, with what it did to the epoch and to the roster. For an operator.
pub(crate) struct RollBack<'a> {
    pub(crate) group: &'a GroupId,
    /// The last entry that stays.
    pub(crate) position: u64,
}

/// Where a group is after it was rolled back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RolledBack {
    /// The epoch that it is in.
    pub epoch: u64,
    /// The position of the last entry of its log.
    pub head: u64,
    /// How many entries are gone.
    pub entries: u64,
}

impl Transaction for RollBack<'_> {
    const NAME: &'static str = "roll_back_group";
    /// Nothing if there is no such group, or its log does not reach that far, or begins behind it.
    type Output = Option<RolledBack>;

    async fn run(&self, tx: &mut Tx) -> Result<Option<RolledBack>, StoreError> {
        let Some(_) = lock(tx, self.group).await?.filter(|head| *head >= self.position) else {
            return Ok(None);
        };
        let position = int(self.position)?;
        // The last commit that stays has begun the epoch that comes back, and the first that goes ended it.
        let row = sqlx::query(
            "SELECT g.epoch, (SELECT MIN(l.epoch) FROM log l
                 WHERE l.group_id = $1 AND l.position > $2 AND l.kind = 'commit'), g.pruned_through,
                 (SELECT MAX(l.epoch) + 1 FROM log l
                 WHERE l.group_id = $1 AND l.position <= $2 AND l.kind = 'commit')
             FROM groups g WHERE g.group_id = $1",
        )
        .bind(self.group.as_bytes())
        .bind(position)
        .fetch_one(tx.connection())
        .await?;
        // What is gone cannot be the end.
        if uint(&row, 2)? > self.position {
            return Ok(None);
        }
        let epoch = optional_uint(&row, 3)?.or(optional_uint(&row, 1)?);
        let epoch = epoch.map_or_else(|| uint(&row, 0), Ok)?;
        let gone = sqlx::query("DELETE FROM log WHERE group_id = $1 AND position > $2")
            .bind(self.group.as_bytes())
            .bind(position)
            .execute(tx.connection())
            .await?;
        measure_log(tx, self.group).await?;
        sqlx::query("DELETE FROM proposers WHERE group_id = $1")
            .bind(self.group.as_bytes())
            .execute(tx.connection())
            .await?;
        sqlx::query("UPDATE groups SET epoch = $3, head = $2 WHERE group_id = $1")
            .bind(self.group.as_bytes())
            .bind(position)
            .bind(int(epoch)?)
            .execute(tx.connection())
            .await?;
        // A GroupInfo of an epoch that never was is of no use.
        sqlx::query(
            "UPDATE groups SET group_info = NULL, group_info_epoch = NULL
             WHERE group_id = $1 AND group_info_epoch > $2",
        )
        .bind(self.group.as_bytes())
        .bind(int(epoch)?)
        .execute(tx.connection())
        .await?;
        for statement in [
            "DELETE FROM roster WHERE group_id = $1 AND joined_at > $2",
            "UPDATE roster SET removed_at = NULL WHERE group_id = $1 AND removed_at > $2",
            // Nobody has read what will be there instead.
            "UPDATE readers SET read_through = $2 WHERE group_id = $1 AND read_through > $2",
            "DELETE FROM log_days WHERE group_id = $1 AND head > $2",
        ] {
            sqlx::query(statement)
                .bind(self.group.as_bytes())
                .bind(position)
                .execute(tx.connection())
                .await?;
        }
        forget_removals(tx, self.group, self.position).await?;
        tx.wake(Topic::group(self.group));
        let (head, entries) = (self.position, gone.rows_affected());
        Ok(Some(RolledBack { epoch, head, entries }))
    }
}

async fn forget_removals(tx: &mut Tx, group: &GroupId, after: u64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM removals WHERE group_id = $1 AND position > $2")
        .bind(group.as_bytes())
        .bind(int(after)?)
        .execute(tx.connection())
        .await?;
    sqlx::query(
        "UPDATE groups SET contested = CASE WHEN EXISTS
             (SELECT 1 FROM removals WHERE group_id = $1) THEN 1 ELSE 0 END
         WHERE group_id = $1",
    )
    .bind(group.as_bytes())
    .execute(tx.connection())
    .await?;
    Ok(())
}

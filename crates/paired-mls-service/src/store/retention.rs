//! How long a log is kept.

use paired_mls_api::{DeviceId, GroupId};

use super::{
    Store, StoreError, Transaction, Tx,
    chain::chain_at,
    lookup::{Key, Lookup},
    row::{Columns, bytes, int, optional_uint, uint},
};

/// How long logs are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retention {
    /// The day that it is, counted from 1970-01-01.
    pub(crate) day: u64,
    /// Entries that are older, in days, go once everybody has read them.
    pub(crate) days: Option<u64>,
    /// Entries of a log that is longer, in bytes of its messages, go once everybody has read them.
    pub(crate) bytes: Option<u64>,
    /// Entries that are older, in days, go also if somebody has not read them.
    pub(crate) unread_days: Option<u64>,
}

/// Who may still need what is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Nothing goes that a device of an account on the roster has not read. Which devices need the log, those
    /// say by reading it; an account of which none ever has needs all of it.
    Kept,
    /// It goes all the same: the operator says so. Whoever needs it is told when it asks.
    Dropped,
}

impl Store {
    /// Notes where the logs end today, and drops what need not be kept any longer. Returns how many entries
    /// went.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails. What went before stays gone.
    pub(crate) async fn retain(&self, retention: Retention) -> Result<u64, StoreError> {
        self.run(&MarkDay(retention.day)).await?;
        let mut gone = 0;
        for (days, unread) in
            [(retention.days, Unread::Kept), (retention.unread_days, Unread::Dropped)]
        {
            let Some(days) = days else { continue };
            let before = retention.day.saturating_sub(days);
            for (group, through) in self.run(&EndedBefore(before)).await? {
                gone += self.run(&Prune { group: &group, through, unread }).await?;
            }
        }
        let Some(bytes) = retention.bytes else { return Ok(gone) };
        for group in self.run(&LongerThan(bytes)).await? {
            gone += self.cut_log(&group, bytes).await?;
        }
        Ok(gone)
    }

    /// Drops of a log what everybody has read, so that the rest is no longer than this, in bytes. Returns how many
    /// entries went.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails.
    pub(crate) async fn cut_log(&self, group: &GroupId, bytes: u64) -> Result<u64, StoreError> {
        let through = self.run(&Excess { group, bytes }).await?;
        self.run(&Prune { group, through, unread: Unread::Kept }).await
    }
}

/// Notes how long the messages of a log are, when entries have gone.
pub(super) async fn measure_log(tx: &mut Tx, group: &GroupId) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE groups SET log_bytes = (SELECT COALESCE(SUM(LENGTH(l.message)), 0) FROM log l
                 WHERE l.group_id = $1) WHERE group_id = $1",
    )
    .bind(group.as_bytes())
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Notes where the logs end on a day, those that have grown since the last one.
struct MarkDay(u64);

impl Transaction for MarkDay {
    const NAME: &'static str = "mark_day";
    type Output = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO log_days (group_id, day, head)
             SELECT group_id, $1, head FROM groups
             WHERE head > (SELECT COALESCE(MAX(d.head), 0) FROM log_days d
                           WHERE d.group_id = groups.group_id)
             ON CONFLICT (group_id, day) DO UPDATE SET head = excluded.head",
        )
        .bind(int(self.0)?)
        .execute(tx.connection())
        .await?;
        Ok(())
    }
}

/// The groups with entries of before a day, and the last of those.
struct EndedBefore(u64);

impl Transaction for EndedBefore {
    const NAME: &'static str = "ended_before";
    const WRITES: bool = false;
    type Output = Vec<(GroupId, u64)>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        let rows = sqlx::query(
            "SELECT d.group_id, MAX(d.head) FROM log_days d
             JOIN groups g ON g.group_id = d.group_id
             WHERE d.day < $1 AND d.head > g.pruned_through GROUP BY d.group_id",
        )
        .bind(int(self.0)?)
        .fetch_all(tx.connection())
        .await?;
        rows.iter()
            .map(|row| {
                let group = GroupId::new(bytes(row, 0)?).map_err(|_| StoreError::Corrupt("groups"));
                Ok((group?, uint(row, 1)?))
            })
            .collect()
    }
}

/// The groups whose messages are longer than this, in bytes.
struct LongerThan(u64);

impl Transaction for LongerThan {
    const NAME: &'static str = "longer_than";
    const WRITES: bool = false;
    type Output = Vec<GroupId>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        let rows = sqlx::query(
            "SELECT group_id FROM log GROUP BY group_id HAVING SUM(LENGTH(message)) > $1",
        )
        .bind(int(self.0)?)
        .fetch_all(tx.connection())
        .await?;
        let group = |row| GroupId::new(bytes(row, 0)?).map_err(|_| StoreError::Corrupt("groups"));
        rows.iter().map(group).collect()
    }
}

/// The last entry that has to go so that the rest of a log is no longer than this, in bytes.
struct Excess<'a> {
    group: &'a GroupId,
    bytes: u64,
}

impl Transaction for Excess<'_> {
    const NAME: &'static str = "excess_of_log";
    const WRITES: bool = false;
    type Output = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, StoreError> {
        let row = sqlx::query(
            "SELECT MAX(position) FROM (
                 SELECT position, SUM(LENGTH(message)) OVER (ORDER BY position DESC) AS rest
                 FROM log WHERE group_id = $1) AS sums
             WHERE rest > $2",
        )
        .bind(self.group.as_bytes())
        .bind(int(self.bytes)?)
        .fetch_one(tx.connection())
        .await?;
        Ok(optional_uint(&row, 0)?.unwrap_or_default())
    }
}

/// Drops the entries of a log up to a position, or up to where they are still needed.
pub(crate) struct Prune<'a> {
    pub(crate) group: &'a GroupId,
    pub(crate) through: u64,
    pub(crate) unread: Unread,
}

impl Transaction for Prune<'_> {
    const NAME: &'static str = "prune_log";
    /// How many entries went.
    type Output = u64;

    async fn run(&self, tx: &mut Tx) -> Result<u64, StoreError> {
        // Locks the group.
        let row = sqlx::query(
            "UPDATE groups SET head = head WHERE group_id = $1 RETURNING head, pruned_through",
        )
        .bind(self.group.as_bytes())
        .fetch_optional(tx.connection())
        .await?;
        let Some(row) = row else { return Ok(0) };
        let needed = match self.unread {
            Unread::Kept => read_by_all(tx, self.group).await?,
            Unread::Dropped => u64::MAX,
        };
        // What the current epoch has said so far is needed to go on.
        let through = self.through.min(needed).min(ended(tx, self.group, uint(&row, 0)?).await?);
        if through <= uint(&row, 1)? {
            return Ok(0);
        }
        let chain = chain_at(tx, self.group, through).await?;
        sqlx::query("UPDATE groups SET pruned_through = $2, pruned_chain = $3 WHERE group_id = $1")
            .bind(self.group.as_bytes())
            .bind(int(through)?)
            .bind(chain.as_bytes().as_slice())
            .execute(tx.connection())
            .await?;
        let gone = sqlx::query("DELETE FROM log WHERE group_id = $1 AND position <= $2")
            .bind(self.group.as_bytes())
            .bind(int(through)?)
            .execute(tx.connection())
            .await?;
        measure_log(tx, self.group).await?;
        sqlx::query("DELETE FROM log_days WHERE group_id = $1 AND head <= $2")
            .bind(self.group.as_bytes())
            .bind(int(through)?)
            .execute(tx.connection())
            .await?;
        Ok(gone.rows_affected())
    }
}

/// The last entry of an epoch that is over.
async fn ended(tx: &mut Tx, group: &GroupId, head: u64) -> Result<u64, StoreError> {
    let row = sqlx::query(
        "SELECT MIN(l.position) FROM log l JOIN groups g ON g.group_id = l.group_id
         WHERE l.group_id = $1 AND l.epoch >= g.epoch",
    )
    .bind(group.as_bytes())
    .fetch_one(tx.connection())
    .await?;
    Ok(optional_uint(&row, 0)?.map_or(head, |first| first.saturating_sub(1)))
}

/// The last position that every account on the roster has read, on each of its devices that reads at all.
async fn read_by_all(tx: &mut Tx, group: &GroupId) -> Result<u64, StoreError> {
    let row = sqlx::query(
        "SELECT MIN(COALESCE((
             SELECT MIN(rd.read_through) FROM readers rd
             JOIN devices d ON d.device_id = rd.device_id
             WHERE rd.group_id = r.group_id AND d.user_id = r.user_id AND d.revoked_at IS NULL), 0))
         FROM roster r WHERE r.group_id = $1 AND r.removed_at IS NULL",
    )
    .bind(group.as_bytes())
    .fetch_one(tx.connection())
    .await?;
    // Nobody is there: nobody needs it.
    Ok(optional_uint(&row, 0)?.unwrap_or(u64::MAX))
}

/// Up to where the entries of a log are gone; 0 for nowhere.
pub(crate) struct PrunedThrough<'a>(pub(crate) &'a GroupId);

impl Lookup for PrunedThrough<'_> {
    const NAME: &'static str = "pruned_through";
    const STATEMENT: &'static str = "SELECT pruned_through FROM groups WHERE group_id = $1";
    type Output = u64;

    fn keys(&self) -> Result<Vec<Key<'_>>, StoreError> {
        Ok(vec![Key::Bytes(self.0.as_bytes())])
    }

    fn read(&self, rows: &[impl Columns]) -> Result<u64, StoreError> {
        rows.first().map_or(Ok(0), |row| uint(row, 0))
    }
}

/// Notes how far devices have read logs.
pub(crate) struct NoteReaders<'a>(pub(crate) &'a [(GroupId, DeviceId, u64)]);

impl Transaction for NoteReaders<'_> {
    const NAME: &'static str = "note_readers";
    type Output = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), StoreError> {
        for (group, device, through) in self.0 {
            // A group or device that is gone meanwhile needs nothing.
            sqlx::query(
                "INSERT INTO readers (group_id, device_id, read_through)
                 SELECT g.group_id, d.device_id, CASE WHEN $3 > g.head THEN g.head ELSE $3 END
                 FROM groups g, devices d
                 WHERE g.group_id = $1 AND d.device_id = $2
                 ON CONFLICT (group_id, device_id) DO UPDATE SET read_through = excluded.read_through
                 WHERE readers.read_through < excluded.read_through",
            )
            .bind(group.as_bytes())
            .bind(device.as_bytes())
            .bind(int(*through)?)
            .execute(tx.connection())
            .await?;
        }
        Ok(())
    }
}

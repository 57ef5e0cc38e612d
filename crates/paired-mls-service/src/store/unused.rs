//! What nobody uses any more: groups, users and pairings, each of which ends after some time.

use paired_mls_api::{DeviceId, GroupId, UserId};
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;

use super::{
    DeleteGroup, DeleteLog, DeleteUser, Store, StoreError, Transaction, Tx,
    admin::{drop_device, drop_pairings},
    directory::DevicesOfUser,
    retention::Unread,
    row::{bytes, device, int, optional_uint, uint, user},
};

/// For how many days those whom it concerns are told of what has ended, and a name is kept for its devices.
const TOLD: u64 = 3 * 366;

/// How long what nobody uses is kept, in days. For ever if `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unused {
    /// The day that it is, counted from 1970-01-01.
    pub(crate) day: u64,
    /// The time, in seconds since then.
    pub(crate) now: u64,
    /// Groups of which everybody has read everything.
    pub(crate) groups: Option<u64>,
    /// Groups in which somebody has not: the operator says so.
    pub(crate) unread_groups: Option<u64>,
    /// Users.
    pub(crate) users: Option<u64>,
    /// Pairings that have not come about, or of which no two devices are left.
    pub(crate) pairings: Option<u64>,
}

/// How many have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HaveEnded {
    pub(crate) groups: u64,
    pub(crate) users: u64,
    pub(crate) pairings: u64,
}

/// What has ended, for one of those whom it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    /// A group, for an account that was on its roster.
    Group(&'a GroupId, &'a UserId),
    /// A device, for itself.
    Device(&'a DeviceId),
    /// The name of a user, for anybody.
    User(&'a UserId),
    /// A device of a user, which may take the name again.
    DeviceOf(&'a UserId, &'a DeviceId),
    /// A pairing, for a device that has asked for it.
    Pairing(&'a [u8], &'a DeviceId),
}

impl Subject<'_> {
    /// What is kept of it. Each part has its length before it.
    fn hash(&self) -> [u8; 32] {
        let (kind, parts): (u8, [&[u8]; 2]) = match self {
            Self::Group(group, user) => (1, [group.as_bytes(), user.as_bytes()]),
            Self::Device(device) => (2, [device.as_bytes(), &[]]),
            Self::User(user) => (3, [user.as_bytes(), &[]]),
            Self::DeviceOf(user, device) => (4, [user.as_bytes(), device.as_bytes()]),
            Self::Pairing(pairing, device) => (5, [pairing, device.as_bytes()]),
        };
        let mut hash = Sha256::new().chain_update(b"Paired MLS ended\0").chain_update([kind]);
        for part in parts {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// Whether something has ended.
pub(crate) struct HasEnded<'a>(pub(crate) Subject<'a>);

impl Transaction for HasEnded<'_> {
    const NAME: &'static str = "has_ended";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT forget_day FROM ended WHERE subject = $1")
            .bind(self.0.hash().as_slice())
            .fetch_optional(tx.connection())
            .await?;
        Ok(row.is_some())
    }
}

/// The recovery key of a user that has ended: it is good for as long as its name is kept.
pub(super) async fn ended_key(tx: &mut Tx, user: &UserId) -> Result<Option<Vec<u8>>, StoreError> {
    let row = sqlx::query("SELECT recovery_key FROM ended WHERE subject = $1")
        .bind(Subject::User(user).hash().as_slice())
        .fetch_optional(tx.connection())
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
}

/// A user that has ended is there again, with its recovery key, and without devices. Returns whether it had ended.
pub(super) async fn revive(tx: &mut Tx, user: &UserId) -> Result<Revived, StoreError> {
    if !HasEnded(Subject::User(user)).run(tx).await? {
        return Ok(Revived::Never);
    }
    let key = ended_key(tx, user).await?;
    sqlx::query("INSERT INTO users (user_id, recovery_key) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(user.as_bytes())
        .bind(key)
        .execute(tx.connection())
        .await?;
    forget(tx, Subject::User(user)).await?;
    Ok(Revived::Now)
}

/// Whether a user had ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Revived {
    Now,
    Never,
}

async fn note(tx: &mut Tx, subject: Subject<'_>, day: u64) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO ended (subject, forget_day) VALUES ($1, $2)
         ON CONFLICT (subject) DO UPDATE SET forget_day = excluded.forget_day",
    )
    .bind(subject.hash().as_slice())
    .bind(int(day.saturating_add(TOLD))?)
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// A user takes its name again.
pub(super) async fn forget(tx: &mut Tx, subject: Subject<'_>) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM ended WHERE subject = $1")
        .bind(subject.hash().as_slice())
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// A user, or a group, is used today.
pub(crate) enum Used<'a> {
    User(&'a UserId),
    Group(&'a GroupId),
}

/// Notes it.
pub(crate) struct NoteUse<'a> {
    pub(crate) of: Used<'a>,
    pub(crate) day: u64,
}

impl Transaction for NoteUse<'_> {
    const NAME: &'static str = "note_use";
    type Output = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let (statement, id) = match self.of {
            Used::User(user) => (
                "UPDATE users SET used_day = $2 WHERE user_id = $1 AND used_day < $2",
                user.as_bytes(),
            ),
            Used::Group(group) => (
                "UPDATE groups SET used_day = $2 WHERE group_id = $1 AND used_day < $2",
                group.as_bytes(),
            ),
        };
        sqlx::query(statement).bind(id).bind(int(self.day)?).execute(tx.connection()).await?;
        Ok(())
    }
}

/// Users and groups that are used today, since somebody listens.
pub(crate) struct NoteListeners<'a> {
    pub(crate) devices: &'a [DeviceId],
    pub(crate) groups: &'a [GroupId],
    pub(crate) day: u64,
}

impl Transaction for NoteListeners<'_> {
    const NAME: &'static str = "note_listeners";
    type Output = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), StoreError> {
        let users = "UPDATE users SET used_day = $2 WHERE used_day < $2
             AND user_id = (SELECT user_id FROM devices WHERE device_id = $1)";
        let groups = "UPDATE groups SET used_day = $2 WHERE used_day < $2 AND group_id = $1";
        let devices = self.devices.iter().map(|device| (users, device.as_bytes()));
        let groups = self.groups.iter().map(|group| (groups, group.as_bytes()));
        for (statement, id) in devices.chain(groups) {
            sqlx::query(statement).bind(id).bind(int(self.day)?).execute(tx.connection()).await?;
        }
        Ok(())
    }
}

impl Store {
    /// Ends what nobody has used for so long.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the database fails. What has ended before has.
    pub(crate) async fn end_unused(&self, unused: Unused) -> Result<HaveEnded, StoreError> {
        let day = unused.day;
        self.run(&Look { day }).await?;
        let mut ended = HaveEnded::default();
        for (days, unread) in
            [(unused.groups, Unread::Kept), (unused.unread_groups, Unread::Dropped)]
        {
            let Some(days) = days else { continue };
            let before = day.saturating_sub(days);
            for group in self.run(&IdleGroups(before)).await? {
                let group = &group;
                if !self.run(&BeginEnd { group, before, unread, day }).await? {
                    continue;
                }
                while self.run(&DeleteLog(group)).await? > 0 {}
                self.run(&DeleteGroup(group)).await?;
                ended.groups += 1;
            }
        }
        if let Some(days) = unused.pairings {
            let before = day.saturating_sub(days);
            for pairing in self.run(&IdlePairings(before)).await? {
                let end = EndPairing { pairing: &pairing, before, day };
                ended.pairings += u64::from(self.run(&end).await?);
            }
        }
        if let Some(days) = unused.users {
            let before = day.saturating_sub(days);
            for user in self.run(&IdleUsers { before, now: unused.now }).await? {
                let end = EndUser { user: &user, before, day, now: unused.now };
                ended.users += u64::from(self.run(&end).await?);
            }
        }
        Ok(ended)
    }
}

/// What was used since it was looked last, was used today; days on which the service did not look, because it did not run or
/// was restored from a backup, count for nobody. A pairing is used, as long as two of its devices can.
struct Look {
    day: u64,
}

/// Whether a pairing has come about, and two of its devices are there.
macro_rules! lives {
    () => {
        "EXISTS (SELECT 1 FROM pairing_requests one
             JOIN pairing_requests other ON other.pairing_id = one.pairing_id
             JOIN paired_devices p
                 ON p.device_id = one.device_id AND p.partner_id = other.device_id
             JOIN devices a ON a.device_id = one.device_id
             JOIN devices b ON b.device_id = other.device_id
             WHERE one.pairing_id = pairings.pairing_id
                 AND a.revoked_at IS NULL AND b.revoked_at IS NULL)"
    };
}

impl Transaction for Look {
    const NAME: &'static str = "look_what_is_used";
    type Output = ();

    async fn run(&self, tx: &mut Tx) -> Result<(), StoreError> {
        // Locks it, so that replicas count each day once.
        let looked = sqlx::query("UPDATE service SET looked_day = looked_day RETURNING looked_day")
            .fetch_one(tx.connection())
            .await?;
        let looked = optional_uint(&looked, 0)?.unwrap_or(self.day);
        let missed = self.day.saturating_sub(looked.saturating_add(1));
        if missed > 0 {
            for statement in [
                "UPDATE users SET used_day =
                     CASE WHEN used_day + $1 > $2 THEN $2 ELSE used_day + $1 END",
                "UPDATE groups SET used_day =
                     CASE WHEN used_day + $1 > $2 THEN $2 ELSE used_day + $1 END",
                "UPDATE pairings SET used_day =
                     CASE WHEN used_day + $1 > $2 THEN $2 ELSE used_day + $1 END",
            ] {
                let (missed, day) = (int(missed)?, int(self.day)?);
                sqlx::query(statement).bind(missed).bind(day).execute(tx.connection()).await?;
            }
        }
        sqlx::query("UPDATE service SET looked_day = $1")
            .bind(int(self.day.max(looked))?)
            .execute(tx.connection())
            .await?;
        for statement in [
            "UPDATE users SET used_day = $1 WHERE used_day IS NULL",
            "UPDATE groups SET used_day = $1 WHERE used_day IS NULL",
            concat!(
                "UPDATE pairings SET used_day = $1 WHERE used_day IS NULL OR (used_day < $1 AND ",
                lives!(),
                ")"
            ),
            "DELETE FROM ended WHERE forget_day < $1",
        ] {
            sqlx::query(statement).bind(int(self.day)?).execute(tx.connection()).await?;
        }
        Ok(())
    }
}

/// Groups that were used last before a day.
struct IdleGroups(u64);

impl Transaction for IdleGroups {
    const NAME: &'static str = "idle_groups";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<GroupId>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<GroupId>, StoreError> {
        let rows = sqlx::query("SELECT group_id FROM groups WHERE used_day < $1")
            .bind(int(self.0)?)
            .fetch_all(tx.connection())
            .await?;
        let group = |row| GroupId::new(bytes(row, 0)?).map_err(|_| StoreError::Corrupt("groups"));
        rows.iter().map(group).collect()
    }
}

/// A group begins to end: everybody on its roster will be told, and nobody is on it any more.
struct BeginEnd<'a> {
    group: &'a GroupId,
    before: u64,
    unread: Unread,
    day: u64,
}

impl Transaction for BeginEnd<'_> {
    const NAME: &'static str = "begin_end_of_group";
    /// Whether it ends.
    type Output = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        // Locks the group; somebody may have used it meanwhile.
        let idle = sqlx::query(
            "UPDATE groups SET used_day = used_day WHERE group_id = $1 AND used_day < $2 RETURNING head",
        )
        .bind(self.group.as_bytes())
        .bind(int(self.before)?)
        .fetch_optional(tx.connection())
        .await?;
        if idle.is_none() || (self.unread == Unread::Kept && needed(tx, self.group).await?) {
            return Ok(false);
        }
        let rows = sqlx::query("SELECT user_id FROM roster WHERE group_id = $1")
            .bind(self.group.as_bytes())
            .fetch_all(tx.connection())
            .await?;
        for row in &rows {
            note(tx, Subject::Group(self.group, &user(row, 0)?), self.day).await?;
        }
        for statement in
            ["DELETE FROM removals WHERE group_id = $1", "DELETE FROM roster WHERE group_id = $1"]
        {
            sqlx::query(statement).bind(self.group.as_bytes()).execute(tx.connection()).await?;
        }
        Ok(true)
    }
}

/// Whether an account on the roster has a device that may still need something: one that has begun to read and has
/// not come to the end, or one of an account of which none ever has read.
async fn needed(tx: &mut Tx, group: &GroupId) -> Result<bool, StoreError> {
    let row = sqlx::query(
        "SELECT COUNT(*) FROM roster r JOIN groups g ON g.group_id = r.group_id
         WHERE r.group_id = $1 AND r.removed_at IS NULL
             AND EXISTS (SELECT 1 FROM devices d WHERE d.user_id = r.user_id AND d.revoked_at IS NULL)
             AND COALESCE((SELECT MIN(rd.read_through) FROM readers rd
                 JOIN devices d ON d.device_id = rd.device_id
                 WHERE rd.group_id = r.group_id AND d.user_id = r.user_id
                     AND d.revoked_at IS NULL), 0) < g.head",
    )
    .bind(group.as_bytes())
    .fetch_one(tx.connection())
    .await?;
    Ok(uint(&row, 0)? > 0)
}

/// Pairings that were of use last before a day.
struct IdlePairings(u64);

impl Transaction for IdlePairings {
    const NAME: &'static str = "idle_pairings";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<Vec<u8>>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows = sqlx::query("SELECT pairing_id FROM pairings WHERE used_day < $1")
            .bind(int(self.0)?)
            .fetch_all(tx.connection())
            .await?;
        rows.iter().map(|row| bytes(row, 0)).collect()
    }
}

struct EndPairing<'a> {
    pairing: &'a [u8],
    before: u64,
    day: u64,
}

impl Transaction for EndPairing<'_> {
    const NAME: &'static str = "end_pairing";
    /// Whether it has ended.
    type Output = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        let idle = sqlx::query(concat!(
            "UPDATE pairings SET used_day = used_day WHERE pairing_id = $1 AND used_day < $2 AND NOT ",
            lives!(),
            " RETURNING pairing_id"
        ))
        .bind(self.pairing)
        .bind(int(self.before)?)
        .fetch_optional(tx.connection())
        .await?;
        if idle.is_none() {
            return Ok(false);
        }
        let rows = sqlx::query("SELECT device_id FROM pairing_requests WHERE pairing_id = $1")
            .bind(self.pairing)
            .fetch_all(tx.connection())
            .await?;
        for row in &rows {
            note(tx, Subject::Pairing(self.pairing, &device(row, 0)?), self.day).await?;
        }
        for statement in [
            "DELETE FROM pairing_requests WHERE pairing_id = $1",
            "DELETE FROM pairings WHERE pairing_id = $1",
        ] {
            sqlx::query(statement).bind(self.pairing).execute(tx.connection()).await?;
        }
        Ok(true)
    }
}

/// Users that have not been seen since a day, whom nothing needs: they are on no roster, have no KeyPackage that somebody
/// could still add them by, are not shut out, and are paired with nobody who was seen since.
struct IdleUsers {
    before: u64,
    now: u64,
}

/// The condition on a user, with the day before which it was seen last as $1, and the time as $2.
macro_rules! idle {
    () => {
        "u.used_day < $1 AND u.banned_at IS NULL
         AND NOT EXISTS (SELECT 1 FROM roster r
             WHERE r.user_id = u.user_id AND r.removed_at IS NULL)
         AND NOT EXISTS (SELECT 1 FROM key_packages k JOIN devices d ON d.device_id = k.device_id
             WHERE d.user_id = u.user_id AND k.not_after >= $2)
         AND NOT EXISTS (SELECT 1 FROM devices d
             JOIN paired_devices p ON p.device_id = d.device_id
             JOIN devices e ON e.device_id = p.partner_id
             JOIN users o ON o.user_id = e.user_id
             WHERE d.user_id = u.user_id AND d.revoked_at IS NULL AND e.revoked_at IS NULL
                 AND (o.used_day IS NULL OR o.used_day >= $1))"
    };
}

impl Transaction for IdleUsers {
    const NAME: &'static str = "idle_users";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<UserId>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<UserId>, StoreError> {
        let rows = sqlx::query(concat!("SELECT u.user_id FROM users u WHERE ", idle!()))
            .bind(int(self.before)?)
            .bind(int(self.now)?)
            .fetch_all(tx.connection())
            .await?;
        rows.iter().map(|row| user(row, 0)).collect()
    }
}

struct EndUser<'a> {
    user: &'a UserId,
    before: u64,
    day: u64,
    now: u64,
}

impl Transaction for EndUser<'_> {
    const NAME: &'static str = "end_user";
    /// Whether it has ended.
    type Output = bool;

    async fn run(&self, tx: &mut Tx) -> Result<bool, StoreError> {
        // Locks the user.
        sqlx::query("UPDATE users SET used_day = used_day WHERE user_id = $1")
            .bind(self.user.as_bytes())
            .execute(tx.connection())
            .await?;
        let still = concat!("SELECT u.user_id FROM users u WHERE u.user_id = $3 AND ", idle!());
        let still = sqlx::query(still)
            .bind(int(self.before)?)
            .bind(int(self.now)?)
            .bind(self.user.as_bytes())
            .fetch_optional(tx.connection())
            .await?;
        if still.is_none() {
            return Ok(false);
        }
        note(tx, Subject::User(self.user), self.day).await?;
        // On paper it may be all that the user has left.
        sqlx::query(
            "UPDATE ended SET recovery_key = (SELECT recovery_key FROM users WHERE user_id = $2)
             WHERE subject = $1",
        )
        .bind(Subject::User(self.user).hash().as_slice())
        .bind(self.user.as_bytes())
        .execute(tx.connection())
        .await?;
        for known in DevicesOfUser(self.user).run(tx).await? {
            let device = &known.device;
            // A revoked device never comes back.
            if known.revoked_at.is_none() {
                note(tx, Subject::Device(device), self.day).await?;
                note(tx, Subject::DeviceOf(self.user, device), self.day).await?;
            }
            drop_device(tx, device).await?;
        }
        drop_pairings(tx).await?;
        DeleteUser(self.user).run(tx).await?;
        Ok(true)
    }
}

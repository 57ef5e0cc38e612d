//! Whether the database is as this software keeps it.

use futures_util::TryStreamExt as _;
use paired_mls_api::{DeviceId, EntryKind, GroupId, LogChain, UserId};
use sha2::{Digest as _, Sha256};
use sqlx::{Row as _, any::AnyRow};

use super::{
    super::{
        StoreError, Transaction, Tx,
        chain::kind,
        row::{bytes, int, optional_uint, scheme, uint, user},
    },
    STEP,
};

/// What SQLite itself finds wrong with its pages and indexes.
pub(crate) struct Pages;

impl Transaction for Pages {
    const NAME: &'static str = "check_pages";
    const WRITES: bool = false;
    type Output = Vec<String>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query("PRAGMA integrity_check(20)").fetch_all(tx.connection()).await?;
        let found: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get(0)).collect();
        Ok(found?.into_iter().filter(|found| found != "ok").collect())
    }
}

/// Rows of SQLite that refer to what is not there, by table.
pub(crate) struct Orphans;

impl Transaction for Orphans {
    const NAME: &'static str = "check_references";
    const WRITES: bool = false;
    type Output = Vec<(String, u64)>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        let rows = sqlx::query(
            "SELECT CAST(\"table\" AS TEXT), COUNT(*) FROM pragma_foreign_key_check GROUP BY 1",
        )
        .fetch_all(tx.connection())
        .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, uint(row, 1)?))).collect()
    }
}

/// What is known of a group, and how much of it contradicts the rest.
pub(crate) struct Facts {
    pub(crate) group: GroupId,
    pub(crate) epoch: u64,
    pub(crate) head: u64,
    pub(crate) pruned_through: u64,
    pub(crate) group_info_epoch: Option<u64>,
    pub(crate) entries: u64,
    pub(crate) first: Option<u64>,
    pub(crate) last: Option<u64>,
    /// Accounts that are or were on the roster.
    pub(crate) accounts: u64,
    /// Of these, those that came or went behind the end of the log.
    pub(crate) late_accounts: u64,
    /// Devices that have read what is not there.
    pub(crate) late_readers: u64,
    /// Days on which the log ended behind its end.
    pub(crate) late_days: u64,
    /// Removals that can be undone, and that the group says it has not.
    pub(crate) hidden_removals: u64,
}

/// Groups behind an id.
pub(crate) struct Bounds<'a>(pub(crate) &'a [u8]);

impl Transaction for Bounds<'_> {
    const NAME: &'static str = "check_groups";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<Facts>;

    async fn run(&self, tx: &mut Tx) -> Result<Vec<Facts>, StoreError> {
        let rows = sqlx::query(
            "SELECT g.group_id, g.epoch, g.head, g.pruned_through, g.group_info_epoch,
                 (SELECT COUNT(*) FROM log l WHERE l.group_id = g.group_id),
                 (SELECT MIN(l.position) FROM log l WHERE l.group_id = g.group_id),
                 (SELECT MAX(l.position) FROM log l WHERE l.group_id = g.group_id),
                 (SELECT COUNT(*) FROM roster r WHERE r.group_id = g.group_id),
                 (SELECT COUNT(*) FROM roster r WHERE r.group_id = g.group_id
                  AND (r.joined_at > g.head OR r.removed_at > g.head)),
                 (SELECT COUNT(*) FROM readers r
                  WHERE r.group_id = g.group_id AND r.read_through > g.head),
                 (SELECT COUNT(*) FROM log_days d WHERE d.group_id = g.group_id AND d.head > g.head),
                 (SELECT COUNT(*) FROM removals r
                  WHERE r.group_id = g.group_id AND g.contested = 0)
             FROM groups g WHERE g.group_id > $1 ORDER BY g.group_id LIMIT $2",
        )
        .bind(self.0)
        .bind(i64::from(STEP))
        .fetch_all(tx.connection())
        .await?;
        let facts = |row: &AnyRow| {
            Ok(Facts {
                group: GroupId::new(bytes(row, 0)?).map_err(|_| StoreError::Corrupt("groups"))?,
                epoch: uint(row, 1)?,
                head: uint(row, 2)?,
                pruned_through: uint(row, 3)?,
                group_info_epoch: optional_uint(row, 4)?,
                entries: uint(row, 5)?,
                first: optional_uint(row, 6)?,
                last: optional_uint(row, 7)?,
                accounts: uint(row, 8)?,
                late_accounts: uint(row, 9)?,
                late_readers: uint(row, 10)?,
                late_days: uint(row, 11)?,
                hidden_removals: uint(row, 12)?,
            })
        };
        rows.iter().map(facts).collect()
    }
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Its message is not the one that its hash is of.
    Message,
    /// Its hash does not follow from the one before it.
    Chain,
    /// It is of an epoch that the group cannot have been in.
    Epoch,
    /// The entry before it is missing.
    Gap,
}

/// How far a log was walked.
#[derive(Clone, Default)]
pub(crate) struct Walked {
    /// The last entry that was looked at.
    pub(crate) through: u64,
    chain: Option<LogChain>,
    /// The epoch that the group was in behind it, once a commit has told.
    epoch: Option<u64>,
    /// The first entry that is not as it should be.
    pub(crate) broken: Option<(u64, Broken)>,
    pub(crate) state: Walk,
}

/// Whether there is more of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Walk {
    #[default]
    Open,
    Done,
}

/// Walks on through a log.
pub(crate) struct Stretch<'a> {
    pub(crate) group: &'a GroupId,
    pub(crate) walked: &'a Walked,
}

impl Transaction for Stretch<'_> {
    const NAME: &'static str = "check_log";
    const WRITES: bool = false;
    type Output = Walked;

    async fn run(&self, tx: &mut Tx) -> Result<Walked, StoreError> {
        let mut walked = self.walked.clone();
        let row = sqlx::query(
            "SELECT epoch, pruned_through, pruned_chain FROM groups WHERE group_id = $1",
        )
        .bind(self.group.as_bytes())
        .fetch_optional(tx.connection())
        .await?;
        // It was deleted meanwhile.
        let Some(row) = row else { return Ok(Walked { state: Walk::Done, ..walked }) };
        let (current, pruned) = (uint(&row, 0)?, uint(&row, 1)?);
        if walked.chain.is_none() || walked.through < pruned {
            let chain: Option<Vec<u8>> = row.try_get(2)?;
            let kept = chain.and_then(|chain| LogChain::from_bytes(&chain));
            walked.chain = match pruned {
                0 => Some(LogChain::start(self.group)),
                _ => kept,
            };
            (walked.through, walked.epoch) = (pruned, None);
        }
        let Some(mut chain) = walked.chain else {
            walked.broken = Some((pruned, Broken::Chain));
            return Ok(walked);
        };
        let mut rows = sqlx::query(
            "SELECT position, epoch, kind, digest, chain, message FROM log
             WHERE group_id = $1 AND position > $2 ORDER BY position LIMIT $3",
        )
        .bind(self.group.as_bytes())
        .bind(int(walked.through)?)
        .bind(i64::from(STEP))
        .fetch(tx.connection());
        let mut seen = 0;
        while let Some(row) = rows.try_next().await? {
            let (position, epoch, kind) = (uint(&row, 0)?, uint(&row, 1)?, kind(&row, 2)?);
            let (digest, message) = (bytes(&row, 3)?, bytes(&row, 5)?);
            let hash: [u8; 32] = Sha256::digest(&message).into();
            chain = chain.and(position, epoch, kind, &hash);
            let stored: Option<Vec<u8>> = row.try_get(4)?;
            let broken = if position != walked.through + 1 {
                Some(Broken::Gap)
            } else if digest != hash {
                Some(Broken::Message)
            } else if stored.as_deref() != Some(chain.as_bytes().as_slice()) {
                Some(Broken::Chain)
            } else if !fits(walked.epoch, current, epoch, kind) {
                Some(Broken::Epoch)
            } else {
                None
            };
            if let Some(broken) = broken {
                walked.broken = Some((position, broken));
                return Ok(walked);
            }
            if kind == EntryKind::Commit {
                walked.epoch = Some(epoch + 1);
            }
            (walked.through, seen) = (position, seen + 1);
        }
        drop(rows);
        walked.chain = Some(chain);
        if seen < STEP {
            walked.state = Walk::Done;
            // The last commit has begun the epoch that the group is in.
            if walked.epoch.is_some_and(|epoch| epoch != current) {
                walked.broken = Some((walked.through, Broken::Epoch));
            }
        }
        Ok(walked)
    }
}

/// Whether a group that is in the epoch `current` now, and was in `before` if that is known, can have had an
/// entry of an epoch.
fn fits(before: Option<u64>, current: u64, epoch: u64, kind: EntryKind) -> bool {
    match (kind, before) {
        (EntryKind::Commit, Some(before)) => epoch == before && epoch < current,
        (EntryKind::Commit, None) => epoch < current,
        (EntryKind::Proposal, Some(before)) => epoch == before,
        (_, Some(before)) => epoch <= before,
        (_, None) => epoch <= current,
    }
}

/// Rows that this software leaves nowhere, by what they are.
pub(crate) struct Strays;

/// What is counted, and how.
const STRAYS: [(&str, &str); 5] = [
    (
        "KeyPackages, items or approvals of a revoked device",
        "SELECT COUNT(*) FROM devices d WHERE d.revoked_at IS NOT NULL AND (
             EXISTS (SELECT 1 FROM key_packages k WHERE k.device_id = d.device_id)
             OR EXISTS (SELECT 1 FROM mailbox m WHERE m.device_id = d.device_id)
             OR EXISTS (SELECT 1 FROM approvals a WHERE a.approved_by = d.device_id))",
    ),
    (
        "items behind the end of their mailbox",
        "SELECT COUNT(*) FROM mailbox m JOIN devices d ON d.device_id = m.device_id
         WHERE m.position > d.mailbox_head",
    ),
    (
        "devices that are paired one way only",
        "SELECT COUNT(*) FROM paired_devices p WHERE NOT EXISTS (SELECT 1 FROM paired_devices o
             WHERE o.device_id = p.partner_id AND o.partner_id = p.device_id)",
    ),
    (
        "pairings that no device has asked for",
        "SELECT COUNT(*) FROM pairings p WHERE NOT EXISTS
             (SELECT 1 FROM pairing_requests r WHERE r.pairing_id = p.pairing_id)",
    ),
    (
        "incarnations of the service that are not exactly one",
        "SELECT CAST(ABS(COUNT(*) - 1) AS BIGINT) FROM service",
    ),
];

impl Transaction for Strays {
    const NAME: &'static str = "check_strays";
    const WRITES: bool = false;
    type Output = Vec<(&'static str, u64)>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        let mut found = Vec::new();
        for (what, query) in STRAYS {
            let row = sqlx::query(query).fetch_one(tx.connection()).await?;
            match uint(&row, 0)? {
                0 => {}
                count => found.push((what, count)),
            }
        }
        Ok(found)
    }
}

/// What is wrong with the key of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyFault {
    /// The id of the device is that of another one.
    Other,
    /// It is none of its scheme, or one for which anybody can sign, and the device is not revoked.
    Weak,
}

/// Devices behind an id.
pub(crate) struct Keys<'a>(pub(crate) &'a [u8]);

impl Transaction for Keys<'_> {
    const NAME: &'static str = "check_devices";
    const WRITES: bool = false;
    const ONE: bool = true;
    /// The ids, and what is wrong with their keys.
    type Output = Vec<(DeviceId, Option<KeyFault>)>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        let rows = sqlx::query(
            "SELECT device_id, scheme, signature_key, revoked_at FROM devices
             WHERE device_id > $1 ORDER BY device_id LIMIT $2",
        )
        .bind(self.0)
        .bind(i64::from(STEP))
        .fetch_all(tx.connection())
        .await?;
        let key = |row: &AnyRow| {
            let id = super::super::row::device(row, 0)?;
            let (scheme, key, revoked) = (scheme(row, 1)?, bytes(row, 2)?, optional_uint(row, 3)?);
            let fault = if DeviceId::of_key(scheme, &key) != id {
                Some(KeyFault::Other)
            } else if revoked.is_none() && scheme.check_key(&key).is_err() {
                Some(KeyFault::Weak)
            } else {
                None
            };
            Ok((id, fault))
        };
        rows.iter().map(key).collect()
    }
}

/// Recovery keys of users behind one.
pub(crate) struct RecoveryKeys<'a>(pub(crate) &'a [u8]);

impl Transaction for RecoveryKeys<'_> {
    const NAME: &'static str = "check_recovery_keys";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<(UserId, Vec<u8>)>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        let rows = sqlx::query(
            "SELECT user_id, recovery_key FROM users
             WHERE user_id > $1 AND recovery_key IS NOT NULL ORDER BY user_id LIMIT $2",
        )
        .bind(self.0)
        .bind(i64::from(STEP))
        .fetch_all(tx.connection())
        .await?;
        rows.iter().map(|row| Ok((user(row, 0)?, bytes(row, 1)?))).collect()
    }
}

/// Recovery keys of users that have ended, behind the hash of one.
pub(crate) struct EndedKeys<'a>(pub(crate) &'a [u8]);

impl Transaction for EndedKeys<'_> {
    const NAME: &'static str = "check_ended_keys";
    const WRITES: bool = false;
    const ONE: bool = true;
    type Output = Vec<(Vec<u8>, Vec<u8>)>;

    async fn run(&self, tx: &mut Tx) -> Result<Self::Output, StoreError> {
        let rows = sqlx::query(
            "SELECT subject, recovery_key FROM ended
             WHERE subject > $1 AND recovery_key IS NOT NULL ORDER BY subject LIMIT $2",
        )
        .bind(self.0)
        .bind(i64::from(STEP))
        .fetch_all(tx.connection())
        .await?;
        rows.iter().map(|row| Ok((bytes(row, 0)?, bytes(row, 1)?))).collect()
    }
}

//! What the command line remembers beside the MLS state, in the same database: names of groups, how
//! far their logs were read, what was heard, and what is still to be sent.
//!
//! Nothing of it is secret from a thief of the MLS state, and nothing of the vault is in it.

use std::time::{SystemTime, UNIX_EPOCH};

use paired_mls::PairingId;
use paired_mls_api::{DeviceId, GroupId, LogChain, UserId};
use paired_mls_client::LogCursor;
use rusqlite::{Connection, OptionalExtension as _, Row, params, types::Type};
use serde::Serialize;

use super::{EngineError, log::epoch_begins};
use crate::session::Session;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS pmls_groups (
    group_id BLOB PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    pairing  BLOB,              -- of the leaf that is shared; NULL for a leaf of the device's own
    state    TEXT NOT NULL,     -- active, leaving, rejoining, gone
    cursor   INTEGER NOT NULL,  -- the position in the log that was read last
    since    INTEGER NOT NULL DEFAULT 0,    -- the epoch in which this device came in
    behind   INTEGER,           -- an epoch in which this device has sent more than it knows
    used     INTEGER NOT NULL DEFAULT 1,    -- 0: others have put this device into it, and its user knows nothing of it
    adder    BLOB               -- the user who has done so; NULL if the directory knows none
) STRICT;
CREATE TABLE IF NOT EXISTS pmls_chains (
    group_id BLOB PRIMARY KEY,
    position INTEGER NOT NULL,
    chain    BLOB NOT NULL      -- the hash of the log up to that position
) STRICT;
CREATE TABLE IF NOT EXISTS pmls_outbox (
    id    INTEGER PRIMARY KEY,
    item  TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',  -- waiting, late, refused
    since INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    why   TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS pmls_said (
    id       INTEGER PRIMARY KEY,
    group_id BLOB NOT NULL,
    digest   BLOB NOT NULL UNIQUE
) STRICT;
CREATE TABLE IF NOT EXISTS pmls_inbox (
    id       INTEGER PRIMARY KEY,
    group_id BLOB NOT NULL,
    epoch    INTEGER NOT NULL,
    sender   TEXT NOT NULL,
    message  BLOB NOT NULL,
    seen     INTEGER NOT NULL,
    position    INTEGER NOT NULL DEFAULT 0,
    message_id  TEXT NOT NULL DEFAULT '',
    received_at INTEGER NOT NULL DEFAULT 0,
    user        TEXT,           -- who was accepted; the sender is for people
    device      TEXT,
    unverified  TEXT            -- who the sender said that it is, if that was not accepted
) STRICT;
CREATE TABLE IF NOT EXISTS pmls_channels (
    channel_id BLOB PRIMARY KEY,
    channel    TEXT NOT NULL,
    since      INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS pmls_welcomes (
    id      INTEGER PRIMARY KEY,
    welcome BLOB NOT NULL UNIQUE,
    since   INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS pmls_refreshes (
    id       INTEGER PRIMARY KEY,
    group_id BLOB NOT NULL,
    message  BLOB NOT NULL UNIQUE   -- the Welcome of a leaf refresh, for the feed
) STRICT;
CREATE TABLE IF NOT EXISTS pmls_key_proofs (
    pairing BLOB NOT NULL,
    device  INTEGER NOT NULL,
    proof   BLOB NOT NULL,      -- a signature: see PROFILE, section 11
    PRIMARY KEY (pairing, device)
) STRICT;
CREATE TABLE IF NOT EXISTS pmls_directory (
    device   TEXT PRIMARY KEY,
    user     BLOB NOT NULL      -- whose device it is
) STRICT;
CREATE TABLE IF NOT EXISTS pmls_heard (
    group_id BLOB NOT NULL,
    position INTEGER NOT NULL,
    epoch    INTEGER NOT NULL,
    kind     TEXT NOT NULL,     -- commit, proposal, application
    message  BLOB NOT NULL,
    before   BLOB NOT NULL,     -- the hash of the log before the entry, and with it
    chain    BLOB NOT NULL,
    PRIMARY KEY (group_id, position, chain)
) STRICT;
CREATE TABLE IF NOT EXISTS pmls_cursors (
    name   TEXT PRIMARY KEY,
    cursor INTEGER NOT NULL
) STRICT;
";

/// How much is written to find out whether the disk takes it, in bytes.
const PROBE: u32 = 256 << 10;

/// How many Welcomes wait for their commits, in how many bytes, and for how long.
const MAX_WELCOMES: u32 = 16;
const WELCOME_BYTES: usize = 4 << 20;
const WELCOME_SECONDS: i64 = 90 * 24 * 60 * 60;

/// How many marks of one kind are kept.
pub(super) const MAX_MARKS: u32 = 1_024;

/// How many groups that it is out of are kept, of those that its user knows nothing of.
pub(super) const MAX_GONE_GROUPS: u32 = 16;

/// Of how many devices it is remembered whose they are.
pub(super) const MAX_OWNERS: u32 = 16_384;

/// Columns that came later than their tables.
const LATER: [(&str, &str, &str); 16] = [
    ("pmls_inbox", "position", "INTEGER NOT NULL DEFAULT 0"),
    ("pmls_inbox", "message_id", "TEXT NOT NULL DEFAULT ''"),
    ("pmls_inbox", "received_at", "INTEGER NOT NULL DEFAULT 0"),
    ("pmls_inbox", "user", "TEXT"),
    ("pmls_inbox", "device", "TEXT"),
    ("pmls_inbox", "unverified", "TEXT"),
    ("pmls_channels", "since", "INTEGER NOT NULL DEFAULT 0"),
    ("pmls_welcomes", "since", "INTEGER NOT NULL DEFAULT 0"),
    ("pmls_groups", "since", "INTEGER NOT NULL DEFAULT 0"),
    ("pmls_groups", "behind", "INTEGER"),
    ("pmls_groups", "used", "INTEGER NOT NULL DEFAULT 1"),
    ("pmls_groups", "adder", "BLOB"),
    ("pmls_outbox", "state", "TEXT NOT NULL DEFAULT 'waiting'"),
    ("pmls_outbox", "since", "INTEGER NOT NULL DEFAULT 0"),
    ("pmls_outbox", "tries", "INTEGER NOT NULL DEFAULT 0"),
    ("pmls_outbox", "why", "TEXT"),
];

/// The tables, on the connection of the MLS state.
pub(crate) struct Store<'a>(pub(super) &'a Connection);

/// A group that the device is or was in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupRow {
    pub(crate) id: GroupId,
    pub(crate) name: String,
    /// The pairing of the leaf that is shared in this group.
    pub(crate) pairing: Option<PairingId>,
    pub(crate) state: Membership,
    pub(crate) cursor: u64,
    /// The epoch in which this device came in: what was sent before is not for it.
    pub(super) since: u64,
    /// An epoch in which this device has sent more than it knows: its state is an older copy.
    pub(super) behind: Option<u64>,
}

/// Whether the device is in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Membership {
    /// It is.
    Active,
    /// It has proposed to leave, and another member has to commit that.
    Leaving,
    /// It comes back from outside, and the service has not accepted that yet.
    Rejoining,
    /// It is not any more.
    Gone,
}

impl Membership {
    /// Whether the device follows the log, by a state that the service has accepted.
    pub(crate) fn takes_part(self) -> bool {
        match self {
            Self::Active | Self::Leaving => true,
            Self::Rejoining | Self::Gone => false,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Leaving => "leaving",
            Self::Rejoining => "rejoining",
            Self::Gone => "gone",
        }
    }
}

impl<'a> Store<'a> {
    /// The tables of a device that is only opened.
    pub(crate) fn of(session: &'a Session) -> Result<Self, EngineError> {
        let store = Self(session.device().provider().connection());
        store.prepare()?;
        Ok(store)
    }
}

impl Store<'_> {
    /// Makes the tables.
    pub(super) fn prepare(&self) -> Result<(), EngineError> {
        self.0.execute_batch(SCHEMA)?;
        self.0.execute_batch(super::health::SCHEMA)?;
        self.0.execute_batch(super::claim::SCHEMA)?;
        self.0.execute_batch(super::incarnation::SCHEMA)?;
        for (table, column, kind) in LATER {
            let sql = "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2";
            if !self.0.prepare(sql)?.exists([table, column])? {
                self.0.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {kind}"))?;
            }
        }
        Ok(())
    }

    /// Writes something and takes it away again: whether the disk takes what a command writes.
    pub(super) fn check_disk(&self) -> Result<(), EngineError> {
        self.0
            .execute_batch("CREATE TABLE IF NOT EXISTS pmls_probe (bytes BLOB NOT NULL) STRICT")?;
        self.0.execute("INSERT INTO pmls_probe VALUES (zeroblob(?1))", [PROBE])?;
        self.0.execute("DELETE FROM pmls_probe", [])?;
        Ok(())
    }

    /// All groups, by name.
    pub(crate) fn groups(&self) -> Result<Vec<GroupRow>, EngineError> {
        let mut statement = self.0.prepare("SELECT * FROM pmls_groups ORDER BY name")?;
        let rows = statement.query_map([], group_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A group by its identifier.
    pub(crate) fn group(&self, id: &GroupId) -> Result<Option<GroupRow>, EngineError> {
        let mut statement = self.0.prepare("SELECT * FROM pmls_groups WHERE group_id = ?1")?;
        Ok(statement.query_row([id.as_bytes()], group_row).optional()?)
    }

    /// A group that the device is in from this epoch on; its log is read from the beginning, or from where
    /// it was read last. A name that is taken gets a number.
    pub(super) fn enter_group(
        &self,
        id: &GroupId,
        name: &str,
        pairing: Option<PairingId>,
        since: u64,
    ) -> Result<(), EngineError> {
        let known = self.group(id)?.map(|row| row.name);
        let mut free = known.unwrap_or_else(|| name.to_owned());
        let taken = |name: &str| -> Result<bool, EngineError> {
            let mut statement =
                self.0.prepare("SELECT 1 FROM pmls_groups WHERE name = ?1 AND group_id != ?2")?;
            Ok(statement.exists(params![name, id.as_bytes()])?)
        };
        for n in 2.. {
            if !taken(&free)? {
                break;
            }
            free = format!("{name}-{n}");
        }
        let pairing = pairing.map(|pairing| pairing.0);
        self.0.execute(
            "INSERT INTO pmls_groups (group_id, name, pairing, state, cursor, since)
             VALUES (?1, ?2, ?3, 'active', 0, ?4)
             ON CONFLICT (group_id) DO UPDATE SET
                 name = ?2, pairing = ?3, state = 'active', since = ?4, behind = NULL",
            params![id.as_bytes(), free, pairing, to_sql(since)],
        )?;
        self.goes_on(id)
    }

    /// This user has put this device into a group that its own user knows nothing of yet.
    pub(super) fn set_unused(
        &self,
        id: &GroupId,
        adder: Option<&UserId>,
    ) -> Result<(), EngineError> {
        let sql = "UPDATE pmls_groups SET used = 0, adder = ?2 WHERE group_id = ?1";
        self.0.execute(sql, params![id.as_bytes(), adder.map(UserId::as_bytes)])?;
        Ok(())
    }

    /// The user, or a pairing, has to do with a group.
    pub(super) fn set_used(&self, id: &GroupId) -> Result<(), EngineError> {
        let sql = "UPDATE pmls_groups SET used = 1 WHERE group_id = ?1 AND used = 0";
        self.0.execute(sql, [id.as_bytes()])?;
        Ok(())
    }

    /// Whether the user, or a pairing, has to do with a group that this device is or was in.
    pub(super) fn is_used(&self, id: &GroupId) -> Result<bool, EngineError> {
        let known = "SELECT 1 FROM pmls_groups WHERE group_id = ?1 AND used = 1";
        Ok(self.0.prepare(known)?.exists([id.as_bytes()])?)
    }

    /// In how many groups this device is, besides this one, that its user knows nothing of; and in how many of them by
    /// this user.
    pub(super) fn unused_besides(
        &self,
        id: &GroupId,
        adder: Option<&UserId>,
    ) -> Result<(usize, usize), EngineError> {
        let sql = "SELECT count(*), coalesce(sum(adder IS ?2), 0) FROM pmls_groups
                   WHERE used = 0 AND state != 'gone' AND group_id != ?1";
        let mut statement = self.0.prepare(sql)?;
        let counted = params![id.as_bytes(), adder.map(UserId::as_bytes)];
        Ok(statement.query_row(counted, |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// The groups that this device is out of and that its user knew nothing of, but for the newest.
    pub(super) fn old_unused(&self) -> Result<Vec<GroupRow>, EngineError> {
        let sql = "SELECT * FROM pmls_groups WHERE used = 0 AND state = 'gone'
                   ORDER BY rowid DESC LIMIT -1 OFFSET ?1";
        let mut statement = self.0.prepare(sql)?;
        let rows = statement.query_map([MAX_GONE_GROUPS], group_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Gives a group another name.
    pub(crate) fn rename_group(&self, id: &GroupId, name: &str) -> Result<(), EngineError> {
        if self.groups()?.iter().any(|row| row.name == name && row.id != *id) {
            return Err(EngineError::NameTaken(name.to_owned()));
        }
        let sql = "UPDATE pmls_groups SET name = ?2 WHERE group_id = ?1";
        self.0.execute(sql, params![id.as_bytes(), name])?;
        Ok(())
    }

    pub(super) fn set_membership(
        &self,
        id: &GroupId,
        state: Membership,
    ) -> Result<(), EngineError> {
        let sql = "UPDATE pmls_groups SET state = ?2 WHERE group_id = ?1";
        self.0.execute(sql, params![id.as_bytes(), state.name()])?;
        Ok(())
    }

    /// This device is in again from this epoch on, and reads the log from where it was.
    pub(super) fn back_since(
        &self,
        id: &GroupId,
        since: u64,
        position: u64,
    ) -> Result<(), EngineError> {
        let sql = "UPDATE pmls_groups SET state = 'active', since = ?2, behind = NULL, cursor = ?3
                   WHERE group_id = ?1";
        let before = to_sql(position.saturating_sub(1));
        self.0.execute(sql, params![id.as_bytes(), to_sql(since), before])?;
        // What was read before it may have been another log.
        self.0.execute("DELETE FROM pmls_chains WHERE group_id = ?1", [id.as_bytes()])?;
        self.goes_on(id)
    }

    /// This device has sent more in this epoch than it knows.
    pub(super) fn set_behind(&self, id: &GroupId, epoch: u64) -> Result<(), EngineError> {
        let sql = "UPDATE pmls_groups SET behind = ?2 WHERE group_id = ?1";
        self.0.execute(sql, params![id.as_bytes(), to_sql(epoch)])?;
        Ok(())
    }

    /// Forgets a group, and what was heard and said in it.
    pub(super) fn forget_group(&self, id: &GroupId) -> Result<(), EngineError> {
        self.0.execute("DELETE FROM pmls_groups WHERE group_id = ?1", [id.as_bytes()])?;
        self.0.execute("DELETE FROM pmls_chains WHERE group_id = ?1", [id.as_bytes()])?;
        self.0.execute("DELETE FROM pmls_inbox WHERE group_id = ?1", [id.as_bytes()])?;
        self.0.execute("DELETE FROM pmls_heard WHERE group_id = ?1", [id.as_bytes()])?;
        self.0.execute("DELETE FROM pmls_refreshes WHERE group_id = ?1", [id.as_bytes()])?;
        self.0.execute("DELETE FROM pmls_said WHERE group_id = ?1", [id.as_bytes()])?;
        self.0.execute("DELETE FROM pmls_cursors WHERE name = ?1", [epoch_begins(id)])?;
        self.goes_on(id)?;
        self.forget_missed(id)?;
        self.forget_health(id)
    }

    /// The log of a group was read up to this position.
    pub(super) fn read_through(
        &self,
        id: &GroupId,
        position: u64,
        chain: &LogChain,
    ) -> Result<(), EngineError> {
        let sql = "UPDATE pmls_groups SET cursor = ?2 WHERE group_id = ?1";
        self.0.execute(sql, params![id.as_bytes(), to_sql(position)])?;
        let sql = "INSERT OR REPLACE INTO pmls_chains VALUES (?1, ?2, ?3)";
        self.0.execute(sql, params![id.as_bytes(), to_sql(position), chain.as_bytes()])?;
        Ok(())
    }

    /// Where the log of a group was read up to. One that this device has not read itself up to there has no
    /// hash.
    pub(super) fn log_cursor(&self, row: &GroupRow) -> Result<LogCursor, EngineError> {
        let sql = "SELECT chain FROM pmls_chains WHERE group_id = ?1 AND position = ?2";
        let mut statement = self.0.prepare(sql)?;
        let at = params![row.id.as_bytes(), to_sql(row.cursor)];
        let chain: Option<Vec<u8>> = statement.query_row(at, |row| row.get(0)).optional()?;
        let chain = chain.and_then(|chain| LogChain::from_bytes(&chain));
        Ok(LogCursor { position: row.cursor, chain })
    }

    pub(super) fn cursor(&self, name: &str) -> Result<u64, EngineError> {
        let mut statement = self.0.prepare("SELECT cursor FROM pmls_cursors WHERE name = ?1")?;
        let found: Option<i64> = statement.query_row([name], |row| row.get(0)).optional()?;
        Ok(found.map_or(0, from_sql))
    }

    pub(super) fn set_cursor(&self, name: &str, cursor: u64) -> Result<(), EngineError> {
        let sql = "INSERT OR REPLACE INTO pmls_cursors VALUES (?1, ?2)";
        self.0.execute(sql, params![name, to_sql(cursor)])?;
        Ok(())
    }

    /// Marks that something was so, by a digest of it. Others decide how often that happens, so that of each kind
    /// the newest marks are kept. Returns whether it was not marked before.
    pub(super) fn mark(&self, kind: &str, digest: &str) -> Result<bool, EngineError> {
        let name = format!("{kind}{digest}");
        if self.cursor(&name)? > 0 {
            return Ok(false);
        }
        self.set_cursor(&name, 1)?;
        let sql = "DELETE FROM pmls_cursors WHERE substr(name, 1, length(?1)) = ?1 AND rowid <= (SELECT rowid
                   FROM pmls_cursors WHERE substr(name, 1, length(?1)) = ?1
                   ORDER BY rowid DESC LIMIT 1 OFFSET ?2)";
        self.0.execute(sql, params![kind, MAX_MARKS])?;
        Ok(true)
    }

    pub(super) fn keep_channel(
        &self,
        id: &[u8],
        channel: &str,
        now: SystemTime,
    ) -> Result<(), EngineError> {
        self.0.execute(
            "INSERT INTO pmls_channels (channel_id, channel, since) VALUES (?1, ?2, ?3)
             ON CONFLICT (channel_id) DO UPDATE SET channel = ?2",
            params![id, channel, seconds(now)],
        )?;
        Ok(())
    }

    /// The channels, the oldest first.
    pub(super) fn channels(&self) -> Result<Vec<(Vec<u8>, String)>, EngineError> {
        let mut statement = self
            .0
            .prepare("SELECT channel_id, channel FROM pmls_channels ORDER BY since, rowid")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The channels that are older than this, in seconds.
    pub(super) fn channels_before(&self, before: u64) -> Result<Vec<Vec<u8>>, EngineError> {
        let sql = "SELECT channel_id FROM pmls_channels WHERE since < ?1";
        let mut statement = self.0.prepare(sql)?;
        let rows = statement.query_map([to_sql(before)], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn forget_channel(&self, id: &[u8]) -> Result<(), EngineError> {
        self.0.execute("DELETE FROM pmls_channels WHERE channel_id = ?1", [id])?;
        Ok(())
    }

    /// Keeps a Welcome whose commit is still to come: a leaf refresh. The oldest go where there is no room,
    /// and those whose commit never came.
    pub(super) fn keep_welcome(&self, welcome: &[u8], now: SystemTime) -> Result<(), EngineError> {
        if welcome.len() > WELCOME_BYTES {
            return Err(EngineError::NoRoomForWelcome(welcome.len()));
        }
        self.0.execute(
            "INSERT OR IGNORE INTO pmls_welcomes (welcome, since) VALUES (?1, ?2)",
            params![welcome, seconds(now)],
        )?;
        let ended = seconds(now).saturating_sub(WELCOME_SECONDS);
        self.0.execute("DELETE FROM pmls_welcomes WHERE since < ?1", [ended])?;
        let sql = "DELETE FROM pmls_welcomes WHERE id NOT IN
                   (SELECT id FROM pmls_welcomes ORDER BY id DESC LIMIT ?1)";
        self.0.execute(sql, [MAX_WELCOMES])?;
        let sql = "DELETE FROM pmls_welcomes WHERE id IN (SELECT id FROM
                   (SELECT id, sum(length(welcome)) OVER (ORDER BY id DESC) AS bytes
                    FROM pmls_welcomes) WHERE bytes > ?1)";
        self.0.execute(sql, [i64::try_from(WELCOME_BYTES).unwrap_or(i64::MAX)])?;
        Ok(())
    }

    /// Whose devices are whose, as the directory has said.
    pub(super) fn owners(&self) -> Result<Vec<(DeviceId, UserId)>, EngineError> {
        let mut statement = self.0.prepare("SELECT device, user FROM pmls_directory")?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        let mut owners = Vec::new();
        for row in rows {
            let (device, user) = row?;
            owners.push((device.parse()?, UserId::new(user)?));
        }
        Ok(owners)
    }

    /// Remembers what the directory says. A key belongs to one user for ever.
    pub(super) fn remember_owner(
        &self,
        device: &DeviceId,
        user: &UserId,
    ) -> Result<(), EngineError> {
        self.0.execute(
            "INSERT OR REPLACE INTO pmls_directory VALUES (?1, ?2)",
            params![device.to_string(), user.as_bytes()],
        )?;
        // Others bring them in: who is forgotten is asked for again.
        let sql = "DELETE FROM pmls_directory WHERE rowid <=
                   (SELECT rowid FROM pmls_directory ORDER BY rowid DESC LIMIT 1 OFFSET ?1)";
        self.0.execute(sql, [MAX_OWNERS])?;
        Ok(())
    }

    pub(super) fn welcomes(&self) -> Result<Vec<(i64, Vec<u8>)>, EngineError> {
        let mut statement = self.0.prepare("SELECT id, welcome FROM pmls_welcomes ORDER BY id")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn forget_welcome(&self, id: i64) -> Result<(), EngineError> {
        self.0.execute("DELETE FROM pmls_welcomes WHERE id = ?1", [id])?;
        Ok(())
    }
}

fn group_row(row: &Row<'_>) -> rusqlite::Result<GroupRow> {
    let wrong = |column, what: &str| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, what.to_owned().into())
    };
    let state = match row.get::<_, String>("state")?.as_str() {
        "active" => Membership::Active,
        "leaving" => Membership::Leaving,
        "rejoining" => Membership::Rejoining,
        "gone" => Membership::Gone,
        _ => return Err(wrong(3, "no state of a group")),
    };
    let pairing: Option<[u8; 16]> = row.get("pairing")?;
    let id: Vec<u8> = row.get("group_id")?;
    Ok(GroupRow {
        id: GroupId::new(id).map_err(|error| wrong(0, &error.to_string()))?,
        name: row.get("name")?,
        pairing: pairing.map(PairingId),
        state,
        cursor: from_sql(row.get("cursor")?),
        since: from_sql(row.get("since")?),
        behind: row.get::<_, Option<i64>>("behind")?.map(from_sql),
    })
}

/// In seconds since 1970-01-01T00:00:00Z.
pub(super) fn seconds(time: SystemTime) -> i64 {
    to_sql(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// SQLite's integers have a sign; positions and epochs do not get that far.
pub(super) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

//! What members have said.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use paired_mls_api::GroupId;
use rusqlite::{OptionalExtension as _, Row, params};
use serde::Serialize;

use super::{
    EngineError, Store, Who,
    store::{from_sql, seconds, to_sql},
};
use crate::output::escape;

/// How many messages of a group are kept, and how many bytes of them.
const MAX: i64 = 4_096;
const MAX_BYTES: i64 = 16 << 20;
/// The same of a group that its user knows nothing of.
const MAX_UNUSED: i64 = 256;
const MAX_UNUSED_BYTES: i64 = 1 << 20;

/// A message that somebody sent in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) group: GroupId,
    pub(crate) epoch: u64,
    /// Its place in the log; 0 for one that an earlier version has kept.
    pub(crate) position: u64,
    pub(crate) id: String,
    pub(crate) received_at: SystemTime,
    pub(crate) sender: Who,
    pub(crate) content: Vec<u8>,
}

/// A message, for scripts: exactly what was said.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Said {
    /// Names the message: the same at all members.
    pub(crate) id: String,
    /// Its place in the log of the group.
    pub(crate) position: u64,
    /// The epoch in which it was sent.
    pub(crate) epoch: u64,
    /// When this device has received it, in seconds since 1970-01-01T00:00:00Z.
    pub(crate) received_at: u64,
    /// The user who has sent it; nothing if that was never accepted.
    pub(crate) from: Option<String>,
    /// The device that has sent it, or one of those behind its leaf.
    pub(crate) device: Option<String>,
    /// Who the sender says that it is, where that is not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unverified: Option<String>,
    #[serde(flatten)]
    pub(crate) content: Content,
    /// Who has sent it, for people.
    #[serde(skip)]
    pub(crate) shown: String,
}

/// What was said.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Content {
    /// It is UTF-8, and this is exactly it.
    Text(String),
    /// It is not.
    Base64(String),
}

impl Content {
    fn of(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Base64(STANDARD.encode(error.as_bytes())),
        }
    }
}

impl From<Letter> for Said {
    fn from(letter: Letter) -> Self {
        let Letter { id, position, epoch, received_at, sender, content, .. } = letter;
        let Who { user, devices, unverified, shown } = sender;
        let received_at = received_at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let shown = format!("{shown}: {}", escape::text(&content));
        Self {
            id,
            position,
            epoch,
            received_at,
            from: user,
            device: devices.into_iter().next(),
            unverified,
            content: Content::of(content),
            shown,
        }
    }
}

/// Which messages of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that nobody has read.
    Unread,
    /// All that are kept.
    All,
}

impl Store<'_> {
    /// Keeps a message. Where there is no room, others go: those that were read, the oldest first; and then the
    /// oldest of the sender of whom most bytes are kept.
    ///
    /// Returns the senders of those that go and that nobody has read.
    pub(super) fn keep_letter(&self, letter: &Letter) -> Result<Vec<String>, EngineError> {
        let Letter { group, epoch, position, id, received_at, sender, content } = letter;
        let sql = "INSERT INTO pmls_inbox (group_id, epoch, sender, message, seen, position,
                   message_id, received_at, user, device, unverified)
                   VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8, ?9, ?10)";
        self.0.execute(
            sql,
            params![
                group.as_bytes(),
                to_sql(*epoch),
                sender.shown,
                content,
                to_sql(*position),
                id,
                seconds(*received_at),
                sender.user,
                sender.devices.first(),
                sender.unverified,
            ],
        )?;
        let mut dropped = Vec::new();
        while self.is_full(group)? && self.drop_one(group, &mut dropped)? {}
        let missed = self.missed(group)?.saturating_add(dropped.len() as u64);
        if !dropped.is_empty() {
            self.set_cursor(&missed_in(group), missed)?;
        }
        Ok(dropped)
    }

    fn is_full(&self, group: &GroupId) -> Result<bool, EngineError> {
        let sql = "SELECT used FROM pmls_groups WHERE group_id = ?1";
        let used: Option<i64> =
            self.0.prepare(sql)?.query_row([group.as_bytes()], |row| row.get(0)).optional()?;
        let (most, bytes) = match used {
            Some(0) => (MAX_UNUSED, MAX_UNUSED_BYTES),
            _ => (MAX, MAX_BYTES),
        };
        let sql = "SELECT count(*), coalesce(sum(length(message)), 0) FROM pmls_inbox
                   WHERE group_id = ?1";
        let mut statement = self.0.prepare(sql)?;
        let kept: (i64, i64) =
            statement.query_row([group.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(kept.0 > most || kept.1 > bytes)
    }

    /// Whether one more has gone.
    fn drop_one(&self, group: &GroupId, dropped: &mut Vec<String>) -> Result<bool, EngineError> {
        let read = "DELETE FROM pmls_inbox WHERE id =
                    (SELECT min(id) FROM pmls_inbox WHERE group_id = ?1 AND seen > 0)";
        if self.0.execute(read, [group.as_bytes()])? > 0 {
            return Ok(true);
        }
        // A device is known by its key, whatever its leaf says of its user.
        let oldest = "SELECT min(id), sender FROM pmls_inbox WHERE group_id = ?1
                      GROUP BY coalesce(device, sender)
                      ORDER BY sum(length(message) + 256) DESC, min(id) LIMIT 1";
        let mut statement = self.0.prepare(oldest)?;
        let oldest: Option<(i64, String)> = statement
            .query_row([group.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let Some((id, sender)) = oldest else { return Ok(false) };
        dropped.push(sender);
        Ok(self.0.execute("DELETE FROM pmls_inbox WHERE id = ?1", [id])? > 0)
    }

    /// How many messages of a group have gone that nobody had read.
    pub(crate) fn missed(&self, group: &GroupId) -> Result<u64, EngineError> {
        self.cursor(&missed_in(group))
    }

    /// That was said.
    pub(crate) fn forget_missed(&self, group: &GroupId) -> Result<(), EngineError> {
        self.0.execute("DELETE FROM pmls_cursors WHERE name = ?1", [missed_in(group)])?;
        Ok(())
    }

    /// The messages of a group that nobody has read, or all that are kept, each with its number.
    pub(crate) fn letters(
        &self,
        group: &GroupId,
        which: Which,
    ) -> Result<Vec<(i64, Letter)>, EngineError> {
        let limit = match which {
            Which::Unread => 0,
            Which::All => 1,
        };
        let sql = "SELECT * FROM pmls_inbox WHERE group_id = ?1 AND seen <= ?2 ORDER BY id";
        let mut statement = self.0.prepare(sql)?;
        let rows = statement.query_map(params![group.as_bytes(), limit], |row| {
            Ok((row.get("id")?, letter(group, row)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many messages of a group nobody has read.
    pub(crate) fn unread(&self, group: &GroupId) -> Result<u64, EngineError> {
        let sql = "SELECT count(*) FROM pmls_inbox WHERE group_id = ?1 AND seen = 0";
        let mut statement = self.0.prepare(sql)?;
        Ok(statement.query_row([group.as_bytes()], |row| row.get(0).map(from_sql))?)
    }

    /// Notes that the messages of a group up to a number have been read.
    pub(crate) fn letters_read(&self, group: &GroupId, through: i64) -> Result<(), EngineError> {
        let sql = "UPDATE pmls_inbox SET seen = 1 WHERE group_id = ?1 AND id <= ?2";
        self.0.execute(sql, params![group.as_bytes(), through])?;
        Ok(())
    }
}

fn missed_in(group: &GroupId) -> String {
    format!("missed {group}")
}

fn letter(group: &GroupId, row: &Row<'_>) -> rusqlite::Result<Letter> {
    let (shown, device): (String, Option<String>) = (row.get("sender")?, row.get("device")?);
    let user: Option<String> = row.get("user")?;
    let unverified: Option<String> = row.get("unverified")?;
    // One that an earlier version has kept names its sender only for people.
    let user = user.or_else(|| unverified.is_none().then(|| shown.clone()));
    Ok(Letter {
        group: group.clone(),
        epoch: from_sql(row.get("epoch")?),
        position: from_sql(row.get("position")?),
        id: row.get("message_id")?,
        received_at: UNIX_EPOCH + Duration::from_secs(from_sql(row.get("received_at")?)),
        sender: Who { user, devices: device.into_iter().collect(), unverified, shown },
        content: row.get("message")?,
    })
}

#[cfg(test)]
mod tests;

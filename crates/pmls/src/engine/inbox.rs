//! What members have said.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use paired_mls_api::GroupId;
use rusqlite::{Row, params};
use serde::Serialize;

use super::{
    EngineError, Store, Who,
    store::{from_sql, seconds, to_sql},
};
use crate::output::escape;

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
    pub(super) fn keep_letter(&self, letter: &Letter) -> Result<(), EngineError> {
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

//! The table of what is to be sent.

use std::time::SystemTime;

use paired_mls_api::GroupId;
use rusqlite::{OptionalExtension as _, params};
use serde::Serialize;

use super::Item;
use crate::engine::{
    EngineError, Store,
    store::{from_sql, seconds},
};

/// How many requests that were refused are kept to be looked at; the oldest goes first.
const MAX_REFUSED: u32 = 100;

/// How many of the own last messages of a group are known again.
const MAX_SAID: u32 = 256;

/// A request that waits, or was refused, for people and scripts.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Waiting {
    /// Its number.
    pub(crate) id: i64,
    /// What it is.
    pub(crate) what: String,
    /// The group that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    /// `waiting`, `late` or `refused`.
    pub(crate) state: String,
    /// Since when, in seconds since 1970-01-01T00:00:00Z.
    pub(crate) since: u64,
    /// How often it was tried.
    pub(crate) tries: u32,
    /// Why it waits, or why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

impl Store<'_> {
    pub(in crate::engine) fn enqueue(
        &self,
        item: &Item,
        now: SystemTime,
    ) -> Result<i64, EngineError> {
        let sql = "INSERT INTO pmls_outbox (item, since) VALUES (?1, ?2)";
        self.0.execute(sql, params![serde_json::to_string(item)?, seconds(now)])?;
        Ok(self.0.last_insert_rowid())
    }

    /// What is to be sent, in its order.
    pub(in crate::engine) fn outbox(&self) -> Result<Vec<(i64, Item)>, EngineError> {
        let mut items = self.in_state("waiting")?;
        items.retain(|(_, item)| !matches!(item, Item::Merge(_)));
        Ok(items)
    }

    /// The same, with the commits that are on their way back.
    pub(super) fn outbox_with_merges(&self) -> Result<Vec<(i64, Item)>, EngineError> {
        self.in_state("waiting")
    }

    /// Messages of epochs that are over.
    pub(in crate::engine) fn late_items(&self) -> Result<Vec<(i64, Item)>, EngineError> {
        self.in_state("late")
    }

    fn in_state(&self, state: &str) -> Result<Vec<(i64, Item)>, EngineError> {
        let sql = "SELECT id, item FROM pmls_outbox WHERE state = ?1 ORDER BY id";
        let mut statement = self.0.prepare(sql)?;
        let rows = statement
            .query_map([state], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
        let mut items = Vec::new();
        for row in rows {
            let (id, item) = row?;
            items.push((id, serde_json::from_str(&item)?));
        }
        Ok(items)
    }

    /// Puts something else into the place of a request: it is to be sent.
    pub(in crate::engine) fn replace(&self, id: i64, item: &Item) -> Result<(), EngineError> {
        let sql = "UPDATE pmls_outbox SET item = ?2, state = 'waiting' WHERE id = ?1";
        self.0.execute(sql, params![id, serde_json::to_string(item)?])?;
        Ok(())
    }

    pub(in crate::engine) fn sent(&self, id: i64) -> Result<(), EngineError> {
        self.0.execute("DELETE FROM pmls_outbox WHERE id = ?1", [id])?;
        Ok(())
    }

    /// A request waits, and this is why. Returns how many do.
    pub(super) fn put_off(&self, id: i64, why: &str) -> Result<usize, EngineError> {
        let sql = "UPDATE pmls_outbox SET tries = tries + 1, why = ?2 WHERE id = ?1";
        self.0.execute(sql, params![id, why])?;
        Ok(self.outbox()?.len())
    }

    pub(in crate::engine) fn late(&self, id: i64) -> Result<(), EngineError> {
        let sql = "UPDATE pmls_outbox SET state = 'late', tries = tries + 1 WHERE id = ?1";
        self.0.execute(sql, [id])?;
        Ok(())
    }

    /// Keeps why a request was refused, and nothing of its content.
    pub(super) fn refuse(&self, id: i64, why: &str) -> Result<(), EngineError> {
        let sql = "SELECT item FROM pmls_outbox WHERE id = ?1";
        let item: Option<String> = self.0.query_row(sql, [id], |row| row.get(0)).optional()?;
        let Some(item) = item else { return Ok(()) };
        let item: Item = serde_json::from_str(&item)?;
        let kept = Kept { what: item.name(), group: item.group().cloned() };
        self.0.execute(
            "UPDATE pmls_outbox SET item = ?2, state = 'refused', tries = tries + 1, why = ?3
             WHERE id = ?1",
            params![id, serde_json::to_string(&kept)?, why],
        )?;
        self.0.execute(
            "DELETE FROM pmls_outbox WHERE state = 'refused' AND id NOT IN
             (SELECT id FROM pmls_outbox WHERE state = 'refused' ORDER BY id DESC LIMIT ?1)",
            [MAX_REFUSED],
        )?;
        Ok(())
    }

    /// Everything that waits or was refused.
    pub(crate) fn waiting(&self) -> Result<Vec<Waiting>, EngineError> {
        let mut statement = self
            .0
            .prepare("SELECT id, item, state, since, tries, why FROM pmls_outbox ORDER BY id")?;
        let rows = statement.query_map([], |row| {
            let waiting = Waiting {
                id: row.get(0)?,
                what: String::new(),
                group: None,
                state: row.get(2)?,
                since: from_sql(row.get(3)?),
                tries: row.get(4)?,
                why: row.get(5)?,
            };
            Ok((waiting, row.get::<_, String>(1)?))
        })?;
        let mut all = Vec::new();
        for row in rows {
            let (waiting, item) = row?;
            let Kept { what, group } = match waiting.state.as_str() {
                "refused" => serde_json::from_str(&item)?,
                _ => {
                    let item: Item = serde_json::from_str(&item)?;
                    Kept { what: item.name(), group: item.group().cloned() }
                }
            };
            let group = match group {
                Some(id) => Some(self.group(&id)?.map_or(id.to_string(), |row| row.name)),
                None => None,
            };
            all.push(Waiting { what, group, ..waiting });
        }
        Ok(all)
    }

    /// Forgets what was refused.
    pub(crate) fn forget_refused(&self) -> Result<usize, EngineError> {
        Ok(self.0.execute("DELETE FROM pmls_outbox WHERE state = 'refused'", [])?)
    }

    /// Remembers a message of this device's own, by which it is known again in the log.
    pub(in crate::engine) fn remember_said(
        &self,
        group: &GroupId,
        digest: &[u8],
    ) -> Result<(), EngineError> {
        let sql = "INSERT OR IGNORE INTO pmls_said (group_id, digest) VALUES (?1, ?2)";
        self.0.execute(sql, params![group.as_bytes(), digest])?;
        self.0.execute(
            "DELETE FROM pmls_said WHERE group_id = ?1 AND id NOT IN
             (SELECT id FROM pmls_said WHERE group_id = ?1 ORDER BY id DESC LIMIT ?2)",
            params![group.as_bytes(), MAX_SAID],
        )?;
        Ok(())
    }

    /// Whether this device remembers that it has made a message.
    pub(in crate::engine) fn has_said(
        &self,
        group: &GroupId,
        digest: &[u8],
    ) -> Result<bool, EngineError> {
        let sql = "SELECT 1 FROM pmls_said WHERE group_id = ?1 AND digest = ?2";
        Ok(self.0.prepare(sql)?.exists(params![group.as_bytes(), digest])?)
    }
}

/// What is kept of a request that was refused.
#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    what: String,
    group: Option<GroupId>,
}

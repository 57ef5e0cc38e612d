//! What a device remembers of how it is: when partners were healed, which groups cannot be followed and
//! why, when everything was fetched last.

use std::time::SystemTime;

use paired_mls::{
    Event,
    wire::{LeafNodeSource, MlsMessage},
};
use paired_mls_api::{GroupId, KeyPackageCount, KeyPackageUpload};
use rusqlite::{OptionalExtension as _, params};

use super::{
    EngineError, Store,
    store::{from_sql, seconds, to_sql},
};

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS pmls_healed (
    group_id BLOB NOT NULL,
    device   INTEGER NOT NULL,  -- of the pairing; -1 for a leaf that its devices share
    epoch    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    PRIMARY KEY (group_id, device)
) STRICT;
CREATE TABLE IF NOT EXISTS pmls_troubles (
    group_id BLOB PRIMARY KEY,
    position INTEGER,           -- the entry of the log that stands in the way
    why      TEXT NOT NULL,
    since    INTEGER NOT NULL
) STRICT;
";

/// The devices behind a shared leaf are healed together.
const SHARED_LEAF: i64 = -1;
const SYNCED: &str = "synced";
const ONCE: &str = "packages once";
const LAST_RESORT: &str = "packages of the last resort";
const COUNTED: &str = "packages counted";
const USED: &str = "welcome ";
const LOST_WELCOMES: &str = "welcomes lost";
const UNTIL: &str = "packages until";
const REVOKED: &str = "revoked";

/// When a device was healed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Healing {
    pub(super) epoch: u64,
    /// In seconds since 1970-01-01T00:00:00Z.
    pub(super) at: u64,
}

/// Why a group cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) position: Option<u64>,
    pub(super) why: String,
    /// In seconds since 1970-01-01T00:00:00Z.
    pub(super) since: u64,
}

/// The KeyPackages that the service had when it was asked last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) once: u64,
    pub(super) last_resort: u64,
    pub(super) at: u64,
    /// The end of the lifetime of those that were made last; zero if that is not known.
    pub(super) until: u64,
}

impl Store<'_> {
    /// Remembers whom a commit has healed.
    pub(super) fn note_healed(
        &self,
        group: &GroupId,
        epoch: u64,
        events: &[Event],
        now: SystemTime,
    ) -> Result<(), EngineError> {
        let mut healed = Vec::new();
        for event in events {
            match event {
                Event::Healed { devices, .. } if devices.is_empty() => healed.push(SHARED_LEAF),
                Event::Healed { by, devices, .. } => {
                    // The one who commits has new keys of its own.
                    healed.push(i64::from(by.0));
                    healed.extend(devices.iter().map(|device| i64::from(device.0)));
                }
                Event::LeafRenewed { device, .. } => healed.push(i64::from(device.0)),
                _ => {}
            }
        }
        for device in healed {
            let sql = "INSERT OR REPLACE INTO pmls_healed VALUES (?1, ?2, ?3, ?4)";
            let row = params![group.as_bytes(), device, to_sql(epoch), seconds(now)];
            self.0.execute(sql, row)?;
        }
        Ok(())
    }

    /// When a device of a pairing was healed last; `None` as the device for a shared leaf.
    pub(super) fn healed(
        &self,
        group: &GroupId,
        device: Option<u16>,
    ) -> Result<Option<Healing>, EngineError> {
        let device = device.map_or(SHARED_LEAF, i64::from);
        let sql = "SELECT epoch, at FROM pmls_healed WHERE group_id = ?1 AND device = ?2";
        let mut statement = self.0.prepare(sql)?;
        let healing = statement.query_row(params![group.as_bytes(), device], |row| {
            Ok(Healing { epoch: from_sql(row.get(0)?), at: from_sql(row.get(1)?) })
        });
        Ok(healing.optional()?)
    }

    /// Remembers that a group cannot be followed.
    pub(super) fn note_trouble(
        &self,
        group: &GroupId,
        error: &EngineError,
        now: SystemTime,
    ) -> Result<(), EngineError> {
        let position = match error {
            EngineError::Stuck { position, .. } => Some(to_sql(*position)),
            _ => None,
        };
        let sql = "INSERT INTO pmls_troubles VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (group_id) DO UPDATE SET position = ?2, why = ?3";
        let row = params![group.as_bytes(), position, error.to_string(), seconds(now)];
        self.0.execute(sql, row)?;
        Ok(())
    }

    /// A group can be followed.
    pub(super) fn no_trouble(&self, group: &GroupId) -> Result<(), EngineError> {
        let sql = "SELECT 1 FROM pmls_troubles WHERE group_id = ?1";
        if self.0.prepare_cached(sql)?.exists([group.as_bytes()])? {
            self.0.execute("DELETE FROM pmls_troubles WHERE group_id = ?1", [group.as_bytes()])?;
        }
        Ok(())
    }

    pub(super) fn trouble(&self, group: &GroupId) -> Result<Option<Trouble>, EngineError> {
        let sql = "SELECT position, why, since FROM pmls_troubles WHERE group_id = ?1";
        let mut statement = self.0.prepare(sql)?;
        let trouble = statement.query_row([group.as_bytes()], |row| {
            let position = row.get::<_, Option<i64>>(0)?.map(from_sql);
            Ok(Trouble { position, why: row.get(1)?, since: from_sql(row.get(2)?) })
        });
        Ok(trouble.optional()?)
    }

    /// Everything that the service had is fetched and processed.
    pub(super) fn note_synced(&self, now: SystemTime) -> Result<(), EngineError> {
        self.set_cursor(SYNCED, from_sql(seconds(now)))
    }

    /// Remembers what a sync has shown of whether this device was shut out: it failed, or there was nothing.
    pub(super) fn note_failure(
        &self,
        failure: Option<&EngineError>,
        now: SystemTime,
    ) -> Result<(), EngineError> {
        match failure {
            Some(EngineError::Client(error)) if error.is_revoked() => {
                self.set_cursor(REVOKED, from_sql(seconds(now)))
            }
            None if self.revoked()?.is_some() => self.set_cursor(REVOKED, 0),
            _ => Ok(()),
        }
    }

    /// When the service said last that this device was shut out, and nothing else since.
    pub(super) fn revoked(&self) -> Result<Option<u64>, EngineError> {
        Ok(Some(self.cursor(REVOKED)?).filter(|at| *at > 0))
    }

    /// When everything was fetched and processed last, in seconds since 1970-01-01T00:00:00Z.
    pub(super) fn synced(&self) -> Result<Option<u64>, EngineError> {
        Ok(Some(self.cursor(SYNCED)?).filter(|at| *at > 0))
    }

    /// What the service has said of this device's KeyPackages.
    pub(crate) fn note_counted(
        &self,
        counts: &[KeyPackageCount],
        suite: u16,
        now: SystemTime,
    ) -> Result<(), EngineError> {
        let count = counts.iter().find(|count| count.suite == suite);
        self.set_cursor(ONCE, count.map_or(0, |count| count.once))?;
        self.set_cursor(LAST_RESORT, count.map_or(0, |count| count.last_resort))?;
        self.set_cursor(COUNTED, from_sql(seconds(now)))
    }

    /// Until when the KeyPackages that were made last can be used.
    pub(crate) fn note_packages_end(&self, upload: &KeyPackageUpload) -> Result<(), EngineError> {
        let made = upload.key_packages.iter().chain(&upload.last_resort);
        let until = made.filter_map(|package| end_of(&package.0)).min();
        until.map_or(Ok(()), |until| self.set_cursor(UNTIL, until))
    }

    /// What the service has said of this device's KeyPackages does not hold any more.
    pub(super) fn forget_counted(&self) -> Result<(), EngineError> {
        self.set_cursor(COUNTED, 0)
    }

    pub(super) fn counted(&self) -> Result<Option<Counted>, EngineError> {
        let at = self.cursor(COUNTED)?;
        if at == 0 {
            return Ok(None);
        }
        Ok(Some(Counted {
            once: self.cursor(ONCE)?,
            last_resort: self.cursor(LAST_RESORT)?,
            at,
            until: self.cursor(UNTIL)?,
        }))
    }

    /// Remembers a Welcome that has let this device in.
    pub(super) fn note_welcome(&self, digest: &str) -> Result<(), EngineError> {
        self.mark(USED, digest).map(drop)
    }

    /// Whether a Welcome has let this device in.
    pub(super) fn used_welcome(&self, digest: &str) -> Result<bool, EngineError> {
        Ok(self.cursor(&format!("{USED}{digest}"))? > 0)
    }

    /// A Welcome was for a KeyPackage whose private keys are gone.
    pub(super) fn note_lost_welcome(&self) -> Result<(), EngineError> {
        self.set_cursor(LOST_WELCOMES, self.lost_welcomes()?.saturating_add(1))
    }

    /// How many Welcomes were so, since the last recovery.
    pub(super) fn lost_welcomes(&self) -> Result<u64, EngineError> {
        self.cursor(LOST_WELCOMES)
    }

    pub(super) fn no_lost_welcomes(&self) -> Result<(), EngineError> {
        self.set_cursor(LOST_WELCOMES, 0)
    }

    /// Forgets what was remembered of a group.
    pub(super) fn forget_health(&self, group: &GroupId) -> Result<(), EngineError> {
        self.0.execute("DELETE FROM pmls_healed WHERE group_id = ?1", [group.as_bytes()])?;
        self.0.execute("DELETE FROM pmls_troubles WHERE group_id = ?1", [group.as_bytes()])?;
        Ok(())
    }
}

/// The end of a KeyPackage's lifetime, in seconds since 1970-01-01T00:00:00Z.
fn end_of(package: &[u8]) -> Option<u64> {
    let Ok(MlsMessage::KeyPackage(package)) = MlsMessage::decode(package) else { return None };
    match package.leaf_node().source() {
        LeafNodeSource::KeyPackage(lifetime) => Some(lifetime.not_after()),
        _ => None,
    }
}

//! The one-way feed: what a beacon takes from the service's logs, and what a listener does with what it hears.
//!
//! A listener stores what it hears before it does anything with it, and follows each log in its order, as
//! [`Engine::catch_up`] does with what the service gives. It asks nobody, so a member that this device does not know
//! stays *not checked yet*, and it makes no commit, so nothing waits to be sent because of it.

use paired_mls::{Freshness, group::RefreshWelcome};
use paired_mls_api::{EntryKind, GroupId, LogChain, LogEntry};
use paired_mls_client::LogCursor;
use paired_mls_feed::{BeaconKey, LogObject, MailObject, Shelf, ShelfLimits, Start};
use rusqlite::{Row, params, types::Type};

use super::{
    Engine, EngineError, GroupRow, Happening, Report, Store,
    leaf::terms_of,
    log::{Next, stuck},
    store::{from_sql, to_sql},
};
use crate::session::DeviceKey;

/// How many entries are fetched at once.
const PAGE: u32 = 256;

/// What is kept of one log until what comes before it is heard.
const MAX_HEARD: u32 = 4096;
const HEARD_BYTES: u32 = 16 << 20;

/// How many Welcomes of leaf refreshes of a group are kept for the feed: as many as there are in a year and a half.
const MAX_REFRESHES: u32 = 8;

/// What a group waits for: an entry that was not heard yet, while a later one was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) group: String,
    pub(crate) position: u64,
}

impl Engine {
    /// The key that a beacon signs with.
    pub(crate) fn feed_key(&self) -> &DeviceKey {
        self.session.key()
    }

    /// The keys of the partners of this device: whose feeds it listens to.
    pub(crate) fn beacons(&self) -> Result<Vec<BeaconKey>, EngineError> {
        let (own, scheme) = (self.party(), self.scheme()?);
        let mut keys: Vec<BeaconKey> = Vec::new();
        for pairing in self.book().pairings()? {
            let state = self.book().load(pairing)?;
            let devices =
                terms_of(&state).map(|terms| terms.roster().devices()).unwrap_or_default();
            for device in devices.iter().filter(|device| device.party != own) {
                // A key of another scheme signs nothing here.
                let key = BeaconKey::new(scheme, &device.party.signature_key);
                if let Some(key) = key.ok().filter(|key| keys.iter().all(|k| k.id() != key.id())) {
                    keys.push(key);
                }
            }
        }
        Ok(keys)
    }

    /// The entries of a group's log after the cursor, as a feed carries them, and the cursor behind them.
    pub(crate) async fn log_objects(
        &self,
        group: &GroupId,
        cursor: LogCursor,
    ) -> Result<(Vec<LogObject>, LogCursor), EngineError> {
        let page = self.client()?.log(group, cursor, Some(PAGE)).await?;
        let (mut before, mut objects) = (page.chain, Vec::new());
        let mut position = page.after;
        for entry in page.entries {
            let chain = entry.chain;
            position = entry.position;
            // The client has checked the hashes; an entry of a later version of the service is longer.
            if let Ok(object) = LogObject::new(group.clone(), before, entry) {
                objects.push(object);
            }
            before = chain;
        }
        Ok((objects, LogCursor { position, chain: Some(before) }))
    }

    /// The Welcomes of the last leaf refreshes that a partner or this device has made in a group, for those who hear
    /// only: each for the device that it may be for, once its commit is in the log.
    pub(crate) fn refreshes(&self, row: &GroupRow) -> Result<Vec<MailObject>, EngineError> {
        let kept = self.store().refreshes(&row.id)?;
        if kept.is_empty() {
            return Ok(Vec::new());
        }
        let group = self.load(row)?;
        let (epoch, mut mail) = (group.epoch(), Vec::new());
        for (position, content) in kept {
            if RefreshWelcome::decode(&content).is_ok_and(|refresh| refresh.epoch <= epoch) {
                for (_, device) in self.partners(&group)? {
                    mail.push(MailObject { device, position, content: content.clone() });
                }
            }
        }
        Ok(mail)
    }

    /// Takes what was heard for this device's mailbox: the Welcomes of leaf refreshes. Everything else waits until the
    /// device can ask.
    pub(crate) fn hear_mail(
        &mut self,
        mail: &[MailObject],
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let own = self.session.profile().device.clone();
        for object in mail.iter().filter(|object| object.device == own) {
            let Ok(refresh) = RefreshWelcome::decode(&object.content) else { continue };
            match self.refresh_welcome(&refresh.group_id, &object.content) {
                Err(error) if error.is_local() => return Err(error),
                Err(error) if error.is_suspicious() => report.dropped(&error),
                Err(_) | Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Stores what was heard, as far as this device takes part in the group and has not read it.
    pub(crate) fn keep_heard(&self, objects: &[LogObject]) -> Result<(), EngineError> {
        let rows = self.store().groups()?;
        self.device().provider().transaction(|| {
            for object in objects {
                let row = rows.iter().find(|row| row.id == *object.group());
                if row.is_some_and(|row| {
                    row.state.takes_part() && object.entry().position > row.cursor
                }) {
                    self.store().keep_heard(object)?;
                }
            }
            self.store().bound_heard()
        })
    }

    /// Follows each log as far as it was heard without a gap.
    ///
    /// One group that cannot be followed does not keep the others from being: the error is returned at the end, with
    /// the gaps that the others wait over.
    pub(crate) fn follow_heard(
        &mut self,
        report: &mut Report,
    ) -> Result<(Vec<Waiting>, Option<EngineError>), EngineError> {
        let (mut waiting, mut stuck) = (Vec::new(), None);
        for row in self.store().groups()?.into_iter().filter(|row| row.state.takes_part()) {
            match self.follow_heard_in(&row, report) {
                Ok(gap) => waiting.extend(gap),
                Err(error) if error.is_local() => return Err(error),
                Err(error) => stuck = Some(error),
            }
        }
        Ok((waiting, stuck))
    }

    fn follow_heard_in(
        &mut self,
        row: &GroupRow,
        report: &mut Report,
    ) -> Result<Option<Waiting>, EngineError> {
        let heard = self.store().heard(&row.id)?;
        if heard.is_empty() {
            return Ok(None);
        }
        let mut group = self.load(row)?;
        if group.check_vault()? == Freshness::VaultIsOlder {
            report.add(Happening::OlderVault { group: row.name.clone() });
        }
        let mut shelf = Shelf::new(ShelfLimits::default());
        let cursor = self.store().log_cursor(row)?;
        let start = match (cursor.position, cursor.chain) {
            (position, Some(chain)) => Start::After(position, chain),
            // It came in by a Welcome, which does not say where in the log that is.
            (0, None) => Start::Epoch(group.epoch()),
            (position, None) => Start::AfterAny(position),
        };
        shelf.read(row.id.clone(), start);
        for object in heard {
            shelf.put(object);
        }
        while let Some(entry) = shelf.take_of(&row.id) {
            let next = self
                .follow(&mut group, &entry, report)
                .map_err(|error| stuck(&group, &entry, error))?;
            self.store().read_through(&row.id, entry.position, &entry.chain)?;
            self.store().forget_heard(&row.id, entry.position)?;
            if matches!(next, Next::Stop) {
                return Ok(None);
            }
        }
        for other in shelf.other_histories() {
            self.store().forget_heard(&row.id, other.position)?;
            let (group, position) = (row.name.clone(), other.position);
            report.add(Happening::OtherLog { group, position });
        }
        let gap = shelf.gap(&row.id).map(|(position, _)| position);
        Ok(gap.map(|position| Waiting { group: row.name.clone(), position }))
    }
}

impl Store<'_> {
    /// Keeps the Welcome of a leaf refresh for the feed, and of each group the newest ones.
    pub(super) fn keep_refresh(&self, group: &GroupId, message: &[u8]) -> Result<(), EngineError> {
        let sql = "INSERT OR IGNORE INTO pmls_refreshes (group_id, message) VALUES (?1, ?2)";
        self.0.execute(sql, params![group.as_bytes(), message])?;
        let sql = "DELETE FROM pmls_refreshes WHERE group_id = ?1 AND id NOT IN
                   (SELECT id FROM pmls_refreshes WHERE group_id = ?1 ORDER BY id DESC LIMIT ?2)";
        self.0.execute(sql, params![group.as_bytes(), MAX_REFRESHES])?;
        Ok(())
    }

    fn refreshes(&self, group: &GroupId) -> Result<Vec<(u64, Vec<u8>)>, EngineError> {
        let sql = "SELECT id, message FROM pmls_refreshes WHERE group_id = ?1 ORDER BY id";
        let mut statement = self.0.prepare(sql)?;
        let rows = statement
            .query_map([group.as_bytes()], |row| Ok((from_sql(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn keep_heard(&self, object: &LogObject) -> Result<(), EngineError> {
        let entry = object.entry();
        self.0.execute(
            "INSERT OR IGNORE INTO pmls_heard
             (group_id, position, epoch, kind, message, before, chain)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                object.group().as_bytes(),
                to_sql(entry.position),
                to_sql(entry.epoch),
                entry.kind.name(),
                entry.message.0,
                object.before().as_bytes(),
                entry.chain.as_bytes(),
            ],
        )?;
        Ok(())
    }

    /// Drops what is furthest away in a log of which too much waits: the carousel brings it again.
    fn bound_heard(&self) -> Result<(), EngineError> {
        let sql = "DELETE FROM pmls_heard WHERE rowid IN (SELECT rowid FROM (
                       SELECT rowid, row_number() OVER log AS count,
                              sum(length(message)) OVER log AS bytes
                       FROM pmls_heard
                       WINDOW log AS (PARTITION BY group_id ORDER BY position, chain))
                   WHERE count > ?1 OR bytes > ?2)";
        self.0.execute(sql, [MAX_HEARD, HEARD_BYTES])?;
        Ok(())
    }

    fn heard(&self, group: &GroupId) -> Result<Vec<LogObject>, EngineError> {
        let sql = "SELECT * FROM pmls_heard WHERE group_id = ?1 ORDER BY position";
        let mut statement = self.0.prepare(sql)?;
        let rows = statement.query_map([group.as_bytes()], |row| heard(group, row))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn forget_heard(&self, group: &GroupId, through: u64) -> Result<(), EngineError> {
        let sql = "DELETE FROM pmls_heard WHERE group_id = ?1 AND position <= ?2";
        self.0.execute(sql, params![group.as_bytes(), to_sql(through)])?;
        Ok(())
    }
}

fn heard(group: &GroupId, row: &Row<'_>) -> rusqlite::Result<LogObject> {
    let damaged =
        |column: &str| rusqlite::Error::InvalidColumnType(0, column.to_owned(), Type::Blob);
    let hash = |column: &str| {
        let bytes: Vec<u8> = row.get(column)?;
        LogChain::from_bytes(&bytes).ok_or_else(|| damaged(column))
    };
    let kinds = [EntryKind::Commit, EntryKind::Proposal, EntryKind::Application];
    let name: String = row.get("kind")?;
    let kind = kinds.into_iter().find(|kind| kind.name() == name);
    let message: Vec<u8> = row.get("message")?;
    let entry = LogEntry {
        position: from_sql(row.get("position")?),
        epoch: from_sql(row.get("epoch")?),
        kind: kind.ok_or_else(|| damaged("kind"))?,
        message: message.into(),
        chain: hash("chain")?,
    };
    LogObject::new(group.clone(), hash("before")?, entry).map_err(|_| damaged("message"))
}

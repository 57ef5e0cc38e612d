//! The service is restored from a backup: it begins a new incarnation, and whatever was read there is of before.
//!
//! ```text
//! each request names the incarnation that this device knows
//!     ├─ it is that one ─► nothing
//!     └─ it is another ──► refused, before anything is written
//!                          the groups of this device stand still, one by one   nothing is read or sent there
//!                          `pmls group rejoin` of each                         goes on from what the service has
//! ```

use paired_mls_api::{GroupId, ProblemKind};
use rusqlite::OptionalExtension as _;

use super::{Engine, EngineError, Happening, Report, Store, item::Item};

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS pmls_service (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    incarnation TEXT NOT NULL   -- of the service, as this device knows it
) STRICT;
CREATE TABLE IF NOT EXISTS pmls_standing_still (
    group_id BLOB PRIMARY KEY   -- read in an earlier incarnation
) STRICT;
";

impl Store<'_> {
    /// The incarnation of the service that this device knows; nothing before it has heard of one.
    pub(super) fn incarnation(&self) -> Result<Option<String>, EngineError> {
        let mut statement = self.0.prepare_cached("SELECT incarnation FROM pmls_service")?;
        Ok(statement.query_row([], |row| row.get(0)).optional()?)
    }

    fn set_incarnation(&self, incarnation: &str) -> Result<(), EngineError> {
        self.0.execute("INSERT OR REPLACE INTO pmls_service VALUES (1, ?1)", [incarnation])?;
        Ok(())
    }

    /// Whether a group was read in an earlier incarnation of the service, and not come back into since.
    pub(super) fn stands_still(&self, group: &GroupId) -> Result<bool, EngineError> {
        let sql = "SELECT 1 FROM pmls_standing_still WHERE group_id = ?1";
        Ok(self.0.prepare_cached(sql)?.exists([group.as_bytes()])?)
    }

    fn stand_still(&self, group: &GroupId) -> Result<(), EngineError> {
        let sql = "INSERT OR IGNORE INTO pmls_standing_still VALUES (?1)";
        self.0.execute(sql, [group.as_bytes()])?;
        Ok(())
    }

    /// A group goes on from what the service has now.
    pub(super) fn goes_on(&self, group: &GroupId) -> Result<(), EngineError> {
        let sql = "DELETE FROM pmls_standing_still WHERE group_id = ?1";
        self.0.execute(sql, [group.as_bytes()])?;
        Ok(())
    }
}

impl Engine {
    /// The service has said that it was restored: all groups of this device stand still. KeyPackages went with the
    /// restore, so they are counted again.
    pub(super) fn restored(&self, report: &mut Report) -> Result<(), EngineError> {
        let client = self.client()?;
        let Some(new) = client.incarnation() else { return Ok(()) };
        let created =
            |item: &Item, id: &GroupId| matches!(item, Item::Group(new) if new.group == *id);
        self.device().provider().transaction(|| {
            let outbox = self.store().outbox()?;
            for row in self.store().groups()?.into_iter().filter(|row| row.state.takes_part()) {
                // One that the service has never had is created there still.
                if !outbox.iter().any(|(_, item)| created(item, &row.id)) {
                    self.store().stand_still(&row.id)?;
                }
            }
            self.store().forget_counted()?;
            self.store().set_incarnation(&new)
        })?;
        client.know_incarnation(&new);
        report.add(Happening::ServiceRestored);
        Ok(())
    }

    /// Keeps the incarnation of the service, when it is heard of for the first time.
    pub(super) fn hear_incarnation(&self) -> Result<(), EngineError> {
        let client = self.client()?;
        if client.known_incarnation().is_some() {
            return Ok(());
        }
        if let Some(heard) = client.incarnation() {
            self.store().set_incarnation(&heard)?;
            client.know_incarnation(&heard);
        }
        Ok(())
    }
}

/// Whether the service has refused something since it was restored.
pub(super) fn is_restored<T>(done: &Result<T, EngineError>) -> bool {
    let Err(EngineError::Client(error)) = done else { return false };
    error.problem() == Some(ProblemKind::OtherIncarnation)
}

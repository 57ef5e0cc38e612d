//! What members can do about a group's state at the service: its roster, and the GroupInfo by which others come in.

use paired_mls_api::{ProblemKind, UserId};

use super::{Engine, EngineError, Happening, Report};

impl Engine {
    /// Puts accounts back on the roster that were removed; this one if none is named. Returns who was asked for, and who
    /// of them is back: the others were there.
    pub(crate) async fn put_back(
        &mut self,
        name: &str,
        users: &[UserId],
    ) -> Result<(Vec<UserId>, Vec<UserId>), EngineError> {
        let row = self.find(name)?;
        let users = match users {
            [] => vec![self.session.profile().user.clone()],
            users => users.to_vec(),
        };
        let done = self.client()?.put_back(&row.id, &users).await;
        let done = done.map_err(|source| match source.problem() {
            Some(ProblemKind::NotFound) => EngineError::NeverListed { group: row.name, source },
            Some(ProblemKind::Forbidden) => EngineError::NotPutBack { group: row.name, source },
            _ => source.into(),
        })?;
        Ok((users, done.put_back))
    }

    /// Publishes the GroupInfo of the epoch that the group is in.
    pub(crate) async fn publish_group_info(
        &mut self,
        name: &str,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        self.sync_mailbox(report).await?;
        let row = self.find(name)?;
        // Also of one that stands still: others may need it to come back.
        self.read_log(&row, report).await?;
        let mut group = self.group(name)?;
        let info = group.group_info()?;
        self.client()?.publish_group_info(&row.id, &info).await?;
        report.add(Happening::InfoPublished { group: row.name, epoch: group.epoch() });
        Ok(())
    }
}

//! Coming back into a group from outside, by an external commit.
//!
//! ```text
//! group rejoin ─► rejoining ─┬─ accepted ─► active        the new state is used from here on
//!                            ├─ lost ─────► rejoining     made again, at the next sync at the latest
//!                            └─ refused ──► gone
//! ```
//!
//! While a group is `rejoining`, nothing is sent into it and nothing is read from it: whether the service
//! has accepted the commit is not known before its answer is there, and the answer may come days later.

use paired_mls_api::{GroupId, RosterChange};
use paired_mls_openmls::{Group as MlsPaired, Rejoin};

use super::{
    Engine, EngineError, GroupRow, Happening, Membership, Report,
    commit::ATTEMPTS,
    group::join_config,
    item::{Item, State},
    log::header_of,
    outbox::Fate,
};

/// An external commit that the service has accepted.
pub(super) struct Rejoined<'a> {
    pub(super) commit: &'a [u8],
    /// The GroupInfo that it comes from.
    pub(super) info: &'a [u8],
    /// The state that it leads to, of a leaf of the device's own.
    pub(super) state: Option<&'a [u8]>,
}

impl Engine {
    /// Comes back into a group from outside.
    pub(crate) async fn rejoin(
        &mut self,
        name: &str,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        self.sync_mailbox(report).await?;
        let row = self.find(name)?;
        if row.state == Membership::Rejoining && self.is_rejoin_underway(&row.id)? {
            // Its answer is still to come, and `flush` has just asked for it.
            return Err(EngineError::Rejoining(row.name));
        }
        if row.state == Membership::Active && self.came_back_now(&row.id, report) {
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            match self.rejoin_once(&row, report).await? {
                Some(Fate::Taken { .. }) => {
                    let row = self.find(name)?;
                    self.catch_up(&row, report).await?;
                    self.renew_late(report)?;
                    return self.flush(report).await.map(drop);
                }
                Some(Fate::Refused(refused)) => {
                    return Err(EngineError::Refused(Box::new(refused)));
                }
                _ => {}
            }
        }
        Err(EngineError::AlwaysLost(ATTEMPTS))
    }

    /// Makes again what another commit has won against.
    pub(super) async fn rejoin_again(&mut self, report: &mut Report) -> Result<(), EngineError> {
        let mut failed = None;
        for row in self.store().groups()? {
            if row.state != Membership::Rejoining || self.is_rejoin_underway(&row.id)? {
                continue;
            }
            match self.rejoin_once(&row, report).await {
                // One that cannot be come back into stops no other.
                Err(error) if error.is_of_one_group() => failed = Some(error),
                done => done.map(drop)?,
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn rejoin_once(
        &mut self,
        row: &GroupRow,
        report: &mut Report,
    ) -> Result<Option<Fate>, EngineError> {
        let info = self.client()?.group_info(&row.id).await?;
        let info = info.ok_or_else(|| EngineError::NoGroupInfo(row.name.clone()))?;
        let rejoin = MlsPaired::rejoin(&self.device_in(row)?, &info, &join_config())?;
        let id = self.device().provider().transaction(|| self.queue_rejoin(row, &rejoin, &info))?;
        let sent = self.flush(report).await?;
        Ok(sent.of(id).cloned())
    }

    fn queue_rejoin(
        &self,
        row: &GroupRow,
        rejoin: &Rejoin,
        info: &[u8],
    ) -> Result<i64, EngineError> {
        let outgoing = rejoin.outgoing().clone();
        let publish = self.publication(outgoing, Vec::new(), RosterChange::default())?;
        self.store().set_membership(&row.id, Membership::Rejoining)?;
        let (group, info) = (row.id.clone(), info.to_vec().into());
        let state = rejoin.state().map(|state| State(state.expose().to_vec().into()));
        self.enqueue(&Item::Rejoin { group, publish: Box::new(publish), info, state })
    }

    fn is_rejoin_underway(&self, id: &GroupId) -> Result<bool, EngineError> {
        let outbox = self.store().outbox()?;
        Ok(outbox.iter().any(|(_, item)| matches!(item, Item::Rejoin { group, .. } if group == id)))
    }

    /// Whether what was sent before this command has brought this device back.
    fn came_back_now(&self, id: &GroupId, report: &Report) -> bool {
        let id = id.to_string();
        let back =
            |event: &Happening| matches!(event, Happening::Rejoined { id: of, .. } if *of == id);
        report.events.iter().any(back)
    }

    /// The service has accepted the commit from outside, and put it at this position of the log, which is
    /// read from there on.
    pub(super) fn came_back(
        &self,
        id: &GroupId,
        position: u64,
        rejoined: &Rejoined<'_>,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let Some(row) = self.store().group(id)? else { return Ok(()) };
        let &Rejoined { commit, info, state } = rejoined;
        // Otherwise the process died after this, and it is asked for the second time.
        if row.state == Membership::Rejoining {
            match MlsPaired::enter(&self.device_in(&row)?, info, commit, state, &join_config()) {
                Ok(_) => {}
                // A shared leaf is entered already, or the commit is of a time when it was merged at once.
                Err(_) if self.is_beyond(&row, commit) => {}
                Err(error) => {
                    let error = EngineError::from(error);
                    if error.is_local() {
                        return Err(error);
                    }
                    // It stays out, and the next sync makes another one.
                    report.dropped(&error);
                    return Ok(());
                }
            }
        }
        let epoch = self.load(&row)?.epoch();
        self.store().back_since(id, epoch, position)?;
        self.store().no_trouble(id)?;
        self.make_waiting_anew(id)?;
        report.add(Happening::Rejoined { group: row.name, id: id.to_string(), epoch });
        Ok(())
    }

    /// What waits of before: a message is made again, and a commit was of an epoch that this device has left.
    fn make_waiting_anew(&self, id: &GroupId) -> Result<(), EngineError> {
        for (number, item) in self.store().outbox()? {
            match item {
                Item::Message { group, .. } if group == *id => self.store().late(number)?,
                Item::Commit { group, .. } if group == *id => self.store().sent(number)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether this device is in the epoch that a commit begins, or in a later one.
    fn is_beyond(&self, row: &GroupRow, commit: &[u8]) -> bool {
        let ended = header_of(commit).map(|(_, epoch)| epoch);
        let now = self.load(row).map(|group| group.epoch());
        matches!((ended, now), (Some(ended), Ok(now)) if now > ended)
    }

    /// The service has refused the commit from outside for good. The old state, if there is one, goes on.
    pub(super) fn stay_out(&self, id: &GroupId) -> Result<(), EngineError> {
        let Some(row) = self.store().group(id)? else { return Ok(()) };
        let still_in = self.load(&row).is_ok_and(|group| group.mls().is_active());
        let state = if still_in { Membership::Active } else { Membership::Gone };
        self.store().set_membership(id, state)
    }
}

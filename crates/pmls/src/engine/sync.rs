//! Everything that waits for this device, in its order: what it still has to send, its mailbox, and the
//! log of each group.

use super::{Engine, EngineError, GroupRow, Report, mailbox::Came};

/// How often a sync goes round because something came of what it has found.
const ROUNDS: usize = 4;

impl Engine {
    /// Catches up with everything.
    ///
    /// One group that cannot be followed does not keep the others from being: the error is returned at the
    /// end.
    pub(crate) async fn sync(&mut self, report: &mut Report) -> Result<(), EngineError> {
        let done = self.sync_all(report).await;
        self.store().note_failure(done.as_ref().err(), self.now())?;
        done
    }

    async fn sync_all(&mut self, report: &mut Report) -> Result<(), EngineError> {
        self.sync_mailbox(report).await?;
        let mut stuck = None;
        for _ in 0..ROUNDS {
            stuck = self.catch_up_with_all(report).await?;
            let came = self.open_kept(report).await?;
            if stuck.is_none() {
                self.tidy_up_pairings(report)?;
            }
            self.settle_pairings(report)?;
            self.renew_late(report)?;
            // A commit of this device, made to heal at once: it is in the log now, or another one.
            if !self.flush(report).await?.moved_a_log() && came == Came::Nowhere {
                break;
            }
        }
        self.forget_old_unused(report)?;
        self.empty_anchor_mailboxes().await?;
        self.replenish(report).await?;
        self.provide(report).await?;
        self.tell_provisions(report)?;
        match stuck {
            Some(error) => Err(error),
            None => self.store().note_synced(self.now()),
        }
    }

    async fn catch_up_with_all(
        &mut self,
        report: &mut Report,
    ) -> Result<Option<EngineError>, EngineError> {
        let mut stuck = match self.rejoin_again(report).await {
            Err(error) if error.is_of_one_group() => Some(error),
            done => done.map(|()| None)?,
        };
        let rows = self.store().groups()?;
        let mut followed = Vec::new();
        for row in rows.into_iter().filter(|row| row.state.takes_part()) {
            match self.catch_up(&row, report).await {
                Ok(()) => followed.push(row),
                Err(error) => self.stuck_in(&row, error, &mut stuck)?,
            }
        }
        // All logs are read first: one of them may say that the vault is an older copy.
        for row in followed {
            match self.heal_if_due(&row, report) {
                Ok(()) => self.store().no_trouble(&row.id)?,
                Err(error) => self.stuck_in(&row, error, &mut stuck)?,
            }
        }
        Ok(stuck)
    }

    /// What is wrong with one group is noted, and does not keep the others from going on.
    fn stuck_in(
        &self,
        row: &GroupRow,
        error: EngineError,
        stuck: &mut Option<EngineError>,
    ) -> Result<(), EngineError> {
        if !error.is_of_one_group() {
            return Err(error);
        }
        self.store().note_trouble(&row.id, &error, self.now())?;
        *stuck = Some(error);
        Ok(())
    }
}

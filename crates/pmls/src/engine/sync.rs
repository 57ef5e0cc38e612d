//! Everything that waits for this device, in its order: what it still has to send, its mailbox, and the
//! log of each group.

use super::{Engine, EngineError, Report, mailbox::Came};

/// How often a sync goes round because something came of what it has found.
const ROUNDS: usize = 4;

impl Engine {
    /// Catches up with everything.
    ///
    /// One group that cannot be followed does not keep the others from being: the error is returned at the
    /// end.
    pub(crate) async fn sync(&mut self, report: &mut Report) -> Result<(), EngineError> {
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
        self.empty_anchor_mailboxes().await?;
        self.replenish(report).await?;
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
        for row in self.store().groups()? {
            if !row.state.takes_part() {
                continue;
            }
            let caught_up = match self.catch_up(&row, report).await {
                Ok(()) => self.heal_if_due(&row, report),
                failed => failed,
            };
            match caught_up {
                Err(error) if error.is_of_one_group() => {
                    self.store().note_trouble(&row.id, &error, self.now())?;
                    stuck = Some(error);
                }
                done => {
                    done?;
                    self.store().no_trouble(&row.id)?;
                }
            }
        }
        Ok(stuck)
    }
}

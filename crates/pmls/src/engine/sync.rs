//! Everything that waits for this device, in its order: what it still has to send, its mailbox, and the
//! log of each group.

use super::{Engine, EngineError, Membership, Report};

impl Engine {
    /// Catches up with everything.
    ///
    /// One group that cannot be followed does not keep the others from being: it is reported, and the
    /// error is returned at the end.
    pub(crate) async fn sync(&mut self, report: &mut Report) -> Result<(), EngineError> {
        self.sync_mailbox(report).await?;
        let mut stuck = None;
        for row in self.store().groups()? {
            if row.state == Membership::Gone {
                continue;
            }
            match self.catch_up(&row, report).await {
                Err(error @ EngineError::Stuck { .. }) => stuck = Some(error),
                done => done?,
            }
        }
        self.settle_pairings(report)?;
        self.flush(report).await?;
        self.empty_anchor_mailboxes().await?;
        match stuck {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

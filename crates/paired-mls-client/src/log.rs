//! Where a log was read up to, and whether it is still the same one.

use paired_mls_api::{GroupId, LogChain, LogEntry, LogPage, ProblemKind};

use crate::ClientError;

/// Where a log was read up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCursor {
    /// The position of the last entry that was read; 0 for none.
    pub position: u64,
    /// The hash of the log up to there, as it was then. Without one nobody notices that it is another log.
    pub chain: Option<LogChain>,
}

impl From<u64> for LogCursor {
    fn from(position: u64) -> Self {
        Self { position, chain: None }
    }
}

impl LogCursor {
    /// Behind this entry, which follows the cursor.
    ///
    /// # Errors
    ///
    /// [`ClientError::OtherHistory`] if it has another log before it.
    pub(crate) fn step(self, entry: &LogEntry) -> Result<Self, ClientError> {
        let expected = self.chain.map(|chain| chain.and_entry(entry));
        if expected.is_some_and(|chain| chain != entry.chain) {
            return Err(ClientError::OtherHistory { after: self.position, head: None });
        }
        Ok(Self { position: entry.position, chain: Some(entry.chain) })
    }

    /// Checks that a page goes on from here, without a gap. A reader that has read nothing takes the log from
    /// where the service lets it begin.
    pub(crate) fn check(self, group: &GroupId, page: &LogPage) -> Result<(), ClientError> {
        if self.position > 0 && page.after != self.position {
            return Err(ClientError::Gap { after: self.position, found: page.after });
        }
        let known = match page.after {
            0 => Some(LogChain::start(group)),
            _ => self.chain,
        };
        if known.is_some_and(|chain| chain != page.chain) {
            return Err(ClientError::OtherHistory { after: page.after, head: Some(page.head) });
        }
        let mut cursor = Self { position: page.after, chain: Some(page.chain) };
        for entry in &page.entries {
            if entry.position != cursor.position.saturating_add(1) {
                let (after, found) = (cursor.position, entry.position);
                return Err(ClientError::Gap { after, found });
            }
            cursor = cursor.step(entry)?;
        }
        Ok(())
    }

    /// What an error says of a log that was read up to here.
    pub(crate) fn explain(self, error: ClientError) -> ClientError {
        let ClientError::Refused(problem) = error else { return error };
        let after = self.position;
        match (problem.known_kind(), problem.pruned_through) {
            (Some(ProblemKind::Beyond), _) => {
                ClientError::OtherHistory { after, head: problem.head }
            }
            (Some(ProblemKind::Pruned), Some(through)) => ClientError::Pruned { after, through },
            _ => ClientError::Refused(problem),
        }
    }
}

//! The log of a group.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Base64Url, EntryKind, LogChain};

/// An entry of a group's log: all that the service keeps of a message. It does not say who sent it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogEntry {
    /// Its position: 1 for the first, and no gaps. It is the cursor of every way to read the log.
    pub position: u64,
    /// The epoch in which it was sent.
    pub epoch: u64,
    /// What it is.
    pub kind: EntryKind,
    /// The `MLSMessage`.
    pub message: Base64Url,
    /// The hash of the log up to this entry, and with it.
    pub chain: LogChain,
}

/// A part of a group's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogPage {
    /// The position that the page begins after: the cursor, or a later one for an account whose part of the
    /// log begins there.
    pub after: u64,
    /// The hash of the log up to that position. A reader that has another one has read another log.
    pub chain: LogChain,
    /// The entries after the cursor, in their order.
    pub entries: Vec<LogEntry>,
    /// The position of the last entry of the log that the reader may see. There is more to fetch while
    /// it is beyond the last entry of the page.
    pub head: u64,
}

impl LogChain {
    /// After this entry, as its reader finds by itself.
    #[must_use]
    pub fn and_entry(self, entry: &LogEntry) -> Self {
        let message = Sha256::digest(&entry.message.0).into();
        self.and(entry.position, entry.epoch, entry.kind, &message)
    }
}

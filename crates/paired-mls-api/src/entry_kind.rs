//! What an entry of a log is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an entry of a log is, as its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    /// A commit: it ends the epoch.
    Commit,
    /// A proposal for a commit of its epoch.
    Proposal,
    /// An application message.
    Application,
}

impl EntryKind {
    /// The name in JSON, and of the Server-Sent Event.
    pub fn name(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Proposal => "proposal",
            Self::Application => "application",
        }
    }
}

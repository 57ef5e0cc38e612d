//! What became of a request.

use std::collections::BTreeMap;

use paired_mls_api::ProblemKind;
use paired_mls_client::ClientError;

use super::Refused;
use crate::engine::{
    EngineError,
    item::{Again, Item},
};

/// What became of a request.
#[derive(Clone, Debug)]
pub(in crate::engine) enum Fate {
    /// The service has it.
    Taken {
        /// Where it is in the log of its group, if it is in one.
        position: Option<u64>,
    },
    /// A commit: another one has won its epoch.
    Lost,
    /// A message of an epoch that is over: it is to be made again.
    Late,
    /// The service has no room for it now, and says why; it waits here.
    Full(String),
    /// The service refuses it for good; what it was made with is undone.
    Refused(Refused),
}

/// What became of each request of a [`flush`](super::Engine::flush), by its number.
#[derive(Debug, Default)]
pub(in crate::engine) struct Sent(BTreeMap<i64, Fate>);

impl Fate {
    /// What an error of the service says of a request; the error itself if it says nothing of it, but of
    /// the network, the service or this device.
    pub(super) fn of(item: &Item, error: EngineError) -> Result<Self, EngineError> {
        let EngineError::Client(ClientError::Refused(problem)) = error else { return Err(error) };
        match (problem.known_kind(), item) {
            (Some(ProblemKind::TooFast), _) => Err(ClientError::Refused(problem).into()),
            // The device or its request, whatever it asks for.
            (
                Some(
                    ProblemKind::Unsigned
                    | ProblemKind::NotFresh
                    | ProblemKind::Replayed
                    | ProblemKind::UnknownDevice
                    | ProblemKind::OtherIncarnation
                    | ProblemKind::Unavailable,
                ),
                _,
            ) => Err(ClientError::Refused(problem).into()),
            (Some(ProblemKind::WrongEpoch), Item::Message { again: Some(_), .. }) => Ok(Self::Late),
            // A mailbox is emptied in time. A person can send a message again, and a commit that waits
            // would hold up the group.
            (Some(ProblemKind::Full), Item::Letter { .. } | Item::Withdraw) => {
                Ok(Self::Full(problem.to_string()))
            }
            (_, item) => Ok(Self::Refused(Refused::new(item, problem))),
        }
    }
}

impl Sent {
    pub(super) fn note(&mut self, id: i64, fate: Fate) {
        self.0.insert(id, fate);
    }

    /// What became of one of them; `None` if it was not among them.
    pub(in crate::engine) fn of(&self, id: i64) -> Option<&Fate> {
        self.0.get(&id)
    }

    /// Whether something has changed in the log of a group.
    pub(in crate::engine) fn moved_a_log(&self) -> bool {
        let moves = |fate: &Fate| {
            matches!(fate, Fate::Taken { position: Some(_) } | Fate::Lost | Fate::Late)
        };
        self.0.values().any(moves)
    }
}

impl Again {
    /// What the application said.
    pub(in crate::engine) fn content(&self) -> Option<&[u8]> {
        match self {
            Self::Say(content) => Some(&content.0),
            Self::Leave => None,
        }
    }
}

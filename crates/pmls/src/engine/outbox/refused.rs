//! A request that the service has looked at and refuses, so that it would again.

use paired_mls_api::{Problem, ProblemKind};
use thiserror::Error;

use crate::engine::item::Item;

/// The service has refused a request for good.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the service refuses {what}: {problem}; {}", self.next_step())]
pub(crate) struct Refused {
    what: String,
    problem: Box<Problem>,
}

impl Refused {
    pub(super) fn new(item: &Item, problem: Box<Problem>) -> Self {
        Self { what: item.name(), problem }
    }

    /// What a person can do.
    fn next_step(&self) -> &'static str {
        match self.problem.known_kind() {
            Some(ProblemKind::TooLarge) => "nobody gets it: send less at once",
            Some(ProblemKind::Forbidden | ProblemKind::NotFound) => {
                "this account is not on the list of the group any more: `pmls group put-back` puts it back if \
                 it was taken off against the members' will; else ask a member to add it, or use `pmls group \
                 rejoin`"
            }
            Some(ProblemKind::NoGroupInfo) => {
                "ask a member to run `pmls group publish-info` for the group, then try again"
            }
            Some(ProblemKind::UnknownRecipient) => {
                "the device was revoked or never registered: `pmls device list USER` shows those that are"
            }
            Some(ProblemKind::TooManyProposals) => {
                "`pmls update` commits in the group, which ends those that wait there; then try again"
            }
            Some(ProblemKind::Full) => {
                "try again later, or ask the service's operator for more room"
            }
            Some(ProblemKind::Exists | ProblemKind::Conflict) => {
                "something else has its place already: `pmls sync` fetches that"
            }
            _ => {
                "nothing of it has taken effect; `pmls sync` fetches what has changed, then try again"
            }
        }
    }
}

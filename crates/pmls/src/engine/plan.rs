//! Where the devices of a pairing stand in a group, or would stand if they were added now, and how they
//! would come together.

use std::fmt;

use paired_mls::{
    anchor::{LeafIndex, PlacementError, PlannedAdd, relocate, siblings_now},
    pairing::PairingDevice,
};
use paired_mls_openmls::ratchet_tree;
use serde::Serialize;

use super::{Engine, EngineError};
use crate::output::printable;

/// What is to be done so that the devices have an anchor to themselves.
#[derive(Debug, Serialize)]
#[serde(tag = "plan", rename_all = "kebab-case")]
pub(crate) enum PlanView {
    /// Nothing: they have one.
    Together,
    /// Add these; they land among themselves.
    Add { users: Vec<String>, leaves: Vec<u32> },
    /// Not now: added, they would have these members between them.
    Wait { users: Vec<String>, strangers: Vec<String> },
    /// Move them, by so many commits.
    Move { commits: Vec<CommitView> },
}

/// One commit of a plan.
#[derive(Debug, Serialize)]
pub(crate) struct CommitView {
    /// Who is added, in this order; a filler only takes a leaf, and goes again.
    adds: Vec<String>,
    removes: Vec<String>,
}

impl Engine {
    /// Plans how the devices of a pairing come under an anchor of their own in a group.
    pub(crate) fn plan(&self, name: &str, pairing: &str) -> Result<PlanView, EngineError> {
        let group = self.group(name)?;
        let terms = self.terms(self.find_pairing(pairing)?)?;
        let devices = terms.roster().devices();
        let seat = |device: &PairingDevice| {
            let mut members = group.mls().members();
            let member =
                members.find(|member| member.signature_key == device.party.signature_key)?;
            LeafIndex::new(member.index.u32())
        };
        let user = |device: &PairingDevice| printable(&device.party.identity);
        let tree = ratchet_tree(group.mls())?;
        let present: Vec<_> = devices.iter().filter_map(seat).collect();
        let absent: Vec<_> =
            devices.iter().filter(|device| seat(device).is_none()).map(user).collect();
        if !absent.is_empty() {
            return Ok(match siblings_now(&tree, &present, absent.len()) {
                Ok(leaves) => PlanView::Add { users: absent, leaves: numbers(&leaves) },
                Err(PlacementError::StrangersUnderAnchor { strangers, .. }) => PlanView::Wait {
                    users: absent,
                    strangers: strangers.into_iter().map(|leaf| group.member(leaf).shown).collect(),
                },
                Err(error) => return Err(error.into()),
            });
        }
        let plan = relocate(&tree, &present)?;
        if plan.commits() == 0 {
            return Ok(PlanView::Together);
        }
        let add = |add: &PlannedAdd| match add {
            PlannedAdd::Device { device, leaf } => {
                let name = devices.get(*device).map_or_else(String::new, user);
                format!("{name} at leaf {leaf}")
            }
            PlannedAdd::Filler { leaf } => format!("a filler at leaf {leaf}"),
        };
        let commit = |commit: &paired_mls::anchor::PlannedCommit| CommitView {
            adds: commit.adds().iter().map(add).collect(),
            removes: commit.removes().iter().map(|leaf| format!("leaf {leaf}")).collect(),
        };
        Ok(PlanView::Move { commits: plan.steps().iter().map(commit).collect() })
    }
}

fn numbers(leaves: &[LeafIndex]) -> Vec<u32> {
    leaves.iter().map(|leaf| leaf.value()).collect()
}

impl fmt::Display for PlanView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Together => f.write_str("the devices have an anchor to themselves"),
            Self::Add { users, .. } => write!(
                f,
                "`pmls group add` with {} now puts them under an anchor of their own",
                users.join(" ")
            ),
            Self::Wait { users, strangers } => write!(
                f,
                "added now, {} would have others under the same anchor: {}. Let blank leaves be filled \
                 first, or add the devices next to each other in one commit",
                users.join(" and "),
                strangers.join(", ")
            ),
            Self::Move { commits } => {
                write!(
                    f,
                    "{} commits, each fresh leaf with a signature key of its own:",
                    commits.len()
                )?;
                for (n, CommitView { adds, removes }) in commits.iter().enumerate() {
                    write!(f, "\n  {}.", n + 1)?;
                    if !adds.is_empty() {
                        write!(f, " add {}", adds.join(", "))?;
                    }
                    if !removes.is_empty() {
                        write!(f, " remove {}", removes.join(", "))?;
                    }
                }
                f.write_str(
                    "\nA device has one key: here, remove the devices and add them again in one commit, \
                     when `pmls group plan` says that they land together.",
                )
            }
        }
    }
}

//! What the end of a pairing means in the groups, as data.
//!
//! The core changes no MLS group; the caller, or an adapter, carries the plan out in every group of
//! the pairing.
//!
//! | mode and anchor | devices | who leaves | who pairs anew |
//! |---|---|---|---|
//! | standard, node | 2 | the one that ended it | nobody |
//! | standard, leaf | 2 | both, with their leaf | nobody |
//! | hidden | 2 | both, with their leaf | nobody |
//! | any | 3 or more | all | all but the one that ended it |
//!
//! The last line answers a TODO of the draft: a tape that some devices have erased cannot go on among
//! the others, whose lanes and copaths would differ, and one that left knows its old values.
//!
//! CeasePair names the device that ended it, also where another one passes it on, so that all devices
//! have the same plan. If several end it at once, one that has not heard of all of them yet may still
//! count on one of them; that one does not pair anew.

use std::collections::BTreeSet;

use super::terms::{AnchorKind, Terms};
use crate::DeviceId;

/// The steps to take, in this order, in every group of the pairing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    steps: Vec<Step>,
}

/// One step. Where it lists devices, each of them takes it; the other ones do nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Process what the delivery service holds: a partner's last commits need the tape.
    CatchUp,
    /// Erase the tape, with [`Ceased::erase_tape`](super::Ceased::erase_tape).
    EraseTape,
    /// Ask the directory to take the keys off the anchor. Standard mode only.
    Withdraw,
    /// Propose the removal of the own leaf; another member commits it (RFC 9420 section 12.4: nobody
    /// commits their own removal). Devices behind one leaf do so once.
    Leave(Vec<DeviceId>),
    /// Make a new signature key, each device its own. By it a partner that goes on recognises a
    /// stranger, and shrinks its anchor instead of sealing a Notify that nobody can read.
    NewSignatureKey(Vec<DeviceId>),
    /// Come back by a KeyPackage of one's own, each device with its own leaf.
    Return(Vec<DeviceId>),
    /// Pair again, with another pairing identifier and seed.
    PairAnew(Vec<DeviceId>),
}

impl Plan {
    pub(super) fn new(terms: &Terms, ended_by: &BTreeSet<DeviceId>) -> Self {
        let all = terms.roster().numbers();
        let staying: Vec<_> =
            all.iter().copied().filter(|device| !ended_by.contains(device)).collect();
        let standard = matches!(terms.mode(), super::Mode::Standard(_));
        let leaving = match (terms.anchor(), all.len()) {
            (AnchorKind::Node, 2) => ended_by.iter().copied().collect(),
            _ => all,
        };

        let mut steps = vec![Step::CatchUp, Step::EraseTape];
        if standard {
            steps.push(Step::Withdraw);
        }
        steps.push(Step::Leave(leaving.clone()));
        steps.push(Step::NewSignatureKey(leaving.clone()));
        steps.push(Step::Return(leaving));
        if staying.len() >= 2 {
            steps.push(Step::PairAnew(staying));
        }
        Self { steps }
    }

    /// The steps, in their order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

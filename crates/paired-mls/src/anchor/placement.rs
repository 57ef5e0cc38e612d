//! How the devices of a pairing come to stand under an anchor of their own.

use std::collections::BTreeSet;

use thiserror::Error;

use super::{
    locate::{Anchorage, above, locate, strangers_below},
    math::{LeafIndex, NodeIndex},
    tree::{Changes, Tree, TreeError},
};

/// Why the devices cannot be placed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlacementError {
    /// Fewer than two devices: the caller is to blame.
    #[error("a pairing has at least two devices")]
    TooFewDevices,
    /// No member is at the leaf of a device: the caller is to blame.
    #[error("no member is at leaf {0}")]
    NotAMember(LeafIndex),
    /// Two devices have the same leaf: the caller is to blame.
    #[error("two devices are at leaf {0}")]
    NamedTwice(LeafIndex),
    /// The tree has no room.
    #[error("the tree has no room for the devices")]
    Full,
    /// Added now, the devices would not be among themselves.
    #[error("{} members that are not of the pairing would be under its anchor", strangers.len())]
    StrangersUnderAnchor {
        /// Where the fresh leaves would land.
        fresh: Vec<LeafIndex>,
        /// The members that would be under the same anchor, from the left.
        strangers: Vec<LeafIndex>,
    },
}

/// A plan that no longer fits the tree: make a new one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A member that the plan removes is not there.
    #[error("the plan does not fit the tree")]
    Tree(#[from] TreeError),
    /// An Add lands elsewhere.
    #[error("the plan needs an Add to land at leaf {planned}, but it lands at leaf {landed}")]
    Landing {
        /// The leaf that the plan gives.
        planned: LeafIndex,
        /// The leaf that the tree gives.
        landed: LeafIndex,
    },
    /// After the plan, this device would have no anchor with all of its partners.
    #[error("the plan leaves the device at leaf {0} without an anchor")]
    NotAnchored(LeafIndex),
}

/// Where `fresh` devices, added now by one commit, land among themselves and the devices that are
/// members already.
///
/// `present` are the leaves of the devices that are in the group, none if the whole pairing is to be
/// added. Returns the leaves of the fresh ones, in the order of the Adds, if no stranger is under the
/// node above all devices. The Adds must be the first ones of their commit, and it must remove nobody.
///
/// # Errors
///
/// [`PlacementError::StrangersUnderAnchor`] if the devices would not be among themselves. Otherwise
/// the arguments are at fault, or the tree is full.
pub fn siblings_now(
    tree: &Tree,
    present: &[LeafIndex],
    fresh: usize,
) -> Result<Vec<LeafIndex>, PlacementError> {
    require_distinct_members(tree, present)?;
    if present.len().saturating_add(fresh) < 2 {
        return Err(PlacementError::TooFewDevices);
    }
    let changes = Changes { adds: fresh, ..Changes::default() };
    let (tree, fresh) = tree.after(&changes).map_err(|_| PlacementError::Full)?.into_parts();
    let devices = [present, &fresh].concat();
    let Some((&first, others)) = devices.split_first() else {
        return Err(PlacementError::TooFewDevices);
    };
    let strangers = strangers_below(&tree, above(first, others), &devices);
    if strangers.is_empty() {
        Ok(fresh)
    } else {
        Err(PlacementError::StrangersUnderAnchor { fresh, strangers })
    }
}

/// The commits that bring devices, which stand apart in a group, under an anchor of their own.
///
/// A plan is empty, or it has two commits:
///
/// 1. A device adds fresh leaves, in the given order. Some are the devices' new places; others are
///    *fillers*, which belong to the same owner and only fill the blank leaves that an Add would take
///    first.
/// 2. A device at its new place removes the old leaves of those that moved, and the fillers. It
///    cannot be sent from an old leaf, since no member removes itself.
///
/// Between the two a device that moves is in the group twice, and no two leaves of a group may have
/// the same signature key (RFC 9420 section 7.3): each fresh leaf, filler or not, needs a KeyPackage
/// with a signature key of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    commits: Vec<PlannedCommit>,
    homes: Vec<LeafIndex>,
}

/// One commit of a [`Plan`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlannedCommit {
    adds: Vec<PlannedAdd>,
    removes: Vec<LeafIndex>,
}

/// One Add of a [`PlannedCommit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlannedAdd {
    /// A device's new place.
    Device {
        /// Which of the devices given to [`relocate`], counted from 0.
        device: usize,
        /// Where it lands.
        leaf: LeafIndex,
    },
    /// A leaf that the next commit removes.
    Filler {
        /// Where it lands.
        leaf: LeafIndex,
    },
}

impl PlannedAdd {
    /// Where the Add lands.
    pub fn leaf(&self) -> LeafIndex {
        match *self {
            Self::Device { leaf, .. } | Self::Filler { leaf } => leaf,
        }
    }
}

impl PlannedCommit {
    /// The Adds, in the order that the commit must have them.
    pub fn adds(&self) -> &[PlannedAdd] {
        &self.adds
    }

    /// The members to remove, from the left.
    pub fn removes(&self) -> &[LeafIndex] {
        &self.removes
    }

    /// What the commit does to a [`Tree`].
    pub fn changes(&self) -> Changes {
        Changes { updates: Vec::new(), removes: self.removes.clone(), adds: self.adds.len() }
    }
}

impl Plan {
    /// The number of commits: 0 if the devices have their anchor already, otherwise 2.
    pub fn commits(&self) -> usize {
        self.commits.len()
    }

    /// The commits, in their order.
    pub fn steps(&self) -> &[PlannedCommit] {
        &self.commits
    }

    /// The number of leaves that are added only to be removed again.
    pub fn fillers(&self) -> usize {
        let adds = self.commits.iter().flat_map(PlannedCommit::adds);
        adds.filter(|add| matches!(add, PlannedAdd::Filler { .. })).count()
    }

    /// The leaf of each device after the plan, in the order given to [`relocate`]. A device whose leaf
    /// is the same as before does not move.
    pub fn homes(&self) -> &[LeafIndex] {
        &self.homes
    }

    /// Replays the plan on `tree`: that each Add lands where the plan says, and that at the end each
    /// device, as the committer, has one anchor with all of its partners and no strangers.
    ///
    /// Call it before the first commit, on the tree of that epoch: another member's commit in between
    /// may have taken a place.
    ///
    /// # Errors
    ///
    /// [`PlanError`].
    pub fn verify(&self, tree: &Tree) -> Result<(), PlanError> {
        let mut tree = tree.clone();
        for commit in &self.commits {
            let (after, added) = tree.after(&commit.changes())?.into_parts();
            for (add, landed) in commit.adds.iter().zip(added) {
                if add.leaf() != landed {
                    return Err(PlanError::Landing { planned: add.leaf(), landed });
                }
            }
            tree = after;
        }
        match self.homes.iter().find(|&&home| !is_anchored(&tree, home, &self.homes)) {
            Some(&home) => Err(PlanError::NotAnchored(home)),
            None => Ok(()),
        }
    }
}

/// Plans how the members at the leaves `old`, all devices of one pairing, come under an anchor of
/// their own.
///
/// The place is a subtree, the smallest that has room for all devices, without strangers in it. Of
/// all such places the leftmost is taken: Adds fill blank leaves from the left, so it needs the fewest
/// fillers. Two devices become siblings, so no later Add can land between them; with a number of
/// devices that is not a power of two, some leaves of the place stay blank, and an Add by others may
/// take one later. A device that stands in the place already stays where it is.
///
/// Returns an empty plan if the devices have an anchor of their own already.
///
/// # Errors
///
/// [`PlacementError::Full`] if the tree has no place; otherwise the arguments are at fault.
pub fn relocate(tree: &Tree, old: &[LeafIndex]) -> Result<Plan, PlacementError> {
    require_distinct_members(tree, old)?;
    let &[first, _, ..] = old else {
        return Err(PlacementError::TooFewDevices);
    };
    if is_anchored(tree, first, old) {
        return Ok(Plan { commits: Vec::new(), homes: old.to_vec() });
    }

    let place = leftmost_place(tree, old).ok_or(PlacementError::Full)?;
    let stays = |leaf: LeafIndex| place.covers(leaf.node());
    let movers = old.iter().enumerate().filter(|&(_, &leaf)| !stays(leaf));
    let mut blanks = tree.blank_leaves(LeafIndex::FIRST).peekable();

    let mut homes = old.to_vec();
    let mut adds = Vec::new();
    let mut removes = BTreeSet::new();
    while let Some(leaf) = blanks.next_if(|&leaf| leaf < *place.leaves().start()) {
        adds.push(PlannedAdd::Filler { leaf });
        removes.insert(leaf);
    }
    for ((device, &moved), leaf) in movers.zip(blanks) {
        adds.push(PlannedAdd::Device { device, leaf });
        removes.insert(moved);
        if let Some(home) = homes.get_mut(device) {
            *home = leaf;
        }
    }
    let commits = vec![
        PlannedCommit { adds, removes: Vec::new() },
        PlannedCommit { adds: Vec::new(), removes: removes.into_iter().collect() },
    ];
    Ok(Plan { commits, homes })
}

/// The leftmost subtree that is just large enough for all devices and holds no stranger, within the
/// tree or beyond its edge.
fn leftmost_place(tree: &Tree, devices: &[LeafIndex]) -> Option<NodeIndex> {
    let level = devices.len().checked_next_power_of_two()?.trailing_zeros();
    let mut place = NodeIndex::above(LeafIndex::FIRST, level)?;
    // Each turn leaves behind a stranger: there are at most as many as the tree has members.
    while let Some(&stranger) = strangers_below(tree, place, devices).last() {
        let after = NodeIndex::above(stranger, level)?.leaves().end().next()?;
        place = NodeIndex::above(after, level)?;
    }
    Some(place)
}

/// Whether `committer` has an anchor with all of `devices` and nobody else.
fn is_anchored(tree: &Tree, committer: LeafIndex, devices: &[LeafIndex]) -> bool {
    matches!(locate(tree, committer, devices, &[]), Ok(Anchorage::Whole(_)))
}

fn require_distinct_members(tree: &Tree, leaves: &[LeafIndex]) -> Result<(), PlacementError> {
    let mut seen = BTreeSet::new();
    for &leaf in leaves {
        if !tree.is_member(leaf) {
            return Err(PlacementError::NotAMember(leaf));
        }
        if !seen.insert(leaf) {
            return Err(PlacementError::NamedTwice(leaf));
        }
    }
    Ok(())
}

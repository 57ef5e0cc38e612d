//! The node anchor: where in the ratchet tree the devices of a pairing meet.
//!
//! The draft calls *anchor* the node that the devices of a pairing share: "Any MLS members that share
//! the anchor node in their parent tree MUST be paired." This module finds it, epoch by epoch, and
//! plans how devices come to share one. It is arithmetic on a tree whose leaves are occupied or blank:
//! no keys, no input or output.
//!
//! * [`Tree`]: the tree, and what a commit makes of it.
//! * [`locate`]: the anchor of a commit, its levels, and who receives a Notify at each.
//! * [`sealed_levels`]: the nodes whose keys a commit is sealed to.
//! * [`siblings_now`] and [`relocate`]: how devices come to stand under an anchor of their own.

mod locate;
mod math;
mod placement;
#[cfg(test)]
mod tests;
mod tree;

pub use locate::{Anchor, Anchorage, Level, LocateError, locate, sealed_levels};
pub use math::{LeafIndex, NodeIndex, TreeSize};
pub use placement::{
    PlacementError, Plan, PlanError, PlannedAdd, PlannedCommit, relocate, siblings_now,
};
pub use tree::{Applied, Changes, Tree, TreeError};

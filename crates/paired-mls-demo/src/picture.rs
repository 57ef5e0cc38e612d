//! The ratchet tree of one epoch, with what matters in it.

use std::collections::BTreeSet;

use paired_mls::{
    anchor::{Anchor, LeafIndex, NodeIndex, Tree},
    wire::{Node, RatchetTree},
};
use serde::Serialize;

use super::{DemoError, role::Seats};

/// A ratchet tree to be drawn: its nodes in the order of their positions.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Picture {
    pub(crate) nodes: Vec<Spot>,
}

/// One node of the picture.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Spot {
    /// Its height above the leaves.
    pub(crate) level: u32,
    /// The member at a leaf; `None` for a blank leaf, and for a parent.
    pub(crate) member: Option<&'static str>,
    pub(crate) blank: bool,
    /// The thief has the private key.
    pub(crate) known_to_thief: bool,
    /// It is on the path of this epoch's commit.
    pub(crate) on_path: bool,
    /// It is the anchor of the pairing.
    pub(crate) anchor: bool,
    /// A Notify stands where its key would have been used.
    pub(crate) notified: bool,
}

/// What is to be drawn.
pub(crate) struct View<'a> {
    pub(crate) tree: &'a RatchetTree,
    /// The public keys of the nodes whose private keys the thief has.
    pub(crate) known: BTreeSet<Vec<u8>>,
    /// The leaf whose commit has led to this epoch.
    pub(crate) committer: Option<LeafIndex>,
    /// The anchor of a paired commit.
    pub(crate) anchor: Option<&'a Anchor>,
    /// Who sits where.
    pub(crate) seats: &'a Seats,
}

/// Draws the tree.
pub(crate) fn picture(view: &View<'_>) -> Result<Picture, DemoError> {
    let View { tree, known, anchor, seats, .. } = view;
    let path = path_of(view);
    let notified: BTreeSet<_> = anchor
        .iter()
        .flat_map(|anchor| anchor.path())
        .flat_map(|level| level.recipients().iter().copied())
        .collect();

    // A ratchet tree is stored without the blank nodes at its right edge.
    let width = tree.nodes().len().next_power_of_two().max(2) - 1;
    let width = if width < tree.nodes().len() { 2 * width + 1 } else { width };
    let width = u32::try_from(width).map_err(DemoError::mls("draw the tree"))?;
    let nodes = (0..width).map_while(NodeIndex::new).map(|position| {
        let node = tree.nodes().get(position.value() as usize).and_then(Option::as_ref);
        let key = node.map(|node| match node {
            Node::Leaf(leaf) => leaf.encryption_key(),
            Node::Parent(parent) => parent.encryption_key(),
        });
        let member = node.and(position.leaf()).and_then(|leaf| seats.name(leaf));
        Spot {
            level: position.level(),
            member,
            blank: node.is_none(),
            known_to_thief: key.is_some_and(|key| known.contains(key)),
            on_path: path.contains(&position),
            anchor: anchor.is_some_and(|anchor| anchor.node() == position),
            notified: notified.contains(&position),
        }
    });
    Ok(Picture { nodes: nodes.collect() })
}

/// The nodes that the commit has renewed: its committer's leaf and filtered direct path.
fn path_of(view: &View<'_>) -> BTreeSet<NodeIndex> {
    let Some(committer) = view.committer else {
        return BTreeSet::new();
    };
    let path = Tree::from(view.tree).filtered_direct_path(committer);
    path.into_iter().chain([committer.node()]).collect()
}

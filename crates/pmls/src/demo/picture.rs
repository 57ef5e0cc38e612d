//! The ratchet tree of one epoch, with what matters in it.

use std::collections::BTreeSet;

use paired_mls::{
    anchor::{Anchor, LeafIndex, NodeIndex, Tree},
    conformance::Refused,
    wire::{Node, RatchetTree},
};
use serde::Serialize;

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
    pub(crate) member: Option<String>,
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
    /// The identity of the member whose commit has led to this epoch.
    pub(crate) committer: Option<&'a str>,
    /// The anchor of a paired commit.
    pub(crate) anchor: Option<&'a Anchor>,
}

/// Draws the tree.
pub(crate) fn picture(view: &View<'_>) -> Result<Picture, Refused> {
    let View { tree, known, anchor, .. } = view;
    let path = path_of(view)?;
    let notified: BTreeSet<_> = anchor
        .iter()
        .flat_map(|anchor| anchor.path())
        .flat_map(|level| level.recipients().iter().copied())
        .collect();

    // A ratchet tree is stored without the blank nodes at its right edge.
    let width = tree.nodes().len().next_power_of_two().max(2) - 1;
    let width = if width < tree.nodes().len() { 2 * width + 1 } else { width };
    let nodes = (0..u32::try_from(width)?).map_while(NodeIndex::new).map(|position| {
        let node = tree.nodes().get(position.value() as usize).and_then(Option::as_ref);
        let key = node.map(|node| match node {
            Node::Leaf(leaf) => leaf.encryption_key(),
            Node::Parent(parent) => parent.encryption_key(),
        });
        let member = node.and_then(|node| match node {
            Node::Leaf(leaf) => leaf.credential().identity(),
            Node::Parent(_) => None,
        });
        Spot {
            level: position.level(),
            member: member.map(|identity| String::from_utf8_lossy(identity).into_owned()),
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
fn path_of(view: &View<'_>) -> Result<BTreeSet<NodeIndex>, Refused> {
    let Some(committer) = view.committer else {
        return Ok(BTreeSet::new());
    };
    let named = |leaf: &LeafIndex| {
        let identity = view.tree.leaf(leaf.value()).and_then(|leaf| leaf.credential().identity());
        identity == Some(committer.as_bytes())
    };
    let tree = Tree::from(view.tree);
    let leaf = tree.members().find(named).ok_or("the committer is a member")?;
    let path = tree.filtered_direct_path(leaf);
    Ok(path.into_iter().chain([leaf.node()]).collect())
}

//! A ratchet tree without its keys, and what a commit makes of it.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::math::{LeafIndex, NodeIndex, TreeSize};
use crate::wire;

/// Which leaves of a ratchet tree are occupied, which parents are not blank, and which leaves each of
/// these has not merged (RFC 9420 sections 4.1 and 7).
///
/// The tree is always as small as RFC 9420 section 7.7 makes it: its right half has a member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    occupied: BTreeSet<LeafIndex>,
    /// The parents that are not blank, each with its unmerged leaves.
    parents: BTreeMap<NodeIndex, BTreeSet<LeafIndex>>,
}

/// What the proposals of one commit do to the leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The senders of the Update proposals.
    pub updates: Vec<LeafIndex>,
    /// The members that are removed, by Remove proposals or of their own accord.
    pub removes: Vec<LeafIndex>,
    /// The number of Add proposals. A member who joins by an external commit counts as one more.
    pub adds: usize,
}

/// A tree after the proposals of a commit, and where its Adds went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    tree: Tree,
    added: Vec<LeafIndex>,
}

impl Applied {
    /// The tree after the proposals, before the path of the commit.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The leaf of each Add, in the order of the proposals: the newcomers.
    pub fn added(&self) -> &[LeafIndex] {
        &self.added
    }

    /// Both, by value.
    pub fn into_parts(self) -> (Tree, Vec<LeafIndex>) {
        (self.tree, self.added)
    }
}

/// A commit that cannot be applied to the tree. The caller is to blame, or the commit is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TreeError {
    /// The leaf that commits, is updated or is removed is blank or outside of the tree.
    #[error("no member is at leaf {0}")]
    NotAMember(LeafIndex),
    /// Two proposals update or remove the same leaf (RFC 9420 section 12.2).
    #[error("two proposals update or remove leaf {0}")]
    NamedTwice(LeafIndex),
    /// All 2³¹ leaves are occupied.
    #[error("the tree cannot take another leaf")]
    Full,
}

impl Tree {
    /// A tree with members at these leaves and all parents blank.
    pub fn of_leaves(leaves: impl IntoIterator<Item = LeafIndex>) -> Self {
        Self { occupied: leaves.into_iter().collect(), parents: BTreeMap::new() }
    }

    /// Makes `node` a parent that is not blank and has these unmerged leaves.
    #[cfg(test)]
    pub(crate) fn with_parent(mut self, node: u32, unmerged: &[u32]) -> Self {
        let node = NodeIndex::new(node).unwrap();
        let unmerged = unmerged.iter().map(|&leaf| LeafIndex::new(leaf).unwrap()).collect();
        assert!(node.level() > 0 && self.size().contains(node));
        self.parents.insert(node, unmerged);
        self
    }

    /// The number of leaves, blank ones included.
    pub fn size(&self) -> TreeSize {
        self.occupied.last().map_or(TreeSize::ONE_LEAF, |&leaf| TreeSize::holding(leaf))
    }

    /// The occupied leaves, from the left.
    pub fn members(&self) -> impl Iterator<Item = LeafIndex> + '_ {
        self.occupied.iter().copied()
    }

    /// The occupied leaves below `node`, from the left.
    pub fn members_below(&self, node: NodeIndex) -> impl Iterator<Item = LeafIndex> + '_ {
        self.occupied.range(node.leaves()).copied()
    }

    /// Whether a member is at this leaf.
    pub fn is_member(&self, leaf: LeafIndex) -> bool {
        self.occupied.contains(&leaf)
    }

    /// Whether `node` is blank. A node outside of the tree is.
    pub fn is_blank(&self, node: NodeIndex) -> bool {
        match node.leaf() {
            Some(leaf) => !self.is_member(leaf),
            None => !self.parents.contains_key(&node),
        }
    }

    /// The unmerged leaves of `node`, from the left; none for a blank node and for a leaf.
    pub fn unmerged_leaves(&self, node: NodeIndex) -> impl Iterator<Item = LeafIndex> + '_ {
        self.parents.get(&node).into_iter().flatten().copied()
    }

    /// The nodes whose private keys the member at `leaf` has (RFC 9420 section 4.1): its leaf, and each
    /// node above it that is not blank and has merged it.
    pub fn known_to(&self, leaf: LeafIndex) -> BTreeSet<NodeIndex> {
        let merged = |node: &NodeIndex| {
            self.parents.get(node).is_some_and(|unmerged| !unmerged.contains(&leaf))
        };
        let above = self.size().direct_path(leaf.node()).filter(merged);
        let own = self.is_member(leaf).then_some(leaf.node());
        own.into_iter().chain(above).collect()
    }

    /// The blank leaves from `start` on, in the order in which Adds fill them. They go on beyond the
    /// edge of the tree, which then grows.
    pub(super) fn blank_leaves(&self, start: LeafIndex) -> impl Iterator<Item = LeafIndex> + '_ {
        std::iter::successors(Some(start), |leaf| leaf.next()).filter(|&leaf| !self.is_member(leaf))
    }

    /// The resolution of `node` (RFC 9420 section 4.1.1), in its order:
    ///
    /// ```text
    /// non-blank node:         the node itself, followed by its unmerged leaves
    /// blank leaf:             nothing
    /// blank parent:           resolution(left child) || resolution(right child)
    /// ```
    pub fn resolution(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let mut resolution = Vec::new();
        self.resolve(node, &mut resolution);
        resolution
    }

    /// At most 32 deep: each turn goes one level down.
    fn resolve(&self, node: NodeIndex, resolution: &mut Vec<NodeIndex>) {
        if !self.is_blank(node) {
            resolution.push(node);
            resolution.extend(self.unmerged_leaves(node).map(LeafIndex::node));
        } else if !self.is_void(node) {
            for child in [node.left(), node.right()].into_iter().flatten() {
                self.resolve(child, resolution);
            }
        }
    }

    /// Whether everything below `node` is blank, and so its resolution empty.
    fn is_void(&self, node: NodeIndex) -> bool {
        let leaves = node.leaves();
        let nodes = leaves.start().node()..=leaves.end().node();
        self.occupied.range(leaves).next().is_none() && self.parents.range(nodes).next().is_none()
    }

    /// The filtered direct path of `leaf` (RFC 9420 section 4.1.2), from below: its direct path
    /// without the nodes whose child on the copath has an empty resolution. `path_secret[0]` of a
    /// commit belongs to the first of these nodes.
    pub fn filtered_direct_path(&self, leaf: LeafIndex) -> Vec<NodeIndex> {
        self.filtered_levels(leaf).map(|(node, _)| node).collect()
    }

    /// The filtered direct path, each node with its child on the copath.
    pub(super) fn filtered_levels(
        &self,
        leaf: LeafIndex,
    ) -> impl Iterator<Item = (NodeIndex, NodeIndex)> + '_ {
        let size = self.size();
        size.direct_path(leaf.node())
            .zip(size.copath(leaf.node()))
            .filter(|&(_, copath)| !self.is_void(copath))
    }

    /// The tree after the proposals of a commit, in the order of RFC 9420 section 12.3, and where its
    /// Adds land. The path of the commit is not applied: see [`Self::after_path`].
    ///
    /// ```text
    /// Update (12.1.2): blank the direct path of the leaf
    /// Remove (12.1.3): blank the leaf and its direct path; halve the tree while its right half is blank
    /// Add    (12.1.1): take the leftmost blank leaf, or double the tree and take the first new one;
    ///                  the leaf is unmerged at each node of its direct path that is not blank
    /// ```
    ///
    /// # Errors
    ///
    /// [`TreeError`]; the tree itself never changes.
    pub fn after(&self, changes: &Changes) -> Result<Applied, TreeError> {
        let mut named = BTreeSet::new();
        for &leaf in changes.updates.iter().chain(&changes.removes) {
            self.require_member(leaf)?;
            if !named.insert(leaf) {
                return Err(TreeError::NamedTwice(leaf));
            }
        }

        let mut tree = self.clone();
        for &leaf in &named {
            tree.blank_direct_path(leaf);
        }
        for leaf in &changes.removes {
            tree.occupied.remove(leaf);
        }
        tree.truncate();

        let mut added = Vec::new();
        let mut start = LeafIndex::FIRST;
        for _ in 0..changes.adds {
            let leaf = tree.blank_leaves(start).next().ok_or(TreeError::Full)?;
            tree.add(leaf);
            added.push(leaf);
            start = leaf;
        }
        Ok(Applied { tree, added })
    }

    /// The tree after the path of a commit by `committer` (RFC 9420 section 7.5), applied to the tree
    /// after its proposals: the filtered direct path is not blank and has no unmerged leaves, the
    /// rest of the direct path is blank.
    ///
    /// # Errors
    ///
    /// [`TreeError::NotAMember`] if `committer` is not in the tree.
    pub fn after_path(&self, committer: LeafIndex) -> Result<Self, TreeError> {
        self.require_member(committer)?;
        let mut tree = self.clone();
        tree.blank_direct_path(committer);
        for (node, _) in self.filtered_levels(committer) {
            tree.parents.insert(node, BTreeSet::new());
        }
        Ok(tree)
    }

    fn require_member(&self, leaf: LeafIndex) -> Result<(), TreeError> {
        if self.is_member(leaf) { Ok(()) } else { Err(TreeError::NotAMember(leaf)) }
    }

    fn blank_direct_path(&mut self, leaf: LeafIndex) {
        for node in self.size().direct_path(leaf.node()) {
            self.parents.remove(&node);
        }
    }

    /// RFC 9420 section 7.7: the tree is as large as its last member demands, the rest is dropped.
    fn truncate(&mut self) {
        let size = self.size();
        self.parents.retain(|&node, _| size.contains(node));
    }

    fn add(&mut self, leaf: LeafIndex) {
        self.occupied.insert(leaf);
        for node in self.size().direct_path(leaf.node()) {
            if let Some(unmerged) = self.parents.get_mut(&node) {
                unmerged.insert(leaf);
            }
        }
    }
}

impl From<&wire::RatchetTree> for Tree {
    fn from(ratchet_tree: &wire::RatchetTree) -> Self {
        let mut tree = Self::default();
        let positions = (0..u32::MAX).map_while(NodeIndex::new);
        for (position, node) in positions.zip(ratchet_tree.nodes()) {
            match (node, position.leaf()) {
                (Some(wire::Node::Leaf(_)), Some(leaf)) => {
                    tree.occupied.insert(leaf);
                }
                (Some(wire::Node::Parent(parent)), None) => {
                    let unmerged = parent.unmerged_leaves().iter().copied();
                    tree.parents.insert(position, unmerged.filter_map(LeafIndex::new).collect());
                }
                // Blank; a ratchet tree that decodes has nothing else.
                _ => {}
            }
        }
        tree
    }
}

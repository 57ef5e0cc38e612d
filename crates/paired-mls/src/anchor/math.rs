//! Positions in a ratchet tree (RFC 9420 appendix C).
//!
//! Leaf *n* stands at position 2*n*, parents stand between the leaves:
//!
//! ```text
//!                  X
//!          X               X
//!      X       X       X       X
//!    X   X   X   X   X   X   X   X
//!    0 1 2 3 4 5 6 7 8 9 a b c d e      positions
//!    0   1   2   3   4   5   6   7      leaves
//! ```
//!
//! The largest tree has 2³¹ leaves, at levels 0 to 31. Every function is total for it.

use std::{fmt, iter, ops::RangeInclusive};

/// The index of a leaf, counted from the left: less than 2³¹.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeafIndex(u32);

impl LeafIndex {
    /// The leftmost leaf.
    pub const FIRST: Self = Self(0);
    /// The last leaf of the largest tree.
    pub const MAX: Self = Self((1 << 31) - 1);

    /// The leaf with this index, or `None` if no tree has it.
    pub const fn new(index: u32) -> Option<Self> {
        if index <= Self::MAX.0 { Some(Self(index)) } else { None }
    }

    /// The index as RFC 9420 writes it.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// The position of this leaf among all nodes.
    pub const fn node(self) -> NodeIndex {
        NodeIndex(self.0 * 2)
    }

    /// The leaf to the right, or `None` for the last one of the largest tree.
    pub const fn next(self) -> Option<Self> {
        Self::new(self.0 + 1)
    }
}

impl fmt::Display for LeafIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The position of a node, leaves and parents counted together from the left: less than 2³² − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeIndex(u32);

impl NodeIndex {
    /// The node at this position, or `None` if no tree has it.
    pub const fn new(position: u32) -> Option<Self> {
        if position < u32::MAX { Some(Self(position)) } else { None }
    }

    /// The position as RFC 9420 appendix C writes it.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// The height above the leaves: 0 for a leaf, at most 31.
    pub const fn level(self) -> u32 {
        self.0.trailing_ones()
    }

    /// The leaf at this position, or `None` for a parent.
    pub const fn leaf(self) -> Option<LeafIndex> {
        if self.level() == 0 { Some(LeafIndex(self.0 / 2)) } else { None }
    }

    /// The left child, or `None` for a leaf.
    pub const fn left(self) -> Option<Self> {
        match self.level() {
            0 => None,
            level => Some(Self(self.0 ^ (1 << (level - 1)))),
        }
    }

    /// The right child, or `None` for a leaf.
    pub const fn right(self) -> Option<Self> {
        match self.level() {
            0 => None,
            level => Some(Self(self.0 ^ (0b11 << (level - 1)))),
        }
    }

    /// The parent, or `None` for the root of the largest tree. The parent may be outside of a given
    /// tree: see [`TreeSize::parent`].
    pub const fn parent(self) -> Option<Self> {
        match self.level() {
            31 => None,
            level => Some(Self((self.0 | (1 << level)) & !(1 << (level + 1)))),
        }
    }

    /// The leaves of the subtree below this node; the leaf itself for a leaf.
    pub const fn leaves(self) -> RangeInclusive<LeafIndex> {
        // A node of level k reaches over 2^k − 1 positions on either side.
        let reach = ((1_u64 << self.level()) - 1) as u32;
        LeafIndex((self.0 - reach) / 2)..=LeafIndex((self.0 + reach) / 2)
    }

    /// Whether `node` is this node or below it.
    pub fn covers(self, node: Self) -> bool {
        let (of_self, of_node) = (self.leaves(), node.leaves());
        of_self.start() <= of_node.start() && of_node.end() <= of_self.end()
    }

    /// The lowest node that covers both: one of the two if it covers the other.
    pub fn common_ancestor(self, other: Self) -> Self {
        let start = self.leaves().start().0.min(other.leaves().start().0);
        let end = self.leaves().end().0.max(other.leaves().end().0);
        // The two outermost leaves agree in all bits above those of the subtree that holds them.
        Self::subtree(LeafIndex(start), u32::BITS - (start ^ end).leading_zeros())
    }

    /// The node of this level, at most 31, above `leaf`.
    const fn subtree(leaf: LeafIndex, level: u32) -> Self {
        let reach = ((1_u64 << level) - 1) as u32;
        Self(((leaf.0 * 2) & !reach & !(1 << level)) | reach)
    }

    /// The node of this level above `leaf`, or `None` if the level is above 31.
    pub const fn above(leaf: LeafIndex, level: u32) -> Option<Self> {
        if level <= 31 { Some(Self::subtree(leaf, level)) } else { None }
    }
}

impl fmt::Display for NodeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The size of a full tree: 2^*d* leaves, *d* from 0 to 31.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TreeSize {
    root_level: u32,
}

impl TreeSize {
    /// The tree of a single leaf.
    pub const ONE_LEAF: Self = Self { root_level: 0 };

    /// The smallest tree that has this leaf.
    pub const fn holding(leaf: LeafIndex) -> Self {
        Self { root_level: u32::BITS - leaf.0.leading_zeros() }
    }

    /// The number of leaves, a power of two up to 2³¹.
    pub const fn leaves(self) -> u32 {
        1 << self.root_level
    }

    /// The root (RFC 9420 appendix C).
    pub const fn root(self) -> NodeIndex {
        NodeIndex::subtree(LeafIndex(0), self.root_level)
    }

    /// Whether the tree has this node.
    pub fn contains(self, node: NodeIndex) -> bool {
        self.root().covers(node)
    }

    /// The parent, or `None` if `node` is the root or outside of the tree.
    pub fn parent(self, node: NodeIndex) -> Option<NodeIndex> {
        node.parent().filter(|&parent| self.contains(parent))
    }

    /// The other child of the node's parent, or `None` if `node` is the root or outside of the tree.
    pub fn sibling(self, node: NodeIndex) -> Option<NodeIndex> {
        let parent = self.parent(node)?;
        if parent.value() < node.value() { parent.left() } else { parent.right() }
    }

    /// The parent of `node`, its parent, and so on up to the root (RFC 9420 section 4.1.2). Empty for
    /// the root and for a node outside of the tree.
    pub fn direct_path(self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        iter::successors(self.parent(node), move |&node| self.parent(node))
    }

    /// The sibling of `node`, and the siblings of its direct path but for the root (RFC 9420 section
    /// 4.1.2): the child off the path of each node of the direct path, in the same order.
    pub fn copath(self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> {
        iter::once(node).chain(self.direct_path(node)).filter_map(move |node| self.sibling(node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(position: u32) -> NodeIndex {
        NodeIndex::new(position).unwrap()
    }

    fn leaf(index: u32) -> LeafIndex {
        LeafIndex::new(index).unwrap()
    }

    fn values(nodes: impl Iterator<Item = NodeIndex>) -> Vec<u32> {
        nodes.map(NodeIndex::value).collect()
    }

    const EIGHT: TreeSize = TreeSize { root_level: 3 };

    #[test]
    fn the_tree_of_eight_leaves() {
        let levels: Vec<_> = (0..15).map(|position| node(position).level()).collect();
        assert_eq!(levels, [0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0]);
        assert_eq!(EIGHT.root(), node(7));
        assert_eq!(EIGHT.leaves(), 8);
        assert_eq!((node(7).left(), node(7).right()), (Some(node(3)), Some(node(11))));
        assert_eq!((node(11).left(), node(11).right()), (Some(node(9)), Some(node(13))));
        assert_eq!((node(4).left(), node(4).right()), (None, None));
        assert_eq!(values(EIGHT.direct_path(node(4))), [5, 3, 7]);
        assert_eq!(values(EIGHT.copath(node(4))), [6, 1, 11]);
        assert_eq!(values(EIGHT.direct_path(node(7))), [0_u32; 0]);
        assert_eq!(values(EIGHT.copath(node(7))), [0_u32; 0]);
        assert_eq!(values(EIGHT.direct_path(node(16))), [0_u32; 0]);
        assert_eq!(node(11).leaves(), leaf(4)..=leaf(7));
        assert_eq!(node(9).leaves(), leaf(4)..=leaf(5));
        assert_eq!(node(8).leaf(), Some(leaf(4)));
        assert_eq!(node(9).leaf(), None);
    }

    #[test]
    fn common_ancestors() {
        for (a, b, ancestor) in
            [(0, 2, 1), (2, 4, 3), (0, 14, 7), (8, 14, 11), (5, 4, 5), (4, 3, 3), (6, 6, 6)]
        {
            assert_eq!(node(a).common_ancestor(node(b)), node(ancestor), "{a}, {b}");
            assert_eq!(node(b).common_ancestor(node(a)), node(ancestor), "{b}, {a}");
        }
    }

    #[test]
    fn the_relations_agree_with_each_other() {
        for position in 0..255 {
            let x = node(position);
            let parent = x.parent().unwrap();
            assert_eq!(parent.level(), x.level() + 1);
            assert!(parent.left() == Some(x) || parent.right() == Some(x));
            assert!(parent.covers(x) && !x.covers(parent) && x.covers(x));
            assert_eq!(NodeIndex::above(*x.leaves().start(), x.level()), Some(x));
            assert_eq!(NodeIndex::above(*x.leaves().end(), x.level()), Some(x));
            for other in (0..255).map(node) {
                let ancestor = x.common_ancestor(other);
                assert!(ancestor.covers(x) && ancestor.covers(other));
                let lower = [ancestor.left(), ancestor.right()].into_iter().flatten();
                assert!(lower.into_iter().all(|child| !child.covers(x) || !child.covers(other)));
            }
        }
    }

    #[test]
    fn the_largest_tree() {
        let size = TreeSize::holding(LeafIndex::MAX);
        assert_eq!(size.leaves(), 1 << 31);
        assert_eq!(size.root(), node(u32::MAX / 2));
        assert_eq!(size.root().level(), 31);
        assert_eq!(size.root().leaves(), leaf(0)..=LeafIndex::MAX);
        assert_eq!(size.root().parent(), None);
        assert_eq!(size.root().right(), Some(node(0xbfff_ffff)));
        assert_eq!(size.parent(node(0xbfff_ffff)), Some(size.root()));
        assert_eq!(size.sibling(node(0xbfff_ffff)), Some(node(0x3fff_ffff)));
        assert_eq!(size.direct_path(LeafIndex::MAX.node()).count(), 31);
        assert_eq!(size.copath(LeafIndex::MAX.node()).count(), 31);
        assert_eq!(leaf(0).node().common_ancestor(LeafIndex::MAX.node()), size.root());
        assert_eq!(NodeIndex::above(leaf(5), 32), None);
        assert_eq!(LeafIndex::MAX.next(), None);
        assert_eq!(LeafIndex::new(1 << 31), None);
        assert_eq!(NodeIndex::new(u32::MAX), None);
    }

    #[test]
    fn the_smallest_tree_that_holds_a_leaf() {
        let sizes: Vec<_> = (0..9).map(|index| TreeSize::holding(leaf(index)).leaves()).collect();
        assert_eq!(sizes, [1, 2, 4, 4, 8, 8, 8, 8, 16]);
        assert_eq!(TreeSize::holding(leaf(0)), TreeSize::ONE_LEAF);
        assert_eq!(TreeSize::ONE_LEAF.root(), node(0));
        assert_eq!(TreeSize::ONE_LEAF.sibling(node(0)), None);
    }
}

//! Trees worked by hand, and every small tree against a second, naive computation.

mod locate;
mod placement;
mod tree;

use super::*;

fn leaf(index: u32) -> LeafIndex {
    LeafIndex::new(index).unwrap()
}

fn leaves<const N: usize>(indices: [u32; N]) -> Vec<LeafIndex> {
    indices.map(leaf).to_vec()
}

fn node(position: u32) -> NodeIndex {
    NodeIndex::new(position).unwrap()
}

/// The leaves at the bits set in `mask`.
fn mask(mask: u32) -> Vec<LeafIndex> {
    (0..32).filter(|bit| mask >> bit & 1 == 1).map(leaf).collect()
}

fn to_mask(leaves: &[LeafIndex]) -> u32 {
    leaves.iter().fold(0, |mask, leaf| mask | 1 << leaf.value())
}

/// The subsets of the bits of `mask`, from itself to the empty one.
fn subsets(mask: u32) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(mask), move |&subset| Some(subset.checked_sub(1)? & mask))
}

/// The smallest aligned block of leaves that holds all of `mask`: found by trying them all.
fn smallest_block(mask: u32) -> u32 {
    let blocks = (0..=5).flat_map(|level| {
        let width = 1_u32 << level;
        let block = u32::try_from((1_u64 << width) - 1).unwrap();
        (0..32 / width).map(move |number| block << (number * width))
    });
    blocks.into_iter().find(|block| mask & !block == 0).unwrap()
}

/// A tree of these members in which every parent with members on both sides is not blank.
fn populated(members: &[LeafIndex]) -> Tree {
    let mut tree = Tree::of_leaves(members.iter().copied());
    for position in (1..2 * tree.size().leaves() - 1).step_by(2) {
        let below = |child: Option<NodeIndex>| tree.members_below(child.unwrap()).next().is_some();
        if below(node(position).left()) && below(node(position).right()) {
            tree = tree.with_parent(position, &[]);
        }
    }
    tree
}

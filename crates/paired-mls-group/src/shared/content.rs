//! What a commit of a shared leaf takes up of the proposals that wait.

use alloc::vec::Vec;

use paired_mls::anchor::LeafIndex;

use crate::{Proposal, Proposed, StagedCommit};

/// The proposals that a commit has, and who is to be removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenUp {
    /// The proposals of others that the commit has, in this order.
    pub references: Vec<Vec<u8>>,
    /// The members that the commit removes by value.
    pub removes: Vec<LeafIndex>,
    /// The members that are to be removed until a commit has done so.
    pub removals: Vec<LeafIndex>,
}

impl TakenUp {
    /// Takes up the proposals that wait, for a commit of the leaf at `own` that removes those who are
    /// `wanted`. Libraries order Updates and Removes of one commit by a hash table, so that a commit of a
    /// shared leaf has one of them at most. Proposals to remove the own leaf are for another member to commit.
    ///
    /// To be removed are those who are wanted, and those whose Remove or SelfRemove is left out, since
    /// proposals do not outlive the epoch. An Update that is left out is lost: its sender makes it again. An
    /// Update of the own leaf is nobody's of its devices, and is always left out.
    pub fn of(own: LeafIndex, waiting: &[Proposed], wanted: &[LeafIndex]) -> Self {
        let mut taken = Self { removals: wanted.to_vec(), ..Self::default() };
        let mut of_leaf = Vec::new();
        for proposed in waiting {
            let removed = proposed.removed();
            let is_update = matches!(proposed.proposal, Proposal::Update(_));
            if is_update && proposed.member() == Some(own) {
                continue;
            }
            if removed.is_some() || is_update {
                of_leaf.push((proposed.reference.clone(), removed));
            } else {
                taken.references.push(proposed.reference.clone());
            }
        }
        of_leaf.retain(|(_, removed)| *removed != Some(own));
        // A Remove goes first: an Update can wait.
        of_leaf.sort_by_key(|(_, removed)| removed.is_none());
        let mut of_leaf = of_leaf.into_iter();
        match of_leaf.next() {
            Some((reference, _)) => taken.references.push(reference),
            None => taken.removes = wanted.first().copied().into_iter().collect(),
        }
        taken.removals.extend(of_leaf.filter_map(|(_, removed)| removed));
        taken.removals.sort_unstable();
        taken.removals.dedup();
        taken
    }
}

/// Takes those off the list that a commit removes: their leaves may be somebody else's from now on.
pub fn strike_off(removals: &mut Vec<LeafIndex>, staged: &StagedCommit) {
    let gone: Vec<_> = staged.proposals.iter().filter_map(Proposed::removed).collect();
    removals.retain(|leaf| !gone.contains(leaf));
}

#[cfg(test)]
mod tests {
    use alloc::{boxed::Box, vec};

    use super::*;
    use crate::{
        Proposer,
        fake::{leaf, leaf_node},
    };

    fn by(member: u32, reference: u8, proposal: Proposal) -> Proposed {
        Proposed { reference: vec![reference], by: Proposer::Member(leaf(member)), proposal }
    }

    fn update() -> Proposal {
        Proposal::Update(Box::new(leaf_node(9)))
    }

    /// One proposal that concerns a leaf, a Remove before an Update, and never one of the own leaf.
    #[test]
    fn one_proposal_of_a_leaf_at_most() {
        let waiting = [
            by(0, 1, update()),
            by(1, 2, update()),
            by(2, 3, Proposal::Remove(leaf(4))),
            by(5, 4, Proposal::SelfRemove),
            by(0, 5, Proposal::SelfRemove),
            by(2, 6, Proposal::Other),
        ];
        let taken = TakenUp::of(leaf(0), &waiting, &[leaf(7)]);
        assert_eq!(taken.references, [[6], [3]]);
        assert_eq!(taken.removes, []);
        assert_eq!(taken.removals, [leaf(5), leaf(7)]);
    }

    #[test]
    fn who_is_wanted_goes_where_nothing_else_concerns_a_leaf() {
        let waiting = [by(0, 1, update()), by(2, 6, Proposal::Other)];
        let taken = TakenUp::of(leaf(0), &waiting, &[leaf(7), leaf(3)]);
        assert_eq!((taken.references, taken.removes), (vec![vec![6]], vec![leaf(7)]));
        assert_eq!(taken.removals, [leaf(3), leaf(7)]);
    }
}

use super::*;

fn resolution(tree: &Tree, position: u32) -> Vec<u32> {
    tree.resolution(node(position)).into_iter().map(NodeIndex::value).collect()
}

fn filtered(tree: &Tree, index: u32) -> Vec<u32> {
    tree.filtered_direct_path(leaf(index)).into_iter().map(NodeIndex::value).collect()
}

fn changes(updates: &[u32], removes: &[u32], adds: usize) -> Changes {
    let leaves = |indices: &[u32]| indices.iter().copied().map(leaf).collect();
    Changes { updates: leaves(updates), removes: leaves(removes), adds }
}

/// After the example of RFC 9420 section 4.1.1: leaf 1 is unmerged at node 1, leaf 2 is blank.
///
/// ```text
///            3 = _
///        1 = X[B]      5 = _
///       A     B       _     D
/// ```
#[test]
fn resolutions_with_blank_nodes_and_unmerged_leaves() {
    let tree = Tree::of_leaves(leaves([0, 1, 3])).with_parent(1, &[1]);
    assert_eq!(resolution(&tree, 1), [1, 2]);
    assert_eq!(resolution(&tree, 4), [0_u32; 0]);
    assert_eq!(resolution(&tree, 5), [6]);
    assert_eq!(resolution(&tree, 3), [1, 2, 6]);
    assert_eq!(resolution(&tree, 7), [1, 2, 6], "beyond the root, as if the tree were larger");
    assert_eq!(resolution(&tree, 11), [0_u32; 0]);

    assert_eq!(filtered(&tree, 0), [1, 3]);
    assert_eq!(filtered(&tree, 3), [3], "node 5 has nobody else below it");
    assert_eq!(filtered(&tree, 9), [0_u32; 0]);
}

/// Nine members: the ninth hangs alone in the right half.
#[test]
fn a_tree_of_nine() {
    let tree = populated(&mask(0x1ff));
    assert_eq!(tree.size().leaves(), 16);
    assert_eq!(filtered(&tree, 8), [15]);
    assert_eq!(filtered(&tree, 0), [1, 3, 7, 15]);
    assert_eq!(resolution(&tree, 23), [16]);

    let removed = tree.after(&changes(&[], &[8], 0)).unwrap().into_parts().0;
    assert_eq!(removed, populated(&mask(0xff)), "the right half is gone, the rest is untouched");

    let replaced = tree.after(&changes(&[], &[8], 1)).unwrap();
    assert_eq!(replaced.added(), leaves([8]), "the tree is truncated, then extended");
    assert!(replaced.tree().is_blank(node(15)), "with a new, blank root");
}

#[test]
fn an_update_blanks_its_direct_path() {
    let tree = populated(&mask(0b1111)).after(&changes(&[2], &[], 0)).unwrap().into_parts().0;
    assert_eq!(tree, Tree::of_leaves(mask(0b1111)).with_parent(1, &[]));
    assert_eq!(resolution(&tree, 3), [1, 4, 6]);
}

#[test]
fn adds_fill_from_the_left_and_are_unmerged() {
    let tree = populated(&mask(0b1101_1011));
    let applied = tree.after(&changes(&[], &[], 4)).unwrap();
    assert_eq!(applied.added(), leaves([2, 5, 8, 9]));
    let tree = applied.tree();
    assert_eq!(resolution(tree, 3), [3, 4]);
    assert_eq!(resolution(tree, 7), [7, 4, 10]);
    assert_eq!(resolution(tree, 13), [13]);
    assert_eq!(resolution(tree, 15), [7, 4, 10, 16, 18]);
    assert!(tree.unmerged_leaves(node(11)).eq([leaf(5)]));

    let tree = tree.after_path(leaf(2)).unwrap();
    assert_eq!(filtered(&tree, 2), [5, 3, 7, 15]);
    assert_eq!(resolution(&tree, 15), [15]);
    assert!(tree.unmerged_leaves(node(11)).eq([leaf(5)]), "not on the path");
}

#[test]
fn a_path_blanks_what_it_filters() {
    // Leaf 1 is blank: node 1 is filtered out, and blank after the path whatever it was before.
    let tree = Tree::of_leaves(leaves([0, 2, 3])).with_parent(1, &[]).with_parent(3, &[2]);
    let tree = tree.after_path(leaf(0)).unwrap();
    assert_eq!(tree, Tree::of_leaves(leaves([0, 2, 3])).with_parent(3, &[]));
}

#[test]
fn removals_at_the_right_edge() {
    let tree = populated(&leaves([0, 1, 4, 7]));
    let after = |removes| tree.after(&changes(&[], removes, 0)).unwrap().into_parts().0;
    assert_eq!(after(&[7]).size().leaves(), 8);
    assert_eq!(after(&[4, 7]).size().leaves(), 2);
    assert_eq!(after(&[4, 7]), populated(&leaves([0, 1])));
    assert_eq!(after(&[7, 4]), after(&[4, 7]));
    assert_eq!(after(&[0, 1, 4]).size().leaves(), 8);
    assert_eq!(after(&[0, 1, 4, 7]).size(), TreeSize::ONE_LEAF);

    // The only member resyncs by an external commit: its new leaf is the old one.
    let resynced = Tree::of_leaves(leaves([0])).after(&changes(&[], &[0], 1)).unwrap();
    assert_eq!(resynced.added(), leaves([0]));
}

#[test]
fn commits_that_do_not_fit() {
    let tree = populated(&leaves([0, 1, 3]));
    assert_eq!(tree.after(&changes(&[2], &[], 0)), Err(TreeError::NotAMember(leaf(2))));
    assert_eq!(tree.after(&changes(&[], &[9], 0)), Err(TreeError::NotAMember(leaf(9))));
    assert_eq!(tree.after(&changes(&[], &[1, 1], 0)), Err(TreeError::NamedTwice(leaf(1))));
    assert_eq!(tree.after(&changes(&[1], &[1], 0)), Err(TreeError::NamedTwice(leaf(1))));
    assert_eq!(tree.after_path(leaf(2)), Err(TreeError::NotAMember(leaf(2))));
}

/// The tree once more, as nodes that own their children: it knows nothing of positions.
#[derive(Clone)]
enum Naive {
    Leaf(bool),
    Parent(Option<Vec<u32>>, Box<[Naive; 2]>),
}

impl Naive {
    fn of(tree: &Tree, at: NodeIndex) -> Self {
        let (Some(left), Some(right)) = (at.left(), at.right()) else {
            return Self::Leaf(!tree.is_blank(at));
        };
        let unmerged = || tree.unmerged_leaves(at).map(LeafIndex::value).collect();
        let content = (!tree.is_blank(at)).then(unmerged);
        Self::Parent(content, Box::new([Self::of(tree, left), Self::of(tree, right)]))
    }

    fn width(&self) -> u32 {
        match self {
            Self::Leaf(_) => 1,
            Self::Parent(_, children) => 2 * children[0].width(),
        }
    }

    fn blank(width: u32) -> Self {
        match width {
            1 => Self::Leaf(false),
            _ => Self::Parent(None, Box::new([Self::blank(width / 2), Self::blank(width / 2)])),
        }
    }

    fn members(&self) -> u32 {
        match self {
            Self::Leaf(occupied) => u32::from(*occupied),
            Self::Parent(_, children) => children.iter().map(Self::members).sum(),
        }
    }

    /// Goes down to a leaf, changes it, and changes each parent on the way.
    fn walk(&mut self, leaf: u32, occupied: bool, parent: &dyn Fn(&mut Option<Vec<u32>>)) {
        let half = self.width() / 2;
        match self {
            Self::Leaf(state) => *state = occupied,
            Self::Parent(content, children) => {
                parent(content);
                let side = usize::from(leaf >= half);
                children[side].walk(leaf % half, occupied, parent);
            }
        }
    }

    fn first_blank(&self) -> Option<u32> {
        match self {
            Self::Leaf(occupied) => (!occupied).then_some(0),
            Self::Parent(_, children) => {
                let [left, right] = &**children;
                left.first_blank().or_else(|| Some(left.width() + right.first_blank()?))
            }
        }
    }

    fn after(mut self, changes: &Changes) -> (Self, Vec<u32>) {
        for leaf in &changes.updates {
            self.walk(leaf.value(), true, &|content| *content = None);
        }
        for leaf in &changes.removes {
            self.walk(leaf.value(), false, &|content| *content = None);
            while let Self::Parent(_, children) = &self
                && children[1].members() == 0
            {
                self = children[0].clone();
            }
        }
        let mut added = Vec::new();
        for _ in 0..changes.adds {
            let leaf = self.first_blank().unwrap_or(self.width());
            if leaf == self.width() {
                let blank = Self::blank(leaf);
                self = Self::Parent(None, Box::new([self, blank]));
            }
            self.walk(leaf, true, &|content| {
                if let Some(unmerged) = content {
                    unmerged.push(leaf);
                    unmerged.sort();
                }
            });
            added.push(leaf);
        }
        (self, added)
    }

    fn after_path(&mut self, committer: u32) {
        let half = self.width() / 2;
        if let Self::Parent(content, children) = self {
            let side = usize::from(committer >= half);
            let filtered = children[1 - side].resolution_len() == 0;
            *content = (!filtered).then(Vec::new);
            children[side].after_path(committer % half);
        }
    }

    fn resolution_len(&self) -> usize {
        match self {
            Self::Leaf(occupied) => usize::from(*occupied),
            Self::Parent(Some(unmerged), _) => 1 + unmerged.len(),
            Self::Parent(None, children) => children.iter().map(Self::resolution_len).sum(),
        }
    }

    /// Compares with the nodes of `tree` from `at` on down.
    fn assert_eq(&self, tree: &Tree, at: NodeIndex) {
        assert_eq!(tree.resolution(at).len(), self.resolution_len());
        match self {
            Self::Leaf(occupied) => assert_eq!(tree.is_blank(at), !occupied),
            Self::Parent(content, children) => {
                assert_eq!(tree.is_blank(at), content.is_none());
                let unmerged = content.as_deref().unwrap_or_default();
                assert!(
                    tree.unmerged_leaves(at).map(LeafIndex::value).eq(unmerged.iter().copied())
                );
                children[0].assert_eq(tree, at.left().unwrap());
                children[1].assert_eq(tree, at.right().unwrap());
            }
        }
    }
}

/// Every tree of up to 8 leaves, with blank, with full and with unmerged parents; every set of removals
/// of it, with no and with one update, and up to three adds; and then a path by every other member.
#[test]
fn every_small_commit_agrees_with_the_naive_tree() {
    for members in 1..=0xff_u32 {
        let full = populated(&mask(members));
        let low = members & members.wrapping_neg();
        let unmerged = match members == low {
            true => full.clone(),
            // The leftmost member was removed and has been added again.
            false => {
                let leftmost = [low.trailing_zeros()];
                full.after(&changes(&[], &leftmost, 1)).unwrap().into_parts().0
            }
        };
        for tree in [Tree::of_leaves(mask(members)), full, unmerged] {
            let present: Vec<_> = tree.members().collect();
            for removes in subsets(to_mask(&present)).map(mask) {
                let staying: Vec<_> =
                    present.iter().copied().filter(|leaf| !removes.contains(leaf)).collect();
                let number = members as usize + removes.len();
                let update = staying.get(number % staying.len().max(1)).copied();
                for (updates, adds) in [(vec![], number % 4), (Vec::from_iter(update), number % 3)]
                {
                    check_commit(&tree, &Changes { updates, removes: removes.clone(), adds });
                }
            }
        }
    }
}

fn check_commit(tree: &Tree, changes: &Changes) {
    let (after, added) = tree.after(changes).unwrap().into_parts();
    let (naive, naive_added) = Naive::of(tree, tree.size().root()).after(changes);
    assert!(added.iter().map(|leaf| leaf.value()).eq(naive_added));
    assert_eq!(after.size().leaves(), naive.width());
    naive.assert_eq(&after, after.size().root());
    for committer in after.members().step_by(2) {
        let with_path = after.after_path(committer).unwrap();
        let mut naive = naive.clone();
        naive.after_path(committer.value());
        naive.assert_eq(&with_path, with_path.size().root());
    }
}

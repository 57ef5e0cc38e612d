use super::*;

fn positions(nodes: &[NodeIndex]) -> Vec<u32> {
    nodes.iter().map(|node| node.value()).collect()
}

/// `(node, copath, recipients)` of each level.
fn path(anchor: &Anchor) -> Vec<(u32, u32, Vec<u32>)> {
    let level = |level: &Level| {
        (level.node().value(), level.copath().value(), positions(level.recipients()))
    };
    anchor.path().iter().map(level).collect()
}

fn whole(anchorage: Anchorage) -> Anchor {
    match anchorage {
        Anchorage::Whole(anchor) => anchor,
        other => panic!("{other:?}"),
    }
}

#[test]
fn siblings_meet_at_their_parent() {
    let tree = populated(&mask(0xff));
    let anchor = whole(locate(&tree, leaf(2), &leaves([2, 3]), &[]).unwrap());
    assert_eq!(anchor.node(), node(5));
    assert_eq!(anchor.levels(), 1);
    assert_eq!(path(&anchor), [(5, 6, vec![6])]);
    assert_eq!(anchor.notifies(), 1);
    assert_eq!(anchor.covered(), leaves([3]));
    assert_eq!(anchor.level_of(leaf(3)), Some(0));
    assert_eq!(anchor.level_of(leaf(2)), None, "the committer receives nothing");
    assert_eq!(anchor.level_of(leaf(0)), None);
}

/// Three devices, one of which the others' common parent has not merged.
#[test]
fn each_level_has_its_recipients() {
    let tree = Tree::of_leaves(mask(0b1_1111)).with_parent(5, &[3]).with_parent(7, &[]);
    let devices = leaves([1, 2, 3]);
    let Anchorage::Suspended { strangers } = locate(&tree, leaf(1), &devices, &[]).unwrap() else {
        panic!()
    };
    assert_eq!(strangers, leaves([0]));

    let devices = leaves([0, 1, 2, 3]);
    let anchor = whole(locate(&tree, leaf(1), &devices, &[]).unwrap());
    assert_eq!(path(&anchor), [(1, 0, vec![0]), (3, 5, vec![5, 6])]);
    assert_eq!(anchor.notifies(), 3);
    assert_eq!(anchor.level_of(leaf(0)), Some(0));
    assert_eq!(anchor.level_of(leaf(3)), Some(1));
}

/// The first node of the filtered path need not be the committer's parent.
#[test]
fn levels_are_those_of_the_filtered_path() {
    let tree = populated(&leaves([0, 3, 4]));
    let anchor = whole(locate(&tree, leaf(0), &leaves([0, 3]), &[]).unwrap());
    assert_eq!(anchor.node(), node(3));
    assert_eq!(path(&anchor), [(3, 5, vec![6])]);
    assert_eq!((anchor.levels(), anchor.level_of(leaf(3))), (1, Some(0)));
    let whole_tree = whole(locate(&tree, leaf(0), &leaves([0, 3, 4]), &[]).unwrap());
    assert_eq!((whole_tree.levels(), whole_tree.level_of(leaf(4))), (2, Some(1)));
}

/// Messages name a leaf by its number.
#[test]
fn a_leaf_is_shown_by_its_number() {
    assert_eq!(leaf(12).to_string(), "12");
}

/// The partner's leaf is removed and added again by the commit that heals it.
#[test]
fn a_newcomer_is_covered_but_not_notified() {
    let tree = populated(&mask(0b1111));
    let changes = Changes { removes: leaves([1]), adds: 1, ..Changes::default() };
    let (tree, newcomers) = tree.after(&changes).unwrap().into_parts();
    assert_eq!(newcomers, leaves([1]));
    let anchor = whole(locate(&tree, leaf(0), &leaves([0, 1]), &newcomers).unwrap());
    assert_eq!(path(&anchor), [(1, 2, vec![])]);
    assert_eq!(anchor.notifies(), 0);
    assert_eq!(anchor.covered(), leaves([1]));
    assert_eq!(anchor.level_of(leaf(1)), Some(0));
    // Node 3 is above the anchor, and its other half is sealed to; the newcomer is not.
    assert_eq!(sealed(&tree, 0, &newcomers, Some(&anchor)), [(1, vec![]), (3, vec![5])]);
    assert_eq!(sealed(&tree, 0, &newcomers, None), [(1, vec![]), (3, vec![5])]);
}

/// A stranger is added into the blank leaf under the anchor.
#[test]
fn a_stranger_shrinks_the_anchor() {
    let tree = populated(&leaves([0, 1, 3, 4]));
    let devices = leaves([0, 1, 3]);
    assert_eq!(whole(locate(&tree, leaf(0), &devices, &[]).unwrap()).node(), node(3));

    let add = Changes { adds: 1, ..Changes::default() };
    let (tree, newcomers) = tree.after(&add).unwrap().into_parts();
    assert_eq!(newcomers, leaves([2]));
    for committer in [0, 1] {
        let Anchorage::Shrunk { anchor, left_out, strangers } =
            locate(&tree, leaf(committer), &devices, &newcomers).unwrap()
        else {
            panic!()
        };
        assert_eq!(anchor.node(), node(1));
        assert_eq!(anchor.covered(), leaves([1 - committer]));
        assert_eq!(left_out, leaves([3]));
        assert_eq!(strangers, leaves([2]));
        // The path of leaf 3 was blank below node 3, so an own commit would be sealed to its leaf.
        let sealed = sealed(&tree, committer, &newcomers, Some(&anchor));
        assert_eq!(sealed, [(1, vec![]), (3, vec![6]), (7, vec![8])], "leaf 3 is left out");
    }
    let suspended = locate(&tree, leaf(3), &devices, &newcomers).unwrap();
    assert_eq!(suspended, Anchorage::Suspended { strangers: leaves([2]) });
    assert_eq!(suspended.anchor(), None);
}

/// The free subtree is larger than the anchor that is left: its other half is blank.
#[test]
fn a_shrunk_anchor_is_the_lowest_node_above_its_devices() {
    let tree = populated(&leaves([0, 1, 4, 5]));
    let Anchorage::Shrunk { anchor, .. } = locate(&tree, leaf(0), &leaves([0, 1, 5]), &[]).unwrap()
    else {
        panic!()
    };
    assert_eq!((anchor.node(), anchor.levels()), (node(1), 1));
}

/// What each level of a commit is sealed to.
fn sealed(
    tree: &Tree,
    committer: u32,
    newcomers: &[LeafIndex],
    notified: Option<&Anchor>,
) -> Vec<(u32, Vec<u32>)> {
    let values = |nodes: &[NodeIndex]| nodes.iter().map(|node| node.value()).collect();
    let levels = sealed_levels(tree, leaf(committer), newcomers, notified).unwrap();
    levels.iter().map(|level| (level.node().value(), values(level.recipients()))).collect()
}

#[test]
fn what_a_commit_is_sealed_to() {
    let tree = populated(&mask(0xff));
    assert_eq!(sealed(&tree, 0, &[], None), [(1, vec![2]), (3, vec![5]), (7, vec![11])]);
    let anchor = whole(locate(&tree, leaf(0), &leaves([0, 1, 2, 3]), &[]).unwrap());
    let notified = sealed(&tree, 0, &[], Some(&anchor));
    assert_eq!(notified, [(1, vec![]), (3, vec![]), (7, vec![11])], "all below are notified");

    let changes = |updates, removes| Changes { updates, removes, adds: 0 };
    let updated = tree.after(&changes(leaves([3]), vec![])).unwrap().into_parts().0;
    assert_eq!(sealed(&updated, 0, &[], None)[1], (3, vec![4, 6]), "node 5 is blank");
    let elsewhere = tree.after(&changes(vec![], leaves([1]))).unwrap().into_parts().0;
    assert_eq!(sealed(&elsewhere, 0, &[], None), [(3, vec![5]), (7, vec![11])]);

    let unmerged = Tree::of_leaves(mask(0xff)).with_parent(5, &[3]);
    assert_eq!(sealed(&unmerged, 0, &[], None)[1], (3, vec![5, 6]));
}

#[test]
fn what_a_member_knows() {
    let known = |tree: &Tree, of: u32| -> Vec<u32> {
        tree.known_to(leaf(of)).iter().map(|node| node.value()).collect()
    };
    let tree = populated(&mask(0xff));
    assert_eq!(known(&tree, 3), [3, 5, 6, 7]);
    assert_eq!(known(&tree, 9), [0_u32; 0], "nobody is there");
    let unmerged = Tree::of_leaves(mask(0b1111)).with_parent(5, &[3]).with_parent(3, &[]);
    assert_eq!(known(&unmerged, 3), [3, 6]);
    assert_eq!(known(&unmerged, 2), [3, 4, 5]);
    assert_eq!(known(&unmerged, 0), [0, 3]);
}

#[test]
fn arguments_that_do_not_fit() {
    let tree = populated(&leaves([0, 1, 3]));
    let locate = |committer, devices: &[u32], newcomers: &[u32]| {
        let leaves = |indices: &[u32]| indices.iter().copied().map(leaf).collect::<Vec<_>>();
        super::locate(&tree, leaf(committer), &leaves(devices), &leaves(newcomers))
    };
    assert_eq!(locate(0, &[0], &[]), Ok(Anchorage::Alone));
    assert_eq!(locate(0, &[0, 2], &[]), Err(LocateError::NotAMember(leaf(2))));
    assert_eq!(locate(0, &[0, 1], &[7]), Err(LocateError::NotAMember(leaf(7))));
    assert_eq!(locate(3, &[0, 1], &[]), Err(LocateError::CommitterNotPaired(leaf(3))));
    assert_eq!(sealed_levels(&tree, leaf(2), &[], None), Err(LocateError::NotAMember(leaf(2))));
    let newcomer = sealed_levels(&tree, leaf(0), &leaves([7]), None);
    assert_eq!(newcomer, Err(LocateError::NotAMember(leaf(7))));
}

/// Every occupancy of up to 8 leaves, every set of devices in it, every committer of them; nobody new,
/// or one of the partners.
#[test]
fn every_small_anchor() {
    for members in 1..=0xff_u32 {
        for tree in [populated(&mask(members)), Tree::of_leaves(mask(members))] {
            for devices in subsets(members).filter(|&devices| devices != 0) {
                for committer in mask(devices) {
                    let partners = devices & !bit(&committer);
                    for newcomers in [0, partners & partners.wrapping_neg()] {
                        check(&tree, members, devices, committer, newcomers);
                    }
                }
            }
        }
    }
}

fn bit(leaf: &LeafIndex) -> u32 {
    1 << leaf.value()
}

fn check(tree: &Tree, members: u32, devices: u32, committer: LeafIndex, newcomers: u32) {
    let partners = devices & !bit(&committer);
    let under = |block: u32| members & block & !devices;
    let anchorage = locate(tree, committer, &mask(devices), &mask(newcomers)).unwrap();

    // The partners that share a block without strangers with the committer.
    let healed = mask(partners)
        .into_iter()
        .filter(|partner| under(smallest_block(bit(partner) | bit(&committer))) == 0)
        .fold(0, |healed, partner| healed | bit(&partner));
    let all_strangers = mask(under(smallest_block(devices)));

    let anchor = match &anchorage {
        Anchorage::Alone => return assert_eq!(partners, 0),
        Anchorage::Suspended { strangers } => {
            assert_eq!(strangers, &all_strangers);
            assert!(healed == 0 && partners != 0 && !strangers.is_empty());
            return;
        }
        Anchorage::Whole(anchor) => {
            assert!(healed == partners && all_strangers.is_empty());
            anchor
        }
        Anchorage::Shrunk { anchor, left_out, strangers } => {
            assert_eq!(strangers, &all_strangers);
            assert_eq!(left_out, &mask(partners & !healed));
            assert!(!left_out.is_empty() && !strangers.is_empty());
            anchor
        }
    };
    assert!(healed != 0);
    assert_eq!(anchor.covered(), mask(healed));
    assert_eq!(anchor.path().last().map(Level::node), Some(anchor.node()));
    assert_eq!(under(smallest_block(healed | bit(&committer))), 0);
    assert!(tree.members_below(anchor.node()).all(|leaf| devices & bit(&leaf) != 0));

    // Each healed partner that is no newcomer is reached by the Notifies of its level, once.
    let mut reached = Vec::new();
    for (number, level) in anchor.path().iter().enumerate() {
        for recipient in level.recipients() {
            let members = tree.members_below(*recipient).collect::<Vec<_>>();
            assert!(members.iter().all(|&member| anchor.level_of(member) == Some(number)));
            reached.extend(members);
        }
    }
    let count = reached.len();
    reached.sort();
    reached.dedup();
    assert_eq!(reached.len(), count);
    let not_new = |leaf: &&LeafIndex| newcomers & bit(leaf) == 0;
    assert!(anchor.covered().iter().filter(not_new).all(|leaf| reached.contains(leaf)));
}

use super::*;

fn device(device: usize, index: u32) -> PlannedAdd {
    PlannedAdd::Device { device, leaf: leaf(index) }
}

fn filler(index: u32) -> PlannedAdd {
    PlannedAdd::Filler { leaf: leaf(index) }
}

/// Checks the plan and returns its Adds and its Removes.
fn plan(members: &[u32], old: &[u32]) -> (Vec<PlannedAdd>, Vec<u32>) {
    let tree = populated(&members.iter().copied().map(leaf).collect::<Vec<_>>());
    let old: Vec<_> = old.iter().copied().map(leaf).collect();
    let plan = relocate(&tree, &old).unwrap();
    assert_eq!(plan.verify(&tree), Ok(()));
    let [first, second] = plan.steps() else {
        return (Vec::new(), Vec::new());
    };
    assert!(first.removes().is_empty() && second.adds().is_empty());
    (first.adds().to_vec(), second.removes().iter().map(|leaf| leaf.value()).collect())
}

#[test]
fn a_pair_added_now() {
    let full = populated(&mask(0b1111));
    assert_eq!(siblings_now(&full, &[], 2), Ok(leaves([4, 5])));
    assert_eq!(siblings_now(&full, &[], 3), Ok(leaves([4, 5, 6])));

    let hole = populated(&mask(0b1101));
    let error = PlacementError::StrangersUnderAnchor {
        fresh: leaves([1, 4]),
        strangers: leaves([0, 2, 3]),
    };
    assert_eq!(siblings_now(&hole, &[], 2), Err(error));
    assert_eq!(siblings_now(&hole, &leaves([0]), 1), Ok(leaves([1])), "beside a device");
    assert_eq!(siblings_now(&full, &leaves([2, 3]), 0), Ok(vec![]), "all present");

    assert_eq!(siblings_now(&full, &[], 1), Err(PlacementError::TooFewDevices));
    assert_eq!(siblings_now(&full, &leaves([1]), 0), Err(PlacementError::TooFewDevices));
    assert_eq!(siblings_now(&full, &leaves([9]), 1), Err(PlacementError::NotAMember(leaf(9))));
    assert_eq!(siblings_now(&full, &leaves([1, 1]), 1), Err(PlacementError::NamedTwice(leaf(1))));
}

#[test]
fn plans_worked_by_hand() {
    assert_eq!(plan(&[0, 1, 2], &[0, 1]), (vec![], vec![]), "siblings already");
    assert_eq!(plan(&[0, 3, 4], &[0, 3]), (vec![], vec![]), "nobody between them");
    // A full tree: both go to the right edge.
    assert_eq!(plan(&[0, 1, 2, 3], &[0, 3]), (vec![device(0, 4), device(1, 5)], vec![0, 3]));
    assert_eq!(plan(&[0, 2, 3], &[2, 0]), (vec![device(0, 1)], vec![2]), "leaf 0 stays");
    // The blank leaf beside a stranger is filled first.
    assert_eq!(
        plan(&[0, 2, 3, 4, 5], &[3, 4]),
        (vec![filler(1), device(0, 6), device(1, 7)], vec![1, 3, 4])
    );
    assert_eq!(
        plan(&[0, 2, 4, 6, 7], &[4, 6]),
        (vec![filler(1), filler(3), device(1, 5)], vec![1, 3, 6]),
        "the device at leaf 4 stays"
    );
    // Three devices take a block of four.
    assert_eq!(plan(&[0, 1, 2, 3, 4], &[0, 2, 4]), (vec![device(0, 5), device(1, 6)], vec![0, 2]));
    // The second commit lets the tree shrink no further than the devices' new place.
    assert_eq!(plan(&[0, 1, 7], &[0, 7]), (vec![device(0, 2), device(1, 3)], vec![0, 7]));
}

#[test]
fn a_plan_tells_what_it_costs() {
    let tree = populated(&leaves([0, 2, 4, 6, 7]));
    let plan = relocate(&tree, &leaves([4, 6])).unwrap();
    assert_eq!((plan.commits(), plan.fillers()), (2, 2));
    assert_eq!(plan.homes(), leaves([4, 5]));
    assert_eq!(plan.steps()[0].changes(), Changes { adds: 3, ..Changes::default() });

    let tree = populated(&leaves([4, 5]));
    let empty = relocate(&tree, &leaves([5, 4])).unwrap();
    assert_eq!((empty.commits(), empty.fillers()), (0, 0));
    assert_eq!(empty.homes(), leaves([5, 4]));
}

#[test]
fn a_plan_for_another_tree_is_refused() {
    let tree = populated(&leaves([0, 1, 2, 3]));
    let plan = relocate(&tree, &leaves([0, 3])).unwrap();
    let add = Changes { adds: 1, ..Changes::default() };
    let (more, _) = tree.after(&add).unwrap().into_parts();
    let landing = PlanError::Landing { planned: leaf(4), landed: leaf(5) };
    assert_eq!(plan.verify(&more), Err(landing));

    // Leaf 0 is gone; and so the new leaves land there.
    let fewer = tree.after(&Changes { removes: leaves([0]), ..Changes::default() }).unwrap();
    let landing = PlanError::Landing { planned: leaf(4), landed: leaf(0) };
    assert_eq!(plan.verify(fewer.tree()), Err(landing));

    // Siblings no longer among themselves.
    let pair = leaves([0, 3]);
    let empty = relocate(&populated(&pair), &pair).unwrap();
    assert_eq!(empty.verify(&tree), Err(PlanError::NotAnchored(leaf(0))));
    let gone = populated(&leaves([0]));
    assert_eq!(empty.verify(&gone), Err(PlanError::NotAnchored(leaf(0))));
}

#[test]
fn arguments_that_do_not_fit() {
    let tree = populated(&leaves([0, 1, 3]));
    assert_eq!(relocate(&tree, &[]), Err(PlacementError::TooFewDevices));
    assert_eq!(relocate(&tree, &leaves([0])), Err(PlacementError::TooFewDevices));
    assert_eq!(relocate(&tree, &leaves([0, 2])), Err(PlacementError::NotAMember(leaf(2))));
    assert_eq!(relocate(&tree, &leaves([0, 0])), Err(PlacementError::NamedTwice(leaf(0))));
}

#[test]
fn a_plan_in_the_largest_tree() {
    let tree = Tree::of_leaves([leaf(0), leaf(1), LeafIndex::MAX]);
    let plan = relocate(&tree, &[leaf(0), LeafIndex::MAX]).unwrap();
    assert_eq!(plan.homes(), leaves([2, 3]));
    assert_eq!(plan.verify(&tree), Ok(()));
}

/// Every occupancy of up to 7 leaves, and every set of at least two devices in it.
#[test]
fn every_small_plan_holds() {
    for members in 1..=0x7f_u32 {
        let tree = populated(&mask(members));
        for devices in subsets(members).filter(|devices| devices.count_ones() >= 2) {
            let plan = relocate(&tree, &mask(devices)).unwrap();
            assert_eq!(plan.verify(&tree), Ok(()), "{members:b}, {devices:b}");

            // Replayed once more, without `verify`.
            let mut after = tree.clone();
            for step in plan.steps() {
                after = after.after(&step.changes()).unwrap().into_parts().0;
            }
            let homes = to_mask(plan.homes());
            assert_eq!(homes.count_ones(), devices.count_ones());
            let expected = (members & !devices) | homes;
            assert!(after.members().eq(mask(expected)), "{members:b}, {devices:b}");
            assert_eq!(smallest_block(homes) & expected, homes);
            for &home in plan.homes() {
                let anchorage = locate(&after, home, plan.homes(), &[]);
                assert!(matches!(anchorage, Ok(Anchorage::Whole(_))));
            }

            let apart = smallest_block(devices) & members != devices;
            assert_eq!(plan.commits(), if apart { 2 } else { 0 });
        }
    }
}

/// No other choice of places, aligned or not, needs fewer fillers.
#[test]
fn every_small_plan_has_the_fewest_fillers() {
    for members in 1..=0x7f_u32 {
        let tree = populated(&mask(members));
        for devices in subsets(members).filter(|devices| (2..=3).contains(&devices.count_ones())) {
            let plan = relocate(&tree, &mask(devices)).unwrap();
            let strangers = members & !devices;
            let mut landed = 0_u32;
            let mut fewest = 7;
            for adds in 0.. {
                // From here on there are at least as many fillers as in the best choice so far.
                if adds >= fewest + devices.count_ones() {
                    break;
                }
                let homes = subsets(landed | devices)
                    .filter(|homes| homes.count_ones() == devices.count_ones())
                    .filter(|&homes| smallest_block(homes) & strangers == 0);
                for homes in homes {
                    fewest = fewest.min(adds - (homes & landed).count_ones());
                }
                let blank = (0..).find(|bit| (members | landed) >> bit & 1 == 0).unwrap();
                landed |= 1 << blank;
            }
            assert_eq!(plan.fillers(), fewest as usize, "{members:b}, {devices:b}");
        }
    }
}

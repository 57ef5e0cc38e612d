//! The tapes of groups, and the openings of their lanes.

use super::*;
use crate::tape::group::NextOpening;

const SUITE: CipherSuite = CipherSuite::X25519Aes128;

/// The next opening of the own lane.
fn open_next(parent: &mut Tape, group: &mut Tape, id: &[u8]) -> Index {
    let at = parent.next_opening(group).unwrap();
    parent.open_lane(group, id, at).unwrap();
    at
}

#[test]
fn a_lane_is_what_its_pseudocode_says_and_its_opening_is_gone() {
    for suite in HASHES {
        let mut a = tape(suite, A);
        let expect = |secret: &Secret, label| {
            suite.expand_with_label(secret, label, b"red", suite.kdf_len()).unwrap()
        };
        let mut red = a.group(b"red").unwrap();
        assert_eq!(red.notify_secret(), &expect(&a.notify_secret, "group"));
        assert_eq!(red.accept_secret(), &expect(&a.accept_secret, "group"));
        assert_eq!((red.stored_nodes(), a.stored_nodes()), (0, 1), "nothing is taken yet");

        let at = open_next(&mut a, &mut red, b"red");
        assert_eq!(at, Index::new(A, FIRST_OPENING).unwrap());
        assert_gone(&a, at);
        assert_covers_all_but(&a, &[at]);
        let root = expect(&Secret::new(reference(suite, at)), "lane");
        assert_eq!(red.nodes_for_tests(), [(u64::from(A.0) << 48, 16, root.expose().to_vec())]);
        assert!(!red.holds(super::at(B, 0)), "the other lanes are closed");
        assert_eq!(refused(&mut red, |red| red.claim(super::at(B, 0), b"m")), TapeError::Spent);
        let again = refused(&mut a, |a| a.open_lane(&mut a.group(b"red")?, b"red", at));
        assert_eq!(again, TapeError::OpeningSpent(at));
    }
}

#[test]
fn groups_share_nothing_and_devices_agree_in_any_order() {
    let (mut a, mut b) = (tape(SUITE, A), tape(SUITE, B));
    let ids = [&b"red"[..], b"blue", b""];
    let mut on_a = ids.map(|id| a.group(id).unwrap());
    let openings: Vec<_> =
        ids.iter().zip(&mut on_a).map(|(id, group)| open_next(&mut a, group, id)).collect();
    assert_eq!(openings, [1, 2, 3].map(|position| at(A, position)));
    let mut secrets = vec![a.notify_secret.expose().to_vec(), a.accept_secret.expose().to_vec()];
    for n in [2, 0, 1] {
        let mut on_b = b.group(ids[n]).unwrap();
        b.open_lane(&mut on_b, ids[n], openings[n]).unwrap();
        let drawn = on_a[n].draw(0).unwrap();
        let value = value_of(on_b.claim(drawn.spot.index, b"m"));
        assert_eq!(drawn.spot, Spot { opening: openings[n].position(), index: at(A, 0) });
        assert_eq!(drawn.value.expose(), value);
        let of_group = [&on_b.notify_secret, &on_b.accept_secret].map(|s| s.expose().to_vec());
        secrets.extend(of_group.into_iter().chain([value]));
    }
    let count = secrets.len();
    secrets.sort();
    secrets.dedup();
    assert_eq!(secrets.len(), count, "two groups share a secret");
    assert_covers_all_but(&b, &openings);
}

/// The same opening in another group gives other values: a device whose vault is an older copy and
/// opens a lane a second time elsewhere uses nothing twice.
#[test]
fn an_opening_is_bound_to_its_group() {
    let value = |id: &[u8]| {
        let mut a = tape(SUITE, A);
        let mut group = a.group(id).unwrap();
        open_next(&mut a, &mut group, id);
        value_of(group.draw(0))
    };
    assert_ne!(value(b"red"), value(b"blue"));
    assert_eq!(value(b"red"), value(b"red"));
}

#[test]
fn openings_are_handed_out_in_order_and_cost_a_bounded_number_of_nodes() {
    let (mut a, mut b) = (tape(SUITE, A), tape(SUITE, B));
    for n in 0_u32..3000 {
        let id = n.to_be_bytes();
        let mut group = a.group(&id).unwrap();
        let at = open_next(&mut a, &mut group, &id);
        assert_eq!(at.position(), u64::from(n) + FIRST_OPENING);
        assert!(a.stored_nodes() <= 64 + 2, "{} nodes", a.stored_nodes());
        // The partner sees three of four.
        if n % 4 != 3 {
            let mut group = b.group(&id).unwrap();
            b.open_lane(&mut group, &id, at).unwrap();
        }
        assert!(b.stored_nodes() <= MAX_LANE_NODES + 16, "{} nodes", b.stored_nodes());
    }
    // It can still follow in the last of those that it has not seen.
    let mut group = b.group(b"late").unwrap();
    b.open_lane(&mut group, b"late", at(A, 2988)).unwrap();
    // The position that is for KeyPackages is there, on both.
    assert!(a.holds(at(A, 0)) && b.holds(at(A, 0)));
}

#[test]
fn a_lane_that_is_opened_anew_skips_ahead_and_the_partner_finds_it() {
    let (mut a, mut b) = (tape(SUITE, A), tape(SUITE, B));
    let (mut on_a, mut on_b) = (a.group(b"g").unwrap(), b.group(b"g").unwrap());
    assert!(b.likely_openings(A).starts_with(&[1, 2, 3]));
    let first = open_next(&mut a, &mut on_a, b"g");
    b.open_lane(&mut on_b, b"g", first).unwrap();
    value_of(on_a.draw(7 << 16));
    assert!(!on_a.skip_unless_open(), "it is open");

    assert!(on_a.reopen_ahead() && !on_a.reopen_ahead());
    assert!(!on_a.may_draw() && on_a.holds(at(A, 8 << 16)), "it can be read until then");
    let ahead = open_next(&mut a, &mut on_a, b"g");
    assert_eq!(ahead.position(), SKIPPED_OPENINGS);
    assert_eq!(on_a.lanes.as_ref().unwrap().next_opening, NextOpening::InOrder);
    assert!(b.likely_openings(A).contains(&ahead.position()));
    let drawn = on_a.draw(0).unwrap();
    assert_eq!(drawn.spot.index, at(A, 0), "a lane of its own");
    let there = b.preview_through(b"g", drawn.spot).unwrap();
    assert_eq!(there.spot(), drawn.spot);
    b.open_lane(&mut on_b, b"g", ahead).unwrap();
    assert_eq!(value_of(on_b.claim(drawn.spot.index, b"m")), drawn.value.expose());

    let mut other = a.group(b"other").unwrap();
    assert_eq!(open_next(&mut a, &mut other, b"other").position(), SKIPPED_OPENINGS + 1);
    let mut fresh = a.group(b"fresh").unwrap();
    assert!(fresh.skip_unless_open());
    assert_eq!(open_next(&mut a, &mut fresh, b"fresh").position(), 2 * SKIPPED_OPENINGS);
}

#[test]
fn likely_openings_are_few_and_begin_with_the_next() {
    let mut b = tape(SUITE, B);
    let mut group = b.group(b"g").unwrap();
    for position in [1, 2, 5, 6] {
        b.open_lane(&mut group, b"g", at(A, position)).unwrap();
    }
    let likely = b.likely_openings(A);
    assert!(likely.starts_with(&[7, 8, 9]) && likely.len() <= 80, "{likely:?}");
    for position in [3, 4, SKIPPED_OPENINGS, SKIPPED_OPENINGS + 1, 8 * SKIPPED_OPENINGS] {
        assert!(likely.contains(&position), "{position}");
    }
    for gone in [0, 1, 2, 5, 6] {
        assert!(!likely.contains(&gone), "{gone}");
    }
    // To the end of the lane and not beyond it.
    b.open_lane(&mut group, b"g", at(A, Index::MAX_POSITION)).unwrap();
    assert!(b.likely_openings(A).iter().all(|position| *position <= Index::MAX_POSITION));
}

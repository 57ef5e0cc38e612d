//! What is given up, and how many holes a tape may have.

use super::*;

#[test]
fn draw_goes_on_after_what_was_given_up_without_walking_there() {
    let mut a = tape(CipherSuite::X25519Aes128, A);
    a.forget_before(at(A, Index::MAX_POSITION - 1)).unwrap();
    assert_eq!(a.draw(0).unwrap().spot.index, at(A, Index::MAX_POSITION - 1));
    // Looking back gives up nothing more and opens nothing again.
    a.forget_before(at(A, 5)).unwrap();
    assert_eq!(a.draw(0).unwrap().spot.index, at(A, Index::MAX_POSITION));
    assert_eq!(refused(&mut a, |tape| tape.draw(0)), TapeError::LaneExhausted(A));
}

#[test]
fn what_is_forgotten_is_spent_and_the_rest_is_unchanged() {
    for suite in HASHES {
        let mut b = tape(suite, B);
        for position in [2, 90, 1 << 33] {
            value_of(b.claim(at(A, position), b"m"));
        }
        let before = at(A, 100);
        b.forget_before(before).unwrap();
        for position in [0, 1, 2, 3, 63, 64, 89, 90, 91, 98, 99] {
            assert_eq!(refused(&mut b, |tape| tape.claim(at(A, position), b"x")), TapeError::Spent);
        }
        for index in [before, at(A, 101), at(A, Index::MAX_POSITION), at(C, 0), at(C, 50)] {
            assert_eq!(value_of(b.claim(index, b"m")), reference(suite, index));
        }
        // The lanes on both sides are whole, to the last and from the first position.
        for index in [at(DeviceId(0), Index::MAX_POSITION), at(B, 0), at(B, 99)] {
            assert_eq!(value_of(b.take(index)), reference(suite, index));
        }
        assert_gone(&b, at(A, 99));
    }
}

#[test]
fn forgetting_is_stable_and_exact() {
    let mut b = tape(CipherSuite::X25519Aes128, B);
    b.forget_before(at(A, 0)).unwrap();
    assert_eq!(b.stored_nodes(), 1, "nothing lies before the first position");
    b.forget_before(at(A, 37)).unwrap();
    let record = b.to_record().unwrap();
    for position in [0, 1, 36, 37] {
        b.forget_before(at(A, position)).unwrap();
        assert_eq!(b.to_record().unwrap(), record);
    }
    let spent: Vec<_> = (0..37).map(|position| at(A, position)).collect();
    assert_covers_all_but(&b, &spent);
}

/// Past the bound the oldest holes go, and nothing is ever refused for them.
#[test]
fn the_oldest_holes_of_a_lane_are_given_up_at_the_bound() {
    let mut b = tape(CipherSuite::X25519Aes128, B);
    // Every other position: as many holes as there can be, each of one index.
    let count = 2 * MAX_LANE_NODES as u64;
    let (mut given_up, mut held) = (0, Vec::new());
    for position in (1..count).step_by(2) {
        value_of(b.claim(at(A, position), b"m"));
        b.settle();
        held.push(at(A, position - 1));
        held.retain(|hole| {
            b.holds(*hole) || {
                given_up += 1;
                false
            }
        });
        assert!(b.stored_nodes() <= MAX_LANE_NODES + 16);
    }
    assert!(given_up > 0 && held.len() >= MAX_LANE_NODES - 50, "{given_up} of {}", held.len());
    // What came last is what is left, besides the position that is for KeyPackages.
    assert_eq!(held[0], at(A, 0));
    assert!(held[1..].iter().all(|hole| hole.position() > 2 * given_up - 2));
    let mut b = Tape::from_record(&b.to_record().unwrap()).unwrap();
    for index in [held[0], held[1], held[held.len() - 1], at(A, count), at(A, count + 7)] {
        assert_eq!(value_of(b.claim(index, b"x")), reference(b.suite, index));
    }
    let gone = |tape: &mut Tape| tape.claim(at(A, 2), b"m");
    assert_eq!(refused(&mut b, gone), TapeError::Spent);
    // Other lanes are as they were.
    for position in 0..3 {
        assert_eq!(value_of(b.claim(at(C, position), b"m")), reference(b.suite, at(C, position)));
    }
    assert_eq!(value_of(b.draw(0)), reference(b.suite, at(B, 0)));
}

/// A partner that jumps about costs no more than the bound, wherever it jumps.
#[test]
fn jumps_are_bounded() {
    let mut b = tape(CipherSuite::X25519Aes128, B);
    for n in 0..100_u64 {
        let index = at(A, n.wrapping_mul(0x9E37_79B9_7F4A_7C15) & Index::MAX_POSITION);
        match b.claim(index, b"m") {
            Ok(staged) => assert_eq!(value_of(Ok(staged)), reference(b.suite, index)),
            Err(error) => assert_eq!(error, TapeError::Spent, "given up"),
        }
        assert!(b.stored_nodes() <= MAX_LANE_NODES + 16);
    }
}

/// What lies before a followed index in its lane is given up: 4,040 commits that were followed and as
/// many that were lost leave nothing behind.
#[test]
fn a_lane_of_followed_and_lost_commits_costs_what_one_in_order_costs() {
    let mut b = tape(CipherSuite::X25519Aes128, B);
    for epoch in (1..8080).step_by(2) {
        let index = Index::first_for(A, epoch).unwrap();
        value_of(b.claim(index, b"m"));
        b.forget_before(index.first_of_its_epoch()).unwrap();
        assert!(b.stored_nodes() <= 48 + 16, "{} nodes", b.stored_nodes());
    }
}

#[test]
fn taking_in_order_costs_a_bounded_number_of_nodes() {
    let mut a = tape(CipherSuite::X25519Aes128, A);
    for position in 0..300 {
        value_of(a.draw(0));
        value_of(a.claim(at(B, position), b"m"));
        value_of(a.claim(at(C, position), b"m"));
        assert!(a.stored_nodes() <= 64 + 3 * 48, "{} nodes", a.stored_nodes());
    }
}

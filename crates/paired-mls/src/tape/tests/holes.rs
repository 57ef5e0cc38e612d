//! What is given up, and how many holes a tape may have.

use super::*;

#[test]
fn draw_goes_on_after_what_was_given_up_without_walking_there() {
    let mut a = tape(CipherSuite::X25519Aes128, A);
    a.forget_before(at(A, Index::MAX_POSITION - 1)).unwrap();
    assert_eq!(a.draw().unwrap().index, at(A, Index::MAX_POSITION - 1));
    // Looking back gives up nothing more and opens nothing again.
    a.forget_before(at(A, 5)).unwrap();
    assert_eq!(a.draw().unwrap().index, at(A, Index::MAX_POSITION));
    assert_eq!(refused(&mut a, Tape::draw), TapeError::LaneExhausted(A));
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

/// Claims isolated indices until the tape refuses; gives their number and the error.
fn claim_to_the_bound(tape: &mut Tape) -> (u64, TapeError) {
    for count in 0..1000 {
        let index = at(A, count << 40);
        if let Err(error) = tape.claim(index, b"m") {
            assert!(tape.holds(index));
            return (count, error);
        }
        assert!(tape.stored_nodes() <= MAX_NODES);
    }
    panic!("no bound on the holes");
}

#[test]
fn the_holes_are_bounded_and_forgetting_them_helps() {
    let mut b = tape(CipherSuite::X25519Aes128, B);
    let (count, _) = claim_to_the_bound(&mut b);
    let index = at(A, count << 40);
    let error = refused(&mut b, |tape| tape.claim(index, b"m"));
    let TapeError::TooManyHoles { nodes, bound: MAX_NODES } = error else { panic!("{error}") };
    assert!(nodes > MAX_NODES && nodes <= MAX_NODES + 63);
    assert!(error.to_string().contains("forget_before"));

    // Beside a hole, a claim 2^n further on costs n - 1 nodes: fill the rest exactly.
    for hole in 1.. {
        let room = u32::try_from(MAX_NODES - b.stored_nodes()).unwrap();
        if room == 0 {
            break;
        }
        value_of(b.claim(at(A, hole << 40 | 1 << (room.min(30) + 1)), b"m"));
    }
    // A full tape is a valid tape, and one more hole is refused in every way that makes one.
    let mut b = Tape::from_record(&b.to_record().unwrap()).unwrap();
    assert_eq!(b.stored_nodes(), MAX_NODES);
    let claim = |tape: &mut Tape| tape.claim(index, b"m");
    assert!(matches!(refused(&mut b, claim), TapeError::TooManyHoles { .. }));
    assert!(matches!(refused(&mut b, Tape::draw), TapeError::TooManyHoles { .. }));
    let cut = |tape: &mut Tape| tape.forget_before(at(C, 3));
    assert!(matches!(refused(&mut b, cut), TapeError::TooManyHoles { .. }));
    let group = |tape: &mut Tape| tape.sub_tape(b"group");
    assert!(matches!(refused(&mut b, group), TapeError::TooManyHoles { .. }));
    // The bound is exact: these would need one node more, the next needs none.
    let above = TapeError::TooManyHoles { nodes: MAX_NODES + 1, bound: MAX_NODES };
    assert_eq!(refused(&mut b, |tape| tape.claim(at(A, 4), b"m")), above);
    assert_eq!(refused(&mut b, |tape| tape.forget_before(at(B, 1 << 47))), above);
    value_of(b.claim(at(A, 2), b"m"));
    assert_eq!(b.stored_nodes(), MAX_NODES);
    assert_eq!(value_of(b.claim(at(A, 1), b"m")), reference(b.suite, at(A, 1)));

    b.forget_before(index).unwrap();
    assert!(b.stored_nodes() < 200);
    assert_eq!(value_of(b.claim(index, b"m")), reference(b.suite, index));
    assert_eq!(value_of(b.draw()), reference(b.suite, at(B, 0)));
    b.sub_tape(b"group").unwrap();
}

#[test]
fn taking_in_order_costs_a_bounded_number_of_nodes() {
    let mut a = tape(CipherSuite::X25519Aes128, A);
    for position in 0..300 {
        value_of(a.draw());
        value_of(a.claim(at(B, position), b"m"));
        value_of(a.claim(at(C, position), b"m"));
        assert!(a.stored_nodes() <= 64 + 3 * 48, "{} nodes", a.stored_nodes());
    }
}

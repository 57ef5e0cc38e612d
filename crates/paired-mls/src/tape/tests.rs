use super::*;

mod group;
mod holes;
mod record;
mod schedule;

const A: DeviceId = DeviceId(1);
const B: DeviceId = DeviceId(2);
const C: DeviceId = DeviceId(0x0102);
const STRANGER: DeviceId = DeviceId(3);
const PAIRING: PairingId = PairingId(*b"a pairing's name");

/// The suites that differ in what the tape uses of them: SHA-256, SHA-512, SHA-384.
const HASHES: [CipherSuite; 3] =
    [CipherSuite::X25519Aes128, CipherSuite::P521Aes256, CipherSuite::P384Aes256];

// What the test vectors, outside of this module, look at and nothing else may.

impl Staged {
    pub(crate) fn value_for_tests(&self) -> &[u8] {
        self.value.expose()
    }
}

impl Tape {
    /// First index, depth and secret of each stored node.
    pub(crate) fn nodes_for_tests(&self) -> Vec<(u64, u8, Vec<u8>)> {
        self.pprf.nodes().map(|(id, node)| (id.first, id.depth, node.expose().to_vec())).collect()
    }
}

fn seed_bytes(suite: CipherSuite) -> Vec<u8> {
    (0..suite.kdf_len()).map(|n| 0xA5 ^ u8::try_from(n).unwrap()).collect()
}

fn tape(suite: CipherSuite, own: DeviceId) -> Tape {
    let seed = Seed::new(suite, Secret::new(seed_bytes(suite))).unwrap();
    Tape::new(suite, seed, &PAIRING, &[C, A, B], own).unwrap()
}

fn at(device: DeviceId, position: u64) -> Index {
    Index::new(device, position).unwrap()
}

/// The first `depth + 1` nodes from the root towards `index`, by a walk that stores nothing.
fn walk(suite: CipherSuite, index: Index, depth: u8) -> Vec<Vec<u8>> {
    let root = suite.extract(&Secret::new(seed_bytes(suite)));
    let root = suite.expand_with_label(&root, "tape", &PAIRING.0, suite.kdf_len()).unwrap();
    let mut nodes = vec![root.expose().to_vec()];
    let bits =
        index.to_bytes().into_iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1));
    for bit in bits.take(usize::from(depth)) {
        let parent = Secret::copy_of(nodes.last().unwrap());
        let child = suite.expand_with_label(&parent, "tree", &[bit], suite.kdf_len()).unwrap();
        nodes.push(child.expose().to_vec());
    }
    nodes
}

fn reference(suite: CipherSuite, index: Index) -> Vec<u8> {
    walk(suite, index, 64).pop().unwrap()
}

fn value_of(staged: Result<Staged, TapeError>) -> Vec<u8> {
    staged.unwrap().value.expose().to_vec()
}

/// The error of `call`, which must leave the tape as it was, to the byte.
fn refused<T>(tape: &mut Tape, call: impl FnOnce(&mut Tape) -> Result<T, TapeError>) -> TapeError {
    let before = tape.to_record().unwrap();
    let error = call(tape).err().expect("the tape refuses");
    assert_eq!(tape.to_record().unwrap(), before, "{error} changed the tape");
    error
}

/// The stored nodes are disjoint, hold what the tree holds there, and cover all but `spent`.
fn assert_covers_all_but(tape: &Tape, spent: &[Index]) {
    let mut covered = 0_u128;
    for (first, depth, secret) in tape.nodes_for_tests() {
        let size = 1_u128 << (64 - depth);
        for index in spent {
            let index = u128::from(index.bits());
            let inside = (u128::from(first)..u128::from(first) + size).contains(&index);
            assert!(!inside, "a stored node covers the spent index {index:#x}");
        }
        let expected = walk(tape.suite, Index::from_bytes(first.to_be_bytes()), depth).pop();
        assert_eq!(Some(secret), expected, "node {first:#x}/{depth}");
        covered += size;
    }
    assert_eq!(covered, (1 << 64) - u128::try_from(spent.len()).unwrap());
}

/// Neither the value of `index` nor a node above it is anywhere in the stored bytes.
fn assert_gone(tape: &Tape, index: Index) {
    let record = tape.to_record().unwrap();
    for (depth, node) in walk(tape.suite, index, 64).into_iter().enumerate() {
        let found = record.expose().windows(node.len()).any(|window| window == node);
        assert!(!found, "the record holds the node of depth {depth} above {index}");
    }
}

#[test]
fn values_equal_an_evaluation_without_puncturing_on_every_device() {
    for suite in CipherSuite::ALL {
        let (mut a, mut b, mut c) = (tape(suite, A), tape(suite, B), tape(suite, C));
        for position in 0..3 {
            let drawn = a.draw(0).unwrap();
            assert_eq!(drawn.spot.index, at(A, position));
            let expected = reference(suite, drawn.spot.index);
            assert_eq!(drawn.value.expose(), expected);
            assert_eq!(value_of(b.claim(drawn.spot.index, b"m")), expected);
            assert_eq!(value_of(c.claim(drawn.spot.index, b"m")), expected);
        }
        // All three have seen the same values, so their trees are the same, and B's lane is intact.
        assert_eq!(a.nodes_for_tests(), b.nodes_for_tests());
        assert_eq!(a.nodes_for_tests(), c.nodes_for_tests());
        let drawn = b.draw(0).unwrap();
        assert_eq!(drawn.spot.index, at(B, 0));
        assert_eq!(drawn.value.expose(), reference(suite, at(B, 0)));
    }
}

#[test]
fn the_three_secrets_are_distinct_and_bound_to_seed_and_pairing() {
    let suite = CipherSuite::X25519Aes128;
    let secrets = |seed: Vec<u8>, pairing| {
        let seed = Seed::new(suite, Secret::new(seed)).unwrap();
        let tape = Tape::new(suite, seed, &PairingId(pairing), &[A, B], A).unwrap();
        let [(_, _, root)] = <[_; 1]>::try_from(tape.nodes_for_tests()).unwrap();
        vec![tape.notify_secret().expose().to_vec(), tape.accept_secret().expose().to_vec(), root]
    };
    let mut all = secrets(vec![1; 32], [1; 16]);
    all.extend(secrets(vec![2; 32], [1; 16]));
    all.extend(secrets(vec![1; 32], [2; 16]));
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}

#[test]
fn indices_come_in_any_order_with_gaps_and_once() {
    for suite in HASHES {
        let mut b = tape(suite, B);
        let last = Index::MAX_POSITION;
        let mut taken = Vec::new();
        for (device, position) in
            [(A, 7), (C, last), (A, 6), (A, 0), (A, last), (C, 0), (A, 1 << 40)]
        {
            let index = at(device, position);
            assert!(b.holds(index));
            assert_eq!(value_of(b.claim(index, b"m")), reference(suite, index));
            b.settle();
            taken.push(index);
            for spent in &taken {
                assert!(!b.holds(*spent));
                assert_eq!(refused(&mut b, |tape| tape.claim(*spent, b"m")), TapeError::Spent);
            }
            assert_gone(&b, index);
            assert_covers_all_but(&b, &taken);
        }
        // The positions that were passed over are still there.
        assert_eq!(value_of(b.claim(at(A, 3), b"m")), reference(suite, at(A, 3)));
    }
}

#[test]
fn the_first_and_the_last_index_of_the_tree_can_be_taken() {
    let mut tape = tape(CipherSuite::P384Aes256, B);
    let (first, last) = (at(DeviceId(0), 0), at(DeviceId::RESERVED, Index::MAX_POSITION));
    for index in [last, first] {
        assert_eq!(value_of(tape.take(index)), reference(tape.suite, index));
        assert_gone(&tape, index);
        assert_eq!(refused(&mut tape, |tape| tape.take(index)), TapeError::Spent);
    }
    assert_covers_all_but(&tape, &[first, last]);
}

#[test]
fn a_value_that_is_drawn_is_gone_from_the_record_at_once() {
    for suite in HASHES {
        let mut a = tape(suite, A);
        for _ in 0..5 {
            let index = a.draw(0).unwrap().spot.index;
            assert_gone(&a, index);
        }
        let spent: Vec<_> = (0..5).map(|position| at(A, position)).collect();
        assert_covers_all_but(&a, &spent);
    }
}

#[test]
fn a_stranger_and_the_own_lane_are_refused() {
    let mut b = tape(CipherSuite::X25519Aes128, B);
    for stranger in [STRANGER, DeviceId(0), DeviceId::RESERVED] {
        let error = refused(&mut b, |tape| tape.claim(at(stranger, 0), b"m"));
        assert_eq!(error, TapeError::ForeignDevice(stranger));
    }
    for position in [0, 1, Index::MAX_POSITION] {
        let error = refused(&mut b, |tape| tape.claim(at(B, position), b"m"));
        assert_eq!(error, TapeError::OwnLane(at(B, position)));
    }
}

#[test]
fn a_lane_ends_after_its_last_position() {
    let mut a = tape(CipherSuite::X25519Aes128, A);
    a.next = Index::MAX_POSITION;
    let last = a.draw(0).unwrap();
    assert_eq!(last.spot.index, at(A, Index::MAX_POSITION));
    assert_eq!(last.value.expose(), reference(a.suite, last.spot.index));
    for _ in 0..2 {
        assert_eq!(refused(&mut a, |tape| tape.draw(0)), TapeError::LaneExhausted(A));
    }
    // It stays so in the stored form, and other lanes are not concerned.
    let mut a = Tape::from_record(&a.to_record().unwrap()).unwrap();
    assert_eq!(refused(&mut a, |tape| tape.draw(0)), TapeError::LaneExhausted(A));
    assert_eq!(value_of(a.claim(at(B, 0), b"m")), reference(a.suite, at(B, 0)));
}

#[test]
fn a_draw_at_the_end_of_a_lane_does_not_run_into_the_next_one() {
    let mut a = tape(CipherSuite::X25519Aes128, A);
    a.next = Index::MAX_POSITION;
    value_of(a.take(at(A, Index::MAX_POSITION)));
    assert_eq!(refused(&mut a, |tape| tape.draw(0)), TapeError::LaneExhausted(A));
    assert!(a.holds(at(B, 0)));
}

#[test]
fn draw_skips_spent_positions() {
    let mut a = tape(CipherSuite::X25519Aes128, A);
    for position in [0, 1, 3] {
        value_of(a.take(at(A, position)));
    }
    let drawn: Vec<_> = (0..3).map(|_| a.draw(0).unwrap().spot.index.position()).collect();
    assert_eq!(drawn, [2, 4, 5]);
}

#[test]
fn a_claim_gives_its_value_again_for_the_same_message_until_it_is_settled() {
    let mut b = tape(CipherSuite::X25519Aes128, B);
    let index = at(A, 4);
    let value = value_of(b.claim(index, b"message"));
    for _ in 0..3 {
        let record = b.to_record().unwrap();
        assert_eq!(value_of(b.claim(index, b"message")), value);
        assert_eq!(b.to_record().unwrap(), record);
        b = Tape::from_record(&record).unwrap();
    }
    for other in [&b"massage"[..], b"", b"message2", b"messag"] {
        assert_eq!(refused(&mut b, |tape| tape.claim(index, other)), TapeError::Spent);
    }
    assert_eq!(value_of(b.claim(index, b"message")), value);

    assert!(b.settle());
    assert!(!b.settle());
    assert_eq!(refused(&mut b, |tape| tape.claim(index, b"message")), TapeError::Spent);
    assert_gone(&b, index);
    let mut b = Tape::from_record(&b.to_record().unwrap()).unwrap();
    assert_eq!(refused(&mut b, |tape| tape.claim(index, b"message")), TapeError::Spent);
}

#[test]
fn one_value_is_in_flight_at_a_time_and_failures_leave_it_there() {
    let mut b = tape(CipherSuite::X25519Aes128, B);
    let first = value_of(b.claim(at(A, 0), b"one"));
    refused(&mut b, |tape| tape.claim(at(A, 0), b"two"));
    refused(&mut b, |tape| tape.claim(at(B, 0), b"one"));
    refused(&mut b, |tape| tape.claim(at(STRANGER, 0), b"one"));
    value_of(b.draw(0));
    b.forget_before(at(A, 10)).unwrap();
    assert_eq!(value_of(b.claim(at(A, 0), b"one")), first);

    // The next claim takes its place.
    value_of(b.claim(at(C, 0), b"one"));
    assert_eq!(refused(&mut b, |tape| tape.claim(at(A, 0), b"one")), TapeError::Spent);
    assert_gone(&b, at(A, 0));
}

#[test]
fn a_pairing_needs_distinct_devices_and_a_whole_seed() {
    let suite = CipherSuite::P384Aes256;
    let new = |devices: &[DeviceId], own| {
        let seed = Seed::new(suite, Secret::new(vec![7; 48])).unwrap();
        Tape::new(suite, seed, &PAIRING, devices, own).err()
    };
    assert_eq!(new(&[A, B], A), None);
    assert_eq!(new(&[B, C, A], A), None);
    for devices in [&[][..], &[A], &[A, A], &[A, B, A], &[A, DeviceId::RESERVED]] {
        assert_eq!(new(devices, A), Some(TapeError::Devices));
    }
    assert_eq!(new(&[A, B], STRANGER), Some(TapeError::ForeignDevice(STRANGER)));

    for found in [0, 32, 47, 49, 64] {
        let error = Seed::new(suite, Secret::new(vec![7; found])).err();
        assert_eq!(error, Some(TapeError::SeedLength { found, expected: 48 }));
    }
    // A seed that was parsed for a smaller suite is not stretched for a larger one.
    let seed = Seed::new(CipherSuite::X25519Aes128, Secret::new(vec![7; 32])).unwrap();
    let error = Tape::new(suite, seed, &PAIRING, &[A, B], A).err();
    assert_eq!(error, Some(TapeError::SeedLength { found: 32, expected: 48 }));
}

#[test]
fn a_path_secret_depends_on_every_part_of_its_context_and_on_the_index() {
    let context = EpochContext {
        group_id: b"group".to_vec(),
        epoch: 8,
        confirmed_transcript_hash: vec![9; 32],
    };
    let path_secret = |device, position, context: &EpochContext| {
        let mut a = tape(CipherSuite::X25519Aes128, C);
        let staged = a.claim(at(device, position), b"m").unwrap();
        let value = staged.release(a.suite, &Stored::after_write());
        let path = value.into_path_secret(context).unwrap();
        assert_eq!(path.spot().index, at(device, position));
        path.secret().expose().to_vec()
    };
    let mut all = vec![
        path_secret(A, 0, &context),
        path_secret(A, 1, &context),
        path_secret(B, 0, &context),
        path_secret(A, 0, &EpochContext { group_id: b"groups".to_vec(), ..context.clone() }),
        path_secret(A, 0, &EpochContext { epoch: 9, ..context.clone() }),
        path_secret(
            A,
            0,
            &EpochContext { confirmed_transcript_hash: vec![8; 32], ..context.clone() },
        ),
    ];
    assert_eq!(all[0], path_secret(A, 0, &context), "the same on every device");
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
    assert!(all.iter().all(|secret| secret.len() == 32));
}

#[test]
fn debug_prints_no_secret() {
    let suite = CipherSuite::X25519Aes128;
    let mut b = tape(suite, B);
    let staged = b.claim(at(A, 0), b"m").unwrap();
    let context = EpochContext { group_id: vec![], epoch: 1, confirmed_transcript_hash: vec![] };
    let secret_bytes = staged.value.expose().to_vec();
    let value = staged.release(suite, &Stored::after_write());
    let mut printed = format!("{b:?} {b:#?} {value:?} {:?}", b.to_record().unwrap());
    let path = value.into_path_secret(&context).unwrap();
    printed += &format!("{path:?} {:?}", Seed::new(suite, Secret::new(seed_bytes(suite))).unwrap());

    let mut secrets = vec![secret_bytes, path.secret().expose().to_vec(), seed_bytes(suite)];
    secrets.extend([b.notify_secret.expose().to_vec(), b.accept_secret.expose().to_vec()]);
    secrets.extend(b.nodes_for_tests().into_iter().map(|(_, _, secret)| secret));
    for secret in secrets {
        let start = &secret[..4];
        let list = format!("{start:?}");
        let hex = hex::encode(start);
        for form in [list.trim_end_matches(']'), &hex, &hex.to_uppercase()] {
            assert!(!printed.contains(form), "{form} in {printed}");
        }
    }
    assert!(printed.contains("Tape { suite: X25519Aes128, own: DeviceId(2)"));
}

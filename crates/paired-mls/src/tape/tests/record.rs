//! The stored form, against an encoder that shares no code with the implementation.

use super::*;

/// Device and opening of each lane, the epoch, and where the own lane is opened next.
type RawLanes = (Vec<(u16, u64)>, u64, u8);

/// A record that need not be well formed.
#[derive(Clone)]
struct Raw {
    version: u8,
    suite: u16,
    own: u16,
    devices: Vec<u16>,
    next: u64,
    notify: Vec<u8>,
    accept: Vec<u8>,
    nodes: Vec<(u64, u8, Vec<u8>)>,
    in_flight: Option<(u64, Vec<u8>, Vec<u8>)>,
    lanes: Option<RawLanes>,
}

fn vector(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap();
    let mut bytes = match length {
        0..0x40 => vec![u8::try_from(length).unwrap()],
        0x40..0x4000 => (0x4000 | u16::try_from(length).unwrap()).to_be_bytes().to_vec(),
        _ => (0x8000_0000 | length).to_be_bytes().to_vec(),
    };
    bytes.extend(content);
    bytes
}

impl Raw {
    /// Device 2 of 1, 2 and 0x0102, whose tape is whole.
    fn valid() -> Self {
        Self {
            version: 2,
            suite: 1,
            own: 2,
            devices: vec![1, 2, 0x0102],
            next: 0,
            notify: vec![0xAA; 32],
            accept: vec![0xBB; 32],
            nodes: vec![(0, 0, vec![0xCC; 32])],
            in_flight: None,
            lanes: None,
        }
    }

    fn of(tape: &Tape) -> Self {
        Self {
            version: 2,
            suite: tape.suite.code_point(),
            own: tape.own.0,
            devices: tape.devices.iter().map(|device| device.0).collect(),
            next: tape.next,
            notify: tape.notify_secret.expose().to_vec(),
            accept: tape.accept_secret.expose().to_vec(),
            nodes: tape.nodes_for_tests(),
            in_flight: tape.in_flight.as_ref().map(|flight| {
                (flight.index.bits(), flight.binding.clone(), flight.value.expose().to_vec())
            }),
            lanes: tape.lanes.as_ref().map(|lanes| {
                let opened = lanes.opened.iter().map(|(device, opening)| (device.0, *opening));
                let next = match lanes.next_opening {
                    crate::tape::group::NextOpening::InOrder => 1,
                    crate::tape::group::NextOpening::Ahead => 2,
                };
                (opened.collect(), lanes.epoch, next)
            }),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.version];
        bytes.extend(self.suite.to_be_bytes());
        bytes.extend(self.own.to_be_bytes());
        let devices: Vec<_> = self.devices.iter().flat_map(|device| device.to_be_bytes()).collect();
        bytes.extend(vector(&devices));
        bytes.extend(self.next.to_be_bytes());
        bytes.extend(vector(&self.notify));
        bytes.extend(vector(&self.accept));
        let mut nodes = Vec::new();
        for (first, depth, secret) in &self.nodes {
            nodes.extend(first.to_be_bytes());
            nodes.push(*depth);
            nodes.extend(vector(secret));
        }
        bytes.extend(vector(&nodes));
        match &self.in_flight {
            None => bytes.push(0),
            Some((index, binding, value)) => {
                bytes.push(1);
                bytes.extend(index.to_be_bytes());
                bytes.extend(vector(binding));
                bytes.extend(vector(value));
            }
        }
        match &self.lanes {
            None => bytes.push(0),
            Some((opened, epoch, next)) => {
                let lane = |(device, opening): &(u16, u64)| {
                    [&device.to_be_bytes()[..], &opening.to_be_bytes()].concat()
                };
                bytes.push(1);
                bytes.extend(vector(&opened.iter().flat_map(lane).collect::<Vec<_>>()));
                bytes.extend(epoch.to_be_bytes());
                bytes.push(*next);
            }
        }
        bytes
    }

    #[track_caller]
    fn is_read(&self) -> Tape {
        read(&self.bytes()).unwrap()
    }

    #[track_caller]
    fn is_malformed(&self) {
        assert_eq!(read(&self.bytes()).err(), Some(RecordError::Malformed));
    }
}

fn read(bytes: &[u8]) -> Result<Tape, RecordError> {
    Tape::from_record(&Secret::copy_of(bytes))
}

/// Tapes in every state that a record can have.
fn tapes(suite: CipherSuite) -> Vec<Tape> {
    let fresh = tape(suite, B);
    let mut used = tape(suite, B);
    value_of(used.draw(0));
    value_of(used.claim(at(C, 5), b"m"));
    used.settle();
    let mut in_flight = tape(suite, B);
    value_of(in_flight.claim(at(A, 5), &[0xEE; 100]));
    let mut unbound = tape(suite, B);
    value_of(unbound.claim(at(A, 5), b""));
    let mut forgotten = tape(suite, A);
    forgotten.forget_before(at(A, 77)).unwrap();
    let mut parent = tape(suite, A);
    let unopened = parent.group(b"group").unwrap();
    let mut group = parent.group(b"group").unwrap();
    for (device, opening) in [(B, 8), (A, FIRST_OPENING)] {
        parent.open_lane(&mut group, b"group", at(device, opening)).unwrap();
    }
    group.note_epoch(17);
    value_of(group.claim(at(B, 3 << 16), b"m"));
    let mut reopened = parent.group(b"group").unwrap();
    reopened.reopen_ahead();
    vec![fresh, used, in_flight, unbound, forgotten, parent, unopened, group, reopened]
}

#[test]
fn a_record_is_what_its_definition_says_and_reads_back_to_the_same_bytes() {
    for suite in CipherSuite::ALL {
        for tape in tapes(suite) {
            let record = tape.to_record().unwrap();
            assert_eq!(record.expose(), Raw::of(&tape).bytes());
            let again = Tape::from_record(&record).unwrap();
            assert_eq!(again.to_record().unwrap(), record);
            assert_eq!(format!("{again:?}"), format!("{tape:?}"));
        }
    }
}

#[test]
fn a_tape_that_was_read_back_goes_on_where_it_was() {
    let suite = CipherSuite::X25519Aes128;
    let mut stored = tape(suite, B);
    let mut kept = tape(suite, B);
    for position in 0..4 {
        stored = Tape::from_record(&stored.to_record().unwrap()).unwrap();
        assert_eq!(value_of(stored.draw(0)), value_of(kept.draw(0)));
        let index = at(A, position * 3);
        assert_eq!(value_of(stored.claim(index, b"m")), value_of(kept.claim(index, b"m")));
        assert_eq!(stored.to_record().unwrap(), kept.to_record().unwrap());
    }
}

#[test]
fn every_truncation_and_every_trailing_byte_is_refused() {
    for tape in tapes(CipherSuite::X25519Aes128) {
        let record = tape.to_record().unwrap();
        for end in 0..record.len() {
            let error = read(&record.expose()[..end]).err();
            assert_eq!(error, Some(RecordError::Malformed), "the first {end} bytes");
        }
        for trailing in [0, 1, 0xFF] {
            let longer = [record.expose(), &[trailing]].concat();
            assert_eq!(read(&longer).err(), Some(RecordError::Malformed));
        }
    }
}

#[test]
fn a_changed_byte_is_refused_or_is_another_tape() {
    let nodes = [(0, 16), (1 << 48 | 10, 63), (1 << 50, 14)];
    let with_all = Raw {
        nodes: nodes.map(|(first, depth)| (first, depth, vec![0xCC; 32])).into(),
        in_flight: Some((1 << 48 | 9, b"m".to_vec(), vec![0xDD; 32])),
        ..Raw::valid()
    };
    for raw in [Raw::valid(), with_all] {
        raw.is_read();
        let record = raw.bytes();
        for place in 0..record.len() {
            for change in [1, 0x40, 0x80, 0xFF] {
                let mut bytes = record.clone();
                bytes[place] ^= change;
                if let Ok(other) = read(&bytes) {
                    assert_eq!(other.to_record().unwrap().expose(), bytes, "byte {place}");
                }
            }
        }
    }
}

#[test]
fn another_version_is_named() {
    for version in [0, 1, 3, 255] {
        let raw = Raw { version, ..Raw::valid() };
        assert_eq!(read(&raw.bytes()).err(), Some(RecordError::Version(version)));
        let said = RecordError::Version(version).to_string();
        assert!(said.contains(&format!("has format {version} ")) && said.contains("pair again"));
        // Even if nothing else of it can be read.
        assert_eq!(read(&[version]).err(), Some(RecordError::Version(version)));
    }
}

#[test]
fn the_header_is_checked() {
    Raw::valid().is_read();
    for suite in [0, 4, 6, 8, 0xF0F0] {
        Raw { suite, ..Raw::valid() }.is_malformed();
    }
    // A suite of another length: neither its secrets nor its nodes fit.
    Raw { suite: 7, ..Raw::valid() }.is_malformed();
    Raw { suite: 3, ..Raw::valid() }.is_read();
    Raw { own: 3, ..Raw::valid() }.is_malformed();
    for devices in [vec![], vec![2], vec![2, 2], vec![2, 1], vec![1, 2, 2], vec![2, 0xFFFF]] {
        Raw { devices, ..Raw::valid() }.is_malformed();
    }
    Raw { next: 1 << 48, ..Raw::valid() }.is_read();
    Raw { next: (1 << 48) + 1, ..Raw::valid() }.is_malformed();
    for length in [0, 31, 33] {
        Raw { notify: vec![0xAA; length], ..Raw::valid() }.is_malformed();
        Raw { accept: vec![0xBB; length], ..Raw::valid() }.is_malformed();
    }
}

#[test]
fn the_nodes_are_checked() {
    let read = |nodes: &[(u64, u8)]| {
        let nodes = nodes.iter().map(|(first, depth)| (*first, *depth, vec![0xCC; 32])).collect();
        let raw = Raw { nodes, ..Raw::valid() };
        read(&raw.bytes()).map(|tape| tape.stored_nodes())
    };
    const HALF: u64 = 1 << 63;
    assert_eq!(read(&[]), Ok(0));
    assert_eq!(read(&[(0, 1), (HALF, 1)]), Ok(2));
    assert_eq!(read(&[(0, 64), (1, 64), (u64::MAX, 64)]), Ok(3));

    let malformed: [&[(u64, u8)]; 13] = [
        &[(HALF, 1), (0, 1)],              // not in order
        &[(0, 1), (0, 1)],                 // twice
        &[(0, 0), (0, 1)],                 // a node and its first child
        &[(0, 1), (0, 2)],                 // the same with room behind it
        &[(0, 1), (HALF / 2, 2)],          // a node and its last child, with room behind them
        &[(0, 1), (0, 0)],                 // a node after its first child
        &[(0, 0), (HALF, 1)],              // a node and its last child, to the end
        &[(0, 0), (u64::MAX, 64)],         // a node and its last leaf
        &[(HALF, 1), (u64::MAX, 64)],      // half the tree and its last leaf
        &[(u64::MAX, 64), (u64::MAX, 64)], // the last leaf twice
        &[(1, 1)],                         // not where a node of this depth begins
        &[(0, 65)],                        // below the leaves
        &[(0, 255)],
    ];
    for nodes in malformed {
        assert_eq!(read(nodes), Err(RecordError::Malformed), "{nodes:?}");
    }
    for length in [0, 31, 33] {
        Raw { nodes: vec![(0, 0, vec![0xCC; length])], ..Raw::valid() }.is_malformed();
    }
    let leaves = |count| (0..count).map(|first| (2 * first, 64)).collect::<Vec<_>>();
    let bound = 3 * (MAX_LANE_NODES + 16);
    assert_eq!(read(&leaves(bound as u64)), Ok(bound));
    assert_eq!(read(&leaves(bound as u64 + 1)), Err(RecordError::Malformed));
}

#[test]
fn the_lanes_are_checked() {
    let of_group = |opened: &[(u16, u64)], next| Raw {
        nodes: vec![(1 << 48, 16, vec![0xCC; 32])],
        lanes: Some((opened.to_vec(), 9, next)),
        ..Raw::valid()
    };
    for next in [1, 2] {
        of_group(&[(1, 7)], next).is_read();
        of_group(&[(1, Index::MAX_POSITION), (2, 0)], next).is_read();
    }
    for next in [0, 3] {
        of_group(&[(1, 7)], next).is_malformed();
    }
    of_group(&[(1, Index::MAX_POSITION + 1)], 1).is_malformed();
    of_group(&[(1, 7), (3, 7)], 1).is_malformed(); // a stranger's
    of_group(&[(2, 7), (1, 7)], 1).is_malformed(); // not in order
    of_group(&[(1, 7), (1, 7)], 1).is_malformed(); // twice
    of_group(&[(2, 7)], 1).is_malformed(); // the lane with a node is not open
    let above = Raw { nodes: vec![(0, 15, vec![0xCC; 32])], ..of_group(&[(1, 7)], 1) };
    above.is_malformed();
}

#[test]
fn the_value_in_flight_is_checked() {
    let lane = |device: u16| u64::from(device) << 48;
    let with = |index, length| Raw {
        nodes: vec![(0, 16, vec![0xCC; 32])],
        in_flight: Some((index, b"m".to_vec(), vec![0xDD; length])),
        ..Raw::valid()
    };
    let mut tape = with(lane(1) | 9, 32).is_read();
    assert_eq!(value_of(tape.claim(at(A, 9), b"m")), [0xDD; 32]);
    for length in [0, 31, 33] {
        with(lane(1) | 9, length).is_malformed();
    }
    with(lane(2) | 9, 32).is_malformed(); // the own lane
    with(lane(3) | 9, 32).is_malformed(); // a stranger's
    with(lane(0xFFFF) | 9, 32).is_malformed(); // the groups'
    let nodes = vec![(0, 0, vec![0xCC; 32])];
    Raw { nodes, ..with(lane(1) | 9, 32) }.is_malformed(); // not punctured

    for option in [2, 0xFF] {
        let mut bytes = Raw::valid().bytes();
        *bytes.last_mut().unwrap() = option;
        assert_eq!(read(&bytes).err(), Some(RecordError::Malformed));
    }
}

#[test]
fn a_length_in_a_longer_form_than_it_needs_is_refused() {
    let mut bytes = Raw::valid().bytes();
    let place = 5; // the length of `devices`, 6 bytes
    assert_eq!(bytes[place], 6);
    bytes.splice(place..=place, [0x40, 6]);
    assert_eq!(read(&bytes).err(), Some(RecordError::Malformed));
}

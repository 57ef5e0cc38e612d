//! Whole runs: two and three devices, each mode, each road.

use super::*;
use crate::EpochContext;

#[test]
fn every_mode_and_road_pairs_two_and_three_devices() {
    for devices in 2..=3 {
        for mode in MODES {
            for road in ROADS {
                let all = paired(devices, mode, road);
                assert_eq!(all.len(), usize::from(devices));
                for device in &all {
                    assert_eq!(device.state.terms(), all[0].state.terms(), "{mode:?} {road:?}");
                    assert_eq!(device.state.terms().initiator(), A);
                }
                same_tape(&all);
            }
        }
    }
}

#[test]
fn a_group_knows_the_devices_by_their_own_keys_or_by_the_anchors() {
    let pairing = |mode| paired(2, mode, TestRoad::File)[1].state.terms().pairing();
    let keys = |mode| pairing(mode).devices.into_iter().map(|device| device.signature_key);
    assert_eq!(pairing(TestMode::Node).id, ID);
    assert!(keys(TestMode::Node).eq([party(A).signature_key, party(B).signature_key]));
    assert!(keys(TestMode::Hidden).eq([vec![0xAA; 32], vec![0xAA; 32]]));
}

/// What each device draws, every other one can read.
fn same_tape(all: &[Device<Paired>]) {
    let context = EpochContext {
        group_id: b"group".to_vec(),
        epoch: 1,
        confirmed_transcript_hash: vec![1; 32],
    };
    let secret = |value: crate::TapeValue| value.derive("path", &context, 32).unwrap();
    let tape = |device: &Device<Paired>| device.vault.open_group(ID, b"group").unwrap();
    for drawer in all {
        let drawn = drawer.vault.draw(&tape(drawer), 0).unwrap();
        let (spot, index) = (drawn.spot(), drawn.index());
        assert_eq!(index.device(), drawer.state.own_device());
        let drawn = secret(drawn);
        for reader in all.iter().filter(|r| r.state.own_device() != index.device()) {
            let claimed = reader.vault.claim(&tape(reader), spot, b"commit").unwrap();
            assert_eq!(secret(claimed), drawn);
            reader.vault.settle(&tape(reader)).unwrap();
        }
    }
}

#[test]
fn accepts_and_the_directory_may_come_in_any_order() {
    let orders: [[usize; 3]; 6] =
        [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in orders {
        let (all, directory) = invited(3, TestMode::Node, TestRoad::File);
        let directory = directory.unwrap();
        let [a, ..] = three(all);
        // The same devices once more, a step ahead.
        let from_partners = accepts(&registered(3, TestMode::Node, TestRoad::File));
        let arrivals = [
            (Source::Directory, &directory),
            (Source::Relay, &from_partners[1]),
            (Source::Relay, &from_partners[2]),
        ];
        let mut state = a.state;
        for step in &order[..2] {
            let (source, message) = arrivals[*step];
            state = waiting(state.receive(&a.vault, source, message.expose()).unwrap().0);
        }
        let (source, message) = arrivals[order[2]];
        let (last, _) = state.receive(&a.vault, source, message.expose()).unwrap();
        assert!(matches!(last, Confirmation::Paired(_)), "{order:?}");
    }
}

#[test]
fn a_standard_pairing_over_the_channel_may_compare_the_digits_last() {
    let roster = roster(2);
    let all = seeded_in(&roster, TestRoad::Channel, ChannelTrust::Pending);
    let (all, directory) = invite(all, TestMode::Leaf);
    let directory = directory.unwrap();
    let [a, b] = two(all);
    let (next, _) = a.state.receive(&a.vault, Source::Directory, directory.expose()).unwrap();
    let state = waiting(next);

    // Nobody confirms before that, and nothing is complete.
    let early = state.accept(&a.vault);
    let not_verified = CallerError::ChannelNotVerified;
    assert!(matches!(early, Err(PairingError::Caller(e)) if e == not_verified));
    let accept = &accepts(&registered(2, TestMode::Leaf, TestRoad::File))[1];
    let (next, _) = state.receive(&a.vault, Source::Relay, accept.expose()).unwrap();
    let state = waiting(next);

    let exporter = Secret::new(vec![9; 32]);
    let digits = |state: &Invited| {
        ShortAuthString::derive(SUITE, &exporter, state.transcript()).unwrap().to_string()
    };
    assert_eq!(digits(&state), digits(&b.state));
    let done = state.confirm_channel(ChannelTrust::Compared);
    assert!(matches!(done, Confirmation::Paired(_)));
}

#[test]
fn the_digits_are_sixty_and_tell_channels_and_pairings_apart() {
    let exporter = Secret::new(vec![9; 32]);
    let of = |exporter| ShortAuthString::of_channel(SUITE, exporter).unwrap().to_string();
    let digits = of(&exporter);
    assert_eq!(digits.chars().filter(char::is_ascii_digit).count(), 60);
    assert_eq!(digits.split_whitespace().count(), 12);
    assert_eq!(digits.lines().count(), 3);
    assert_ne!(digits, of(&Secret::new(vec![10; 32])));

    let (all, _) = invited(2, TestMode::Leaf, TestRoad::File);
    let (other, _) = invited(2, TestMode::Node, TestRoad::File);
    let of = |device: &Device<Invited>| {
        ShortAuthString::derive(SUITE, &exporter, device.state.transcript()).unwrap().to_string()
    };
    assert_eq!(of(&all[0]), of(&all[1]));
    assert_ne!(of(&all[0]), of(&other[0]));
    assert_ne!(of(&all[0]), digits);
    let debug = format!("{:?}", ShortAuthString::of_channel(SUITE, &exporter).unwrap());
    assert_eq!(debug, "ShortAuthString(<redacted>)");
}

#[test]
fn one_device_in_several_pairings_has_a_tape_for_each() {
    let vault = Vault::new(Flaky::default());
    let pairings = [PairingId([1; 16]), PairingId([2; 16])];
    let states: Vec<_> = pairings
        .iter()
        .map(|pairing| {
            let roster = roster_named(*pairing, 2);
            Unpaired::new(party(A)).load_seed(&vault, roster, &seed()).unwrap()
        })
        .collect();
    let values: Vec<_> = pairings
        .iter()
        .map(|pairing| {
            let tape = vault.open_group(*pairing, b"group").unwrap();
            let context = EpochContext {
                group_id: b"group".to_vec(),
                epoch: 1,
                confirmed_transcript_hash: vec![],
            };
            vault.draw(&tape, 0).unwrap().derive("path", &context, 32).unwrap()
        })
        .collect();
    assert_ne!(values[0], values[1], "even from one seed");

    let mut states = states.into_iter();
    let first = states.next().unwrap();
    let _unpaired = first.abandon(&vault).unwrap();
    assert!(vault.pairing_info(pairings[0]).is_err());
    assert!(vault.pairing_info(pairings[1]).is_ok(), "the other one is untouched");
}

#[test]
fn the_signal_is_off_by_default_and_never_in_hidden_mode() {
    assert_eq!(SignalPolicy::default(), SignalPolicy::Silent);
    let hidden = paired(2, TestMode::Hidden, TestRoad::File);
    let refused = PairedSignal::new(hidden[0].state.terms(), A, &[B]);
    assert_eq!(refused, Err(SignalError::HiddenMode));
    let devices = hidden[0].state.terms().pairing().devices;
    let refused = PairedSignal::of(SUITE, &devices, A, &[B]);
    assert_eq!(refused, Err(SignalError::HiddenMode), "they share a key");

    let [a, ..] = three(paired(3, TestMode::Node, TestRoad::File));
    let terms = a.state.terms();
    let signal = PairedSignal::new(terms, A, &[C]).unwrap();
    assert_eq!(signal.paired_with.len(), 2);
    assert!(signal.heals(SUITE, &party(C).signature_key));
    assert!(signal.is_paired_with(SUITE, &party(B).signature_key));
    assert!(!signal.is_paired_with(SUITE, &party(A).signature_key));
    assert!(!signal.heals(SUITE, &party(B).signature_key));
    let bytes = signal.encode().unwrap();
    assert_eq!(PairedSignal::decode(&bytes), Ok(signal));
    for end in 0..bytes.len() {
        assert!(PairedSignal::decode(&bytes[..end]).is_err());
    }
    let longer = [bytes, vec![0]].concat();
    let trailing = DecodeError::TrailingBytes("PairedSignal");
    assert_eq!(PairedSignal::decode(&longer), Err(trailing));
    for foreign in [(STRANGER, B), (A, STRANGER)] {
        let refused = PairedSignal::new(terms, foreign.0, &[foreign.1]);
        assert_eq!(refused, Err(SignalError::ForeignDevice(STRANGER)));
    }
}

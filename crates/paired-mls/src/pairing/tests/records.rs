//! A device that is restarted between any two steps goes on where it was.

use super::*;

/// Stores a state, checks that damage to its record is noticed, and loads it.
fn restart(state: impl Into<PairingState>) -> PairingState {
    let state = state.into();
    let record = state.to_record().unwrap();
    for end in 0..record.len() {
        let cut = PairingState::from_record(&record[..end]);
        assert_eq!(cut, Err(StateRecordError::Malformed), "{end}");
    }
    let longer = [&record[..], &[0]].concat();
    assert_eq!(PairingState::from_record(&longer), Err(StateRecordError::Malformed));
    let future = [&[2], &record[1..]].concat();
    assert_eq!(PairingState::from_record(&future), Err(StateRecordError::Version(2)));
    for position in 0..record.len() {
        for bit in 0..8 {
            let mut changed = record.clone();
            changed[position] ^= 1 << bit;
            if let Ok(other) = PairingState::from_record(&changed) {
                assert_ne!(other, state);
                assert_eq!(other.to_record().unwrap(), changed);
            }
        }
    }
    let loaded = PairingState::from_record(&record).unwrap();
    assert_eq!(loaded, state);
    loaded
}

macro_rules! restarted {
    ($kind:ident, $state:expr) => {{
        let state = $state;
        let record = state.to_record().unwrap();
        assert_eq!($kind::from_record(&record), Ok(state));
        let PairingState::$kind(state) = restart($kind::from_record(&record).unwrap()) else {
            panic!("another kind")
        };
        state
    }};
}

#[test]
fn a_device_may_be_restarted_between_any_two_steps() {
    for mode in MODES {
        for road in ROADS {
            let [a, b] = two(seeded(2, road));
            let a = Device { state: restarted!(Seeded, a.state), ..a };
            let b = Device { state: restarted!(Seeded, b.state), ..b };
            let (all, directory) = invite(vec![a, b], mode);
            let [a, b] = two(all);
            let mut state = restarted!(Invited, a.state);
            if let Some(directory) = directory {
                let (next, _) =
                    state.receive(&a.vault, Source::Directory, directory.expose()).unwrap();
                state = restarted!(Invited, waiting(next));
            }
            assert_eq!(state.terms(), b.state.terms());
            let accept = &accepts(&registered(2, mode, road))[1];
            let (next, _) = state.receive(&a.vault, Source::Relay, accept.expose()).unwrap();
            let Confirmation::Paired(state) = next else { panic!("paired") };
            let state = restarted!(Paired, state);
            let (state, _) = state.end(&a.vault).unwrap();
            let state = restarted!(Ceasing, state);
            assert_eq!(state.waiting_for(), [B]);
            let state = restarted!(Ceased, state.force_end());
            assert_eq!(state.unconfirmed(), [B]);
            state.erase_tape(&a.vault, &[]).unwrap();
            restarted!(Unpaired, state.into_unpaired());
        }
    }
}

#[test]
fn what_three_devices_have_heard_is_stored() {
    let [a, b, _] = three(registered(3, TestMode::Node, TestRoad::File));
    let accept = b.state.accept(&b.vault).unwrap().message;
    let (next, _) = a.state.receive(&a.vault, Source::Relay, accept.expose()).unwrap();
    let state = restarted!(Invited, waiting(next));
    assert_eq!(state.waiting_for(), [C]);

    let [a, b, _] = three(paired(3, TestMode::Node, TestRoad::File));
    let (_, cease) = b.state.end(&b.vault).unwrap();
    let (next, _) = a.state.receive(&a.vault, cease.message.expose()).unwrap();
    let Continuation::Ending(Ending::Ceasing(state)) = next else { panic!("C is missing") };
    let state = restarted!(Ceasing, state);
    assert_eq!(state.waiting_for(), [C]);
    let again = state.plan();
    assert_eq!(again.steps().last(), Some(&Step::PairAnew(vec![A, C])), "B ended it");
}

#[test]
fn a_record_of_another_state_is_no_state_of_this_kind() {
    let record = Unpaired::new(party(A)).to_record().unwrap();
    assert_eq!(Paired::from_record(&record), Err(StateRecordError::Malformed));
    assert_eq!(PairingState::from_record(&[]), Err(StateRecordError::Malformed));
    assert_eq!(PairingState::from_record(&[1, 99]), Err(StateRecordError::Malformed));
}

#[test]
fn no_record_holds_a_secret() {
    let contains = |record: &[u8], byte| record.windows(8).any(|window| window == [byte; 8]);
    let [a, b] = two(seeded(2, TestRoad::Channel));
    assert!(!contains(&a.state.to_record().unwrap(), 42), "the seed");
    let (all, _) = invite(vec![a, b], TestMode::Hidden);
    for device in all {
        let record = device.state.to_record().unwrap();
        assert!(contains(&record, 0xAA) && !contains(&record, 0xBB), "the private key");
    }
}

//! The end of a pairing: by one, by all at once, unheard, and by force.

use super::*;
use crate::{
    EpochContext, GroupRecord, Index, Notify, TapeId,
    group::{EpochMark, SecurityTable},
};

fn ending(continuation: Continuation) -> Ending {
    match continuation {
        Continuation::Ending(ending) => ending,
        Continuation::Paired(_) => panic!("still paired"),
    }
}

fn ceased(ending: Ending) -> Ceased {
    match ending {
        Ending::Ceased(state) => state,
        Ending::Ceasing(state) => panic!("still waiting for {:?}", state.waiting_for()),
    }
}

fn ceasing(ending: Ending) -> Ceasing {
    match ending {
        Ending::Ceasing(state) => state,
        Ending::Ceased(_) => panic!("already over"),
    }
}

#[test]
fn the_tape_stays_until_the_answer_and_then_goes() {
    for mode in MODES {
        let [a, b] = two(paired(2, mode, TestRoad::File));
        let group = b"group".to_vec();
        let tapes = [&a, &b].map(|device| device.vault.open_group(ID, &group).unwrap());
        // B has sent a commit that A has not seen yet.
        let spot = b.vault.draw(&tapes[1], 0).unwrap().spot();

        let (state, cease) = a.state.end(&a.vault).unwrap();
        assert_eq!(cease.route, Route::Partners(vec![B]));
        let claimed = a.vault.claim(&tapes[0], spot, b"commit").unwrap();
        assert_eq!(claimed.spot(), spot, "A still follows");
        a.vault.settle(&tapes[0]).unwrap();

        let (next, send) = b.state.receive(&b.vault, cease.message.expose()).unwrap();
        let b_state = ceased(ending(next));
        assert_eq!(send.len(), 1);
        assert_eq!(send[0].route, Route::Partners(vec![A]));
        let (next, more) = state.receive(&a.vault, send[0].message.expose()).unwrap();
        let a_state = ceased(next);
        assert_eq!(more, []);

        for (device, state) in [(&a.vault, &a_state), (&b.vault, &b_state)] {
            state.erase_tape(device, std::slice::from_ref(&group)).unwrap();
            state.erase_tape(device, std::slice::from_ref(&group)).unwrap();
            assert!(device.pairing_info(ID).is_err());
            assert!(device.tape_info(&tapes[0]).is_err());
            assert!(state.unconfirmed().is_empty());
        }
        // The answer was lost: B gives it again, without the tape.
        let again = b_state.answer(cease.message.expose()).unwrap();
        assert_eq!(again, send[0]);
        // Nobody answers an answer.
        assert!(a_state.answer(send[0].message.expose()).is_err());
        assert_eq!(a_state.into_unpaired(), Unpaired::new(party(A)));
    }
}

#[test]
fn the_groups_record_goes_with_the_tape_unless_it_is_of_another_pairing() {
    let [a, _] = two(paired(2, TestMode::Node, TestRoad::File));
    let record = |pairing, group: &[u8]| {
        let tape = TapeId { pairing, group_id: group.to_vec() };
        a.vault.store_group(&group_record(tape)).unwrap();
    };
    a.vault.open_group(ID, b"mine").unwrap();
    record(ID, b"mine");
    record(PairingId([9; 16]), b"other");
    let (state, _) = a.state.end(&a.vault).unwrap();
    let state = state.force_end();
    state.erase_tape(&a.vault, &[b"mine".to_vec(), b"other".to_vec()]).unwrap();
    assert_eq!(a.vault.load_group(b"mine").unwrap(), None);
    assert!(a.vault.load_group(b"other").unwrap().is_some());
    let left = a.storage.inner.load(&RecordName::Pairing(ID)).unwrap();
    assert!(left.is_none());
}

#[test]
fn both_end_it_at_once_in_any_order() {
    for a_first in [true, false] {
        let [a, b] = two(paired(2, TestMode::Hidden, TestRoad::File));
        let (a_state, from_a) = a.state.end(&a.vault).unwrap();
        let (b_state, from_b) = b.state.end(&b.vault).unwrap();
        let (a_next, a_sends) = a_state.receive(&a.vault, from_b.message.expose()).unwrap();
        let a_done = ceased(a_next);
        // A is done; what reaches B first does not matter.
        let ack = &a_sends[0].message;
        let first = if a_first { &from_a.message } else { ack };
        let (b_next, _) = b_state.receive(&b.vault, first.expose()).unwrap();
        let b_done = ceased(b_next);
        assert!(b_done.answer(from_a.message.expose()).is_ok());
        assert!(a_done.answer(from_b.message.expose()).is_ok());
    }
}

#[test]
fn three_devices_all_stop_even_if_one_was_not_told() {
    let [a, b, c] = three(paired(3, TestMode::Node, TestRoad::File));
    let (a_state, from_a) = a.state.end(&a.vault).unwrap();
    assert_eq!(from_a.route, Route::Partners(vec![B, C]));

    // C does not get A's CeasePair. B tells it.
    let (next, send) = b.state.receive(&b.vault, from_a.message.expose()).unwrap();
    let b_state = ceasing(ending(next));
    assert_eq!(b_state.waiting_for(), [C]);
    let [to_a, to_c] = send.as_slice() else { panic!("an answer and a word to C") };
    assert_eq!(to_a.route, Route::Partners(vec![A]));
    assert_eq!(to_c.route, Route::Partners(vec![C]));
    let (next, send) = c.state.receive(&c.vault, to_c.message.expose()).unwrap();
    let c_state = ceasing(ending(next));
    assert_eq!(c_state.waiting_for(), [A]);
    assert_eq!(c_state.plan(), b_state.plan(), "it is A who has ended it");

    // C's messages: an answer to B, a word to A, which counts as an answer.
    let (next, _) = b_state.receive(&b.vault, send[0].message.expose()).unwrap();
    let b_done = ceased(next);
    let (next, _) = a_state.receive(&a.vault, to_a.message.expose()).unwrap();
    let a_state = ceasing(next);
    assert_eq!(a_state.waiting_for(), [C]);
    let (next, to_c) = a_state.receive(&a.vault, send[1].message.expose()).unwrap();
    let a_done = ceased(next);
    let (next, _) = c_state.receive(&c.vault, to_c[0].message.expose()).unwrap();
    let c_done = ceased(next);
    for done in [&a_done, &b_done, &c_done] {
        assert!(done.unconfirmed().is_empty());
    }
}

#[test]
fn every_order_of_delivery_ends_a_pairing_of_three() {
    // A small model checker: whoever has a message in the air next is chosen by the case number.
    for case in 0..200_usize {
        let [a, b, c] = three(paired(3, TestMode::Hidden, TestRoad::File));
        let vaults = [a.vault, b.vault, c.vault];
        let mut air: Vec<(usize, Secret)> = Vec::new();
        let send = |air: &mut Vec<(usize, Secret)>, outbound: Outbound| {
            let Route::Partners(devices) = outbound.route else { panic!("to partners") };
            let copies = devices
                .iter()
                .map(|device| (usize::from(device.0), Secret::copy_of(outbound.message.expose())));
            air.extend(copies);
        };
        let [mut a, mut b, mut c] =
            [a.state, b.state, c.state].map(|state| Some(PairingState::Paired(state)));
        let states = [&mut a, &mut b, &mut c];
        // One or two devices end it at the same time.
        for ender in 0..=(case % 2) {
            let Some(PairingState::Paired(state)) = states[ender].take() else { panic!() };
            let (state, outbound) = state.end(&vaults[ender]).unwrap();
            send(&mut air, outbound);
            *states[ender] = Some(state.into());
        }
        let mut random = case;
        while !air.is_empty() {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            let (to, message) = air.swap_remove((random >> 33) % air.len());
            let vault = &vaults[to];
            let (next, sends): (PairingState, _) = match states[to].take().unwrap() {
                PairingState::Paired(state) => {
                    let (next, sends) = state.receive(vault, message.expose()).unwrap();
                    (state_of(ending(next)), sends)
                }
                PairingState::Ceasing(state) => {
                    let (next, sends) = state.receive(vault, message.expose()).unwrap();
                    (state_of(next), sends)
                }
                PairingState::Ceased(state) => {
                    let sends = state.answer(message.expose()).into_iter().collect();
                    (state.into(), sends)
                }
                other => panic!("{other:?}"),
            };
            sends.into_iter().for_each(|outbound| send(&mut air, outbound));
            *states[to] = Some(next);
        }
        let plans = states.map(|state| match state {
            Some(PairingState::Ceased(state)) => state.plan(),
            other => panic!("{case}: {other:?}"),
        });
        // Of two that end it at once, one may still count on the other; on itself it does not.
        assert!(case % 2 == 1 || plans.iter().all(|plan| *plan == plans[0]), "{case}: {plans:?}");
        for (ender, plan) in plans.iter().enumerate().take(1 + case % 2) {
            let ender = DeviceId(u16::try_from(ender).unwrap());
            let counts_on = |step: &Step| matches!(step, Step::PairAnew(d) if d.contains(&ender));
            assert!(!plan.steps().iter().any(counts_on), "{case}");
        }
    }
}

fn state_of(ending: Ending) -> PairingState {
    match ending {
        Ending::Ceasing(state) => state.into(),
        Ending::Ceased(state) => state.into(),
    }
}

#[test]
fn a_partner_that_goes_on_is_reported_and_can_be_left_behind() {
    let [a, b] = two(paired(2, TestMode::Leaf, TestRoad::File));
    let tape = b.vault.open_group(ID, b"group").unwrap();
    let (state, _) = a.state.end(&a.vault).unwrap();
    let spot = b.vault.draw(&tape, 0).unwrap().spot();
    let index = spot.index;

    let report = state.detect(index.into()).unwrap();
    assert_eq!((report.device, report.index), (B, index));
    assert_eq!(report.promise, PartnerPromise::Missing);
    assert_eq!(state.detect(Notify { spot, level: 0 }.into()), Some(report));
    for nobody in [A, STRANGER] {
        assert_eq!(state.detect(Index::new(nobody, 0).unwrap().into()), None);
    }
    // It is followed as ever, and told again.
    let own = a.vault.open_group(ID, b"group").unwrap();
    let context =
        EpochContext { group_id: b"group".to_vec(), epoch: 1, confirmed_transcript_hash: vec![] };
    assert!(a.vault.claim(&own, spot, b"c").unwrap().into_path_secret(&context).is_ok());
    let again = state.resend().unwrap();
    assert_eq!(again.route, Route::Partners(vec![B]));

    let state = state.force_end();
    assert_eq!(state.unconfirmed(), [B]);
    state.erase_tape(&a.vault, &[b"group".to_vec()]).unwrap();
    assert!(a.vault.pairing_info(ID).is_err());
    // The partner comes to its senses after all.
    assert!(state.answer(again.message.expose()).is_err(), "that one was this device's own");
    let (_, late) = b.state.end(&b.vault).unwrap();
    let answer = state.answer(late.message.expose()).unwrap();
    assert_eq!(answer.route, Route::Partners(vec![B]));
}

#[test]
fn a_partner_that_breaks_its_word_is_told_apart() {
    let [a, b, _] = three(paired(3, TestMode::Node, TestRoad::File));
    let (state, cease) = a.state.end(&a.vault).unwrap();
    let (_, send) = b.state.receive(&b.vault, cease.message.expose()).unwrap();
    let (next, _) = state.receive(&a.vault, send[0].message.expose()).unwrap();
    let state = ceasing(next);
    let promise = |device| {
        let index = Index::new(device, 3).unwrap();
        state.detect(index.into()).map(|report| report.promise)
    };
    assert_eq!(promise(B), Some(PartnerPromise::Given));
    assert_eq!(promise(C), Some(PartnerPromise::Missing));
}

#[test]
fn a_pairing_can_end_before_it_is_complete() {
    let [a, b] = two(registered(2, TestMode::Hidden, TestRoad::File));
    let [a_paired, _] = two(paired(2, TestMode::Hidden, TestRoad::File));
    let (_, cease) = a_paired.state.end(&a.vault).unwrap();
    let (next, send) = b.state.receive(&b.vault, Source::Relay, cease.message.expose()).unwrap();
    assert!(matches!(next, Confirmation::Ending(Ending::Ceased(_))));
    assert_eq!(send.len(), 1);
}

#[test]
fn plans_say_who_leaves_and_who_pairs_anew() {
    let plan = |devices, mode| {
        let mut all = paired(devices, mode, TestRoad::File);
        let b = all.remove(1);
        let (state, _) = b.state.end(&b.vault).unwrap();
        let plan = state.plan();
        assert_eq!(state.force_end().plan(), plan);
        plan
    };
    let leaving = |plan: &Plan| {
        plan.steps()
            .iter()
            .find_map(|step| match step {
                Step::Leave(devices) => Some(devices.clone()),
                _ => None,
            })
            .unwrap()
    };
    let standard = plan(2, TestMode::Node);
    let b_alone = vec![B];
    assert_eq!(
        standard.steps(),
        [
            Step::CatchUp,
            Step::EraseTape,
            Step::Withdraw,
            Step::Leave(b_alone.clone()),
            Step::NewSignatureKey(b_alone.clone()),
            Step::Return(b_alone),
        ]
    );
    assert_eq!(leaving(&plan(2, TestMode::Leaf)), [A, B], "one leaf holds both");
    let hidden = plan(2, TestMode::Hidden);
    assert_eq!(leaving(&hidden), [A, B]);
    assert!(hidden.steps().contains(&Step::NewSignatureKey(vec![A, B])));
    assert!(!hidden.steps().contains(&Step::Withdraw), "the directory never knew");
    for mode in MODES {
        let plan = plan(3, mode);
        assert_eq!(leaving(&plan), [A, B, C]);
        assert_eq!(plan.steps().last(), Some(&Step::PairAnew(vec![A, C])));
    }
}

fn group_record(tape: TapeId) -> GroupRecord {
    let devices = [A, B]
        .map(|device| crate::PairedDevice { device, signature_key: party(device).signature_key });
    GroupRecord {
        phase: crate::Phase::Active,
        tape,
        security: SecurityTable::exposed([A, B]),
        epoch: EpochMark::default(),
        before: None,
        devices: devices.to_vec(),
        heal_policy: crate::HealPolicy::Manual,
        signal: SignalPolicy::Silent,
        pending: None,
    }
}

//! A member who proposes for ever: what waits on a device is bounded, honest proposals are kept, and a commit that
//! carries out what was not kept is followed all the same, at a node and behind a leaf.

use paired_mls::conformance::{Heard, Listener as _, Member as _, Refused, liar::Liar as _};
use paired_mls_openmls::MAX_PROPOSALS_OF_ONE;

use crate::odd::{Town, for_each};

/// How many proposals wait on each device.
fn waiting(town: &Town) -> Vec<usize> {
    let node = [&town.phone, &town.sensor].map(|device| device.group().unwrap().mls());
    let leaf = town.behind.iter().map(|device| device.group().unwrap().mls());
    node.into_iter().chain(leaf).map(|mls| mls.pending_proposals().count()).collect()
}

/// A message arrives at each device.
fn devices_hear(town: &mut Town, message: &[u8]) -> Vec<Result<Heard, Refused>> {
    let mut heard = vec![town.phone.process(message), town.sensor.process(message)];
    heard.extend(town.behind.iter_mut().map(|device| device.process(message)));
    heard
}

fn devices_follow(
    town: &mut Town,
    refused: &[Vec<u8>],
    commit: &[u8],
) -> Vec<Result<Heard, Refused>> {
    let mut heard = vec![town.phone.follow_with(refused, commit)];
    heard.push(town.sensor.follow_with(refused, commit));
    heard.extend(town.behind.iter_mut().map(|device| device.follow_with(refused, commit)));
    heard
}

#[test]
fn who_proposes_for_ever_fills_nobody_and_stops_nobody() {
    for_each(|mut town| {
        let most = MAX_PROPOSALS_OF_ONE;
        let mut flood = Vec::new();
        for n in 0..most + 6 {
            let proposal = town.mallory.propose_update_as("mallory").unwrap();
            town.second.process(&proposal).unwrap();
            town.bob.process(&proposal).unwrap();
            for heard in devices_hear(&mut town, &proposal) {
                assert_eq!(heard.is_ok(), n < most, "proposal {n}: {heard:?}");
            }
            flood.push(proposal);
        }
        assert_eq!(waiting(&town), [most; 4]);
        // And again: it has changed nothing.
        assert!(devices_hear(&mut town, &flood[most + 1]).iter().all(Result::is_err));
        // An honest member is heard.
        let honest = town.second.propose_update_as("mallory's second").unwrap();
        for heard in devices_hear(&mut town, &honest) {
            assert_eq!(heard.unwrap(), Heard::Proposal);
        }
        town.mallory.process(&honest).unwrap();
        town.bob.process(&honest).unwrap();
        assert_eq!(waiting(&town), [most + 1; 4]);

        // Stock members have kept all, and a commit of one of them takes the last Update of each.
        let sent = town.bob.commit(&paired_mls::conformance::Content::default()).unwrap();
        town.bob.confirm().unwrap();
        let epoch = town.phone.epoch();
        assert!(devices_hear(&mut town, &sent.commit).iter().all(Result::is_err));
        let mut forged = sent.commit.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert!(devices_follow(&mut town, &flood, &forged).iter().all(Result::is_err));
        assert_eq!((town.phone.epoch(), waiting(&town)), (epoch, vec![most + 1; 4]));
        for heard in devices_follow(&mut town, &flood, &sent.commit) {
            assert!(matches!(heard.unwrap(), Heard::Commit { .. }));
        }
        town.mallory.process(&sent.commit).unwrap();
        town.second.process(&sent.commit).unwrap();
        town.assert_together("with what was not kept");
        assert_eq!(waiting(&town), [0; 4]);
        town.everybody_goes_on("after the flood");
    });
}

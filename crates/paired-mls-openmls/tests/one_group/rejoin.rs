//! Coming in from outside, in two phases, at both anchors.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use openmls::prelude::MlsGroupJoinConfig;
use paired_mls::{
    DeviceId, EpochSecurity, Event, Pairing,
    group::credential::{Claim, CredentialPolicy, Strictness, Verdict},
};
use paired_mls_openmls::{Error, Group, PeerError, Received, UsageError};

use crate::{
    CIPHERSUITE, GROUP, PAIRING, TestDevice, agree, behind_a_leaf, device, join, key, package,
    pair, with,
};

fn config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder().use_ratchet_tree_extension(true).build()
}

fn info(group: &Group, device: &TestDevice) -> Vec<u8> {
    group.group_info(device).unwrap()
}

/// A phone, a sensor and Bob; the first two are paired at a node, or behind one leaf.
fn cast(anchor: &str) -> ([TestDevice; 3], [Group; 3]) {
    if anchor == "leaf" {
        let (phone, sensor, _, at_bob, _, welcome, bob) = behind_a_leaf();
        let groups = [join(&phone, &welcome), join(&sensor, &welcome), at_bob];
        return ([phone, sensor, bob], groups);
    }
    let (phone, sensor) = (device("phone", &key()), device("sensor", &key()));
    let bob = device("Bob", &key());
    let (at_bob, _, welcome) = with(&bob, &[package(&phone), package(&sensor)]);
    let (mut at_phone, mut at_sensor) = (join(&phone, &welcome), join(&sensor, &welcome));
    let pairing = pair(&phone, &sensor);
    at_phone.pair(&phone, &pairing).unwrap();
    at_sensor.pair(&sensor, &pairing).unwrap();
    ([phone, sensor, bob], [at_phone, at_sensor, at_bob])
}

fn hear(device: &TestDevice, group: &mut Group, commit: &[u8]) -> Vec<Event> {
    match group.process(device, commit).unwrap() {
        Received::Commit { events, .. } => events,
        other => panic!("{other:?}"),
    }
}

/// Until the delivery service has accepted it, an external commit changes nothing: one that has lost is dropped, and
/// the old state follows the winner. One that is accepted is confirmed at once, or after a restart.
#[test]
fn nothing_is_merged_before_the_commit_is_accepted() {
    for (anchor, restart) in [("node", false), ("node", true), ("leaf", false), ("leaf", true)] {
        let ([phone, sensor, bob], [mut at_phone, mut at_sensor, mut at_bob]) = cast(anchor);
        let records = phone.provider().records();
        let lost = Group::rejoin(&phone, &info(&at_bob, &bob), &config()).unwrap();
        assert_eq!(phone.provider().records(), records, "{anchor}: the MLS state has changed");
        drop(lost);

        let won = at_bob.update(&bob).unwrap();
        at_bob.confirm(&bob).unwrap();
        hear(&phone, &mut at_phone, &won.commit);
        hear(&sensor, &mut at_sensor, &won.commit);
        agree(&[&at_phone, &at_sensor, &at_bob]);

        let before = info(&at_bob, &bob);
        let rejoin = Group::rejoin(&phone, &before, &config()).unwrap();
        let commit = rejoin.outgoing().commit.clone();
        assert_eq!(Group::load(&phone, GROUP).unwrap().epoch(), at_phone.epoch());
        let events = hear(&sensor, &mut at_sensor, &commit);
        assert!(events.iter().any(|event| matches!(event, Event::Healed { .. })), "{events:?}");
        hear(&bob, &mut at_bob, &commit);
        at_phone = match restart {
            false => rejoin.confirm(&phone).unwrap(),
            true => {
                let state = rejoin.state().map(|state| state.expose().to_vec());
                let enter = || Group::enter(&phone, &before, &commit, state.as_deref(), &config());
                drop(enter().unwrap());
                if anchor == "node" {
                    // It died before it had written down that it is in.
                    drop(enter().unwrap());
                }
                Group::load(&phone, GROUP).unwrap()
            }
        };
        agree(&[&at_phone, &at_sensor, &at_bob]);
        let safe = at_phone.security(DeviceId(1));
        assert!(matches!(safe, Some(EpochSecurity::Secure(_))), "{anchor}: {safe:?}");

        // The group goes on, in both directions.
        let sent = at_phone.update(&phone).unwrap();
        at_phone.confirm(&phone).unwrap();
        hear(&sensor, &mut at_sensor, &sent.commit);
        hear(&bob, &mut at_bob, &sent.commit);
        let said = at_phone.send(&phone, b"back again").unwrap();
        let heard = at_bob.process(&bob, &said).unwrap();
        assert!(matches!(heard, Received::Application { message, .. } if message == b"back again"));
        let said = at_bob.send(&bob, b"welcome").unwrap();
        let heard = at_phone.process(&phone, &said).unwrap();
        assert!(matches!(heard, Received::Application { message, .. } if message == b"welcome"));
    }
}

/// A device that has lost its state comes in by the same two calls.
#[test]
fn whoever_has_no_state_comes_in() {
    let ([phone, sensor, bob], [at_phone, mut at_sensor, mut at_bob]) = cast("node");
    at_phone.forget(&phone).unwrap();
    let rejoin = Group::rejoin(&phone, &info(&at_bob, &bob), &config()).unwrap();
    let refused = Group::load(&phone, GROUP);
    assert!(matches!(refused, Err(Error::Usage(UsageError::NoSuchGroup))));
    let commit = rejoin.outgoing().commit.clone();
    let at_phone = rejoin.confirm(&phone).unwrap();
    hear(&sensor, &mut at_sensor, &commit);
    hear(&bob, &mut at_bob, &commit);
    agree(&[&at_phone, &at_sensor, &at_bob]);
}

/// A state is used for the commit that leads to it and for no other, and a damaged one for none.
#[test]
fn the_state_belongs_to_its_commit() {
    let ([phone, _, bob], [at_phone, _, at_bob]) = cast("node");
    let before = info(&at_bob, &bob);
    let one = Group::rejoin(&phone, &before, &config()).unwrap();
    let other = Group::rejoin(&phone, &before, &config()).unwrap();
    let state = one.state().unwrap().expose();
    let records = phone.provider().records();
    let cut = state.split_last().unwrap().1;
    for (commit, state) in [
        (&other.outgoing().commit, Some(state)),
        (&one.outgoing().commit, Some(cut)),
        (&one.outgoing().commit, Some(&[][..])),
        (&one.outgoing().commit, None),
        (&b"no commit".to_vec(), Some(state)),
    ] {
        let refused = Group::enter(&phone, &before, commit, state, &config());
        assert!(matches!(refused, Err(Error::Usage(UsageError::OtherRejoin))));
        assert_eq!(phone.provider().records(), records);
    }
    assert_eq!(Group::load(&phone, GROUP).unwrap().epoch(), at_phone.epoch());
}

/// A commit that was made before the device was paired has healed nobody, whatever the vault says when it is accepted.
#[test]
fn an_ordinary_commit_from_outside_heals_nobody() {
    let (phone, sensor) = (device("phone", &key()), device("sensor", &key()));
    let bob = device("Bob", &key());
    let (at_bob, _, welcome) = with(&bob, &[package(&phone), package(&sensor)]);
    let mut at_phone = join(&phone, &welcome);
    let rejoin = Group::rejoin(&phone, &info(&at_bob, &bob), &config()).unwrap();
    let pairing: Pairing = pair(&phone, &sensor);
    at_phone.pair(&phone, &pairing).unwrap();
    let at_phone = rejoin.confirm(&phone).unwrap();
    assert_eq!(at_phone.pairing_tape().map(|tape| tape.pairing), Some(PAIRING));
    assert_eq!(at_phone.security(DeviceId(1)), Some(EpochSecurity::Exposed));
}

/// A strict policy that accepts everybody, until it accepts nobody.
struct Strict(Arc<AtomicBool>);

impl CredentialPolicy for Strict {
    fn judge(&self, _: &Claim<'_>) -> Verdict {
        match self.0.load(Ordering::Relaxed) {
            true => Verdict::Accepted,
            false => Verdict::NotKnown,
        }
    }

    fn strictness(&self) -> Strictness {
        Strictness::Refuse
    }
}

/// Whom a strict policy does not let this device join is refused before there is anything to deliver.
#[test]
fn a_strict_policy_refuses_before_the_commit_is_sent() {
    let accepts = Arc::new(AtomicBool::new(false));
    let bob = device("Bob", &key());
    let (at_bob, ..) = with(&bob, &[]);
    let phone = crate::device_with("phone", &key(), Strict(Arc::clone(&accepts)));
    let before = info(&at_bob, &bob);
    let refused = Group::rejoin(&phone, &before, &config());
    assert!(matches!(refused, Err(Error::Peer(PeerError::Identity { .. }))));
    accepts.store(true, Ordering::Relaxed);
    let back = Group::rejoin(&phone, &before, &config()).unwrap().confirm(&phone).unwrap();
    assert_eq!(back.mls().ciphersuite(), CIPHERSUITE);
}

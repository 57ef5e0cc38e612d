//! A thief with the complete state of the leaf.

use super::{LeafAdapter, LeafMember as _, LeafWorld, OfLeaf, PHONE, SENSOR, for_each};
use crate::{
    DeviceId, Event,
    conformance::{Content, Framing, Heard, Listener, Member as _, Thief as _},
    group::Act,
};

/// A commit that everybody follows and that the thief hears too. Returns whether he followed.
fn commit_before<A: LeafAdapter, L: Listener>(
    world: &mut LeafWorld<'_, A>,
    who: OfLeaf,
    thief: &mut L,
) -> bool {
    let sent = world.member(who).unwrap().commit(&Content::default()).unwrap();
    world.deliver(who, &sent).unwrap();
    if let Some(notify) = &sent.notify {
        let _ = thief.process(notify);
    }
    let followed = thief.process(&sent.commit).is_ok();
    followed && thief.epoch_authenticator() == world.devices[PHONE].epoch_authenticator()
}

/// Whether a thief reads what another member says.
fn reads<A: LeafAdapter, L: Listener>(world: &mut LeafWorld<'_, A>, thief: &mut L) -> bool {
    let message = world.talk(OfLeaf::Other(0)).unwrap();
    matches!(thief.process(&message), Ok(Heard::Application(_)))
}

/// He follows the commits of others and loses the group at the leaf's first commit from the tape,
/// whoever makes it; no byte string of his loot, tried as a key, opens anything.
pub fn a_thief_is_lost_at_the_first_tape_commit<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        for healer in [PHONE, SENSOR] {
            let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
            let mut thief = adapter.steal(&world.devices[SENSOR]);
            assert!(commit_before(&mut world, OfLeaf::Other(0), &mut thief), "the control");
            assert!(reads(&mut world, &mut thief), "the control: he reads on");

            assert!(!commit_before(&mut world, OfLeaf::Device(healer), &mut thief));
            assert!(!reads(&mut world, &mut thief));
            for _ in 0..2 {
                assert!(!commit_before(&mut world, OfLeaf::Other(0), &mut thief));
                assert!(!reads(&mut world, &mut thief));
            }
            // What is encrypted as a whole he cannot even try: it is from his own leaf.
            if framing == Framing::Public {
                assert!(thief.attempts() > 0, "he has tried his keys");
            }
            assert_eq!(thief.opened(), 0);
        }
    });
}

/// The control of the vault.
pub fn with_the_tape_the_thief_would_have_followed<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        let mut thief = adapter.steal_with_vault(&world.devices[SENSOR]);
        assert!(commit_before(&mut world, OfLeaf::Device(PHONE), &mut thief));
        assert!(reads(&mut world, &mut thief));
    });
}

/// A vault that is stolen after a commit does not give its value any more: an old state with the
/// vault of later does not follow.
pub fn a_vault_stolen_later_opens_no_earlier_epoch<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        for (sender, victim) in [(PHONE, SENSOR), (PHONE, PHONE)] {
            let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
            let mut thief = adapter.steal_with_vault(&world.devices[victim]);
            let sent = world.devices[sender].commit(&Content::default()).unwrap();
            world.deliver(OfLeaf::Device(sender), &sent).unwrap();
            adapter.steal_vault_again(&mut thief, &world.devices[victim]);
            assert!(thief.process(&sent.commit).is_err());
        }
    });
}

/// The tape does not protect the signature key: who has that comes back from outside as the leaf, and
/// the devices are out, and are told so.
pub fn with_the_signature_key_he_comes_back_from_outside<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        world.update(OfLeaf::Device(PHONE)).unwrap();
        let info = world.devices[PHONE].group_info().unwrap();
        let (mut thief, sent) =
            adapter.rejoin_with_signature_key(&world.devices[SENSOR], &info).unwrap();
        for (device, own) in world.devices.iter_mut().zip((0..).map(DeviceId)) {
            let Heard::Commit { events, .. } = device.process(&sent.commit).unwrap() else {
                panic!("an external commit is a commit");
            };
            let alarm = Event::Impostor { device: own, act: Act::ExternalCommit };
            assert_eq!(events, [alarm, Event::Removed]);
            assert!(device.send(b"still here").is_err());
        }
        world.others_hear(OfLeaf::Device(SENSOR), &sent.commit).unwrap();
        let said = world.others[0].send(b"who is there").unwrap();
        assert!(matches!(thief.process(&said), Ok(Heard::Application(_))));

        // The devices come back by the same road, and he is out again.
        let info = thief_info(&mut world, &mut *thief);
        let sent = world.devices[PHONE].rejoin(&info).unwrap();
        world.devices[PHONE].confirm_rejoin().unwrap();
        world.devices[SENSOR].enter(&info, &sent.commit).unwrap();
        world.others_hear(OfLeaf::Device(PHONE), &sent.commit).unwrap();
        world.assert_together();
        world.talk(OfLeaf::Device(PHONE)).unwrap();
    });
}

/// The GroupInfo that the next commit publishes, which everybody follows.
fn thief_info<A: LeafAdapter>(
    world: &mut LeafWorld<'_, A>,
    thief: &mut dyn crate::conformance::Member,
) -> Vec<u8> {
    let sent = world.others[0].commit(&Content::default()).unwrap();
    world.others[0].confirm().unwrap();
    for member in &mut world.others[1..] {
        member.process(&sent.commit).unwrap();
    }
    thief.process(&sent.commit).unwrap();
    sent.group_info.unwrap()
}

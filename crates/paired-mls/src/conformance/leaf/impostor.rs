//! A thief who acts in the name of a shared leaf, with the signature key of one of its devices and without.

use super::{LeafAdapter, LeafMember as _, LeafWorld, OfLeaf, PHONE, SENSOR, for_each};
use crate::{
    EpochSecurity, Event, LeafKey,
    conformance::{
        Content, Framing, Heard, Impostor, Listener as _, Member as _, Signs, healing::chain,
    },
    group::Act,
};

const SECURE: Option<EpochSecurity> = Some(EpochSecurity::Secure(LeafKey::Fresh));

fn robbed<'a, A: LeafAdapter>(
    adapter: &'a A,
    suite: crate::CipherSuite,
    framing: Framing,
    signs: Signs,
) -> (LeafWorld<'a, A>, Box<dyn Impostor>) {
    let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
    world.update(OfLeaf::Device(PHONE)).unwrap();
    assert_eq!(world.devices[SENSOR].security(), SECURE);
    let thief = adapter.impersonate(&world.devices[SENSOR], signs);
    (world, thief)
}

/// A commit of the leaf that is not from the tape is refused by its devices, which say how to come back,
/// and come back so; the thief is out again. The control: the others follow him.
pub fn a_commit_in_the_leafs_name_is_refused<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let (mut world, mut thief) = robbed(adapter, suite, framing, Signs::Stolen);
        let sent = thief.commit(&Content::default()).unwrap();
        thief.confirm().unwrap();
        for device in &mut world.devices {
            let refused = chain(&*device.process(&sent.commit).unwrap_err());
            assert!(refused.contains("rejoin"), "{refused}");
        }
        world.others_hear(OfLeaf::Device(SENSOR), &sent.commit).unwrap();
        let said = world.others[0].send(b"who is there").unwrap();
        assert!(matches!(thief.process(&said), Ok(Heard::Application(_))), "the control");

        let next = world.others[0].commit(&Content::default()).unwrap();
        world.others[0].confirm().unwrap();
        for member in &mut world.others[1..] {
            member.process(&next.commit).unwrap();
        }
        thief.process(&next.commit).unwrap();
        let info = next.group_info.unwrap();
        let back = world.devices[PHONE].rejoin(&info).unwrap();
        world.devices[PHONE].confirm_rejoin().unwrap();
        world.devices[SENSOR].enter(&info, &back.commit).unwrap();
        world.others_hear(OfLeaf::Device(PHONE), &back.commit).unwrap();
        world.assert_together();
        let _ = thief.process(&back.commit);
        let said = world.talk(OfLeaf::Device(PHONE)).unwrap();
        assert!(!matches!(thief.process(&said), Ok(Heard::Application(_))));
    });
}

/// An Update proposal in the leaf's name is an alarm, and no device commits it.
pub fn an_update_in_the_leafs_name_is_not_committed<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let (mut world, mut thief) = robbed(adapter, suite, framing, Signs::Stolen);
        let proposal = thief.propose_update().unwrap();
        for device in &mut world.devices {
            match device.process(&proposal).unwrap() {
                Heard::Impostor { events, .. } => {
                    let act = Act::UpdateProposed;
                    let is_alarm = |event: &Event| matches!(event, Event::Impostor { act: done, .. } if *done == act);
                    assert!(events.first().is_some_and(is_alarm), "{events:?}");
                    assert_eq!(device.security(), Some(EpochSecurity::Exposed));
                }
                // MLS lets nobody read what is encrypted by its own leaf.
                heard => {
                    assert_eq!(heard, Heard::Own);
                    assert_eq!(framing, Framing::Private);
                }
            }
        }
        if framing == Framing::Private {
            // His proposal has used up the generation of the leaf's commits in this epoch: no other member
            // would accept one.
            return;
        }
        world.others_hear(OfLeaf::Device(SENSOR), &proposal).unwrap();
        let sent = world.devices[PHONE].commit(&Content::default()).unwrap();
        world.deliver(OfLeaf::Device(PHONE), &sent).unwrap();
        assert!(thief.process(&sent.commit).is_err());
        assert_eq!(world.devices[SENSOR].security(), SECURE);
        world.talk(OfLeaf::Device(PHONE)).unwrap();
    });
}

/// Another member commits that Update: the leaf is his, and its devices refuse what they cannot follow.
pub fn an_update_that_is_committed_is_refused<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let (mut world, mut thief) = robbed(adapter, suite, framing, Signs::Stolen);
        let proposal = thief.propose_update().unwrap();
        for device in &mut world.devices {
            device.process(&proposal).unwrap();
        }
        world.others_hear(OfLeaf::Device(SENSOR), &proposal).unwrap();
        let sent = world.others[0].commit(&Content::default()).unwrap();
        for device in &mut world.devices {
            let stored = device.stored();
            assert!(device.process(&sent.commit).is_err());
            assert_eq!(device.stored(), stored, "nothing has changed");
        }
        thief.process(&sent.commit).expect("the control: he can follow");
    });
}

/// Without the signature key nothing that he makes is accepted, by anybody.
pub fn without_the_signature_key_he_does_nothing<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let (mut world, _) = robbed(adapter, suite, framing, Signs::Other);
        let made = |act: fn(&mut dyn Impostor) -> Option<Vec<u8>>| {
            act(&mut *adapter.impersonate(&world.devices[SENSOR], Signs::Other))
        };
        let messages = [
            made(|thief| Some(thief.commit(&Content::default()).ok()?.commit)),
            made(|thief| thief.propose_update().ok()),
            made(|thief| thief.send(b"it is us").ok()),
        ];
        assert!(messages.iter().flatten().count() >= 2, "the control: he has made something");
        for message in messages.iter().flatten() {
            for member in &mut world.others {
                assert!(member.process(message).is_err());
            }
            for device in &mut world.devices {
                let heard = device.process(message);
                let nothing = matches!(heard, Err(_) | Ok(Heard::Own));
                assert!(nothing, "{heard:?}");
            }
        }
        world.assert_together();
        assert_eq!(world.devices[PHONE].security(), SECURE);
        // A member on mls-rs gives up the generation of an encrypted message that is forged.
        world.update(OfLeaf::Other(0)).unwrap();
        world.update(OfLeaf::Device(PHONE)).unwrap();
    });
}

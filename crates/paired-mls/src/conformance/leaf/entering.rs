//! How the devices of a leaf get into a group.

use super::{
    LeafAdapter, LeafMember as _, LeafWorld, OfLeaf, PHONE, SENSOR, adapter::Use,
    follows_without_notify, for_each,
};
use crate::conformance::{Content, Heard, Listener as _};

/// A KeyPackage of the leaf's signature key whose private keys are not from the tape is not adopted:
/// a thief with the signature key makes such. One whose tape position is another's is not either.
pub fn a_forged_key_package_is_refused<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::apart(adapter, suite, framing, 2).unwrap();
        let other =
            LeafWorld::apart(adapter, suite, framing, 2).unwrap().publish(Use::Once).unwrap();
        assert!(world.devices[SENSOR].adopt(&other).is_err(), "another leaf's");
        let real = world.devices[PHONE].publish(Use::Once).unwrap();
        for at in (0..real.len()).step_by(11) {
            let mut forged = real.clone();
            forged[at] ^= 1;
            assert!(world.devices[SENSOR].adopt(&forged).is_err(), "{at}");
        }
        world.devices[SENSOR].adopt(&real).unwrap();
        world.devices[SENSOR].adopt(&real).unwrap();
        world.join_with(b"conformance", real).unwrap();
        world.update(OfLeaf::Device(PHONE)).unwrap();
    });
}

/// A KeyPackage of the last resort leads into two groups; one that is used once does not.
pub fn a_last_resort_serves_twice<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::apart(adapter, suite, framing, 2).unwrap();
        let last = world.publish(Use::LastResort).unwrap();
        for group_id in [b"first ", b"second"] {
            world.others = adapter.others(suite, framing);
            world.join_with(group_id, last.clone()).unwrap();
            world.update(OfLeaf::Device(PHONE)).unwrap();
            world.talk(OfLeaf::Device(PHONE)).unwrap();
        }
        let once = world.publish(Use::Once).unwrap();
        world.others = adapter.others(suite, framing);
        world.join_with(b"third", once.clone()).unwrap();
        world.others = adapter.others(suite, framing);
        assert!(world.join_with(b"fourth", once).is_err());
    });
}

/// KeyPackages that were published all at once lead into as many groups, in any order, whichever device
/// has published them.
pub fn a_batch_serves_in_any_order<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::apart(adapter, suite, framing, 2).unwrap();
        let mut batch: Vec<_> = (0..3).map(|_| world.publish(Use::Once).unwrap()).collect();
        batch.push(world.devices[SENSOR].publish(Use::Once).unwrap());
        world.devices[PHONE].adopt(&batch[3]).unwrap();
        for n in [2, 3, 0, 1] {
            world.others = adapter.others(suite, framing);
            world.join_with(&[b'a' + n], batch[usize::from(n)].clone()).unwrap();
            world.update(OfLeaf::Device(PHONE)).unwrap();
            world.talk(OfLeaf::Device(PHONE)).unwrap();
        }
    });
}

/// The private keys of a published KeyPackage are in no MLS state: whoever steals that cannot use the
/// Welcome.
pub fn a_thief_of_a_published_key_package_stays_out<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::apart(adapter, suite, framing, 2).unwrap();
        let before = world.devices[PHONE].stored();
        let key_package = world.publish(Use::Once).unwrap();
        assert_eq!(world.devices[PHONE].stored(), before, "nothing of it is stored");
        assert_eq!(world.devices[SENSOR].stored(), world.devices[PHONE].stored());
        world.join_with(b"conformance", key_package).unwrap();
    });
}

/// A device that has lost its whole MLS state comes back by an external commit from the tape, which
/// the others follow; and another one follows that into a group in which it was not.
pub fn a_device_that_lost_everything_comes_back<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 3).unwrap();
        world.update(OfLeaf::Device(PHONE)).unwrap();
        let info = world.devices[PHONE].group_info().unwrap();
        world.devices[SENSOR].lose_state().unwrap();
        world.devices[2].lose_state().unwrap();

        let lost = world.devices[SENSOR].rejoin(&info).unwrap();
        // The delivery service refuses it, and the device begins again.
        let sent = world.devices[SENSOR].rejoin(&info).unwrap();
        assert_ne!(lost.commit, sent.commit);
        world.devices[SENSOR].confirm_rejoin().unwrap();
        let heard = world.devices[PHONE].process(&sent.commit).unwrap();
        assert!(matches!(heard, Heard::Commit { .. }));
        assert!(world.devices[2].enter(&info, &lost.commit[..lost.commit.len() - 1]).is_err());
        world.devices[2].enter(&info, &sent.commit).unwrap();
        world.others_hear(OfLeaf::Device(SENSOR), &sent.commit).unwrap();
        world.assert_together();

        world.talk(OfLeaf::Device(SENSOR)).unwrap();
        for who in [OfLeaf::Device(2), OfLeaf::Other(0), OfLeaf::Device(PHONE)] {
            world.update(who).unwrap();
            world.talk(who).unwrap();
        }
    });
}

/// A device that was off for twenty epochs reads the log, without any Notify where it needs none, and
/// is where the others are.
pub fn a_device_that_missed_weeks_catches_up<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        let (mut log, mut notifies) = (Vec::new(), Vec::new());
        let mut asleep = world.devices.pop().unwrap();
        for n in 0..20 {
            let who = if n % 3 == 0 { OfLeaf::Other(n % 2) } else { OfLeaf::Device(PHONE) };
            let sent = world.member(who).unwrap().commit(&Content::default()).unwrap();
            world.deliver(who, &sent).unwrap();
            if !follows_without_notify(adapter, framing) {
                notifies.extend(sent.notify);
            }
            log.push(sent.commit);
        }
        // The mailbox has kept the Notifies, if any are needed; they come all at once.
        for notify in notifies {
            assert_eq!(asleep.process(&notify).unwrap(), Heard::Announced);
        }
        for commit in log {
            asleep.process(&commit).unwrap();
        }
        world.devices.push(asleep);
        world.assert_together();
        world.update(OfLeaf::Device(SENSOR)).unwrap();
        world.talk(OfLeaf::Device(SENSOR)).unwrap();
    });
}

//! Everybody stays together, whoever commits and whatever.

use super::{
    LeafAdapter, LeafMember as _, LeafWorld, OfLeaf, PHONE, SENSOR, for_each, world::healed_by,
};
use crate::{
    DeviceId, EpochSecurity, Event, LeafKey,
    conformance::{Content, Framing, Listener as _, Member as _},
};

/// Commits of either device and of others, in any order; each device follows the other, and has the
/// token after its commit.
pub fn everybody_follows_whoever_commits<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        assert_eq!(world.devices[SENSOR].security(), Some(EpochSecurity::Exposed));
        let order = [
            OfLeaf::Device(PHONE),
            OfLeaf::Device(PHONE),
            OfLeaf::Other(0),
            OfLeaf::Device(SENSOR),
            OfLeaf::Other(1),
            OfLeaf::Device(PHONE),
            OfLeaf::Device(SENSOR),
            OfLeaf::Device(SENSOR),
        ];
        for who in order {
            let events = world.update(who).unwrap();
            for n in 0..world.devices.len() {
                let by =
                    (0_u16..).zip(&events).find(|(by, _)| who == OfLeaf::Device(usize::from(*by)));
                assert!(by.is_none_or(|(by, _)| healed_by(&events[n], by)), "{who:?} at {n}");
            }
            if let OfLeaf::Device(n) = who {
                let holder = Some(DeviceId(u16::try_from(n).unwrap()));
                for device in &world.devices {
                    assert_eq!(device.token(), holder);
                    let secure = EpochSecurity::Secure(LeafKey::Fresh);
                    assert_eq!(device.security(), Some(secure));
                }
                world.talk(who).unwrap();
            }
            world.talk(OfLeaf::Other(0)).unwrap();
        }
    });
}

/// Three devices behind one leaf.
pub fn several_passive_devices_follow<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 3).unwrap();
        for n in [0, 2, 1, 1, 0] {
            world.update(OfLeaf::Device(n)).unwrap();
            world.talk(OfLeaf::Device(n)).unwrap();
        }
    });
}

/// The leaf adds and removes members, by value.
pub fn members_come_and_go<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        let mut guests: Vec<_> = ["ada", "bob", "cyd"]
            .map(|name| adapter.guest(suite, framing, name))
            .into_iter()
            .collect();
        let mut adds = Vec::new();
        for guest in &mut guests {
            adds.push(guest.key_package().unwrap());
        }
        let content = Content { adds, ..Content::default() };
        let sent = world.devices[PHONE].commit(&content).unwrap();
        world.deliver(OfLeaf::Device(PHONE), &sent).unwrap();
        for mut guest in guests {
            guest.join(sent.welcome.as_ref().unwrap()).unwrap();
            world.others.push(guest);
        }
        world.assert_together();
        world.talk(OfLeaf::Device(PHONE)).unwrap();
        for n in 0..world.others.len() {
            world.update(OfLeaf::Other(n)).unwrap();
        }

        // The guests have the leaves after the first members and the devices.
        world.others.pop().unwrap();
        let gone = world.devices[SENSOR].own_leaf().unwrap().value() + 3;
        let removes = vec![crate::anchor::LeafIndex::new(gone).unwrap()];
        let content = Content { removes, ..Content::default() };
        world.commit(OfLeaf::Device(SENSOR), &content).unwrap();
        world.talk(OfLeaf::Device(SENSOR)).unwrap();
        world.update(OfLeaf::Device(PHONE)).unwrap();
    });
}

/// Adds and a Remove that others have proposed are committed by reference, and followed, whatever
/// order they have arrived in at the follower.
pub fn proposals_of_others_are_committed<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        let mut guests: Vec<_> =
            ["ada", "bob"].map(|name| adapter.guest(suite, framing, name)).into_iter().collect();
        let mut proposals = Vec::new();
        for guest in &mut guests {
            let key_package = guest.key_package().unwrap();
            proposals.push(world.others[0].propose_add(&key_package).unwrap());
        }
        // Leaf 1 is the second of the other members.
        let leaf = crate::anchor::LeafIndex::new(1).unwrap();
        proposals.push(world.others[0].propose_remove(leaf).unwrap());
        for proposal in &proposals {
            world.devices[PHONE].process(proposal).unwrap();
            world.others_hear(OfLeaf::Other(0), proposal).unwrap();
        }
        for proposal in proposals.iter().rev() {
            world.devices[SENSOR].process(proposal).unwrap();
        }
        let sent = world.devices[PHONE].commit(&Content::default()).unwrap();
        world.others.remove(1);
        world.deliver(OfLeaf::Device(PHONE), &sent).unwrap();
        for mut guest in guests {
            guest.join(sent.welcome.as_ref().unwrap()).unwrap();
            world.others.push(guest);
        }
        world.assert_together();
        world.talk(OfLeaf::Device(PHONE)).unwrap();
        world.update(OfLeaf::Device(SENSOR)).unwrap();
    });
}

/// A commit of a shared leaf removes one member; further ones go with the commits after it.
pub fn several_removals_take_several_commits<A: LeafAdapter>(adapter: &A) {
    for suite in adapter.suites() {
        let mut world = LeafWorld::joined(adapter, suite, Framing::Public, 2).unwrap();
        let mut guests: Vec<_> = ["ada", "bob", "cyd"]
            .map(|name| adapter.guest(suite, Framing::Public, name))
            .into_iter()
            .collect();
        let mut adds = Vec::new();
        for guest in &mut guests {
            adds.push(guest.key_package().unwrap());
        }
        world.commit(OfLeaf::Device(PHONE), &Content { adds, ..Content::default() }).unwrap();
        let own = world.devices[PHONE].own_leaf().unwrap().value();
        let removes: Vec<_> =
            (own + 1..own + 4).map(|n| crate::anchor::LeafIndex::new(n).unwrap()).collect();
        let content = Content { removes: removes.clone(), ..Content::default() };
        world.commit(OfLeaf::Device(PHONE), &content).unwrap();
        assert_eq!(world.devices[PHONE].removals(), removes[1..]);
        assert_eq!(world.devices[SENSOR].removals(), [], "it is the sender who goes on");
        world.devices[PHONE].crash().unwrap();
        world.update(OfLeaf::Device(PHONE)).unwrap();
        assert_eq!(world.devices[PHONE].removals(), removes[2..]);
        world.update(OfLeaf::Device(PHONE)).unwrap();
        assert_eq!(world.devices[PHONE].removals(), []);
        world.talk(OfLeaf::Device(PHONE)).unwrap();
    }
}

/// What blanks a node anchor does nothing here: the leaf's own key is new with each commit.
pub fn a_weakening_does_not_happen<A: LeafAdapter>(adapter: &A) {
    for suite in adapter.suites() {
        let mut world = LeafWorld::joined(adapter, suite, Framing::Public, 2).unwrap();
        world.update(OfLeaf::Device(PHONE)).unwrap();
        let leaf = crate::anchor::LeafIndex::new(1).unwrap();
        let content = Content { removes: vec![leaf], ..Content::default() };
        let sent = world.others[0].commit(&content).unwrap();
        world.others.remove(1);
        let events = world.deliver(OfLeaf::Other(0), &sent).unwrap();
        assert!(events.iter().flatten().all(|event| !matches!(event, Event::AnchorBlanked)));
        let secure = Some(EpochSecurity::Secure(LeafKey::Fresh));
        assert_eq!(world.devices[SENSOR].security(), secure);
    }
}

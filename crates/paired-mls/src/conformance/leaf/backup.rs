//! Restored backups of a device behind a shared leaf.

use super::{LeafAdapter, LeafMember as _, LeafWorld, OfLeaf, PHONE, SENSOR, for_each};
use crate::{
    EpochSecurity, Freshness,
    conformance::{Content, Framing, Listener as _, Member as _, Sent},
};

/// Some commits of both devices and of others, of which some are lost; returns those that count.
fn a_day<A: LeafAdapter>(world: &mut LeafWorld<'_, A>) -> Vec<Sent> {
    let mut log = Vec::new();
    for round in 0..3 {
        for _ in 0..round {
            world.devices[PHONE].commit(&Content::default()).unwrap();
            world.devices[PHONE].discard().unwrap();
        }
        for who in [OfLeaf::Device(PHONE), OfLeaf::Other(0), OfLeaf::Device(SENSOR)] {
            let sent = world.member(who).unwrap().commit(&Content::default()).unwrap();
            world.deliver(who, &sent).unwrap();
            log.push(sent);
        }
    }
    log
}

/// A device has a vault of yesterday: it notices, has no token and claims nothing, and its next commit is
/// one that its partner can follow.
pub fn a_vault_of_yesterday_is_noticed_and_the_leaf_heals<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        for opened in [false, true] {
            let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
            if opened {
                world.update(OfLeaf::Device(PHONE)).unwrap();
            }
            let backup = adapter.steal_with_vault(&world.devices[PHONE]);
            a_day(&mut world);
            adapter.steal_vault_again(&mut world.devices[PHONE], &backup);
            let device = &mut world.devices[PHONE];
            assert_eq!(device.security(), Some(EpochSecurity::Exposed));
            assert_eq!(device.token(), None);
            device.send(b"without a token").unwrap_err();
            assert_eq!(device.check_vault().unwrap(), Freshness::VaultIsOlder);
            assert_eq!(device.check_vault().unwrap(), Freshness::Current);
            device.send(b"without a token").unwrap_err();
            for who in [PHONE, SENSOR, PHONE] {
                world.update(OfLeaf::Device(who)).unwrap();
                world.talk(OfLeaf::Device(who)).unwrap();
            }
        }
    });
}

/// A device has an MLS state of yesterday, and its vault is of today: it sends nothing from it, and comes
/// back from outside.
pub fn a_state_of_yesterday_sends_nothing_and_comes_back<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        world.update(OfLeaf::Device(PHONE)).unwrap();
        let mut restored = adapter.steal_with_vault(&world.devices[PHONE]);
        a_day(&mut world);
        world.update(OfLeaf::Device(PHONE)).unwrap();
        adapter.steal_vault_again(&mut restored, &world.devices[PHONE]);
        let info = world.devices[SENSOR].group_info().unwrap();
        world.devices[PHONE] = restored;
        let device = &mut world.devices[PHONE];
        assert_eq!(device.check_vault().unwrap(), Freshness::StateIsOlder);
        device.send(b"with ratchets of yesterday").unwrap_err();
        let sent = device.rejoin(&info).unwrap();
        device.confirm_rejoin().unwrap();
        assert_eq!(device.check_vault().unwrap(), Freshness::Current);
        world.devices[SENSOR].process(&sent.commit).unwrap();
        for member in &mut world.others {
            member.process(&sent.commit).unwrap();
        }
        world.assert_together();
        for who in [SENSOR, PHONE, SENSOR] {
            world.update(OfLeaf::Device(who)).unwrap();
            world.talk(OfLeaf::Device(who)).unwrap();
        }
    });
}

/// A device that has both of yesterday was asleep, as far as it knows: it makes its own commits again, too,
/// where they are in the clear. Else it comes back from outside.
pub fn both_of_yesterday_follow_the_log<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        for opened in [false, true] {
            let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
            if opened {
                world.update(OfLeaf::Device(PHONE)).unwrap();
            }
            let mut restored = adapter.steal_with_vault(&world.devices[PHONE]);
            let log = a_day(&mut world);
            match framing {
                Framing::Public => {
                    for sent in &log {
                        restored.process(&sent.commit).unwrap();
                    }
                    world.devices[PHONE] = restored;
                }
                Framing::Private => {
                    restored.process(&log[0].commit).unwrap_err();
                    let info = world.devices[SENSOR].group_info().unwrap();
                    let sent = restored.rejoin(&info).unwrap();
                    restored.confirm_rejoin().unwrap();
                    world.devices[PHONE] = restored;
                    world.devices[SENSOR].process(&sent.commit).unwrap();
                    for member in &mut world.others {
                        member.process(&sent.commit).unwrap();
                    }
                }
            }
            world.assert_together();
            for who in [PHONE, SENSOR, PHONE] {
                world.update(OfLeaf::Device(who)).unwrap();
                world.talk(OfLeaf::Device(who)).unwrap();
            }
        }
    });
}

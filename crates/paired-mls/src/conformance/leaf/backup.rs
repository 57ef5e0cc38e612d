//! Restored backups of a device behind a shared leaf.

use super::{
    LeafAdapter, LeafMember as _, LeafWorld, OfLeaf, PHONE, SENSOR, for_each, world::PAIRING,
};
use crate::{
    EpochSecurity, Freshness,
    conformance::{
        Content, Framing, Heard, Listener as _, Member as _, Refused, Sent, backup::open_elsewhere,
        healing::chain,
    },
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

/// A device has both of yesterday, and since then it has opened lanes in other groups. As soon as it meets a
/// commit that it has made and does not remember, or comes back from outside, whatever it opens anywhere is
/// something that a partner can follow.
pub fn both_of_yesterday_open_nothing_twice<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        for (opened, meets) in [(false, true), (true, true), (false, false), (true, false)] {
            let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
            if opened {
                world.update(OfLeaf::Device(PHONE)).unwrap();
            }
            let mut restored = adapter.steal_with_vault(&world.devices[PHONE]);
            let log = a_day(&mut world);
            for group in [&b"red"[..], b"blue"] {
                elsewhere(&world.devices, group).unwrap();
            }
            // The control: somebody who looks at nothing opens what his partner has followed.
            let careless = adapter.steal_with_vault(&restored);
            let devices = [careless, adapter.steal_with_vault(&world.devices[SENSOR])];
            let refused = elsewhere(&devices, b"green").unwrap_err();
            assert!(chain(&*refused).contains("one of the two vaults is an older copy"));

            if meets {
                // In the clear it makes its commit again; encrypted, it cannot.
                let met = restored.process(&log[0].commit).is_ok();
                assert_eq!(met, framing == Framing::Public);
            } else {
                let info = world.devices[SENSOR].group_info().unwrap();
                restored.rejoin(&info).unwrap();
            }
            world.devices[PHONE] = restored;
            for group in [&b"green"[..], b"yellow"] {
                elsewhere(&world.devices, group).unwrap();
            }
        }
    });
}

/// The boundary: nothing has come in the group since yesterday, and the device commits there before it has
/// looked at any other. The partner refuses the commit and stays as it is; once it has brought the leaf back from
/// outside, the device is ahead of all that it has opened, in all groups.
pub fn an_opening_that_is_repeated_is_refused_and_not_again<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        let restored = adapter.steal_with_vault(&world.devices[PHONE]);
        for group in [&b"red"[..], b"blue"] {
            elsewhere(&world.devices, group).unwrap();
        }
        world.devices[PHONE] = restored;
        assert_eq!(world.devices[PHONE].check_vault().unwrap(), Freshness::Current);
        let sent = world.devices[PHONE].commit(&Content::default()).unwrap();
        world.announce(OfLeaf::Device(PHONE), &sent).unwrap();
        world.devices[PHONE].confirm().unwrap();
        world.others_hear(OfLeaf::Device(PHONE), &sent.commit).unwrap();
        let epoch = world.devices[SENSOR].epoch();
        for _ in 0..2 {
            let refused = world.devices[SENSOR].process(&sent.commit).unwrap_err();
            assert!(chain(&*refused).contains("rejoin the group"), "{}", chain(&*refused));
            assert_eq!(world.devices[SENSOR].epoch(), epoch);
        }
        let info = world.devices[PHONE].group_info().unwrap();
        let back = world.devices[SENSOR].rejoin(&info).unwrap();
        world.devices[SENSOR].confirm_rejoin().unwrap();
        let heard = world.devices[PHONE].process(&back.commit).unwrap();
        assert!(matches!(heard, Heard::Commit { .. }));
        world.others_hear(OfLeaf::Device(SENSOR), &back.commit).unwrap();
        world.assert_together();
        for group in [&b"green"[..], b"yellow"] {
            elsewhere(&world.devices, group).unwrap();
        }
        for who in [PHONE, SENSOR, PHONE] {
            world.update(OfLeaf::Device(who)).unwrap();
            world.talk(OfLeaf::Device(who)).unwrap();
        }
    });
}

/// The phone commits in another group, and the sensor follows: what their vaults do for that.
fn elsewhere<D: super::LeafMember>(devices: &[D], group: &[u8]) -> Result<(), Refused> {
    open_elsewhere([devices[PHONE].vault(), devices[SENSOR].vault()], PAIRING, group)
}

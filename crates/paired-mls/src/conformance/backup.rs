//! Restored backups: the MLS state, the vault, or both, as they were some commits ago.

use super::{
    Adapter, Content, Listener as _, Member as _, PairedMember as _, Who, World, for_each,
};
use crate::{DeviceId, EpochSecurity, Freshness};

const ACTIVE: usize = 0;
const PASSIVE: usize = 1;

/// Some commits of the active device and of others, of which some are lost; returns those that count.
fn a_day<A: Adapter>(world: &mut World<'_, A>) -> Vec<Vec<u8>> {
    let mut log = Vec::new();
    for round in 0..3 {
        for _ in 0..round {
            world.devices[ACTIVE].commit(&Content::default()).unwrap();
            world.devices[ACTIVE].discard().unwrap();
        }
        for who in [Who::Device(ACTIVE), Who::Stock(0)] {
            let sent = world.member(who).unwrap().commit(&Content::default()).unwrap();
            world.deliver(who, &sent).unwrap();
            log.push(sent.commit);
        }
    }
    log
}

/// The active device has a vault of yesterday: it notices, claims nothing, and its next commit is
/// one that the partner can follow.
pub fn a_vault_of_yesterday_is_noticed_and_the_partner_follows<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        world.update(Who::Device(ACTIVE)).unwrap();
        let backup = adapter.steal_with_vault(&world.devices[ACTIVE]);
        a_day(&mut world);
        assert_eq!(world.devices[ACTIVE].check_vault().unwrap(), Freshness::Current);
        adapter.steal_vault_again(&mut world.devices[ACTIVE], &backup);
        let device = &mut world.devices[ACTIVE];
        assert_eq!(device.security(DeviceId(1)), Some(EpochSecurity::Exposed));
        assert_eq!(device.check_vault().unwrap(), Freshness::VaultIsOlder);
        assert_eq!(device.security(DeviceId(1)), Some(EpochSecurity::Exposed));
        assert_eq!(device.check_vault().unwrap(), Freshness::Current);
        for _ in 0..3 {
            world.update(Who::Device(ACTIVE)).unwrap();
            world.talk(Who::Device(ACTIVE)).unwrap();
        }
        assert_ne!(world.devices[ACTIVE].security(DeviceId(1)), Some(EpochSecurity::Exposed));

        // The same, and it is not asked, nor told by a commit of its own first.
        let backup = adapter.steal_with_vault(&world.devices[ACTIVE]);
        a_day(&mut world);
        adapter.steal_vault_again(&mut world.devices[ACTIVE], &backup);
        world.update(Who::Stock(0)).unwrap();
        world.devices[ACTIVE].crash().unwrap();
        assert_eq!(world.devices[ACTIVE].security(DeviceId(1)), Some(EpochSecurity::Exposed));
        world.update(Who::Device(ACTIVE)).unwrap();
        world.update(Who::Device(PASSIVE)).unwrap();
    });
}

/// The vault is from before this device committed here, and it has opened lanes since.
pub fn a_vault_from_before_the_first_commit_is_no_worse<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let backup = adapter.steal_with_vault(&world.devices[ACTIVE]);
        a_day(&mut world);
        adapter.steal_vault_again(&mut world.devices[ACTIVE], &backup);
        world.update(Who::Device(ACTIVE)).unwrap();
        world.talk(Who::Device(ACTIVE)).unwrap();
        world.update(Who::Device(PASSIVE)).unwrap();
    });
}

/// A device has an MLS state of yesterday, and its vault is of today: it sends nothing from it, and comes
/// back from outside. Then it is healed like before.
pub fn a_state_of_yesterday_sends_nothing_and_comes_back<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        for who in [PASSIVE, ACTIVE] {
            let mut world = World::paired(adapter, suite, framing, 2).unwrap();
            world.update(Who::Device(ACTIVE)).unwrap();
            let mut restored = adapter.steal_with_vault(&world.devices[who]);
            let log = a_day(&mut world);
            adapter.steal_vault_again(&mut restored, &world.devices[who]);
            world.devices[who] = restored;
            let device = &mut world.devices[who];
            assert_eq!(device.check_vault().unwrap(), Freshness::StateIsOlder);
            device.send(b"with ratchets of yesterday").unwrap_err();
            assert!(log.iter().any(|commit| device.process(commit).is_err()));
            comes_back(&mut world, who);
        }
    });
}

/// The active device has both of yesterday: it cannot process what it has committed since, and comes
/// back from outside. The partner follows that, and what comes then.
pub fn both_of_yesterday_come_back<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        for opened in [false, true] {
            let mut world = World::paired(adapter, suite, framing, 2).unwrap();
            if opened {
                world.update(Who::Device(ACTIVE)).unwrap();
            }
            let restored = adapter.steal_with_vault(&world.devices[ACTIVE]);
            let log = a_day(&mut world);
            world.devices[ACTIVE] = restored;
            let device = &mut world.devices[ACTIVE];
            let epoch = device.epoch();
            for commit in &log {
                let _ = device.process(commit);
            }
            assert_eq!(device.epoch(), epoch, "its own commits are nothing that it can process");
            comes_back(&mut world, ACTIVE);
        }
    });
}

/// A passive device that has both of yesterday was asleep, as far as it knows.
pub fn a_passive_device_of_yesterday_follows_the_log<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        for opened in [false, true] {
            let mut world = World::paired(adapter, suite, framing, 2).unwrap();
            if opened {
                world.update(Who::Device(ACTIVE)).unwrap();
            }
            let mut restored = adapter.steal_with_vault(&world.devices[PASSIVE]);
            for commit in a_day(&mut world) {
                restored.process(&commit).unwrap();
            }
            world.devices[PASSIVE] = restored;
            world.assert_together();
            world.update(Who::Device(ACTIVE)).unwrap();
            world.update(Who::Device(PASSIVE)).unwrap();
        }
    });
}

/// A device rejoins, everybody follows, and both devices heal each other.
fn comes_back<A: Adapter>(world: &mut World<'_, A>, who: usize) {
    let info = world.group_info.clone();
    let sent = world.devices[who].rejoin(&info).unwrap();
    for n in (0..world.devices.len()).filter(|n| *n != who) {
        world.devices[n].process(&sent.commit).unwrap();
    }
    for member in &mut world.stock {
        member.process(&sent.commit).unwrap();
    }
    world.assert_together();
    assert_eq!(world.devices[who].check_vault().unwrap(), Freshness::Current);
    for acts in [who, 1 - who, who] {
        world.update(Who::Device(acts)).unwrap();
        world.talk(Who::Device(acts)).unwrap();
    }
}

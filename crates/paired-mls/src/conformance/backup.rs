//! Restored backups: the MLS state, the vault, or both, as they were some commits ago.

use super::{
    Adapter, Content, Listener as _, Member as _, PairedMember, Refused, Who, World, for_each,
    healing::chain, world::PAIRING,
};
use crate::{DeviceId, EpochContext, EpochSecurity, Freshness, PairingId, Vault};

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

/// The active device has both of yesterday, and since then it has opened lanes in other groups. As soon as it
/// meets a commit that it has made and does not remember, or comes back from outside, whatever it opens anywhere
/// is something that a partner can follow.
pub fn both_of_yesterday_open_nothing_twice<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        for (opened, meets) in [(false, true), (true, true), (false, false), (true, false)] {
            let mut world = World::paired(adapter, suite, framing, 2).unwrap();
            if opened {
                world.update(Who::Device(ACTIVE)).unwrap();
            }
            let mut restored = adapter.steal_with_vault(&world.devices[ACTIVE]);
            let log = a_day(&mut world);
            for group in [&b"red"[..], b"blue"] {
                elsewhere(&world.devices, group).unwrap();
            }
            // The control: somebody who looks at nothing opens what his partner has followed.
            let careless = adapter.steal_with_vault(&restored);
            let devices = [careless, adapter.steal_with_vault(&world.devices[PASSIVE])];
            let refused = elsewhere(&devices, b"green").unwrap_err();
            assert!(chain(&*refused).contains("one of the two vaults is an older copy"));

            if meets {
                assert!(log.iter().any(|commit| restored.process(commit).is_err()));
                world.devices[ACTIVE] = restored;
            } else {
                world.devices[ACTIVE] = restored;
                comes_back(&mut world, ACTIVE);
            }
            for group in [&b"green"[..], b"yellow"] {
                elsewhere(&world.devices, group).unwrap();
            }
            comes_back(&mut world, ACTIVE);
        }
    });
}

/// The boundary: nothing has come in the group since yesterday, and the active device commits there before it
/// has looked at any other. The partner refuses the commit, says why, and stays as it is; once it has come back
/// from outside, the active device counts it as healed no more, and is ahead of all that it has opened, in all
/// groups.
pub fn an_opening_that_is_repeated_is_refused_and_not_again<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let restored = adapter.steal_with_vault(&world.devices[ACTIVE]);
        for group in [&b"red"[..], b"blue"] {
            elsewhere(&world.devices, group).unwrap();
        }
        world.devices[ACTIVE] = restored;
        assert_eq!(world.devices[ACTIVE].check_vault().unwrap(), Freshness::Current);
        let sent = world.devices[ACTIVE].commit(&Content::default()).unwrap();
        world.devices[ACTIVE].confirm().unwrap();
        for member in &mut world.stock {
            member.process(&sent.commit).unwrap();
        }
        let epoch = world.devices[PASSIVE].epoch();
        for _ in 0..2 {
            let refused = world.devices[PASSIVE].process(&sent.commit).unwrap_err();
            assert!(chain(&*refused).contains("rejoin the group"), "{}", chain(&*refused));
            assert_eq!(world.devices[PASSIVE].epoch(), epoch);
        }
        let back = world.devices[PASSIVE].rejoin(&sent.group_info.unwrap()).unwrap();
        world.devices[ACTIVE].process(&back.commit).unwrap();
        for member in &mut world.stock {
            member.process(&back.commit).unwrap();
        }
        world.assert_together();
        for group in [&b"green"[..], b"yellow"] {
            elsewhere(&world.devices, group).unwrap();
        }
        for acts in [ACTIVE, PASSIVE, ACTIVE] {
            world.update(Who::Device(acts)).unwrap();
            world.talk(Who::Device(acts)).unwrap();
        }
    });
}

/// The active device commits in another group, where its partner follows.
fn elsewhere<D: PairedMember>(devices: &[D], group: &[u8]) -> Result<(), Refused> {
    open_elsewhere([devices[ACTIVE].vault(), devices[PASSIVE].vault()], PAIRING, group)
}

/// A device commits in another group, and a partner follows: what their vaults do for that.
pub(super) fn open_elsewhere(
    [active, passive]: [&Vault; 2],
    pairing: PairingId,
    group: &[u8],
) -> Result<(), Refused> {
    let tape = active.open_group(pairing, group)?;
    passive.open_group(pairing, group)?;
    let drawn = active.draw(&tape, 1)?;
    let claimed = passive.claim(&tape, drawn.spot(), b"the commit")?;
    let context =
        EpochContext { group_id: group.to_vec(), epoch: 1, confirmed_transcript_hash: Vec::new() };
    let [drawn, claimed] = [drawn, claimed].map(|value| value.derive("path", &context, 32));
    assert_eq!(drawn?, claimed?);
    Ok(passive.settle(&tape)?)
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

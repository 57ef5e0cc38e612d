//! Leaf refresh: the partner's whole leaf is new, and it has sent nothing.

use super::{
    Adapter, Content, Framing, Heard, Listener, Member, PairedMember, Sent, Who, World, for_each,
};
use crate::{DeviceId, EpochSecurity, Event, HealPolicy, LeafKey, group::RefreshWelcome};

const PHONE: usize = 0;
const SENSOR: usize = 1;
const ID: DeviceId = DeviceId(1);

/// A world in which the sensor has published a KeyPackage.
fn with_package<A: Adapter>(world: &mut World<'_, A>) -> Vec<u8> {
    let pairing = world.pairing().id;
    world.devices[SENSOR].publish(pairing).unwrap()
}

/// The delivery service accepts a refresh of the sensor, and everybody follows.
pub(super) fn deliver<A: Adapter>(world: &mut World<'_, A>, sent: &Sent) -> Vec<Event> {
    world.devices[PHONE].confirm().unwrap();
    let mut events = Vec::new();
    for (n, device) in world.devices.iter_mut().enumerate().skip(1) {
        if n == SENSOR {
            let refresh = sent.refresh.as_ref().unwrap();
            events = device.process_refresh(&sent.commit, refresh).unwrap();
        } else {
            device.process(&sent.commit).unwrap();
        }
    }
    for member in &mut world.stock {
        member.process(&sent.commit).unwrap();
    }
    world.assert_together();
    events
}

/// The phone refreshes the sensor, and everybody follows.
fn refresh<A: Adapter>(world: &mut World<'_, A>) -> (Sent, Vec<Event>) {
    let key_package = with_package(world);
    let sent = world.devices[PHONE].refresh(&key_package).unwrap();
    let events = deliver(world, &sent);
    (sent, events)
}

/// Everybody follows, stock members too; the sensor's leaf is fresh, and the anchor works on, from
/// either side.
pub fn the_whole_leaf_is_new<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        for devices in [2, 3] {
            let mut world = World::paired(adapter, suite, framing, devices).unwrap();
            world.update(Who::Device(PHONE)).unwrap();
            let stale = Some(EpochSecurity::Secure(LeafKey::Stale));
            assert_eq!(world.devices[PHONE].security(ID), stale);
            for _ in 0..2 {
                let (_, events) = refresh(&mut world);
                let renewed = Event::LeafRenewed { by: DeviceId(0), device: ID };
                assert!(events.contains(&renewed), "{events:?}");
                let fresh = Some(EpochSecurity::Secure(LeafKey::Fresh));
                for device in &world.devices {
                    assert_eq!(device.security(ID), fresh);
                }
                for who in [Who::Device(PHONE), Who::Stock(0), Who::Device(SENSOR)] {
                    world.update(who).unwrap();
                    world.talk(who).unwrap();
                }
            }
        }
    });
}

/// Of the old leaf nothing is left, and of the new one nothing was there before: not in the KeyPackage
/// that was published, and not in what a thief has, before or after.
pub fn a_thief_of_the_old_leaf_or_of_the_package_stays_out<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let key_package = with_package(&mut world);
        let mut thief = adapter.steal(&world.devices[SENSOR]);
        let stale = adapter.leaf_key(&world.devices[SENSOR]);
        assert!(adapter.holds(&world.devices[SENSOR], &stale), "the control");

        let sent = world.devices[PHONE].refresh(&key_package).unwrap();
        deliver(&mut world, &sent);
        assert!(!adapter.holds(&world.devices[SENSOR], &stale), "the old leaf key is erased");
        let _ = thief.process(&sent.commit);
        for who in [Who::Stock(0), Who::Device(PHONE), Who::Stock(1)] {
            let sent = world.member(who).unwrap().commit(&Content::default()).unwrap();
            world.deliver(who, &sent).unwrap();
            assert!(thief.process(&sent.commit).is_err());
            let said = world.talk(who).unwrap();
            assert!(!matches!(thief.process(&said), Ok(Heard::Application(_))));
        }
    });
}

/// A commit that is sealed to the sensor's own leaf, after the anchor was blanked, and a thief with that
/// leaf's key of long ago and the epoch secrets of just before.
///
/// Returns whether he follows.
fn second_leak<A: Adapter>(world: &mut World<'_, A>, first: &A::Thief) -> bool {
    let mut thief = world.adapter.second_leak(first, &world.devices[SENSOR]);
    // The sensor's neighbour goes, and with it what lies above both.
    let removes = vec![world.leaf_of(0).unwrap()];
    let sent = world.stock[0].commit(&Content { adds: Vec::new(), removes }).unwrap();
    world.stock[0].confirm().unwrap();
    world.devices[PHONE].process(&sent.commit).unwrap();
    world.devices[SENSOR].process(&sent.commit).unwrap();
    for member in world.stock.iter_mut().skip(1) {
        member.process(&sent.commit).unwrap();
    }
    let followed = thief.process(&sent.commit).is_ok();
    followed && thief.epoch_authenticator() == world.devices[SENSOR].epoch_authenticator()
}

/// With a stale leaf key and a second leak he comes back; after a refresh he does not.
pub fn a_second_leak_does_not_bring_him_back<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        for refreshed in [false, true] {
            let mut world = World::paired(adapter, suite, framing, 2).unwrap();
            let first = adapter.steal(&world.devices[SENSOR]);
            world.update(Who::Device(PHONE)).unwrap();
            if refreshed {
                refresh(&mut world);
            }
            assert_eq!(second_leak(&mut world, &first), !refreshed, "refreshed: {refreshed}");
        }
    });
}

/// A KeyPackage with the sensor's signature key and other private keys is refused; MLS itself would
/// take it.
pub fn a_forged_key_package_is_refused<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let forged = world.devices[SENSOR].key_package().unwrap();
        assert!(world.devices[PHONE].refresh(&forged).is_err());
        assert!(world.devices[PHONE].adopt(&forged).is_err());
        let stranger = world.stock[0].key_package().unwrap();
        assert!(world.devices[PHONE].refresh(&stranger).is_err());
        let own = {
            let pairing = world.pairing().id;
            world.devices[PHONE].publish(pairing).unwrap()
        };
        assert!(world.devices[PHONE].refresh(&own).is_err(), "its own leaf it renews by a commit");

        // The control: a stock member removes the sensor, and then takes the forger in.
        let removes = vec![world.leaf_of(1).unwrap()];
        world.stock[0].commit(&Content { adds: Vec::new(), removes }).unwrap();
        world.stock[0].confirm().unwrap();
        let content = Content { adds: vec![forged], ..Content::default() };
        assert!(world.stock[0].commit(&content).is_ok());
    });
}

/// A member that has seen the sensor's KeyPackage makes a Welcome to it, with a joiner secret of its own. It
/// is refused, whoever has signed it and whoever is said to have made it, and the old state stays: the true
/// one is processed afterwards.
pub fn a_forged_welcome_is_refused<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let mut mallory = adapter.liar(suite, framing, "mallory");
        let adds = vec![mallory.key_package().unwrap()];
        let content = Content { adds, ..Content::default() };
        let sent = world.devices[PHONE].commit(&content).unwrap();
        world.deliver(Who::Device(PHONE), &sent).unwrap();
        mallory.join(&sent.welcome.unwrap()).unwrap();
        let key_package = with_package(&mut world);
        let sent = world.devices[PHONE].refresh(&key_package).unwrap();
        mallory.process(&sent.commit).unwrap();

        let (pairing, leaf) = (world.pairing().id, world.leaf_of(0).unwrap());
        let of_the_phone = world.devices[PHONE].sign();
        let vault = world.devices[PHONE].vault().clone();
        let before = world.devices[SENSOR].epoch_authenticator();
        let mut refused = |refresh: &[u8]| {
            let sensor = &mut world.devices[SENSOR];
            let error = sensor.process_refresh(&sent.commit, refresh).unwrap_err();
            assert_eq!(sensor.epoch_authenticator(), before);
            error.to_string()
        };
        let true_one = RefreshWelcome::decode(sent.refresh.as_ref().unwrap()).unwrap();
        let (own, sign) = mallory.own_signature().unwrap();
        let by_herself = mallory.forge_welcome(&key_package, own, &sign).unwrap();
        // She has no tape: with the tag of the true one, or with a tag of another tape.
        let other = {
            let vault = crate::Vault::new(crate::vault::MemoryStorage::new());
            let secret = crate::Secret::new(vec![0x66; suite.kdf_len()]);
            let seed = crate::Seed::new(suite, secret).unwrap();
            vault.create(suite, seed, pairing, &[DeviceId(0), ID], DeviceId(0)).unwrap();
            vault
        };
        let group_id = true_one.group_id.clone();
        let tape = other.open_group(pairing, &group_id).unwrap();
        let seal = |vault: &crate::Vault, tape: &crate::TapeId, welcome: &[u8]| {
            vault.seal_refresh(tape, true_one.epoch, &true_one.tree_hash, welcome).unwrap()
        };
        let forged = seal(&other, &tape, &by_herself);
        assert!(refused(&forged).contains("no device of the pairing"));
        assert!(refused(&by_herself).contains("not the Welcome of a leaf refresh"));

        // Even with a tag of the tape: she is not the committer,
        let forged = seal(&vault, &tape, &by_herself);
        assert!(refused(&forged).contains("has not signed"));
        // … and with the committer's signature key, the key schedule is not that of the commit. Only
        // where the commit is encrypted nothing but the tag tells.
        let in_its_name = mallory.forge_welcome(&key_package, leaf, &of_the_phone).unwrap();
        assert!(refused(&seal(&other, &tape, &in_its_name)).contains("no device of the pairing"));
        if framing == Framing::Public {
            let forged = seal(&vault, &tape, &in_its_name);
            assert!(refused(&forged).contains("another key schedule"));
        }

        // The control: the true one, and everybody is together.
        deliver(&mut world, &sent);
    });
}

/// The sensor dies in the middle of the swap, and is fed both messages again; out of order, or with
/// another Welcome, they are refused.
pub fn the_swap_survives_a_kill<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let key_package = with_package(&mut world);
        let other = with_package(&mut world);
        let lost = world.devices[PHONE].refresh(&other).unwrap();
        world.devices[PHONE].discard().unwrap();
        let sent = world.devices[PHONE].refresh(&key_package).unwrap();
        let welcome = sent.refresh.clone().unwrap();
        let sensor = &mut world.devices[SENSOR];
        assert!(sensor.process(&sent.commit).is_err(), "the Welcome is missing");
        assert!(sensor.process_refresh(&sent.commit, &lost.refresh.unwrap()).is_err());
        assert!(sensor.process_refresh(&sent.commit[..40], &welcome).is_err());
        assert!(sensor.process_refresh(&sent.commit, &welcome[..40]).is_err());
        sensor.crash_before_storing();
        assert!(sensor.process_refresh(&sent.commit, &welcome).is_err());
        sensor.crash().unwrap();
        deliver(&mut world, &sent);
        world.devices[SENSOR].crash().unwrap();
        assert!(world.devices[SENSOR].process_refresh(&sent.commit, &welcome).is_err(), "a replay");
        world.update(Who::Device(PHONE)).unwrap();
        world.talk(Who::Device(SENSOR)).unwrap();
    });
}

/// The new leaf carries a lifetime, which is watched; a commit of the device, or a refresh, ends it.
pub fn lifetimes_are_watched<A: Adapter>(adapter: &A) {
    for suite in adapter.suites() {
        let mut world = World::paired(adapter, suite, Framing::Public, 2).unwrap();
        refresh(&mut world);
        assert_eq!(world.devices[PHONE].expiring(0), []);
        assert_eq!(world.devices[PHONE].expiring(u64::MAX), [ID]);
        world.update(Who::Device(SENSOR)).unwrap();
        assert_eq!(world.devices[PHONE].expiring(u64::MAX), []);
    }
}

/// Under `HealPolicy::Refresh` a weakening is healed by a refresh, if a KeyPackage is at hand.
pub fn the_policy_refreshes<A: Adapter>(adapter: &A) {
    for suite in adapter.suites() {
        let mut world = World::paired(adapter, suite, Framing::Public, 4).unwrap();
        let key_package = with_package(&mut world);
        world.update(Who::Device(PHONE)).unwrap();
        world.devices[PHONE].set_heal_policy(HealPolicy::Refresh).unwrap();
        world.devices[PHONE].adopt(&key_package).unwrap();

        // A stranger's commit removes device 2, which blanks the anchor; device 3 is weakened, and for
        // it there is no KeyPackage: an ordinary paired commit heals.
        let removes = vec![world.leaf_of(2).unwrap()];
        let sent = world.stock[0].commit(&Content { adds: vec![], removes }).unwrap();
        world.stock[0].confirm().unwrap();
        for member in world.stock.iter_mut().skip(1) {
            member.process(&sent.commit).unwrap();
        }
        for device in &mut world.devices[1..] {
            device.process(&sent.commit).unwrap();
        }
        let Heard::Commit { heal, .. } = world.devices[PHONE].process(&sent.commit).unwrap() else {
            panic!("a commit is a commit");
        };
        let heal = heal.expect("the policy says at once");
        assert!(heal.welcome.is_none(), "an ordinary paired commit");
        world.devices.remove(2);
        world.deliver(Who::Device(PHONE), &heal).unwrap();
    }
}

//! The calendar: clocks that go on, and clocks that are wrong.

use super::{
    Adapter, Content, Heard, Listener as _, Member as _, PairedMember as _, Who, World, for_each,
    healing::chain, refresh::deliver,
};
use crate::{DeviceId, Event, HealPolicy, Pairing, PairingId, Secret, Seed};

const PHONE: usize = 0;
const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// Clocks that are wrong, each in another way, keep nobody from anything that lives on.
pub fn wrong_clocks_stop_no_commit<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        for (device, days) in world.devices.iter_mut().zip([400, 9_000]) {
            device.wait(days * DAY);
        }
        for who in [Who::Device(PHONE), Who::Device(1), Who::Stock(0), Who::Device(PHONE)] {
            world.update(who).unwrap();
            world.talk(who).unwrap();
        }
        for device in &mut world.devices {
            device.crash().unwrap();
        }
        world.update(Who::Device(PHONE)).unwrap();
    });
}

/// A newcomer whose KeyPackage has ended is refused, by name.
pub fn a_newcomer_that_has_ended_is_named<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let mut guest = adapter.device(suite, framing, "the guest");
        let adds = vec![guest.key_package().unwrap()];
        world.devices[PHONE].wait(100 * DAY);
        let content = Content { adds, removes: vec![] };
        let refused = chain(&*world.devices[PHONE].commit(&content).unwrap_err());
        assert!(refused.contains("the guest"), "{refused}");
        world.update(Who::Device(PHONE)).unwrap();
    });
}

/// A KeyPackage that a partner has published and nobody has used ends: the next one serves, in the same
/// commit that heals.
pub fn what_has_ended_is_skipped<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 4).unwrap();
        let (pairing, now) = (world.pairing().id, world.devices[3].now());
        let first = world.devices[3].publish_for(pairing, now - HOUR, now + HOUR).unwrap();
        let second = world.devices[3].publish(pairing).unwrap();
        for package in [&first, &second] {
            world.devices[PHONE].adopt(package).unwrap();
        }
        world.update(Who::Device(PHONE)).unwrap();
        world.devices[PHONE].set_heal_policy(HealPolicy::Refresh).unwrap();
        world.devices[PHONE].wait(2 * HOUR);
        assert!(world.devices[PHONE].refresh(&first).is_err());

        // Device 2 goes, and the anchor is blank.
        let removes = vec![world.leaf_of(2).unwrap()];
        world.devices.remove(2);
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
        let refresh = heal.refresh.expect("it is a refresh");
        world.devices[PHONE].confirm().unwrap();
        world.devices[1].process(&heal.commit).unwrap();
        let events = world.devices[2].process_refresh(&heal.commit, &refresh).unwrap();
        let renewed = Event::LeafRenewed { by: DeviceId(0), device: DeviceId(3) };
        assert!(events.contains(&renewed), "{events:?}");
        for member in &mut world.stock {
            member.process(&heal.commit).unwrap();
        }
        world.assert_together();
    });
}

/// A leaf is renewed in time and not before, whatever the policy is, by a partner that has something at hand which lasts
/// longer.
pub fn a_leaf_is_renewed_in_time<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let (pairing, now) = (world.pairing().id, world.devices[1].now());
        let until = |world: &mut World<'_, A>, days: u64| {
            world.devices[1].publish_for(pairing, now - HOUR, now + days * DAY).unwrap()
        };
        let short = until(&mut world, 20);
        let sent = world.devices[PHONE].refresh(&short).unwrap();
        deliver(&mut world, &sent);
        let hardly_longer = until(&mut world, 21);
        world.devices[PHONE].adopt(&hardly_longer).unwrap();
        world.devices[PHONE].wait(7 * DAY);
        assert_eq!(world.devices[PHONE].heal_if_due().unwrap(), None, "that is for the last day");
        let long = until(&mut world, 84);
        world.devices[PHONE].adopt(&long).unwrap();
        let sent = world.devices[PHONE].heal_if_due().unwrap().expect("it ends in 13 days");
        deliver(&mut world, &sent);
        assert_eq!(world.devices[PHONE].expiring(now + 80 * DAY), vec![]);
        assert_eq!(world.devices[PHONE].heal_if_due().unwrap(), None, "and once");
    });
}

/// The leaf of somebody else has ended. It closes the group to stock members that come now, which is the control,
/// and not to the devices of the pairing: by a Welcome, by the Welcome of a refresh, and from outside.
pub fn an_ended_leaf_closes_no_group<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut devices = ["phone", "sensor"].map(|name| adapter.device(suite, framing, name));
        let mut guest = adapter.liar(suite, framing, "a guest");
        let mut packages = vec![guest.key_package().unwrap()];
        packages.extend(devices.iter_mut().map(|device| device.key_package().unwrap()));
        let (mut ended, welcome) = adapter.ended(suite, framing, &packages).unwrap();
        assert!(guest.join(&welcome).is_err(), "the control");

        let keys = devices.iter().map(|device| device.signature_key());
        let pairing = Pairing::new(PairingId([7; 16]), keys);
        for (device, own) in devices.iter_mut().zip((0..).map(DeviceId)) {
            device.join(&welcome).unwrap();
            let seed = Seed::new(suite, Secret::new(vec![0x5e; suite.kdf_len()])).unwrap();
            pairing.install(device.vault(), suite, seed, own).unwrap();
            device.pair(&pairing).unwrap();
        }
        let [phone, sensor] = &mut devices;
        let package = sensor.publish(pairing.id).unwrap();
        let sent = phone.refresh(&package).unwrap();
        phone.confirm().unwrap();
        sensor.process_refresh(&sent.commit, &sent.refresh.unwrap()).unwrap();
        ended.process(&sent.commit).unwrap();

        let sent = sensor.rejoin(&ended.group_info().unwrap()).unwrap();
        phone.process(&sent.commit).unwrap();
        ended.process(&sent.commit).unwrap();
        for device in [phone, sensor] {
            assert_eq!(device.epoch_authenticator(), ended.epoch_authenticator());
        }
    });
}

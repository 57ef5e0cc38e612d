//! The calendar, behind a leaf: clocks that go on, clocks that are wrong, and lifetimes that end.

use super::{LeafAdapter, LeafMember as _, LeafWorld, OfLeaf, PHONE, SENSOR, Use, for_each};
use crate::conformance::{Content, Heard, Listener as _, Member as _, healing::chain};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// Clocks that are wrong, each in another way, keep nobody from anything that lives on.
pub fn wrong_clocks_stop_no_commit<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        for (device, days) in world.devices.iter_mut().zip([400, 9_000]) {
            device.wait(days * DAY);
        }
        for who in [PHONE, SENSOR, PHONE] {
            world.update(OfLeaf::Device(who)).unwrap();
            world.talk(OfLeaf::Device(who)).unwrap();
            world.update(OfLeaf::Other(0)).unwrap();
        }
        for device in &mut world.devices {
            device.crash().unwrap();
        }
        world.update(OfLeaf::Device(SENSOR)).unwrap();
    });
}

/// A newcomer whose KeyPackage has ended is refused, by name.
pub fn a_newcomer_that_has_ended_is_named<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        let mut guest = adapter.guest(suite, framing, "the guest");
        let content = Content { adds: vec![guest.key_package().unwrap()], ..Content::default() };
        world.devices[PHONE].wait(100 * DAY);
        let refused = chain(&*world.devices[PHONE].commit(&content).unwrap_err());
        assert!(refused.contains("the guest"), "{refused}");
        world.update(OfLeaf::Device(PHONE)).unwrap();
        // The control: by a clock that is right she is welcome.
        world.commit(OfLeaf::Device(SENSOR), &content).unwrap();
    });
}

/// A KeyPackage of the leaf that nobody has used ends. It blocks no later one, a Welcome to it that is late is
/// opened, and long after its end it is burned: by the device that made it, and by the one that adopted it.
pub fn what_has_ended_is_skipped_and_burned<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::apart(adapter, suite, framing, 2).unwrap();
        let now = world.devices[PHONE].now();
        let mut short = Vec::new();
        for _ in 0..2 {
            let package = world.devices[PHONE].publish_for(Use::Once, now - HOUR, now + HOUR);
            short.push(package.unwrap());
            world.devices[SENSOR].adopt(&short[short.len() - 1]).unwrap();
        }
        let long = world.publish(Use::Once).unwrap();
        for device in &mut world.devices {
            device.wait(2 * HOUR);
        }
        world.join_with(b"by a later one", long).unwrap();
        world.update(OfLeaf::Device(PHONE)).unwrap();
        world.others = adapter.others(suite, framing);
        world.join_with(b"by a late Welcome", short[0].clone()).unwrap();
        world.update(OfLeaf::Device(SENSOR)).unwrap();

        for device in &mut world.devices {
            device.wait(400 * DAY);
            assert_eq!(device.packages().unwrap(), short[1..]);
        }
        let now = world.devices[PHONE].now();
        let next = world.devices[PHONE].publish_for(Use::Once, now, now + HOUR).unwrap();
        world.devices[SENSOR].adopt(&next).unwrap();
        for device in &world.devices {
            assert_eq!(device.packages().unwrap(), std::slice::from_ref(&next));
        }
        world.others = adapter.others(suite, framing);
        assert!(world.join_with(b"too late", short[1].clone()).is_err());
    });
}

/// The leaf of somebody else has ended. It closes the group to stock members that come now, which is the control,
/// and not to the devices of the leaf: by a Welcome, from outside, after a partner that came from outside, and by
/// the commits after that.
pub fn an_ended_leaf_closes_no_group<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::apart(adapter, suite, framing, 3).unwrap();
        let mut guest = adapter.guest(suite, framing, "a guest");
        let packages = [world.publish(Use::Once).unwrap(), guest.key_package().unwrap()];
        let (mut ended, welcome) = adapter.ended(suite, framing, &packages).unwrap();
        assert!(guest.join(&welcome).is_err(), "the control");
        for device in &mut world.devices[..2] {
            device.join(&welcome).unwrap();
        }
        let info = ended.group_info().unwrap();
        let sent = world.devices[PHONE].rejoin(&info).unwrap();
        world.devices[PHONE].confirm_rejoin().unwrap();
        let heard = world.devices[SENSOR].process(&sent.commit).unwrap();
        assert!(matches!(heard, Heard::Commit { .. }), "{heard:?}");
        world.devices[2].enter(&info, &sent.commit).unwrap();
        ended.process(&sent.commit).unwrap();

        world.others = vec![ended];
        world.assert_together();
        for who in [SENSOR, 2, PHONE] {
            let sent = world.devices[who].commit(&Content::default()).unwrap();
            world.deliver(OfLeaf::Device(who), &sent).unwrap();
            world.talk(OfLeaf::Device(who)).unwrap();
        }
    });
}

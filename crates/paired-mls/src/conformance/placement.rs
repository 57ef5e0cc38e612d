//! Strangers under the anchor, devices that join, and devices that come back.

use super::{Adapter, Content, Framing, Listener, Member, PairedMember, Who, World, for_each};
use crate::{
    DeviceId, EpochSecurity, Event, LeafKey,
    anchor::{LeafIndex, PlannedAdd, relocate},
};

/// A world whose two devices have a blank leaf, 1, between them.
fn apart<A: Adapter>(adapter: &A, suite: crate::CipherSuite, framing: Framing) -> World<'_, A> {
    let mut world = World::unpaired(adapter, suite, framing, 4).unwrap();
    // Devices 1 and 3 leave before anybody is paired: 0 and 2 stay.
    let removes = vec![LeafIndex::new(1).unwrap(), LeafIndex::new(3).unwrap()];
    world.devices.remove(3);
    world.devices.remove(1);
    world.commit(Who::Device(0), &Content { adds: vec![], removes }).unwrap();
    world.pair().unwrap();
    world
}

fn add_stranger<A: Adapter>(world: &mut World<'_, A>) -> (A::Device, Vec<Vec<Event>>) {
    let mut stranger = world.adapter.device(world.suite, world.framing, "stranger");
    let adds = vec![stranger.key_package().unwrap()];
    let sent = world.stock[0].commit(&Content { adds, removes: vec![] }).unwrap();
    let events = world.deliver(Who::Stock(0), &sent).unwrap();
    stranger.join(&sent.welcome.unwrap()).unwrap();
    (stranger, events)
}

/// An Add fills the leftmost blank leaf, which is under the anchor. A naive implementation would
/// lock the stranger out; here the pairing is suspended, says so, and the stranger follows. When the
/// stranger is gone, the pairing heals again.
pub fn a_stranger_under_the_anchor_is_not_locked_out<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = apart(adapter, suite, framing);
        let (mut stranger, events) = add_stranger(&mut world);
        assert_eq!(events, [vec![Event::Suspended], vec![Event::Suspended]]);

        let mut thief = adapter.steal(&world.devices[1]);
        let sent = world.devices[0].commit(&Content::default()).unwrap();
        world.deliver(Who::Device(0), &sent).unwrap();
        stranger.process(&sent.commit).unwrap();
        assert_eq!(stranger.epoch_authenticator(), world.devices[0].epoch_authenticator());
        assert!(thief.process(&sent.commit).is_ok(), "the control: suspended means not healed");

        let removes = vec![LeafIndex::new(1).unwrap()];
        let events = world.commit(Who::Device(0), &Content { adds: vec![], removes }).unwrap();
        assert!(events[1].contains(&Event::Restored), "{events:?}");
        let mut thief = adapter.steal(&world.devices[1]);
        let sent = world.devices[0].commit(&Content::default()).unwrap();
        world.deliver(Who::Device(0), &sent).unwrap();
        assert!(thief.process(&sent.commit).is_err(), "healed again");
    });
}

/// With devices at leaves 0, 1 and 2, a stranger at leaf 3 leaves 0 and 1 an anchor of their own.
pub fn a_stranger_between_some_devices_shrinks_the_anchor<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 3).unwrap();
        let (mut stranger, events) = add_stranger(&mut world);
        let shrunk = Event::AnchorShrunk { left_out: vec![DeviceId(2)] };
        assert!(events[0].contains(&shrunk), "{events:?}");
        assert!(events[2].contains(&Event::Suspended), "{events:?}");

        let mut healed = adapter.steal(&world.devices[1]);
        let mut left_out = adapter.steal(&world.devices[2]);
        let sent = world.devices[0].commit(&Content::default()).unwrap();
        world.deliver(Who::Device(0), &sent).unwrap();
        stranger.process(&sent.commit).unwrap();
        assert!(healed.process(&sent.commit).is_err());
        assert!(left_out.process(&sent.commit).is_ok(), "as the event has said");
    });
}

/// A device of the pairing that is added inside the anchor gets the path secret in its Welcome,
/// pairs, and follows from then on.
pub fn an_added_device_of_the_pairing_follows<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 3).unwrap();
        let pairing = world.pairing();
        // Device 2 leaves, by a paired commit, and is added again by another one.
        let removes = vec![world.leaf_of(2).unwrap()];
        let mut again = world.devices.pop().unwrap();
        let sent = world.devices[0].commit(&Content { adds: vec![], removes }).unwrap();
        world.deliver(Who::Device(0), &sent).unwrap();
        again.process(&sent.commit).unwrap();
        let adds = vec![again.key_package().unwrap()];
        let sent = world.devices[0].commit(&Content { adds, removes: vec![] }).unwrap();
        world.deliver(Who::Device(0), &sent).unwrap();
        again.join(&sent.welcome.unwrap()).unwrap();
        again.pair(&pairing).unwrap();
        world.devices.push(again);
        world.assert_together();
        let security = world.devices[0].security(DeviceId(2));
        assert_eq!(security, Some(EpochSecurity::Exposed), "its KeyPackage may have been stolen");

        let mut thief = adapter.steal(&world.devices[2]);
        let sent = world.devices[0].commit(&Content::default()).unwrap();
        world.deliver(Who::Device(0), &sent).unwrap();
        assert!(thief.process(&sent.commit).is_err());
        let security = world.devices[0].security(DeviceId(2));
        assert_eq!(security, Some(EpochSecurity::Secure(LeafKey::Stale)));
    });
}

/// A device that has lost its place comes back by an external commit, which is a paired one: its
/// partner follows by the tape, and a thief of the partner does not.
pub fn a_device_comes_back_from_outside<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        world.update(Who::Device(1)).unwrap();
        let mut thief = adapter.steal(&world.devices[0]);
        let group_info = world.group_info.clone();
        let sent = world.devices[1].rejoin(&group_info).unwrap();
        world.devices[0].process(&sent.commit).unwrap();
        for member in &mut world.stock {
            member.process(&sent.commit).unwrap();
        }
        world.assert_together();
        assert!(thief.process(&sent.commit).is_err());
        world.update(Who::Device(0)).unwrap();
        world.talk(Who::Device(1)).unwrap();
    });
}

/// Two members with strangers between them follow the relocation plan: fresh leaves, under fresh
/// signature keys, where they meet, and then the old ones go. From then on they heal each other.
pub fn members_that_are_apart_move_together<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        // One device at leaf 0, two strangers, and the other device at leaf 3.
        let mut world = World::unpaired(adapter, suite, framing, 1).unwrap();
        let mut far = adapter.device(suite, framing, "far");
        let adds = vec![far.key_package().unwrap()];
        let sent = world.devices[0].commit(&Content { adds, removes: vec![] }).unwrap();
        world.deliver(Who::Device(0), &sent).unwrap();
        far.join(&sent.welcome.unwrap()).unwrap();
        world.devices.push(far);

        let tree = world.devices[0].tree().unwrap();
        let old = [0, 3].map(|leaf| LeafIndex::new(leaf).unwrap());
        let plan = relocate(&tree, &old).unwrap();
        plan.verify(&tree).unwrap();
        let [add, remove] = plan.steps() else {
            panic!("members that are apart need two commits: {plan:?}");
        };

        let mut fresh: Vec<_> = add
            .adds()
            .iter()
            .map(|planned| adapter.device(suite, framing, &format!("fresh at {}", planned.leaf())))
            .collect();
        let adds = fresh.iter_mut().map(|device| device.key_package().unwrap()).collect();
        let sent = world.devices[0].commit(&Content { adds, removes: vec![] }).unwrap();
        world.deliver(Who::Device(0), &sent).unwrap();
        let welcome = sent.welcome.unwrap();
        for device in &mut fresh {
            device.join(&welcome).unwrap();
        }
        let is_device = |planned: &PlannedAdd| matches!(planned, PlannedAdd::Device { .. });
        let mut planned = add.adds().iter();
        fresh.retain(|_| planned.next().is_some_and(is_device));

        // The old leaves are those of the devices that gave way, and the new ones finish the plan.
        world.devices = fresh;
        let removes = remove.removes().to_vec();
        world.commit(Who::Device(0), &Content { adds: vec![], removes }).unwrap();
        world.pair().unwrap();
        let mut thief = adapter.steal(&world.devices[1]);
        let sent = world.devices[0].commit(&Content::default()).unwrap();
        let events = world.deliver(Who::Device(0), &sent).unwrap();
        assert!(matches!(events[1].first(), Some(Event::Healed { .. })), "{events:?}");
        assert!(thief.process(&sent.commit).is_err());
    });
}

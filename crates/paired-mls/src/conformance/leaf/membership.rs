//! Plain MLS around a shared leaf: others take it out of the group and put it in again, in one commit or in
//! two. Its devices are never lost.

use super::{LeafAdapter, LeafMember as _, LeafWorld, OfLeaf, PHONE, SENSOR, Use, for_each};
use crate::{
    Event,
    conformance::{Content, Heard, Listener as _, Member as _, Sent, healing::chain},
};

/// Another member commits, and the other members follow.
fn other_commits<A: LeafAdapter>(
    world: &mut LeafWorld<'_, A>,
    by: usize,
    content: &Content,
) -> Sent {
    let sent = world.others[by].commit(content).unwrap();
    world.others[by].confirm().unwrap();
    world.others_hear(OfLeaf::Other(by), &sent.commit).unwrap();
    sent
}

/// Every device learns that the leaf was removed.
fn removed<A: LeafAdapter>(world: &mut LeafWorld<'_, A>, commit: &[u8]) {
    for device in &mut world.devices {
        let Heard::Commit { events, .. } = device.process(commit).unwrap() else {
            panic!("a commit is a commit");
        };
        assert_eq!(events, [Event::Removed]);
        device.crash().unwrap();
    }
}

/// Every device is told to follow the log first, and the KeyPackage is not spent.
fn too_early<A: LeafAdapter>(world: &mut LeafWorld<'_, A>, welcome: &[u8]) {
    for device in &mut world.devices {
        let refused = chain(&*device.join(welcome).unwrap_err());
        assert!(refused.contains("in the group already"), "{refused}");
        device.crash().unwrap();
    }
}

fn joins<A: LeafAdapter>(world: &mut LeafWorld<'_, A>, welcome: &[u8]) {
    for device in &mut world.devices {
        device.join(welcome).unwrap();
        device.crash().unwrap();
    }
    world.assert_together();
    for who in [OfLeaf::Device(SENSOR), OfLeaf::Other(0), OfLeaf::Device(PHONE)] {
        world.update(who).unwrap();
        world.talk(who).unwrap();
    }
}

/// A member removes the leaf and adds it again in one commit.
pub fn removed_and_added_in_one_commit<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        for welcome_first in [true, false] {
            let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
            let adds = vec![world.publish(Use::Once).unwrap()];
            let removes = vec![world.devices[PHONE].own_leaf().unwrap()];
            let sent = other_commits(&mut world, 0, &Content { adds, removes });
            let welcome = sent.welcome.unwrap();
            if welcome_first {
                too_early(&mut world, &welcome);
            }
            removed(&mut world, &sent.commit);
            joins(&mut world, &welcome);
        }
    });
}

/// Two commits while the devices were away: one removes the leaf, the next adds it again.
pub fn removed_and_added_while_away<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        for welcome_first in [true, false] {
            let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
            let adds = vec![world.publish(Use::Once).unwrap()];
            let removes = vec![world.devices[PHONE].own_leaf().unwrap()];
            let first = other_commits(&mut world, 0, &Content { adds: vec![], removes });
            let second = other_commits(&mut world, 1, &Content { adds, removes: vec![] });
            let welcome = second.welcome.unwrap();
            if welcome_first {
                too_early(&mut world, &welcome);
            }
            removed(&mut world, &first.commit);
            for device in &mut world.devices {
                assert!(device.process(&second.commit).is_err(), "not a member then");
            }
            joins(&mut world, &welcome);
        }
    });
}

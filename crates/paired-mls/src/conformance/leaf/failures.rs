//! Whatever goes wrong, nothing is lost and no index is used twice.

use super::{LeafAdapter, LeafMember as _, LeafWorld, OfLeaf, PHONE, SENSOR, for_each};
use crate::{
    Event, Spot, TapeId,
    conformance::{Content, Framing, Heard, Listener as _, Member as _, healing::chain},
};

/// A commit that the delivery service refused is dropped; the next one, in the same epoch or another,
/// has another index.
pub fn a_refused_commit_burns_its_index<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        let mut commits = Vec::new();
        for _ in 0..3 {
            let sent = world.devices[PHONE].commit(&Content::default()).unwrap();
            assert!(world.devices[PHONE].commit(&Content::default()).is_err(), "one waits");
            assert!(!commits.contains(&sent.commit));
            commits.push(sent.commit);
            let (tape, spot) = waiting::<A>(&world.devices[PHONE]);
            let vault = world.devices[PHONE].vault().clone();
            assert!(vault.preview(&tape, spot).is_ok(), "the control");
            world.devices[PHONE].discard().unwrap();
            assert!(vault.preview(&tape, spot).is_err(), "the value is burned");
        }
        world.update(OfLeaf::Other(0)).unwrap();
        world.update(OfLeaf::Device(PHONE)).unwrap();
        world.update(OfLeaf::Device(SENSOR)).unwrap();
    });
}

/// Where on which tape the own commit is from that waits.
fn waiting<A: LeafAdapter>(device: &A::Device) -> (TapeId, Spot) {
    let record = device.vault().load_leaf(b"conformance").unwrap().unwrap();
    (record.tape, record.pending.unwrap().notify.spot)
}

/// The own commit is made again before it is merged. If that is not what was sent, as when the vault and the MLS
/// state do not belong together, nothing changes.
pub fn only_what_was_sent_is_merged<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        let sent = world.devices[PHONE].commit(&Content::default()).unwrap();
        let vault = world.devices[PHONE].vault().clone();
        let record = vault.load_leaf(b"conformance").unwrap().unwrap();
        let mut other = record.clone();
        other.pending.as_mut().unwrap().hash[0] ^= 1;
        vault.store_leaf(&other).unwrap();
        world.devices[PHONE].crash().unwrap();
        let before = world.devices[PHONE].epoch_authenticator();
        assert!(world.devices[PHONE].confirm().is_err());
        assert_eq!(world.devices[PHONE].epoch_authenticator(), before);

        // The control.
        vault.store_leaf(&record).unwrap();
        world.devices[PHONE].crash().unwrap();
        world.deliver(OfLeaf::Device(PHONE), &sent).unwrap();
    });
}

/// Both devices commit in one epoch: the one that loses follows the other, and says so.
pub fn two_devices_at_once_lose_nothing<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        for (winner, loser) in [(PHONE, SENSOR), (SENSOR, PHONE)] {
            let won = world.devices[winner].commit(&Content::default()).unwrap();
            let lost = world.devices[loser].commit(&Content::default()).unwrap();
            for n in [winner, loser] {
                let other = if n == winner { &lost } else { &won };
                let notify = other.notify.as_ref().unwrap();
                assert_eq!(world.devices[n].process(notify).unwrap(), Heard::Announced);
            }
            let events = world.deliver_commit(OfLeaf::Device(winner), &won).unwrap();
            assert!(matches!(events[loser][0], Event::CommitLost { index: Some(_) }));
            assert!(world.devices[winner].process(&lost.commit).is_err());
            world.talk(OfLeaf::Device(winner)).unwrap();
        }
        // And a stranger wins over both.
        world.devices[PHONE].commit(&Content::default()).unwrap();
        world.devices[SENSOR].commit(&Content::default()).unwrap();
        let events = world.update(OfLeaf::Other(0)).unwrap();
        for events in events {
            assert!(matches!(events[0], Event::CommitLost { index: Some(_) }));
        }
        world.update(OfLeaf::Device(SENSOR)).unwrap();
    });
}

/// Whatever is changed in a commit of the leaf, the follower refuses it, and is exactly as before.
pub fn a_commit_that_differs_changes_nothing<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        let sent = world.devices[PHONE].commit(&Content::default()).unwrap();
        world.announce(OfLeaf::Device(PHONE), &sent).unwrap();
        let stored = world.devices[SENSOR].stored();
        for at in (0..sent.commit.len()).step_by(23) {
            let mut forged = sent.commit.clone();
            forged[at] ^= 1;
            assert!(world.devices[SENSOR].process(&forged).is_err(), "{at}");
            assert!(world.devices[SENSOR].process(&sent.commit[..at]).is_err(), "{at}");
        }
        assert_eq!(world.devices[SENSOR].stored(), stored);
        world.deliver_commit(OfLeaf::Device(PHONE), &sent).unwrap();
    });
}

/// A commit that was followed is not followed again, in the next epoch or later.
pub fn a_replay_is_refused<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        let sent = world.devices[PHONE].commit(&Content::default()).unwrap();
        world.deliver(OfLeaf::Device(PHONE), &sent).unwrap();
        for _ in 0..2 {
            for device in &mut world.devices {
                assert!(device.process(&sent.commit).is_err());
                let notify = device.process(sent.notify.as_ref().unwrap());
                assert!(!matches!(notify, Ok(Heard::Announced | Heard::Commit { .. })));
            }
            world.update(OfLeaf::Other(0)).unwrap();
        }
        world.update(OfLeaf::Device(SENSOR)).unwrap();
    });
}

/// The process dies before, between and after the writes of a commit, on either side.
pub fn a_crash_at_any_point_loses_nothing<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        for (sender, follower) in [(PHONE, SENSOR), (SENSOR, PHONE)] {
            let sent = world.devices[sender].commit(&Content::default()).unwrap();
            // The sender dies while its commit is on the way.
            world.devices[sender].crash().unwrap();
            world.announce(OfLeaf::Device(sender), &sent).unwrap();
            // The follower dies in the middle of following.
            world.devices[follower].crash_before_storing(1);
            assert!(world.devices[follower].process(&sent.commit).is_err());
            world.devices[follower].crash().unwrap();
            // The sender dies in the middle of merging, and is fed its own commit.
            world.devices[sender].crash_before_storing(1);
            assert!(world.devices[sender].confirm().is_err());
            world.devices[sender].crash().unwrap();
            let heard = world.devices[sender].process(&sent.commit).unwrap();
            assert!(matches!(heard, Heard::Commit { .. }));
            let heard = world.devices[follower].process(&sent.commit).unwrap();
            assert!(matches!(heard, Heard::Commit { .. }));
            world.others_hear(OfLeaf::Device(sender), &sent.commit).unwrap();
            world.assert_together();
            world.devices[follower].crash().unwrap();
            world.talk(OfLeaf::Device(sender)).unwrap();
        }
        // A commit that was made, and never sent.
        world.devices[PHONE].commit(&Content::default()).unwrap();
        world.devices[PHONE].crash().unwrap();
        world.update(OfLeaf::Other(0)).unwrap();
        world.update(OfLeaf::Device(PHONE)).unwrap();
    });
}

/// A device dies after the vault was written and before the MLS state is, while it follows a commit that
/// only its Notify lets it make again: one with content. It is fed the commit again.
pub fn what_was_announced_outlives_a_kill<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        let mut guest = adapter.guest(suite, framing, "a guest");
        let adds = vec![guest.key_package().unwrap()];
        let sent = world.devices[PHONE].commit(&Content { adds, removes: vec![] }).unwrap();
        world.announce(OfLeaf::Device(PHONE), &sent).unwrap();
        // One transaction finds out that an encrypted commit is of this leaf, and one merges it.
        let transactions = match framing {
            Framing::Public => 1,
            Framing::Private => 2,
        };
        for transaction in 1..=transactions {
            world.devices[SENSOR].crash_before_storing(transaction);
            let died = chain(&*world.devices[SENSOR].process(&sent.commit).unwrap_err());
            assert!(died.contains("transaction"), "{died}");
            world.devices[SENSOR].crash().unwrap();
        }
        world.deliver_commit(OfLeaf::Device(PHONE), &sent).unwrap();
        guest.join(&sent.welcome.unwrap()).unwrap();
        assert_eq!(guest.epoch_authenticator(), world.devices[SENSOR].epoch_authenticator());
        world.others.push(guest);
        world.update(OfLeaf::Device(SENSOR)).unwrap();
    });
}

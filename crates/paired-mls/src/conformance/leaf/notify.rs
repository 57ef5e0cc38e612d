//! The Notify of a shared leaf: lost, late, twice, forged.

use super::{
    LeafAdapter, LeafMember as _, LeafWorld, OfLeaf, PHONE, SENSOR, follows_without_notify,
    for_each,
    lying::party,
    world::{PAIRING, healed_by},
};
use crate::{
    DeviceId, FIRST_OPENING, Index, Spot,
    conformance::{Content, Framing, Heard, Listener as _, Member as _, forged::guessed, liar::By},
    leaf::{LeafMessage, LeafNotify, SALT_LEN},
};

/// Without a Notify the follower finds the index by itself; of an encrypted commit, if nothing is in
/// it but a path and the devices have the same signature key. Otherwise it has to wait for the Notify.
pub fn a_lost_one_is_survived<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        // Two commits that were refused: their positions are burned.
        for _ in 0..2 {
            world.devices[PHONE].commit(&Content::default()).unwrap();
            world.devices[PHONE].discard().unwrap();
        }
        for who in [PHONE, SENSOR, SENSOR, PHONE] {
            let sent = world.devices[who].commit(&Content::default()).unwrap();
            if !follows_without_notify(adapter, framing) {
                let stored = world.devices[1 - who].stored();
                world.devices[1 - who].process(&sent.commit).unwrap_err();
                assert_eq!(world.devices[1 - who].stored(), stored);
                world.announce(OfLeaf::Device(who), &sent).unwrap();
            }
            world.deliver_commit(OfLeaf::Device(who), &sent).unwrap();
        }
        if framing == Framing::Private {
            return;
        }
        let mut guest = adapter.guest(suite, framing, "ada");
        let content = Content { adds: vec![guest.key_package().unwrap()], ..Content::default() };
        let sent = world.devices[PHONE].commit(&content).unwrap();
        world.deliver_commit(OfLeaf::Device(PHONE), &sent).unwrap();
    });
}

/// An encrypted commit that adds somebody cannot be followed without its Notify; with it, it can, and
/// until then nothing has changed.
pub fn a_late_one_helps<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        let mut guest = adapter.guest(suite, framing, "ada");
        let content = Content { adds: vec![guest.key_package().unwrap()], ..Content::default() };
        let sent = world.devices[PHONE].commit(&content).unwrap();
        let stored = world.devices[SENSOR].stored();
        match framing {
            Framing::Private => {
                world.devices[SENSOR].process(&sent.commit).unwrap_err();
                assert_eq!(world.devices[SENSOR].stored(), stored);
                world.deliver(OfLeaf::Device(PHONE), &sent).unwrap();
            }
            Framing::Public => {
                world.deliver_commit(OfLeaf::Device(PHONE), &sent).unwrap();
                // It comes after its commit, and says nothing new.
                let notify = sent.notify.as_ref().unwrap();
                assert!(!matches!(world.devices[SENSOR].process(notify), Ok(Heard::Commit { .. })));
            }
        }
        guest.join(sent.welcome.as_ref().unwrap()).unwrap();
        world.others.push(guest);
        world.assert_together();
        world.update(OfLeaf::Device(SENSOR)).unwrap();
    });
}

/// The same Notify twice, Notifies of refused commits, in any order, and one's own.
pub fn a_duplicate_changes_nothing<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        let refused = world.devices[PHONE].commit(&Content::default()).unwrap();
        world.devices[PHONE].discard().unwrap();
        let sent = world.devices[PHONE].commit(&Content::default()).unwrap();
        let notify = sent.notify.clone().unwrap();
        assert_eq!(world.devices[PHONE].process(&notify).unwrap(), Heard::Own);
        for message in [&notify, refused.notify.as_ref().unwrap(), &notify] {
            assert_eq!(world.devices[SENSOR].process(message).unwrap(), Heard::Announced);
        }
        world.devices[SENSOR].crash().unwrap();
        world.deliver_commit(OfLeaf::Device(PHONE), &sent).unwrap();
        world.update(OfLeaf::Device(SENSOR)).unwrap();
    });
}

/// Notifies that come before their commits, the latest first and each twice, are kept until the epochs that
/// they are for.
pub fn they_come_in_any_order<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        let mut asleep = world.devices.pop().unwrap();
        let mut log = Vec::new();
        for name in ["ada", "bob", "cyd"] {
            // With an Add, so that an encrypted commit cannot be guessed.
            let mut guest = adapter.guest(suite, framing, name);
            let adds = vec![guest.key_package().unwrap()];
            let sent = world.devices[PHONE].commit(&Content { adds, ..Content::default() });
            let sent = sent.unwrap();
            world.deliver(OfLeaf::Device(PHONE), &sent).unwrap();
            guest.join(sent.welcome.as_ref().unwrap()).unwrap();
            world.others.push(guest);
            log.push(sent);
        }
        for sent in log.iter().rev() {
            for _ in 0..2 {
                let heard = asleep.process(sent.notify.as_ref().unwrap()).unwrap();
                assert_eq!(heard, Heard::Announced);
            }
        }
        asleep.crash().unwrap();
        for sent in &log {
            assert!(matches!(asleep.process(&sent.commit).unwrap(), Heard::Commit { .. }));
        }
        world.devices.push(asleep);
        world.assert_together();
        world.update(OfLeaf::Device(SENSOR)).unwrap();
    });
}

/// Every byte of a Notify is authenticated: what is changed is processed as the encrypted commit that
/// it looks like, and refused.
pub fn forged_ones_are_refused<A: LeafAdapter>(adapter: &A) {
    for suite in adapter.suites() {
        let mut world = LeafWorld::joined(adapter, suite, Framing::Public, 2).unwrap();
        let sent = world.devices[PHONE].commit(&Content::default()).unwrap();
        let notify = sent.notify.clone().unwrap();
        let stored = world.devices[SENSOR].stored();
        for at in (0..notify.len()).step_by(7) {
            let mut forged = notify.clone();
            forged[at] ^= 1;
            assert!(world.devices[SENSOR].process(&forged).is_err(), "{at}");
            assert!(world.devices[SENSOR].process(&notify[..at]).is_err(), "{at}");
        }
        assert_eq!(world.devices[SENSOR].stored(), stored);
        world.deliver(OfLeaf::Device(PHONE), &sent).unwrap();
    }
}

/// A Notify has the header of an encrypted commit of the same group and epoch; whoever is not of the
/// leaf cannot read it.
pub fn it_looks_like_a_commit<A: LeafAdapter>(adapter: &A) {
    for suite in adapter.suites() {
        let mut world = LeafWorld::joined(adapter, suite, Framing::Private, 2).unwrap();
        let sent = world.devices[PHONE].commit(&Content::default()).unwrap();
        let header = |message: &[u8]| crate::wire::PrivateHeader::decode(message).unwrap().unwrap();
        let notify = sent.notify.clone().unwrap();
        assert_eq!(header(&notify), header(&sent.commit));
        for member in &mut world.others {
            assert!(member.process(&notify).is_err());
        }
        world.deliver(OfLeaf::Device(PHONE), &sent).unwrap();
    }
}

/// A member of the group sends what would be a Notify, or the token, if her tape were the leaf's: under a tape of
/// her own, in the name of either device, for this epoch and the next, and one that she has seen, with another
/// header. Nothing is announced, nothing changes, and the token stays where it is. The control: the true Notify,
/// after each of them.
pub fn a_members_notify_moves_nobody<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut party = party(adapter, suite, framing);
        let other = guessed(suite, PAIRING);
        let tape = other.open_group(PAIRING, b"conformance").unwrap();
        let mut seen: Option<Vec<u8>> = None;
        for round in 0..2 {
            let epoch = party.devices[PHONE].epoch();
            let index = Index::first_for(DeviceId(0), epoch + 1).unwrap();
            let notify = LeafNotify {
                spot: Spot { opening: FIRST_OPENING, index },
                proposals: Vec::new(),
                authenticated_data: Vec::new(),
                leaf_node: Vec::new(),
                signature: vec![1; 64],
            };
            let said = [
                LeafMessage::Commit(notify),
                LeafMessage::TokenWanted(DeviceId(0)),
                LeafMessage::TokenGiven(DeviceId(0)),
                LeafMessage::TokenGiven(DeviceId(1)),
            ];
            let mut forged = Vec::new();
            for (said, epoch) in said.iter().flat_map(|said| [(said, epoch), (said, epoch + 1)]) {
                forged.push(other.seal_leaf_message(&tape, said, epoch, [3; SALT_LEN]).unwrap());
            }
            if let Some(mut seen) = seen.take() {
                forged.push(seen.clone());
                // MLSMessage, and a group identifier with its length in one byte, before the epoch.
                let at = 4 + 1 + b"conformance".len();
                seen[at..at + 8].copy_from_slice(&epoch.to_be_bytes());
                forged.push(seen);
            }
            let token = party.devices[PHONE].token();
            for device in &mut party.devices {
                let before = device.stored();
                for forged in &forged {
                    let heard = device.process(forged);
                    assert!(!matches!(heard, Ok(ref heard) if *heard != Heard::Own), "{heard:?}");
                    assert_eq!(device.stored(), before);
                    assert_eq!(device.token(), token);
                }
            }
            party.devices[SENSOR].send(b"the token was not given").unwrap_err();
            let sent = party.devices[PHONE].commit(&Content::default()).unwrap();
            let events = party.deliver(By::Device, &sent);
            assert!(healed_by(&events[SENSOR], 0), "round {round}: {events:?}");
            seen = sent.notify;
        }
    });
}

//! Who may send from the leaf.

use std::collections::BTreeSet;

use super::{LeafAdapter, LeafMember as _, LeafWorld, OfLeaf, PHONE, SENSOR, for_each};
use crate::{
    CipherSuite, DeviceId, Event,
    conformance::{Content, Framing, Heard, Listener as _, Member as _},
};

/// The device that made the KeyPackage has the token first; another one takes it with a commit.
pub fn nobody_sends_without_it<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        assert_eq!(world.devices[SENSOR].token(), Some(DeviceId(0)));
        world.talk(OfLeaf::Device(PHONE)).unwrap();
        let refused = world.devices[SENSOR].send(b"me too").unwrap_err();
        assert!(refused.to_string().contains("token"), "{refused}");

        let sent = world.devices[SENSOR].commit(&Content::default()).unwrap();
        assert!(world.devices[SENSOR].send(b"not yet").is_err(), "it is not accepted yet");
        let events = world.deliver(OfLeaf::Device(SENSOR), &sent).unwrap();
        let taken = Event::TokenTaken { by: DeviceId(1) };
        assert!(events.iter().all(|events| events.contains(&taken)));
        assert!(world.devices[PHONE].send(b"no more").is_err());
        world.talk(OfLeaf::Device(SENSOR)).unwrap();
        // A commit of somebody else does not move it, nor does a restart.
        world.update(OfLeaf::Other(0)).unwrap();
        world.devices[SENSOR].crash().unwrap();
        world.devices[PHONE].crash().unwrap();
        world.talk(OfLeaf::Device(SENSOR)).unwrap();
        assert!(world.devices[PHONE].send(b"no more").is_err());
    });
}

/// A device asks for the token, and the other one gives it; from then on nobody sends, until one of
/// them commits. A device that is not answered takes it all the same.
pub fn it_is_asked_for_and_given<A: LeafAdapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = LeafWorld::joined(adapter, suite, framing, 2).unwrap();
        let asked = world.devices[SENSOR].ask_token().unwrap();
        let wanted = Heard::TokenWanted(DeviceId(1));
        assert_eq!(world.devices[PHONE].process(&asked).unwrap(), wanted);
        assert_eq!(world.devices[SENSOR].process(&asked).unwrap(), Heard::Own);
        world.talk(OfLeaf::Device(PHONE)).unwrap();
        assert!(world.devices[SENSOR].give_token().is_err(), "it is not its own to give");

        let given = world.devices[PHONE].give_token().unwrap();
        assert_eq!(world.devices[SENSOR].process(&given).unwrap(), Heard::TokenGiven(DeviceId(0)));
        for n in [PHONE, SENSOR] {
            assert!(world.devices[n].send(b"too early").is_err());
        }
        // Neither a restart nor a commit of somebody else brings it back.
        world.devices[PHONE].crash().unwrap();
        world.update(OfLeaf::Other(0)).unwrap();
        assert!(world.devices[PHONE].send(b"given is given").is_err());
        assert!(world.devices[PHONE].process(&asked).is_err(), "it was for the epoch before");

        world.update(OfLeaf::Device(SENSOR)).unwrap();
        world.talk(OfLeaf::Device(SENSOR)).unwrap();
        // Nobody answers, and the phone takes it; or gives it away and takes it again.
        world.devices[PHONE].ask_token().unwrap();
        world.update(OfLeaf::Device(PHONE)).unwrap();
        world.talk(OfLeaf::Device(PHONE)).unwrap();
        world.devices[PHONE].give_token().unwrap();
        world.update(OfLeaf::Device(PHONE)).unwrap();
        world.talk(OfLeaf::Device(PHONE)).unwrap();
        assert!(world.devices[SENSOR].send(b"not yours").is_err());
    });
}

/// Over a long random schedule of commits, lost races, restarts and messages, every message of the
/// leaf is read by the others, in any order: no generation is used twice, and no ciphertext.
pub fn nothing_is_used_twice_over_many_switches<A: LeafAdapter>(adapter: &A) {
    for framing in [Framing::Public, Framing::Private] {
        let mut world = LeafWorld::joined(adapter, CipherSuite::X25519Aes128, framing, 3).unwrap();
        let mut seen = BTreeSet::new();
        let mut sent_by = [0; 3];
        let mut random = 0x2545_f491_u32;
        for _ in 0..250 {
            // Xorshift: a fixed schedule.
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            let device = usize::try_from(random >> 8).unwrap() % 3;
            match random % 8 {
                0 => drop(world.update(OfLeaf::Device(device)).unwrap()),
                1 => drop(world.update(OfLeaf::Other(0)).unwrap()),
                2 => {
                    let other = (device + 1) % 3;
                    let won = world.devices[device].commit(&Content::default()).unwrap();
                    let lost = world.devices[other].commit(&Content::default()).unwrap();
                    assert!(seen.insert(lost.commit));
                    assert!(seen.insert(won.commit.clone()));
                    world.deliver(OfLeaf::Device(device), &won).unwrap();
                }
                3 => world.devices[device].crash().unwrap(),
                _ => match world.devices[device].send(&random.to_be_bytes()) {
                    Ok(message) => {
                        sent_by[device] += 1;
                        for member in &mut world.others {
                            let heard = member.process(&message).unwrap();
                            assert_eq!(heard, Heard::Application(random.to_be_bytes().to_vec()));
                        }
                        assert!(seen.insert(message));
                    }
                    Err(refused) => assert!(refused.to_string().contains("token"), "{refused}"),
                },
            }
        }
        assert!(sent_by.iter().all(|sent| *sent > 3), "each device has sent: {sent_by:?}");
        world.assert_together();
    }
}

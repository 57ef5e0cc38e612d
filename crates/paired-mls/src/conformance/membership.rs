//! Plain MLS around a device of the pairing: others take it out of the group and put it in again, in one
//! commit or in two, and the tree changes under a leaf refresh. The device is never lost.

use super::{
    Adapter, Content, Framing, Heard, Listener, Member, PairedMember, Sent, Who, World, for_each,
    healing::chain, random::Dice,
};
use crate::{DeviceId, Event, TapeId, anchor::LeafIndex};

const PHONE: usize = 0;
const SENSOR: usize = 1;

/// How the Welcome comes, seen from the log of commits.
const WELCOME_FIRST: [bool; 2] = [true, false];

/// A stock member's commit, which takes the sensor out; everybody else follows.
fn stock_commits<A: Adapter>(world: &mut World<'_, A>, by: usize, content: &Content) -> Sent {
    let sent = world.stock[by].commit(content).unwrap();
    world.stock[by].confirm().unwrap();
    for (n, member) in world.stock.iter_mut().enumerate() {
        if n != by {
            member.process(&sent.commit).unwrap();
        }
    }
    for (n, device) in world.devices.iter_mut().enumerate() {
        if n != SENSOR {
            device.process(&sent.commit).unwrap();
        }
    }
    sent
}

/// The sensor learns that it was removed, and nothing else.
fn removed<A: Adapter>(world: &mut World<'_, A>, commit: &[u8]) {
    let Heard::Commit { events, .. } = world.devices[SENSOR].process(commit).unwrap() else {
        panic!("a commit is a commit");
    };
    assert_eq!(events, [Event::Removed]);
}

/// The sensor comes in by the Welcome. Its pairing in the group is as a restart finds it.
fn joins<A: Adapter>(world: &mut World<'_, A>, welcome: &[u8]) {
    world.devices[SENSOR].join(welcome).unwrap();
    world.devices[SENSOR].crash().unwrap();
    world.assert_together();
    for who in [Who::Device(PHONE), Who::Device(SENSOR), Who::Stock(0), Who::Device(PHONE)] {
        world.update(who).unwrap();
        world.talk(who).unwrap();
    }
}

/// A stock member removes the sensor and adds it again in one commit: a removal, and a Welcome. While the
/// sensor has not followed the commit, the Welcome is kept from it, and is not spent.
pub fn removed_and_added_in_one_commit<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        for welcome_first in WELCOME_FIRST {
            for by in 0..adapter.stock(suite, framing).len() {
                let mut world = World::paired(adapter, suite, framing, 2).unwrap();
                let adds = vec![world.devices[SENSOR].key_package().unwrap()];
                let removes = vec![world.leaf_of(1).unwrap()];
                let sent = stock_commits(&mut world, by, &Content { adds, removes });
                let welcome = sent.welcome.unwrap();
                if welcome_first {
                    let refused = chain(&*world.devices[SENSOR].join(&welcome).unwrap_err());
                    assert!(refused.contains("in the group already"), "{refused}");
                }
                let sensor = &mut world.devices[SENSOR];
                assert!(sensor.process_refresh(&sent.commit, &welcome).is_err(), "no refresh");
                removed(&mut world, &sent.commit);
                joins(&mut world, &welcome);
            }
        }
    });
}

/// Two commits while the sensor was away: one removes it, the next adds it again.
pub fn removed_and_added_while_away<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        for welcome_first in WELCOME_FIRST {
            let mut world = World::paired(adapter, suite, framing, 2).unwrap();
            let adds = vec![world.devices[SENSOR].key_package().unwrap()];
            let removes = vec![world.leaf_of(1).unwrap()];
            let first = stock_commits(&mut world, 0, &Content { adds: vec![], removes });
            let second = stock_commits(&mut world, 1, &Content { adds, removes: vec![] });
            let welcome = second.welcome.unwrap();
            if welcome_first {
                assert!(world.devices[SENSOR].join(&welcome).is_err());
                world.devices[SENSOR].crash().unwrap();
            }
            removed(&mut world, &first.commit);
            assert!(world.devices[SENSOR].process(&second.commit).is_err(), "not a member then");
            world.devices[SENSOR].crash().unwrap();
            joins(&mut world, &welcome);
        }
    });
}

/// A partner commits what a stock member proposes: the sensor goes, and comes with an ordinary KeyPackage. A
/// partner has made the commit, and yet it is no refresh.
pub fn a_partner_commits_proposals_of_others<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let leaf = world.leaf_of(1).unwrap();
        let key_package = world.devices[SENSOR].key_package().unwrap();
        let gone = world.stock[0].propose_remove(leaf).unwrap();
        let back = world.stock[0].propose_add(&key_package).unwrap();
        for proposal in [gone, back] {
            for device in &mut world.devices {
                assert_eq!(device.process(&proposal).unwrap(), Heard::Proposal);
            }
            for member in world.stock.iter_mut().skip(1) {
                assert_eq!(member.process(&proposal).unwrap(), Heard::Proposal);
            }
        }
        let sent = world.devices[PHONE].commit(&Content::default()).unwrap();
        world.devices[PHONE].confirm().unwrap();
        for member in &mut world.stock {
            member.process(&sent.commit).unwrap();
        }
        removed(&mut world, &sent.commit);
        joins(&mut world, &sent.welcome.unwrap());
    });
}

/// A stranger who has got hold of a KeyPackage from the tape makes no refresh of it, not even with the tag that
/// only a partner can make: it is a removal, and the sensor comes back from outside.
pub fn a_stranger_cannot_refresh<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 2).unwrap();
        let pairing = world.pairing().id;
        let adds = vec![world.devices[SENSOR].publish(pairing).unwrap()];
        let removes = vec![world.leaf_of(1).unwrap()];
        let sent = stock_commits(&mut world, 0, &Content { adds, removes });
        let welcome = sent.welcome.unwrap();
        assert!(world.devices[SENSOR].process_refresh(&sent.commit, &welcome).is_err());
        let vault = world.devices[PHONE].vault().clone();
        let tape = TapeId { pairing, group_id: b"conformance".to_vec() };
        let epoch = world.devices[PHONE].epoch();
        let tagged = vault.seal_refresh(&tape, epoch, &[0; 32], &welcome).unwrap();
        let refused = world.devices[SENSOR].process_refresh(&sent.commit, &tagged).unwrap_err();
        let refused = chain(&*refused);
        assert!(refused.contains("the committer is no partner"), "{refused}");
        removed(&mut world, &sent.commit);

        let sent = world.devices[PHONE].commit(&Content::default()).unwrap();
        world.devices[PHONE].confirm().unwrap();
        for member in &mut world.stock {
            member.process(&sent.commit).unwrap();
        }
        let back = world.devices[SENSOR].rejoin(&sent.group_info.unwrap()).unwrap();
        world.devices[PHONE].process(&back.commit).unwrap();
        for member in &mut world.stock {
            member.process(&back.commit).unwrap();
        }
        world.assert_together();
        world.update(Who::Device(PHONE)).unwrap();
        world.talk(Who::Device(SENSOR)).unwrap();
    });
}

/// A refresh that moves the leaf: a lower one under the anchor is blank, and the Add lands there.
pub fn a_refresh_that_moves_the_leaf_is_followed<A: Adapter>(adapter: &A) {
    for_each(adapter, |suite, framing| {
        // Phone 0, other 1, sensor 2, fourth 3; 1 is removed, and the sensor's new leaf is 1.
        let mut world = World::paired(adapter, suite, framing, 4).unwrap();
        let removes = vec![world.leaf_of(1).unwrap()];
        world.devices.remove(1);
        world.commit(Who::Device(PHONE), &Content { adds: vec![], removes }).unwrap();

        let pairing = pairing_of_four();
        let key_package = world.devices[SENSOR].publish(pairing).unwrap();
        let sent = world.devices[PHONE].refresh(&key_package).unwrap();
        refreshed(&mut world, &mut [], SENSOR, &sent);
        assert_eq!(world.leaf_of(2).unwrap().value(), 1, "it has moved");
        for device in &world.devices {
            assert_eq!(device.devices(), world.devices[PHONE].devices());
        }
        for who in [Who::Device(PHONE), Who::Device(SENSOR), Who::Stock(0), Who::Device(2)] {
            world.update(who).unwrap();
        }
    });
}

/// The pairing that `World::paired` makes: by its identifier.
fn pairing_of_four() -> crate::PairingId {
    crate::PairingId([7; 16])
}

/// The delivery service accepts a refresh of `renewed` by the phone, and everybody follows.
fn refreshed<A: Adapter>(
    world: &mut World<'_, A>,
    guests: &mut [(LeafIndex, A::Device)],
    renewed: usize,
    sent: &Sent,
) {
    world.devices[PHONE].confirm().unwrap();
    for (n, device) in world.devices.iter_mut().enumerate().skip(1) {
        if n == renewed {
            let events = device.process_refresh(&sent.commit, sent.refresh.as_ref().unwrap());
            let events = events.unwrap_or_else(|error| panic!("{}", chain(&*error)));
            let is_renewal = |event: &Event| matches!(event, Event::LeafRenewed { .. });
            assert!(events.iter().any(is_renewal), "{events:?}");
        } else {
            device.process(&sent.commit).unwrap();
        }
    }
    everybody_else(world, guests, Who::Device(PHONE), &sent.commit);
}

/// Stock members and guests follow a commit.
fn everybody_else<A: Adapter>(
    world: &mut World<'_, A>,
    guests: &mut [(LeafIndex, A::Device)],
    by: Who,
    commit: &[u8],
) {
    for (n, member) in world.stock.iter_mut().enumerate() {
        if by != Who::Stock(n) {
            member.process(commit).unwrap();
        }
    }
    for (_, guest) in guests.iter_mut() {
        guest.process(commit).unwrap();
    }
    world.assert_together();
    for (leaf, guest) in guests {
        let authenticator = world.devices[PHONE].epoch_authenticator();
        assert_eq!(guest.epoch_authenticator(), authenticator, "the guest at leaf {leaf}");
    }
}

/// Whatever `refresh` allows, the partner can follow: in trees that members come into and leave at random.
pub fn whatever_is_allowed_is_followed<A: Adapter>(adapter: &A) {
    let suite = adapter.suites()[0];
    let mut moved = 0;
    let mut followed = 0;
    for framing in [Framing::Public, Framing::Private] {
        for seed in 0..4 {
            let mut dice = Dice::new(seed);
            let mut walk = Walk::new(adapter, suite, framing, 3 + dice.below(3));
            for _ in 0..14 {
                walk.step(&mut dice);
            }
            moved += walk.moved;
            followed += walk.followed;
        }
    }
    assert!(followed > 10 && moved > 0, "{followed} refreshes, of which {moved} moved the leaf");
}

/// A group in which somebody acts at random.
struct Walk<'a, A: Adapter> {
    world: World<'a, A>,
    /// Members that are not of the pairing, each with its leaf.
    guests: Vec<(LeafIndex, A::Device)>,
    /// The numbers of the devices that are in the world.
    numbers: Vec<u16>,
    /// How many guests have been named: mls-rs wants each identity once.
    named: usize,
    followed: usize,
    moved: usize,
}

impl<'a, A: Adapter> Walk<'a, A> {
    fn new(adapter: &'a A, suite: crate::CipherSuite, framing: Framing, devices: usize) -> Self {
        let world = World::paired(adapter, suite, framing, devices).unwrap();
        let numbers = (0..).take(devices).collect();
        Self { world, guests: Vec::new(), numbers, named: 0, followed: 0, moved: 0 }
    }

    fn step(&mut self, dice: &mut Dice) {
        match dice.below(6) {
            0 => self.add(dice),
            1 if !self.guests.is_empty() => {
                let (leaf, _) = self.guests.remove(dice.below(self.guests.len()));
                self.commit(dice, vec![], vec![leaf]);
            }
            2 if self.numbers.len() > 2 => {
                let at = 1 + dice.below(self.numbers.len() - 1);
                let leaf = self.world.leaf_of(self.numbers.remove(at)).unwrap();
                self.world.devices.remove(at);
                self.commit(dice, vec![], vec![leaf]);
            }
            3 => {
                self.commit(dice, vec![], vec![]);
            }
            _ => self.refresh(dice),
        }
    }

    fn add(&mut self, dice: &mut Dice) {
        let World { adapter, suite, framing, .. } = self.world;
        self.named += 1;
        let mut guest = adapter.device(suite, framing, &format!("guest {}", self.named));
        let before = self.members();
        let adds = vec![guest.key_package().unwrap()];
        let sent = self.commit(dice, adds, vec![]);
        guest.join(&sent.welcome.unwrap()).unwrap();
        let leaf = *self.members().iter().find(|leaf| !before.contains(leaf)).unwrap();
        self.guests.push((leaf, guest));
    }

    fn members(&self) -> Vec<LeafIndex> {
        self.world.devices[PHONE].tree().unwrap().members().collect()
    }

    /// Some member commits, and everybody follows.
    fn commit(&mut self, dice: &mut Dice, adds: Vec<Vec<u8>>, removes: Vec<LeafIndex>) -> Sent {
        let who = match dice.below(3) {
            0 => Who::Stock(dice.below(self.world.stock.len())),
            1 => Who::Device(dice.below(self.world.devices.len())),
            _ => Who::Device(PHONE),
        };
        let sent = self.world.member(who).unwrap().commit(&Content { adds, removes }).unwrap();
        self.world.member(who).unwrap().confirm().unwrap();
        for (n, device) in self.world.devices.iter_mut().enumerate() {
            if who != Who::Device(n) {
                device.process(&sent.commit).unwrap();
            }
        }
        everybody_else(&mut self.world, &mut self.guests, who, &sent.commit);
        sent
    }

    fn refresh(&mut self, dice: &mut Dice) {
        let renewed = 1 + dice.below(self.world.devices.len() - 1);
        let number = self.numbers[renewed];
        let key_package = self.world.devices[renewed].publish(pairing_of_four()).unwrap();
        let sent = match self.world.devices[PHONE].refresh(&key_package) {
            Ok(sent) => sent,
            Err(error) => {
                let error = chain(&*error);
                assert!(error.contains("would not be under the anchor"), "{error}");
                return;
            }
        };
        let before = self.world.leaf_of(number).unwrap();
        refreshed(&mut self.world, &mut self.guests, renewed, &sent);
        let after = self.world.leaf_of(number).unwrap();
        let at_device = self.world.devices[renewed].devices();
        assert!(at_device.contains(&(DeviceId(number), after)), "{at_device:?}");
        self.followed += 1;
        self.moved += usize::from(before != after);
    }
}

//! What the devices of a leaf claim, against what a thief can do: random runs.
//!
//! The thief has all keys of the leaf from before its last healing, and with every step he learns the epoch secrets
//! again; what he opens adds to his loot. Where a device claims that the epoch is secure, he must not follow; as
//! long as no commit from the tape has healed the leaf, he does.

use super::{LeafAdapter, LeafMember as _, LeafWorld, OfLeaf};
use crate::{
    EpochSecurity,
    conformance::{
        Content, Framing, Listener as _, Member as _, Thief as _, claims::Random, random::RandomRun,
    },
};

/// How many steps a run has.
const STEPS: usize = 20;

/// A run of its own for each of these numbers, with so many devices.
const RUNS: [(u64, usize, Framing); 4] = [
    (1, 2, Framing::Public),
    (2, 3, Framing::Public),
    (3, 2, Framing::Private),
    (4, 4, Framing::Private),
];

/// What the runs have come across.
#[derive(Debug, Default)]
struct Seen {
    healed: usize,
    kept_out: usize,
    followed: usize,
    came_back: usize,
    attempts: usize,
}

/// Whatever happens, the devices claim no more than is so.
pub fn the_devices_claim_no_more_than_is_so<A: LeafAdapter>(adapter: &A) {
    let mut seen = Seen::default();
    let all = RandomRun::each(&RUNS, "the_devices_claim_no_more_than_is_so", |of| {
        let suite = adapter.suites()[0];
        let world = LeafWorld::joined(adapter, suite, of.framing, of.devices).unwrap();
        let mut run =
            Run { random: Random(of.seed), thief: adapter.steal(&world.devices[0]), world };
        for n in 0..STEPS {
            println!("step {n}: {}", run.step(n, &mut seen));
        }
    });
    // The control: the runs have seen what they are about.
    if all {
        assert!(seen.healed > 10 && seen.kept_out > 10, "{seen:?}");
        assert!(seen.followed > 0 && seen.came_back > 2, "{seen:?}");
        assert!(seen.attempts > 100, "he has tried his keys: {seen:?}");
    }
}

struct Run<'a, A: LeafAdapter> {
    random: Random,
    world: LeafWorld<'a, A>,
    /// With all keys of before the last healing, and what he has opened since.
    thief: A::Thief,
}

impl<A: LeafAdapter> Run<'_, A> {
    /// Returns what was done.
    fn step(&mut self, n: usize, seen: &mut Seen) -> String {
        let devices = self.world.devices.len();
        let victim = self.random.below(devices);
        let mut full = self.world.adapter.steal(&self.world.devices[victim]);
        let device = &self.world.devices[victim];
        let mut leaked = self.world.adapter.second_leak(&self.thief, device);
        // Nothing heals at first, so that the thief is seen to follow.
        let kind = if n < 2 { 3 } else { self.random.below(6) };
        let actor = self.random.below(devices);
        let other = self.random.below(self.world.others.len());
        let (told, commit, heals) = match kind {
            0 | 1 => {
                let sent = self.world.devices[actor].commit(&Content::default()).unwrap();
                self.world.deliver(OfLeaf::Device(actor), &sent).unwrap();
                (format!("device {actor} commits"), sent.commit, true)
            }
            2 => {
                let commit = self.come_back(actor);
                seen.came_back += 1;
                (format!("device {actor} comes back from outside"), commit, true)
            }
            5 if self.world.others.len() < 5 => {
                let LeafWorld { adapter, suite, framing, .. } = self.world;
                let mut guest = adapter.guest(suite, framing, &format!("guest {n}"));
                let adds = vec![guest.key_package().unwrap()];
                let sent = self.world.others[other].commit(&Content { adds, removes: vec![] });
                let sent = sent.unwrap();
                self.world.deliver(OfLeaf::Other(other), &sent).unwrap();
                guest.join(&sent.welcome.unwrap()).unwrap();
                self.world.others.push(guest);
                (format!("member {other} adds a guest"), sent.commit, false)
            }
            _ => {
                let sent = self.world.others[other].commit(&Content::default()).unwrap();
                self.world.deliver(OfLeaf::Other(other), &sent).unwrap();
                (format!("member {other} commits"), sent.commit, false)
            }
        };
        self.world.assert_together();
        let witness = self.world.devices[victim].epoch_authenticator();
        let follows = |thief: &mut A::Thief| {
            thief.process(&commit).is_ok() && thief.epoch_authenticator() == witness
        };
        if heals {
            assert!(!follows(&mut full), "{told}, and the thief follows");
            self.thief = full;
            seen.healed += 1;
        } else {
            let followed = follows(&mut leaked);
            seen.attempts += leaked.attempts();
            for (n, device) in self.world.devices.iter().enumerate() {
                if matches!(device.security(), Some(EpochSecurity::Secure(_))) {
                    assert!(!followed, "{told}, device {n} says secure, and the thief follows");
                    seen.kept_out += 1;
                } else {
                    assert!(followed, "{told}, nothing has healed, and the thief is out");
                }
            }
            if followed {
                seen.followed += 1;
                self.thief = leaked;
            }
        }
        if heals {
            for device in &self.world.devices {
                assert!(matches!(device.security(), Some(EpochSecurity::Secure(_))), "{told}");
            }
        }
        told
    }

    /// A device has lost its state, and brings the leaf back.
    fn come_back(&mut self, actor: usize) -> Vec<u8> {
        let info = self.world.devices[actor].group_info().unwrap();
        let sent = self.world.devices[actor].rejoin(&info).unwrap();
        self.world.devices[actor].confirm_rejoin().unwrap();
        for n in (0..self.world.devices.len()).filter(|n| *n != actor) {
            self.world.devices[n].process(&sent.commit).unwrap();
        }
        self.world.others_hear(OfLeaf::Device(actor), &sent.commit).unwrap();
        sent.commit
    }
}

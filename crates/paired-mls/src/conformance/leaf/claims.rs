//! What the devices of a leaf claim, against what a thief can do: random runs.
//!
//! The thief has all keys of the leaf from before its last healing, and with every step he learns the epoch secrets
//! again; what he opens adds to his loot. Where a device claims that the epoch is secure, he must not follow; as
//! long as no commit from the tape has healed the leaf, he does. Now and then somebody acts in the leaf's name, with
//! its state and its signature key, and members take the leaf out and put it in again.

use super::{LeafAdapter, LeafMember as _, LeafWorld, OfLeaf, Use};
use crate::{
    EpochSecurity, Event,
    anchor::LeafIndex,
    conformance::{
        Content, Framing, Heard, Listener, Member as _, Signs, Thief as _, claims::Random,
        random::RandomRun,
    },
};

/// How many steps a run has.
const STEPS: usize = 24;

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
    removed: usize,
    returned: usize,
    impostors: usize,
    attempts: usize,
}

/// Whatever happens, the devices claim no more than is so.
pub fn the_devices_claim_no_more_than_is_so<A: LeafAdapter>(adapter: &A) {
    let mut seen = Seen::default();
    let all = RandomRun::each(&RUNS, "the_devices_claim_no_more_than_is_so", |of| {
        let suite = adapter.suites()[0];
        let world = LeafWorld::joined(adapter, suite, of.framing, of.devices).unwrap();
        let leaves = (0..world.others.len()).map(leaf).collect();
        let thief = adapter.steal(&world.devices[0]);
        let came_in = CameIn::Before;
        let mut run = Run { random: Random(of.seed), thief, world, leaves, came_in };
        for n in 0..STEPS {
            println!("step {n}: {}", run.step(n, &mut seen));
        }
    });
    // The control: the runs have seen what they are about.
    if all {
        assert!(seen.healed > 10 && seen.kept_out > 10, "{seen:?}");
        assert!(seen.followed > 0 && seen.came_back > 2, "{seen:?}");
        assert!(seen.removed > 2 && seen.returned > 2 && seen.impostors > 2, "{seen:?}");
        assert!(seen.attempts > 100, "he has tried his keys: {seen:?}");
    }
}

fn leaf(n: usize) -> LeafIndex {
    LeafIndex::new(u32::try_from(n).unwrap()).unwrap()
}

/// When the leaf has come into the group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CameIn {
    /// Before the thief's first look, or it was healed since.
    Before,
    /// After it, by a Welcome: the devices say that it is exposed, and the thief has none of its keys.
    After,
}

/// What a step has done for the leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    Heal,
    Nothing,
    /// It is in anew, by a Welcome.
    Return,
}

struct Run<'a, A: LeafAdapter> {
    random: Random,
    world: LeafWorld<'a, A>,
    /// Where the others are.
    leaves: Vec<LeafIndex>,
    came_in: CameIn,
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
        let kind = if n < 2 { 3 } else { self.random.below(10) };
        let actor = self.random.below(devices);
        let other = self.random.below(self.world.others.len());
        // The creator stays, since others come back by what it publishes, and so does somebody on another stock.
        let guest = self.random.below(self.world.others.len().saturating_sub(2)) + 2;
        let has_guest = guest < self.world.others.len();
        let (told, commits, did) = match kind {
            0 | 1 => {
                let commit = self.commits(OfLeaf::Device(actor), &Content::default());
                (format!("device {actor} commits"), vec![commit], Did::Heal)
            }
            2 => {
                let commit = self.come_back(actor);
                seen.came_back += 1;
                (format!("device {actor} comes back from outside"), vec![commit], Did::Heal)
            }
            5 if self.world.others.len() < 5 => {
                let commit = self.add_guest(other, n);
                (format!("member {other} adds a guest"), vec![commit], Did::Nothing)
            }
            6 if has_guest => {
                seen.removed += 1;
                let commit = self.remove_guest(OfLeaf::Other(0), guest);
                (format!("member 0 removes member {guest}"), vec![commit], Did::Nothing)
            }
            7 if has_guest => {
                seen.removed += 1;
                let commit = self.remove_guest(OfLeaf::Device(actor), guest);
                (format!("device {actor} removes member {guest}"), vec![commit], Did::Heal)
            }
            8 => {
                seen.returned += 1;
                let commits = self.leave_and_return(other);
                (format!("member {other} takes the leaf out and in"), commits, Did::Return)
            }
            9 => {
                seen.impostors += 1;
                let (told, commits) = self.impostor(victim, actor);
                (told, commits, Did::Heal)
            }
            _ => {
                let commit = self.commits(OfLeaf::Other(other), &Content::default());
                (format!("member {other} commits"), vec![commit], Did::Nothing)
            }
        };
        self.world.assert_together();
        let witness = self.world.devices[victim].epoch_authenticator();
        let follows = |thief: &mut A::Thief| {
            commits.iter().filter(|commit| thief.process(commit).is_ok()).count() > 0
                && thief.epoch_authenticator() == witness
        };
        match did {
            Did::Heal => {
                assert!(!follows(&mut full), "{told}, and the thief follows");
                self.thief = full;
                self.came_in = CameIn::Before;
                seen.healed += 1;
                for device in &self.world.devices {
                    assert!(matches!(device.security(), Some(EpochSecurity::Secure(_))), "{told}");
                }
            }
            Did::Return => {
                assert!(!follows(&mut full), "{told}, and the thief follows");
                self.thief = full;
                self.came_in = CameIn::After;
                for device in &self.world.devices {
                    assert_eq!(device.security(), Some(EpochSecurity::Exposed), "{told}");
                }
            }
            Did::Nothing => {
                let followed = follows(&mut leaked);
                seen.attempts += leaked.attempts();
                for (n, device) in self.world.devices.iter().enumerate() {
                    if matches!(device.security(), Some(EpochSecurity::Secure(_))) {
                        assert!(!followed, "{told}, device {n} says secure, and the thief follows");
                        seen.kept_out += 1;
                    } else if self.came_in == CameIn::Before {
                        assert!(followed, "{told}, nothing has healed, and the thief is out");
                    }
                }
                if followed {
                    seen.followed += 1;
                    self.thief = leaked;
                }
            }
        }
        told
    }

    /// Somebody commits, and everybody follows.
    fn commits(&mut self, by: OfLeaf, content: &Content) -> Vec<u8> {
        let sent = self.world.member(by).unwrap().commit(content).unwrap();
        self.world.deliver(by, &sent).unwrap();
        sent.commit
    }

    fn add_guest(&mut self, by: usize, n: usize) -> Vec<u8> {
        let LeafWorld { adapter, suite, framing, .. } = self.world;
        let mut guest = adapter.guest(suite, framing, &format!("guest {n}"));
        let adds = vec![guest.key_package().unwrap()];
        // MLS puts it on the leftmost blank leaf.
        let own = self.world.devices[0].own_leaf().unwrap();
        let free = (0..).map(leaf).find(|at| *at != own && !self.leaves.contains(at)).unwrap();
        let sent = self.world.others[by].commit(&Content { adds, removes: vec![] }).unwrap();
        self.world.deliver(OfLeaf::Other(by), &sent).unwrap();
        guest.join(&sent.welcome.unwrap()).unwrap();
        self.world.others.push(guest);
        self.leaves.push(free);
        sent.commit
    }

    fn remove_guest(&mut self, by: OfLeaf, guest: usize) -> Vec<u8> {
        self.world.others.remove(guest);
        let removes = vec![self.leaves.remove(guest)];
        self.commits(by, &Content { adds: vec![], removes })
    }

    /// A member takes the leaf out, and puts it in again by a KeyPackage from the tape.
    fn leave_and_return(&mut self, by: usize) -> Vec<Vec<u8>> {
        let removes = vec![self.world.devices[0].own_leaf().unwrap()];
        let removed = self.world.others[by].commit(&Content { adds: vec![], removes }).unwrap();
        self.world.others[by].confirm().unwrap();
        self.world.others_hear(OfLeaf::Other(by), &removed.commit).unwrap();
        for device in &mut self.world.devices {
            let heard = device.process(&removed.commit).unwrap();
            let Heard::Commit { events, .. } = heard else { panic!("a commit is a commit") };
            assert!(events.contains(&Event::Removed), "{events:?}");
        }
        let adds = vec![self.world.publish(Use::Once).unwrap()];
        let added = self.world.others[by].commit(&Content { adds, removes: vec![] }).unwrap();
        self.world.others[by].confirm().unwrap();
        self.world.others_hear(OfLeaf::Other(by), &added.commit).unwrap();
        let welcome = added.welcome.unwrap();
        self.world.devices.iter_mut().for_each(|device| device.join(&welcome).unwrap());
        vec![removed.commit, added.commit]
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

    /// Somebody acts in the leaf's name, with all that the victim has but its vault. A device answers, and he is out.
    fn impostor(&mut self, victim: usize, actor: usize) -> (String, Vec<Vec<u8>>) {
        let device = &self.world.devices[victim];
        let mut impostor = self.world.adapter.impersonate(device, Signs::Stolen);
        // MLS lets nobody read what is encrypted by its own leaf, so that its devices hear of no proposal.
        let proposes = self.world.framing == Framing::Public && self.random.below(2) == 0;
        let (told, commits) = if proposes {
            let proposal = impostor.propose_update().unwrap();
            for device in &mut self.world.devices {
                let heard = device.process(&proposal).unwrap();
                assert!(matches!(heard, Heard::Impostor { .. }), "{heard:?}");
                assert_eq!(device.security(), Some(EpochSecurity::Exposed));
            }
            self.world.others_hear(OfLeaf::Device(victim), &proposal).unwrap();
            let commit = self.commits(OfLeaf::Device(actor), &Content::default());
            (format!("an Update in the leaf's name, and device {actor} commits"), vec![commit])
        } else {
            let sent = impostor.commit(&Content::default()).unwrap();
            impostor.confirm().unwrap();
            for device in &mut self.world.devices {
                device.process(&sent.commit).unwrap_err();
            }
            self.world.others_hear(OfLeaf::Device(victim), &sent.commit).unwrap();
            let next = self.world.others[0].commit(&Content::default()).unwrap();
            self.world.others[0].confirm().unwrap();
            self.world.others_hear(OfLeaf::Other(0), &next.commit).unwrap();
            impostor.process(&next.commit).expect("the control: he is in");
            let info = next.group_info.unwrap();
            let back = self.world.devices[actor].rejoin(&info).unwrap();
            self.world.devices[actor].confirm_rejoin().unwrap();
            for n in (0..self.world.devices.len()).filter(|n| *n != actor) {
                self.world.devices[n].enter(&info, &back.commit).unwrap();
            }
            self.world.others_hear(OfLeaf::Device(actor), &back.commit).unwrap();
            let told = format!("a commit in the leaf's name, and device {actor} comes back");
            (told, vec![sent.commit, next.commit, back.commit])
        };
        let last = commits.last().unwrap();
        let now = self.world.devices[actor].epoch_authenticator();
        let follows = impostor.process(last).is_ok() && impostor.epoch_authenticator() == now;
        assert!(!follows, "{told}, and the impostor follows");
        (told, commits)
    }
}

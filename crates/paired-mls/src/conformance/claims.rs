//! What the security table claims, against what a thief can do: random runs.
//!
//! The table is computed from the tree alone. The thief has all keys of a device from before its last
//! healing, and with every step he learns the epoch secrets again; what he opens adds to his loot. Where
//! any device claims that the epoch is secure for another, he must not follow; where the device itself
//! says that it has just been weakened, he must.

use super::{
    Adapter, Framing, Heard, Listener, Member, PairedMember, Sent, Thief as _, Who, World,
    random::RandomRun,
};
use crate::{
    CipherSuite, DeviceId, EpochSecurity, Event, LeafKey,
    anchor::{Changes, LeafIndex},
    conformance::Content,
};

/// How many steps a run has.
const STEPS: usize = 24;

/// A run of its own for each of these numbers, with so many devices.
const RUNS: [(u64, usize, Framing); 4] = [
    (1, 3, Framing::Public),
    (2, 4, Framing::Public),
    (4, 4, Framing::Private),
    (6, 8, Framing::Public),
];

/// Whatever happens, the table claims no more than is so, and where it says that a device was weakened a
/// thief of it follows.
pub fn the_table_claims_no_more_than_is_so<A: Adapter>(adapter: &A) {
    let suite = adapter.suites()[0];
    let mut seen = Seen::default();
    let all = RandomRun::each(&RUNS, "the_table_claims_no_more_than_is_so", |of| {
        let mut run = Run::new(adapter, suite, of.framing, of.devices, of.seed);
        for n in 0..STEPS {
            println!("step {n}: {}", run.step(&mut seen));
        }
    });
    // The control: the runs have seen what they are about.
    if all {
        assert!(seen.healed > 10 && seen.kept_out > 10 && seen.weakened > 3, "{seen:?}");
        assert!(seen.renewed > 2 && seen.came_back > 2, "{seen:?}");
        assert!(seen.attempts > 1_000, "he has tried his keys: {seen:?}");
    }
}

/// With four devices, and the other two removed or moved away, a parent below the anchor is as stale as a
/// leaf: a commit that is sealed to it weakens both below it, and a thief with a second leak follows.
pub fn a_stale_parent_weakens<A: Adapter>(adapter: &A) {
    super::for_each(adapter, |suite, framing| {
        let mut world = World::paired(adapter, suite, framing, 4).unwrap();
        // Device 2 commits, so that the node above it and device 3 is not blank.
        for device in [2, 0] {
            world.update(Who::Device(device)).unwrap();
        }
        let first = adapter.steal(&world.devices[3]);
        world.update(Who::Device(0)).unwrap();
        let secure = Some(EpochSecurity::Secure(LeafKey::Stale));
        assert_eq!(world.devices[3].security(DeviceId(3)), secure);

        // Device 1 goes, and with it the anchor: the commit is sealed to the node above 2 and 3.
        let mut thief = adapter.second_leak(&first, &world.devices[3]);
        let removes = vec![world.leaf_of(1).unwrap()];
        let removed = world.devices.remove(1);
        let sent = world.stock[0].commit(&Content { adds: vec![], removes }).unwrap();
        world.deliver(Who::Stock(0), &sent).unwrap();
        drop(removed);
        assert!(thief.process(&sent.commit).is_ok(), "he has the key of the parent");
        assert_eq!(thief.epoch_authenticator(), world.devices[0].epoch_authenticator());
        for device in &world.devices {
            for weakened in [2, 3] {
                let security = device.security(DeviceId(weakened));
                assert_eq!(security, Some(EpochSecurity::Weakened), "{weakened}");
            }
        }
        let sent = world.devices[0].commit(&Content::default()).unwrap();
        world.deliver(Who::Device(0), &sent).unwrap();
        assert!(thief.process(&sent.commit).is_err(), "the next paired commit heals");
        assert_eq!(world.devices[1].security(DeviceId(3)), secure);
    });
}

/// What the runs have come across.
#[derive(Debug, Default)]
struct Seen {
    healed: usize,
    kept_out: usize,
    weakened: usize,
    /// Leaf refreshes.
    renewed: usize,
    /// Devices that came back from outside.
    came_back: usize,
    /// Pairs of a key and a ciphertext that were tried.
    attempts: usize,
}

/// One of the devices, and whoever has stolen its state.
struct Victim<A: Adapter> {
    device: A::Device,
    in_group: bool,
    /// With all keys of before the last healing, and what he has opened since.
    thief: Option<A::Thief>,
}

struct Run<'a, A: Adapter> {
    adapter: &'a A,
    random: Random,
    suite: CipherSuite,
    framing: Framing,
    pairing: crate::Pairing,
    devices: Vec<Victim<A>>,
    stock: Vec<Box<dyn Member>>,
    /// Members that were added on the way, and their leaves.
    guests: Vec<(LeafIndex, A::Device)>,
    names: usize,
    /// The last one that a commit has published.
    group_info: Option<Vec<u8>>,
}

/// What a step does.
enum Step<A: Adapter> {
    Update,
    AddGuest(A::Device),
    RemoveGuest(usize),
    RemoveDevice(usize),
    AddDevice(usize),
    /// A partner renews the leaf of this device.
    Refresh(usize),
    /// A device comes back from outside.
    Rejoin,
}

/// Who commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Device(usize),
    Stock(usize),
    Guest(usize),
}

impl<'a, A: Adapter> Run<'a, A> {
    fn new(
        adapter: &'a A,
        suite: CipherSuite,
        framing: Framing,
        devices: usize,
        seed: u64,
    ) -> Self {
        let world = World::paired(adapter, suite, framing, devices).unwrap();
        let pairing = world.pairing();
        let victim = |device| Victim { device, in_group: true, thief: None };
        Self {
            adapter,
            random: Random(seed),
            suite,
            framing,
            pairing,
            devices: world.devices.into_iter().map(victim).collect(),
            stock: world.stock,
            guests: Vec::new(),
            names: 0,
            group_info: Some(world.group_info),
        }
    }

    fn there(&self) -> Vec<usize> {
        (0..self.devices.len()).filter(|n| self.devices[*n].in_group).collect()
    }

    fn leaf_of(&self, device: usize) -> Option<LeafIndex> {
        let witness = self.there()[0];
        let seats = self.devices[witness].device.devices();
        let id = DeviceId(device as u16);
        Some(seats.into_iter().find(|seat| seat.0 == id)?.1)
    }

    fn member(&mut self, by: By) -> &mut dyn Member {
        match by {
            By::Device(n) => &mut self.devices[n].device,
            By::Stock(n) => &mut *self.stock[n],
            By::Guest(n) => &mut self.guests[n].1,
        }
    }

    /// Devices commit most of the time.
    fn choose(&mut self) -> (Step<A>, By) {
        let there = self.there();
        let others = self.stock.len() + self.guests.len();
        let mut by = match self.random.below(3) {
            0 | 1 => By::Device(there[self.random.below(there.len())]),
            _ => match self.random.below(others) {
                n if n < self.stock.len() => By::Stock(n),
                n => By::Guest(n - self.stock.len()),
            },
        };
        let away = (0..self.devices.len()).find(|n| !self.devices[*n].in_group);
        let kind = self.random.below(11);
        if let (8.., By::Device(actor)) = (kind, by) {
            let partners: Vec<_> = there.into_iter().filter(|n| *n != actor).collect();
            let partner = partners[self.random.below(partners.len())];
            let step = match (kind, &self.group_info) {
                (10, Some(_)) => Step::Rejoin,
                _ => Step::Refresh(partner),
            };
            return (step, by);
        }
        let step = match (kind, away) {
            (0, _) => {
                self.names += 1;
                let name = format!("guest {}", self.names);
                Step::AddGuest(self.adapter.device(self.suite, self.framing, &name))
            }
            (1 | 2, _) if !self.guests.is_empty() => {
                let guest = self.random.below(self.guests.len());
                if by == By::Guest(guest) {
                    by = By::Stock(0);
                }
                Step::RemoveGuest(guest)
            }
            // By somebody else: that heals nobody, and blanks what is above the device.
            (2 | 3, _) if there.len() > 2 => {
                by = By::Stock(self.random.below(self.stock.len()));
                Step::RemoveDevice(there[self.random.below(there.len())])
            }
            (4 | 5, Some(device)) => Step::AddDevice(device),
            _ => Step::Update,
        };
        (step, by)
    }

    /// Returns what was done.
    fn step(&mut self, seen: &mut Seen) -> String {
        let (mut step, by) = self.choose();
        let there = self.there();
        // What each thief could have at most, and what he has with a second leak.
        let before = there.iter().map(|n| {
            let Victim { device, thief, .. } = &self.devices[*n];
            let leaked = thief.as_ref().map(|first| self.adapter.second_leak(first, device));
            (*n, self.security(*n, *n), self.adapter.steal(device), leaked)
        });
        let before: Vec<_> = before.collect();

        let sent = self.make(&mut step, by);
        let told = format!("{by:?} {}", step.name());
        match step {
            Step::Refresh(_) => seen.renewed += 1,
            Step::Rejoin => seen.came_back += 1,
            _ => {}
        }
        let healed = self.deliver(step, by, &sent);
        self.group_info.clone_from(&sent.group_info);
        let after = self.there();
        let witness = self.devices[after[0]].device.epoch_authenticator();
        let follows = |thief: &mut A::Thief| {
            thief.process(&sent.commit).is_ok() && thief.epoch_authenticator() == witness
        };
        for (n, before, mut full, leaked) in before {
            if !after.contains(&n) {
                continue;
            }
            if by == By::Device(n) || healed.contains(&n) {
                assert!(!follows(&mut full), "{by:?} has healed device {n}, whose thief follows");
                self.devices[n].thief = Some(full);
                seen.healed += 1;
                continue;
            }
            let Some(mut leaked) = leaked else { continue };
            let followed = follows(&mut leaked);
            seen.attempts += leaked.attempts();
            for view in &after {
                if matches!(self.security(*view, n), EpochSecurity::Secure(_)) {
                    assert!(!followed, "device {view} says that {n} is secure, after {by:?}");
                    seen.kept_out += 1;
                }
            }
            let now = self.security(n, n);
            if matches!(before, EpochSecurity::Secure(_)) && now == EpochSecurity::Weakened {
                assert!(followed, "device {n} says that it is weakened, after {by:?}");
                seen.weakened += 1;
            }
            if followed {
                self.devices[n].thief = Some(leaked);
            }
        }
        told
    }

    /// Makes the commit. A refresh that the tree does not allow is an update.
    fn make(&mut self, step: &mut Step<A>, by: By) -> Sent {
        match (&*step, by) {
            (Step::Refresh(partner), By::Device(actor)) => {
                let id = self.pairing.id;
                let package = self.devices[*partner].device.publish(id).unwrap();
                if let Ok(sent) = self.devices[actor].device.refresh(&package) {
                    return sent;
                }
                *step = Step::Update;
            }
            (Step::Rejoin, By::Device(actor)) => {
                let info = self.group_info.clone().unwrap();
                return self.devices[actor].device.rejoin(&info).unwrap();
            }
            _ => {}
        }
        let content = self.content(step);
        self.member(by).commit(&content).unwrap()
    }

    fn content(&mut self, step: &mut Step<A>) -> Content {
        let removed = |leaf| Content { removes: vec![leaf], ..Content::default() };
        let added = |package| Content { adds: vec![package], ..Content::default() };
        match step {
            Step::Update | Step::Refresh(_) | Step::Rejoin => Content::default(),
            Step::AddGuest(guest) => added(guest.key_package().unwrap()),
            Step::RemoveGuest(guest) => removed(self.guests[*guest].0),
            Step::RemoveDevice(device) => removed(self.leaf_of(*device).unwrap()),
            Step::AddDevice(device) => added(self.devices[*device].device.key_package().unwrap()),
        }
    }

    fn security(&self, view: usize, of: usize) -> EpochSecurity {
        self.devices[view].device.security(DeviceId(of as u16)).unwrap()
    }

    /// Everybody follows. Returns the devices that say that they were healed.
    fn deliver(&mut self, step: Step<A>, by: By, sent: &Sent) -> Vec<usize> {
        let tree = self.devices[self.there()[0]].device.tree().unwrap();
        if !matches!(step, Step::Rejoin) {
            self.member(by).confirm().unwrap();
        }
        let mut healed = Vec::new();
        for n in self.there().into_iter().filter(|n| by != By::Device(*n)) {
            if matches!(step, Step::Refresh(partner) if partner == n) {
                let welcome = sent.refresh.as_ref().unwrap();
                self.devices[n].device.process_refresh(&sent.commit, welcome).unwrap();
                healed.push(n);
                continue;
            }
            let Heard::Commit { events, .. } =
                self.devices[n].device.process(&sent.commit).unwrap()
            else {
                panic!("a commit is a commit");
            };
            let own = DeviceId(n as u16);
            let is_own = |event: &Event| matches!(event, Event::Healed { devices, .. } if devices.contains(&own));
            if events.iter().any(is_own) {
                healed.push(n);
            }
        }
        for n in (0..self.stock.len()).filter(|n| by != By::Stock(*n)) {
            self.stock[n].process(&sent.commit).unwrap();
        }
        for n in (0..self.guests.len()).filter(|n| by != By::Guest(*n)) {
            self.guests[n].1.process(&sent.commit).unwrap();
        }
        match step {
            Step::Update | Step::Refresh(_) | Step::Rejoin => {}
            Step::AddGuest(mut guest) => {
                guest.join(sent.welcome.as_ref().unwrap()).unwrap();
                let adds = Changes { adds: 1, ..Changes::default() };
                let leaf = tree.after(&adds).unwrap().added()[0];
                self.guests.push((leaf, guest));
            }
            Step::RemoveGuest(guest) => drop(self.guests.remove(guest)),
            Step::RemoveDevice(device) => {
                self.devices[device].in_group = false;
                self.devices[device].thief = None;
            }
            Step::AddDevice(device) => {
                let welcomed = &mut self.devices[device];
                welcomed.device.join(sent.welcome.as_ref().unwrap()).unwrap();
                welcomed.device.pair(&self.pairing).unwrap();
                welcomed.in_group = true;
            }
        }
        self.assert_together();
        healed
    }

    fn assert_together(&self) {
        let devices = self.devices.iter().filter(|victim| victim.in_group);
        let devices = devices.map(|victim| victim.device.epoch_authenticator());
        let guests = self.guests.iter().map(|(_, guest)| guest.epoch_authenticator());
        let stock = self.stock.iter().map(|member| member.epoch_authenticator());
        let all: Vec<_> = devices.chain(guests).chain(stock).collect();
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

impl<A: Adapter> Step<A> {
    fn name(&self) -> String {
        match self {
            Self::Update => "updates".to_owned(),
            Self::AddGuest(_) => "adds a guest".to_owned(),
            Self::RemoveGuest(n) => format!("removes guest {n}"),
            Self::RemoveDevice(n) => format!("removes device {n}"),
            Self::AddDevice(n) => format!("adds device {n}"),
            Self::Refresh(n) => format!("renews the leaf of device {n}"),
            Self::Rejoin => "comes back from outside".to_owned(),
        }
    }
}

/// A stream of numbers that a seed gives, and nothing else (xorshift64*).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap() % bound.max(1)
    }
}

//! A group and its delivery service, in one process.

use super::adapter::{
    Adapter, Content, Framing, Heard, Listener, Member, PairedMember, Refused, Sent,
};
use crate::{CipherSuite, DeviceId, Event, Pairing, PairingId, Secret, Seed, anchor::LeafIndex};

/// The devices of one pairing, from device 0, then strangers: in the order of their leaves.
pub struct World<'a, A: Adapter> {
    /// The adapter under test.
    pub adapter: &'a A,
    /// The cipher suite.
    pub suite: CipherSuite,
    /// The framing of handshake messages.
    pub framing: Framing,
    /// The devices of the pairing.
    pub devices: Vec<A::Device>,
    /// Members on stock implementations.
    pub stock: Vec<Box<dyn Member>>,
    /// The last GroupInfo that a commit published.
    pub group_info: Vec<u8>,
}

/// The pairing of all devices.
pub(super) const PAIRING: PairingId = PairingId([7; 16]);

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// A device of the pairing, by its number.
    Device(usize),
    /// A stock member, by its number.
    Stock(usize),
}

/// What a commit led to at one device.
pub type EventsOf = Vec<Vec<Event>>;

impl<'a, A: Adapter> World<'a, A> {
    /// A group of `devices` devices under a subtree of their own, and all stock members. Nobody is
    /// paired yet.
    pub fn unpaired(
        adapter: &'a A,
        suite: CipherSuite,
        framing: Framing,
        devices: usize,
    ) -> Result<Self, Refused> {
        let mut world = Self {
            adapter,
            suite,
            framing,
            devices: (0..devices)
                .map(|n| adapter.device(suite, framing, &format!("device {n}")))
                .collect(),
            stock: adapter.stock(suite, framing),
            group_info: Vec::new(),
        };
        let [first, others @ ..] = world.devices.as_mut_slice() else {
            return Err("a world needs a device".into());
        };
        first.create(b"conformance")?;
        let mut adds = Vec::new();
        for member in others.iter_mut() {
            adds.push(member.key_package()?);
        }
        // The subtree of the devices is filled up, and the fillers leave again.
        let fillers: Vec<_> = (devices..devices.next_power_of_two())
            .filter_map(|n| LeafIndex::new(u32::try_from(n).ok()?))
            .collect();
        for leaf in &fillers {
            let name = format!("filler at {leaf}");
            adds.push(adapter.device(suite, framing, &name).key_package()?);
        }
        for member in &mut world.stock {
            adds.push(member.key_package()?);
        }
        let sent = first.commit(&Content { adds, ..Content::default() })?;
        first.confirm()?;
        world.group_info = sent.group_info.clone().unwrap_or_default();
        let welcome = sent.welcome.ok_or("the commit that adds has no Welcome")?;
        for member in others.iter_mut() {
            member.join(&welcome)?;
        }
        for member in &mut world.stock {
            member.join(&welcome)?;
        }
        if !fillers.is_empty() {
            world.commit(Who::Device(0), &Content { adds: Vec::new(), removes: fillers })?;
        }
        world.assert_together();
        Ok(world)
    }

    /// The same, with the devices paired, and a populated tree: everybody has committed once.
    pub fn paired(
        adapter: &'a A,
        suite: CipherSuite,
        framing: Framing,
        devices: usize,
    ) -> Result<Self, Refused> {
        let mut world = Self::unpaired(adapter, suite, framing, devices)?;
        world.pair()?;
        for n in 0..world.stock.len() {
            world.update(Who::Stock(n))?;
        }
        Ok(world)
    }

    /// Gives all devices the same tape, and pairs them in the group.
    pub fn pair(&mut self) -> Result<Pairing, Refused> {
        let pairing = self.pairing();
        for (device, own) in self.devices.iter_mut().zip((0..).map(DeviceId)) {
            let seed = Secret::new(vec![0x5e; self.suite.kdf_len()]);
            pairing.install(device.vault(), self.suite, Seed::new(self.suite, seed)?, own)?;
            device.pair(&pairing)?;
        }
        Ok(pairing)
    }

    /// The pairing of all devices.
    pub fn pairing(&self) -> Pairing {
        let keys = self.devices.iter().map(PairedMember::signature_key);
        Pairing::new(PAIRING, keys)
    }

    /// A member commits with nothing but a path, and everybody follows.
    pub fn update(&mut self, who: Who) -> Result<EventsOf, Refused> {
        self.commit(who, &Content::default())
    }

    /// A member commits, the delivery service accepts, everybody follows and is in the same epoch.
    ///
    /// Returns the events at each device.
    pub fn commit(&mut self, who: Who, content: &Content) -> Result<EventsOf, Refused> {
        let sent = self.member(who)?.commit(content)?;
        self.deliver(who, &sent)
    }

    /// The delivery service accepts `sent`, and everybody follows.
    pub fn deliver(&mut self, from: Who, sent: &Sent) -> Result<EventsOf, Refused> {
        let own = self.member(from)?.confirm()?;
        let events = self.everybody_hears(from, own, &sent.commit)?;
        self.group_info = sent.group_info.clone().unwrap_or_default();
        self.assert_together();
        Ok(events)
    }

    fn everybody_hears(
        &mut self,
        from: Who,
        own: Vec<Event>,
        commit: &[u8],
    ) -> Result<EventsOf, Refused> {
        let mut events = Vec::new();
        for (n, device) in self.devices.iter_mut().enumerate() {
            if from == Who::Device(n) {
                events.push(own.clone());
                continue;
            }
            match device.process(commit)? {
                Heard::Commit { events: heard, .. } => events.push(heard),
                other => return Err(format!("device {n} heard {other:?}").into()),
            }
        }
        for (n, member) in self.stock.iter_mut().enumerate() {
            if from != Who::Stock(n) {
                member.process(commit)?;
            }
        }
        Ok(events)
    }

    /// An application message goes from one member to all others.
    pub fn talk(&mut self, from: Who) -> Result<Vec<u8>, Refused> {
        let said = format!("{from:?} in epoch {}", self.member(from)?.epoch()).into_bytes();
        let message = self.member(from)?.send(&said)?;
        let heard = Heard::Application(said);
        for (n, device) in self.devices.iter_mut().enumerate() {
            if from != Who::Device(n) {
                assert_eq!(device.process(&message)?, heard, "device {n}");
            }
        }
        for (n, member) in self.stock.iter_mut().enumerate() {
            if from != Who::Stock(n) {
                assert_eq!(member.process(&message)?, heard, "stock member {n}");
            }
        }
        Ok(message)
    }

    /// The member who acts.
    pub fn member(&mut self, who: Who) -> Result<&mut dyn Member, Refused> {
        match who {
            Who::Device(n) => {
                let device = self.devices.get_mut(n).ok_or("no such device")?;
                Ok(device)
            }
            Who::Stock(n) => Ok(self.stock.get_mut(n).ok_or("no such stock member")?.as_mut()),
        }
    }

    /// The leaf of a device.
    pub fn leaf_of(&self, device: u16) -> Result<LeafIndex, Refused> {
        let devices = self.devices.first().ok_or("a world needs a device")?.devices();
        let seat = devices.iter().find(|seat| seat.0 == DeviceId(device));
        Ok(seat.ok_or("the device is not in the group")?.1)
    }

    /// Fails unless everybody is in the same epoch with the same authenticator.
    pub fn assert_together(&self) {
        let mut all = Vec::new();
        for (n, device) in self.devices.iter().enumerate() {
            all.push((format!("device {n}"), device.epoch(), device.epoch_authenticator()));
        }
        for (n, member) in self.stock.iter().enumerate() {
            all.push((format!("stock member {n}"), member.epoch(), member.epoch_authenticator()));
        }
        for pair in all.windows(2) {
            let [(left, epoch, tag), (right, other_epoch, other_tag)] = pair else {
                continue;
            };
            assert_eq!((epoch, tag), (other_epoch, other_tag), "{left} and {right} differ");
        }
    }
}

//! A group in which several devices share a leaf, and its delivery service, in one process.

use super::{LeafAdapter, LeafMember, adapter::Use};
use crate::{
    CipherSuite, DeviceId, Event, Pairing, PairingId, Secret, Seed,
    conformance::{Content, EventsOf, Framing, Heard, Listener as _, Member, Refused, Sent},
};

/// The devices of one leaf, and other members.
pub struct LeafWorld<'a, A: LeafAdapter> {
    /// The adapter under test.
    pub adapter: &'a A,
    /// The cipher suite.
    pub suite: CipherSuite,
    /// The framing of handshake messages.
    pub framing: Framing,
    /// The devices of the leaf.
    pub devices: Vec<A::Device>,
    /// The other members. The first has created the group.
    pub others: Vec<Box<dyn Member>>,
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfLeaf {
    /// A device of the leaf, by its number.
    Device(usize),
    /// Another member, by its number.
    Other(usize),
}

/// The pairing of all devices.
pub(super) const PAIRING: PairingId = PairingId([9; 16]);

impl<'a, A: LeafAdapter> LeafWorld<'a, A> {
    /// Devices that share a tape, and nobody in a group.
    pub fn apart(
        adapter: &'a A,
        suite: CipherSuite,
        framing: Framing,
        devices: usize,
    ) -> Result<Self, Refused> {
        let mut world = Self {
            adapter,
            suite,
            framing,
            devices: adapter.devices(suite, framing, devices),
            others: adapter.others(suite, framing),
        };
        let pairing = Pairing::new(PAIRING, vec![Vec::new(); devices]);
        for (device, own) in world.devices.iter_mut().zip((0..).map(DeviceId)) {
            let seed = Secret::new(vec![0x1e; suite.kdf_len()]);
            pairing.install(device.vault(), suite, Seed::new(suite, seed)?, own)?;
            device.share(PAIRING);
        }
        Ok(world)
    }

    /// A group of everybody, in which everybody but the devices has committed once.
    pub fn joined(
        adapter: &'a A,
        suite: CipherSuite,
        framing: Framing,
        devices: usize,
    ) -> Result<Self, Refused> {
        let mut world = Self::apart(adapter, suite, framing, devices)?;
        world.join(b"conformance")?;
        for n in 0..world.others.len() {
            world.update(OfLeaf::Other(n))?;
        }
        Ok(world)
    }

    /// The first of the others creates a group and adds everybody.
    pub fn join(&mut self, group_id: &[u8]) -> Result<(), Refused> {
        let key_package = self.publish(Use::Once)?;
        self.join_with(group_id, key_package)
    }

    /// The first device makes a KeyPackage, and the others adopt it.
    pub fn publish(&mut self, usage: Use) -> Result<Vec<u8>, Refused> {
        let [first, others @ ..] = self.devices.as_mut_slice() else {
            return Err("a world needs a device".into());
        };
        let key_package = first.publish(usage)?;
        for device in others {
            device.adopt(&key_package)?;
        }
        Ok(key_package)
    }

    /// The same as [`Self::join`], with a KeyPackage of the leaf.
    pub fn join_with(&mut self, group_id: &[u8], key_package: Vec<u8>) -> Result<(), Refused> {
        let [creator, others @ ..] = self.others.as_mut_slice() else {
            return Err("a world needs other members".into());
        };
        creator.create(group_id)?;
        let mut adds = Vec::new();
        for member in others.iter_mut() {
            adds.push(member.key_package()?);
        }
        adds.push(key_package);
        let sent = creator.commit(&Content { adds, ..Content::default() })?;
        creator.confirm()?;
        let welcome = sent.welcome.ok_or("the commit that adds has no Welcome")?;
        for member in others {
            member.join(&welcome)?;
        }
        for device in &mut self.devices {
            device.join(&welcome)?;
        }
        self.assert_together();
        Ok(())
    }

    /// A member commits with nothing but a path, and everybody follows.
    pub fn update(&mut self, who: OfLeaf) -> Result<EventsOf, Refused> {
        self.commit(who, &Content::default())
    }

    /// A member commits, the delivery service accepts, and everybody follows.
    ///
    /// Returns the events at each device.
    pub fn commit(&mut self, who: OfLeaf, content: &Content) -> Result<EventsOf, Refused> {
        let sent = self.member(who)?.commit(content)?;
        self.deliver(who, &sent)
    }

    /// The delivery service accepts `sent`, and everybody follows.
    pub fn deliver(&mut self, from: OfLeaf, sent: &Sent) -> Result<EventsOf, Refused> {
        self.announce(from, sent)?;
        self.deliver_commit(from, sent)
    }

    /// The Notify arrives.
    pub fn announce(&mut self, from: OfLeaf, sent: &Sent) -> Result<(), Refused> {
        let Some(notify) = &sent.notify else {
            return Ok(());
        };
        for (n, device) in self.devices.iter_mut().enumerate() {
            if from != OfLeaf::Device(n) {
                assert_eq!(device.process(notify)?, Heard::Announced, "device {n}");
            }
        }
        Ok(())
    }

    /// The commit arrives, without its Notify.
    pub fn deliver_commit(&mut self, from: OfLeaf, sent: &Sent) -> Result<EventsOf, Refused> {
        let own = self.member(from)?.confirm()?;
        let mut events: EventsOf = Vec::new();
        for (n, device) in self.devices.iter_mut().enumerate() {
            if from == OfLeaf::Device(n) {
                events.push(own.clone());
                continue;
            }
            match device.process(&sent.commit)? {
                Heard::Commit { events: heard, .. } => events.push(heard),
                other => return Err(format!("device {n} heard {other:?}").into()),
            }
        }
        self.others_hear(from, &sent.commit)?;
        self.assert_together();
        Ok(events)
    }

    /// All other members but `from` process a message.
    pub fn others_hear(&mut self, from: OfLeaf, message: &[u8]) -> Result<(), Refused> {
        for (n, member) in self.others.iter_mut().enumerate() {
            if from != OfLeaf::Other(n) {
                member.process(message)?;
            }
        }
        Ok(())
    }

    /// A proposal arrives at everybody else.
    pub fn propose(&mut self, from: OfLeaf, proposal: &[u8]) -> Result<(), Refused> {
        for (n, device) in self.devices.iter_mut().enumerate() {
            if from != OfLeaf::Device(n) {
                assert_eq!(device.process(proposal)?, Heard::Proposal, "device {n}");
            }
        }
        self.others_hear(from, proposal)
    }

    /// An application message goes from one member to all others; from a device of the leaf to all
    /// other members.
    pub fn talk(&mut self, from: OfLeaf) -> Result<Vec<u8>, Refused> {
        let said = format!("{from:?} in epoch {}", self.member(from)?.epoch()).into_bytes();
        let message = self.member(from)?.send(&said)?;
        let heard = Heard::Application(said);
        for (n, device) in self.devices.iter_mut().enumerate() {
            match from {
                OfLeaf::Device(own) if own == n => {}
                OfLeaf::Device(_) => assert_eq!(device.process(&message)?, Heard::Own),
                OfLeaf::Other(_) => assert_eq!(device.process(&message)?, heard, "device {n}"),
            }
        }
        for (n, member) in self.others.iter_mut().enumerate() {
            if from != OfLeaf::Other(n) {
                assert_eq!(member.process(&message)?, heard, "member {n}");
            }
        }
        Ok(message)
    }

    /// The member who acts.
    pub fn member(&mut self, who: OfLeaf) -> Result<&mut dyn Member, Refused> {
        match who {
            OfLeaf::Device(n) => {
                let device = self.devices.get_mut(n).ok_or("no such device")?;
                Ok(device)
            }
            OfLeaf::Other(n) => Ok(self.others.get_mut(n).ok_or("no such member")?.as_mut()),
        }
    }

    /// Fails unless everybody is in the same epoch with the same authenticator.
    pub fn assert_together(&self) {
        let devices = self.devices.iter().enumerate();
        let devices =
            devices.map(|(n, device)| (format!("device {n}"), device.epoch_authenticator()));
        let others = self.others.iter().enumerate();
        let others =
            others.map(|(n, member)| (format!("member {n}"), member.epoch_authenticator()));
        let all: Vec<_> = devices.chain(others).collect();
        for pair in all.windows(2) {
            let [(left, tag), (right, other_tag)] = pair else {
                continue;
            };
            assert_eq!(tag, other_tag, "{left} and {right} are in different epochs");
        }
    }
}

/// Whether a commit healed the whole leaf, in the eyes of a device.
pub(super) fn healed_by(events: &[Event], device: u16) -> bool {
    events.iter().any(|event| matches!(event, Event::Healed { by, .. } if *by == DeviceId(device)))
}

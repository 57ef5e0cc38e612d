//! A beacon, a log, a link and a listener.

use std::{
    convert::Infallible,
    num::NonZeroU32,
    time::{Duration, SystemTime},
};

use ed25519_dalek::{Signer as _, SigningKey};
use paired_mls_api::{EntryKind, GroupId, LogChain, LogEntry, SignatureScheme};
use paired_mls_feed::{
    BeaconKey, BeaconSigner, Carousel, Framing, Limits, LogObject, Next, Object, Plan, Received,
    Receiver, Shelf, ShelfLimits, Start,
};

/// Numbers that look random and are always the same.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

pub(crate) struct Beacon(SigningKey, BeaconKey);

impl Beacon {
    pub(crate) fn new(name: u8) -> Self {
        let key = SigningKey::from_bytes(&[name; 32]);
        let public = key.verifying_key();
        let public = BeaconKey::new(SignatureScheme::Ed25519, public.as_bytes()).unwrap();
        Self(key, public)
    }
}

impl BeaconSigner for Beacon {
    type Error = Infallible;

    fn key(&self) -> &BeaconKey {
        &self.1
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Infallible> {
        Ok(self.0.sign(message).to_bytes().to_vec())
    }
}

pub(crate) fn beacon_key(name: u8) -> BeaconKey {
    Beacon::new(name).1
}

pub(crate) fn group(name: u8) -> GroupId {
    GroupId::new([name; 16]).unwrap()
}

/// The log of a group.
pub(crate) struct Log {
    pub(crate) group: GroupId,
    pub(crate) head: u64,
    pub(crate) epoch: u64,
    pub(crate) chain: LogChain,
    random: Random,
}

impl Log {
    pub(crate) fn new(name: u8) -> Self {
        let group = group(name);
        let chain = LogChain::start(&group);
        Self { group, head: 0, epoch: 0, chain, random: Random::new(name.into()) }
    }

    /// A log that goes on from here in another way.
    pub(crate) fn fork(&self, seed: u64) -> Self {
        let Self { group, head, epoch, chain, .. } = self;
        let random = Random::new(seed);
        Self { group: group.clone(), head: *head, epoch: *epoch, chain: *chain, random }
    }

    pub(crate) fn append(&mut self, kind: EntryKind, length: usize) -> LogObject {
        let before = self.chain;
        self.head += 1;
        let message = self.random.bytes(length).into();
        let (position, epoch) = (self.head, self.epoch);
        let mut entry = LogEntry { position, epoch, kind, message, chain: before };
        entry.chain = before.and_entry(&entry);
        self.chain = entry.chain;
        if kind == EntryKind::Commit {
            self.epoch += 1;
        }
        LogObject::new(self.group.clone(), before, entry).unwrap()
    }

    /// Commits of several lengths, with messages between them.
    pub(crate) fn entries(&mut self, count: usize) -> Vec<LogObject> {
        let one = |n: usize| match n % 3 {
            0 => self.append(EntryKind::Commit, 700 + n % 7 * 300),
            _ => self.append(EntryKind::Application, 60 + n % 5 * 50),
        };
        (0..count).map(one).collect()
    }
}

pub(crate) fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

pub(crate) fn rate(bits: u32) -> NonZeroU32 {
    NonZeroU32::new(bits).unwrap()
}

pub(crate) fn plan(framing: Framing) -> Plan {
    let plan = match framing {
        Framing::Narrow => Plan::narrow(rate(9600)),
        Framing::Flute => Plan { packet: 300, ..Plan::flute(rate(64_000)) },
    };
    Plan { close_after: Duration::from_secs(5), last_pause: Duration::from_secs(600), ..plan }
}

pub(crate) const FRAMINGS: [Framing; 2] = [Framing::Narrow, Framing::Flute];

pub(crate) fn carousel(name: u8, framing: Framing) -> Carousel<Beacon> {
    Carousel::new(Beacon::new(name), plan(framing), 1)
}

/// Offers the objects at `now`.
pub(crate) fn offer(carousel: &mut Carousel<Beacon>, objects: &[LogObject], now: SystemTime) {
    for object in objects {
        carousel.offer(Object::Log(object.clone()), now).unwrap();
    }
}

/// Lets the carousel turn from `now` until `until`.
pub(crate) fn turn(
    carousel: &mut Carousel<Beacon>,
    mut now: SystemTime,
    until: SystemTime,
    mut send: impl FnMut(&[u8], SystemTime),
) {
    while now < until {
        match carousel.next(now).unwrap() {
            Next::Packet(packet) => send(&packet, now),
            Next::Wait(time) => {
                assert!(time > now);
                now = time;
            }
            Next::Idle => return,
        }
    }
}

/// The packets of so many seconds.
pub(crate) fn record(
    carousel: &mut Carousel<Beacon>,
    now: SystemTime,
    seconds: u64,
) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let until = now + Duration::from_secs(seconds);
    turn(carousel, now, until, |packet, _| packets.push(packet.to_vec()));
    packets
}

/// A listener: what it has read is stored, all else is lost when it is killed.
pub(crate) struct Listener {
    pub(crate) receiver: Receiver,
    pub(crate) shelf: Shelf,
    framing: Framing,
    beacons: Vec<BeaconKey>,
    pub(crate) read: Vec<(GroupId, LogEntry)>,
}

impl Listener {
    pub(crate) fn new(framing: Framing, beacons: &[u8], groups: &[u8]) -> Self {
        let beacons: Vec<_> = beacons.iter().map(|name| beacon_key(*name)).collect();
        let receiver = Receiver::new(framing, beacons.clone(), Limits::default());
        let mut shelf = Shelf::new(ShelfLimits::default());
        for name in groups {
            shelf.read(group(*name), Start::After(0, LogChain::start(&group(*name))));
        }
        Self { receiver, shelf, framing, beacons, read: Vec::new() }
    }

    pub(crate) fn hear(&mut self, packet: &[u8], now: SystemTime) {
        if let Received::Bundle(bundle) = self.receiver.push(packet, now) {
            for object in bundle.objects {
                if let Object::Log(object) = object {
                    self.shelf.put(object);
                }
            }
            while let Some(next) = self.shelf.take() {
                self.read.push(next);
            }
        }
    }

    /// Killed, and started again with what it has stored.
    pub(crate) fn restart(&mut self, groups: &[u8]) {
        let receiver = Receiver::new(self.framing, self.beacons.clone(), Limits::default());
        self.receiver = receiver;
        self.shelf = Shelf::new(ShelfLimits::default());
        for name in groups {
            let group = group(*name);
            let last = self.read.iter().rev().find(|(of, _)| *of == group);
            let (position, chain) = last.map_or_else(
                || (0, LogChain::start(&group)),
                |(_, entry)| (entry.position, entry.chain),
            );
            self.shelf.read(group, Start::After(position, chain));
        }
    }

    /// It has read exactly these entries of a log, in their order.
    #[track_caller]
    pub(crate) fn has_read(&self, objects: &[LogObject]) {
        let group = objects[0].group();
        let read: Vec<_> = self.read.iter().filter(|(of, _)| of == group).collect();
        let positions: Vec<_> = read.iter().map(|(_, entry)| entry.position).collect();
        let expected: Vec<_> = objects.iter().map(|object| object.entry().position).collect();
        assert_eq!(positions, expected);
        assert!(read.iter().zip(objects).all(|((_, entry), object)| entry == object.entry()));
    }
}

//! The receiver: from packets to bundles that a beacon has signed.

use std::time::SystemTime;

use crate::{
    BeaconKey, Bundle, BundleError, Framing, Limits, flute,
    packet::Packet,
    partial::{Came, PartId, Partials},
};

/// What a receiver has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets in all.
    pub packets: u64,
    /// … that are of no feed that is listened to, or damaged. They cost a hash or less, and nothing is kept.
    pub foreign: u64,
    /// … of a bundle or symbol that was known.
    pub repeated: u64,
    /// … of the feed that say nothing of a bundle: file delivery tables.
    pub tables: u64,
    /// … that had the form of the feed and cannot be used.
    pub malformed: u64,
    /// Bundles received.
    pub bundles: u64,
    /// Bundles that came whole, and that no beacon has signed, or that cannot be read.
    pub refused: u64,
    /// Bundles whose symbols did not fit one another: one was forged, or damaged unnoticed.
    pub poisoned: u64,
    /// Bundles that were given up before they were whole, for want of room or time.
    pub given_up: u64,
}

/// What came of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// Nothing yet.
    Nothing,
    /// A bundle of a beacon that is listened to.
    Bundle(Bundle),
    /// A bundle that is refused: of a beacon that is not listened to, forged, or unreadable.
    Refused(BundleError),
}

/// Puts bundles together from the packets of one or several feeds. It sends nothing, keeps a bounded part of what
/// it hears, and does no I/O.
pub struct Receiver {
    framing: Framing,
    beacons: Vec<BeaconKey>,
    partials: Partials,
    counts: Counts,
}

impl Receiver {
    /// Listens to the feeds of these beacons.
    pub fn new(framing: Framing, beacons: Vec<BeaconKey>, limits: Limits) -> Self {
        Self { framing, beacons, partials: Partials::new(limits), counts: Counts::default() }
    }

    /// Takes a packet, at `now`. Packets come in any order, any number of times, and from anybody.
    pub fn push(&mut self, packet: &[u8], now: SystemTime) -> Received {
        self.counts.packets += 1;
        let found = match self.framing {
            Framing::Narrow => self.narrow(packet),
            Framing::Flute => self.flute(packet),
        };
        let Some((id, symbol, data)) = found else { return Received::Nothing };
        let came = self.partials.push(id, symbol, data, now);
        self.counts.given_up = self.partials.given_up;
        match came {
            Came::New => Received::Nothing,
            Came::Known => {
                self.counts.repeated += 1;
                Received::Nothing
            }
            Came::Poisoned => {
                self.counts.poisoned += 1;
                Received::Nothing
            }
            Came::Complete(bytes) => self.open(id, &bytes),
        }
    }

    /// Gives up the bundles that nothing has come of for too long.
    pub fn expire(&mut self, now: SystemTime) {
        self.partials.expire(now);
        self.counts.given_up = self.partials.given_up;
    }

    /// What was seen.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many bundles are being received, and how many bytes their symbols take.
    pub fn held(&self) -> (usize, usize) {
        (self.partials.count(), self.partials.bytes())
    }

    fn open(&mut self, id: PartId, bytes: &[u8]) -> Received {
        match Bundle::open(bytes, &self.beacons) {
            Ok(bundle) => {
                self.partials.know(id);
                self.counts.bundles += 1;
                Received::Bundle(bundle)
            }
            Err(error) => {
                self.counts.refused += 1;
                Received::Refused(error)
            }
        }
    }

    fn narrow<'a>(&mut self, bytes: &'a [u8]) -> Option<(PartId, u16, &'a [u8])> {
        let mut beacons = self.beacons.iter().enumerate();
        let found = beacons.find_map(|(feed, beacon)| {
            Packet::decode(bytes, beacon.device()).ok().map(|packet| (feed, packet))
        });
        let Some((feed, Packet { bundle, cut, symbol, data })) = found else {
            self.counts.foreign += 1;
            return None;
        };
        Some((PartId { feed, bundle, cut }, symbol, data))
    }

    fn flute<'a>(&mut self, bytes: &'a [u8]) -> Option<(PartId, u16, &'a [u8])> {
        let session = flute::session(bytes);
        let of = |beacon: &BeaconKey| session == Some(flute::session_of(beacon.id()));
        let Some(feed) = self.beacons.iter().position(of) else {
            self.counts.foreign += 1;
            return None;
        };
        match flute::parse(bytes) {
            Ok(flute::Symbol { name: bundle, cut, symbol, data }) => {
                Some((PartId { feed, bundle, cut }, symbol, data))
            }
            Err(flute::NotASymbol::Other) => {
                self.counts.tables += 1;
                None
            }
            Err(_) => {
                self.counts.malformed += 1;
                None
            }
        }
    }
}

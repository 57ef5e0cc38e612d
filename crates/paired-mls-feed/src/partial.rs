//! Bundles of which some symbols have come: few, small, and none for ever.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::{Duration, SystemTime},
};

use crate::{
    Bundle,
    code::{self, Cut},
};

/// What a receiver keeps at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bundles of which some symbols have come.
    pub partial_bundles: usize,
    /// Bytes of those symbols, with what it costs to keep them.
    pub partial_bytes: usize,
    /// How long one is kept after its last new symbol.
    pub partial_time: Duration,
    /// Names of bundles that were received, so that repeats of them are thrown away unread.
    pub known_bundles: usize,
}

impl Default for Limits {
    /// 1,024 bundles with 4 MiB of symbols, for 30 days; 4,096 names.
    fn default() -> Self {
        Self {
            partial_bundles: 1024,
            partial_bytes: 4 << 20,
            partial_time: Duration::from_secs(30 * 86_400),
            known_bundles: 4096,
        }
    }
}

/// What a symbol costs beside its bytes, in bytes.
const SYMBOL_COST: usize = 64;

/// How often a bundle is tried to be put together before its symbols are given up: with three symbols more than
/// needed RaptorQ fails once in 10⁸ times, so one of them is forged.
const TRIES: u8 = 4;

/// A bundle on a link: of which feed, its name, and how it is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PartId {
    pub(crate) feed: usize,
    pub(crate) bundle: u32,
    pub(crate) cut: Cut,
}

struct Part {
    symbols: BTreeMap<u16, Vec<u8>>,
    tries: u8,
    last: SystemTime,
    /// The number of the packet that it was last changed by: orders those of one time.
    turn: u64,
}

/// What came of a symbol.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// It is new, and more are needed.
    New,
    /// It was known, or its bundle.
    Known,
    /// The bundle is complete.
    Complete(Vec<u8>),
    /// The symbols do not make the bundle of that name: they are given up.
    Poisoned,
}

/// The bundles that are being received.
pub(crate) struct Partials {
    limits: Limits,
    parts: HashMap<PartId, Part>,
    bytes: usize,
    known: HashSet<PartId>,
    known_order: VecDeque<PartId>,
    turn: u64,
    /// How many were given up for want of room or because their time was over.
    pub(crate) given_up: u64,
}

impl Partials {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            parts: HashMap::new(),
            bytes: 0,
            known: HashSet::new(),
            known_order: VecDeque::new(),
            turn: 0,
            given_up: 0,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.parts.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, id: PartId, symbol: u16, data: &[u8], now: SystemTime) -> Came {
        if self.known.contains(&id) {
            return Came::Known;
        }
        self.turn += 1;
        let turn = self.turn;
        let part = self.parts.entry(id).or_insert_with(|| Part {
            symbols: BTreeMap::new(),
            tries: 0,
            last: now,
            turn,
        });
        if part.symbols.contains_key(&symbol) {
            return Came::Known;
        }
        part.symbols.insert(symbol, data.to_vec());
        (part.last, part.turn) = (now, turn);
        self.bytes += data.len() + SYMBOL_COST;
        if part.symbols.len() < id.cut.symbols() {
            self.make_room(now);
            return Came::New;
        }
        part.tries += 1;
        let symbols = part.symbols.iter().map(|(id, data)| (*id, &data[..]));
        let decoded = code::decode(id.cut, symbols);
        match decoded {
            Some(bundle) if Bundle::name(&bundle) == id.bundle => {
                self.forget(&id);
                Came::Complete(bundle)
            }
            None if part.tries < TRIES => {
                self.make_room(now);
                Came::New
            }
            _ => {
                self.forget(&id);
                Came::Poisoned
            }
        }
    }

    /// The bundle was received and is genuine: repeats of it are thrown away.
    pub(crate) fn know(&mut self, id: PartId) {
        if self.known.insert(id) {
            self.known_order.push_back(id);
        }
        while self.known_order.len() > self.limits.known_bundles {
            if let Some(oldest) = self.known_order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    fn forget(&mut self, id: &PartId) {
        if let Some(part) = self.parts.remove(id) {
            let bytes = part.symbols.values().map(|data| data.len() + SYMBOL_COST);
            self.bytes = self.bytes.saturating_sub(bytes.sum());
        }
    }

    /// Gives up what is too old, and then the bundle with the fewest symbols, of those the one that has waited
    /// longest: junk comes in single packets.
    fn make_room(&mut self, now: SystemTime) {
        while self.parts.len() > self.limits.partial_bundles
            || self.bytes > self.limits.partial_bytes
        {
            let old = |part: &Part| {
                now.duration_since(part.last).is_ok_and(|age| age > self.limits.partial_time)
            };
            let worst = self
                .parts
                .iter()
                .min_by_key(|(_, part)| (!old(part), part.symbols.len(), part.turn))
                .map(|(id, _)| *id);
            let Some(worst) = worst else { break };
            self.forget(&worst);
            self.given_up += 1;
        }
    }

    /// Gives up what is too old.
    pub(crate) fn expire(&mut self, now: SystemTime) {
        let limit = self.limits.partial_time;
        let old = |part: &Part| now.duration_since(part.last).is_ok_and(|age| age > limit);
        let over: Vec<_> =
            self.parts.iter().filter(|(_, part)| old(part)).map(|(id, _)| *id).collect();
        for id in over {
            self.forget(&id);
            self.given_up += 1;
        }
    }
}

//! The shelf: entries of logs wait there for those before them.

use std::collections::{BTreeMap, VecDeque};

use paired_mls_api::{EntryKind, GroupId, LogChain, LogEntry};

use crate::LogObject;

/// What a shelf keeps at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShelfLimits {
    /// Entries that wait, of all logs.
    pub entries: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl Default for ShelfLimits {
    /// 4,096 entries with 16 MiB.
    fn default() -> Self {
        Self { entries: 4096, bytes: 16 << 20 }
    }
}

/// Where a log is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// After this entry. The next one has to follow from the hash.
    After(u64, LogChain),
    /// From this position on, whatever the hash before it is: the reader came in by a Welcome that was sent with
    /// the entry before, for instance.
    AfterAny(u64),
    /// From this epoch on: after the commit that began it, or, where that was not received, from the first
    /// entry of the epoch from which on all are there up to the commit that ends it.
    Epoch(u64),
}

/// What came of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shelved {
    /// It waits, or is next.
    Kept,
    /// It was read before, or is there.
    Known,
    /// The log is not read here.
    OtherGroup,
    /// There is no room, and the entry is further away than what is there.
    NoRoom,
}

/// Somebody's feed has another log of the group than the one that was read: of a service that was restored from
/// an older copy, or of a beacon with an older database that has gone on in another way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherHistory {
    /// The group.
    pub group: GroupId,
    /// The position from which on the logs differ.
    pub position: u64,
}

struct Log {
    start: Start,
    /// By position, and there by the hash of the log before.
    waiting: BTreeMap<u64, Vec<LogObject>>,
}

/// Entries of logs, in the order of their logs.
pub struct Shelf {
    limits: ShelfLimits,
    logs: BTreeMap<GroupId, Log>,
    entries: usize,
    bytes: usize,
    others: VecDeque<OtherHistory>,
}

/// The most different histories that wait at one position, and that are told of.
const MAX_HISTORIES: usize = 4;

impl Shelf {
    /// An empty shelf.
    pub fn new(limits: ShelfLimits) -> Self {
        let others = VecDeque::new();
        Self { limits, logs: BTreeMap::new(), entries: 0, bytes: 0, others }
    }

    /// Reads the log of a group, from there on; if it is read already, goes on from there.
    pub fn read(&mut self, group: GroupId, start: Start) {
        let log = self
            .logs
            .entry(group.clone())
            .or_insert_with(|| Log { start, waiting: BTreeMap::new() });
        log.start = start;
        if let Start::After(position, _) | Start::AfterAny(position) = start {
            self.drop_through(&group, position);
        }
    }

    /// Reads the log of a group no longer.
    pub fn leave(&mut self, group: &GroupId) {
        self.drop_through(group, u64::MAX);
        self.logs.remove(group);
    }

    /// Takes an entry.
    pub fn put(&mut self, object: LogObject) -> Shelved {
        let group = object.group().clone();
        let position = object.entry().position;
        let Some(log) = self.logs.get_mut(&group) else { return Shelved::OtherGroup };
        if let Start::After(read, _) | Start::AfterAny(read) = log.start
            && position <= read
        {
            return Shelved::Known;
        }
        let here = log.waiting.entry(position).or_default();
        if here.contains(&object) {
            return Shelved::Known;
        }
        if here.len() >= MAX_HISTORIES {
            return Shelved::NoRoom;
        }
        self.entries += 1;
        self.bytes += object.entry().message.0.len();
        here.push(object);
        self.make_room(&group, position)
    }

    /// The next entry of any log, once everything before it was given out.
    pub fn take(&mut self) -> Option<(GroupId, LogEntry)> {
        let groups: Vec<_> = self.logs.keys().cloned().collect();
        groups.into_iter().find_map(|group| self.take_of(&group).map(|entry| (group, entry)))
    }

    /// The next entry of a log.
    pub fn take_of(&mut self, group: &GroupId) -> Option<LogEntry> {
        let log = self.logs.get_mut(group)?;
        if let Start::Epoch(epoch) = log.start {
            log.start = log.beginning_of(epoch)?;
        }
        let (read, chain) = match log.start {
            Start::After(read, chain) => (read, Some(chain)),
            Start::AfterAny(read) => (read, None),
            Start::Epoch(_) => return None,
        };
        let position = read.checked_add(1)?;
        let here = log.waiting.get(&position)?;
        let fits = |object: &&LogObject| chain.is_none_or(|chain| object.before() == chain);
        let Some(object) = here.iter().find(fits).cloned() else {
            self.other_history(group, position);
            return None;
        };
        log.start = Start::After(position, object.entry().chain);
        self.drop_through(group, position);
        Some(object.into_entry())
    }

    /// A log that is not the one that was read. Each is told once.
    fn other_history(&mut self, group: &GroupId, position: u64) {
        let other = OtherHistory { group: group.clone(), position };
        let Some(log) = self.logs.get_mut(group) else { return };
        let gone = log.waiting.remove(&position).unwrap_or_default();
        self.entries = self.entries.saturating_sub(gone.len());
        let bytes = gone.iter().map(|object| object.entry().message.0.len());
        self.bytes = self.bytes.saturating_sub(bytes.sum());
        if !self.others.contains(&other) {
            self.others.push_back(other);
        }
        while self.others.len() > MAX_HISTORIES {
            self.others.pop_front();
        }
    }

    /// The logs that differ from what was read, since the last call.
    pub fn other_histories(&mut self) -> Vec<OtherHistory> {
        self.others.drain(..).collect()
    }

    /// The entry that is waited for, and the first one behind it that is there: a gap.
    pub fn gap(&self, group: &GroupId) -> Option<(u64, u64)> {
        let log = self.logs.get(group)?;
        let (Start::After(read, _) | Start::AfterAny(read)) = log.start else { return None };
        let wanted = read.checked_add(1)?;
        let (first, _) = log.waiting.first_key_value()?;
        (*first > wanted).then_some((wanted, *first))
    }

    /// How many entries wait, and their bytes.
    pub fn held(&self) -> (usize, usize) {
        (self.entries, self.bytes)
    }

    fn drop_through(&mut self, group: &GroupId, position: u64) {
        let Some(log) = self.logs.get_mut(group) else { return };
        while let Some(first) = log.waiting.first_entry() {
            if *first.key() > position {
                break;
            }
            let gone = first.remove();
            self.entries = self.entries.saturating_sub(gone.len());
            let bytes = gone.iter().map(|object| object.entry().message.0.len());
            self.bytes = self.bytes.saturating_sub(bytes.sum());
        }
    }

    /// Drops what is furthest away in the log with the most entries: the carousel brings it again.
    fn make_room(&mut self, group: &GroupId, position: u64) -> Shelved {
        let mut shelved = Shelved::Kept;
        while self.entries > self.limits.entries || self.bytes > self.limits.bytes {
            let longest = self.logs.iter_mut().max_by_key(|(_, log)| log.waiting.len());
            let Some((of, log)) = longest else { break };
            let Some((last, gone)) = log.waiting.pop_last() else { break };
            if (of, last) == (group, position) {
                shelved = Shelved::NoRoom;
            }
            self.entries = self.entries.saturating_sub(gone.len());
            let bytes = gone.iter().map(|object| object.entry().message.0.len());
            self.bytes = self.bytes.saturating_sub(bytes.sum());
        }
        shelved
    }
}

impl Log {
    /// Where the log is read from by somebody who knows the epoch and nothing else.
    fn beginning_of(&self, epoch: u64) -> Option<Start> {
        let all =
            || self.waiting.iter().flat_map(|(at, objects)| objects.iter().map(move |o| (*at, o)));
        let commit_of = |epoch: u64| {
            all().find(|(_, object)| {
                object.entry().kind == EntryKind::Commit && object.entry().epoch == epoch
            })
        };
        if let Some((at, object)) = epoch.checked_sub(1).and_then(commit_of) {
            return Some(Start::After(at, object.entry().chain));
        }
        let (mut first, commit) = commit_of(epoch)?;
        let mut before = commit.before();
        while let Some(at) = first.checked_sub(1)
            && let Some(here) = self.waiting.get(&at)
            && let Some(object) =
                here.iter().find(|o| o.entry().chain == before && o.entry().epoch == epoch)
        {
            (first, before) = (at, object.before());
        }
        Some(Start::After(first.checked_sub(1)?, before))
    }
}

//! A commit, from OpenMLS' view to the core's.

use openmls::prelude::{Proposal, QueuedProposal, Sender, StagedCommit};
use paired_mls::{
    DeviceId, EpochSecurity, Event, GroupRecord, Index,
    anchor::{Anchor, Anchorage, Changes, LeafIndex, stale_recipients},
    group::CommitFacts,
};

use super::standing::{Footing, Standing, device_of, leaf};
use crate::Error;

/// The proposals of one commit, in the core's terms.
pub(super) struct Proposals<'a> {
    pub(super) changes: Changes,
    /// The signature keys of the members that are added, in the order of the Adds.
    added_keys: Vec<&'a [u8]>,
}

impl<'a> Proposals<'a> {
    /// An Update of a leaf that is removed as well does not count (RFC 9420 section 12.2), nor does
    /// one of the committer itself.
    pub(super) fn of(
        proposals: impl IntoIterator<Item = &'a QueuedProposal>,
        committer: LeafIndex,
    ) -> Self {
        let mut changes = Changes::default();
        let mut added_keys = Vec::new();
        for queued in proposals {
            let sender = match queued.sender() {
                Sender::Member(index) => Some(leaf(*index)),
                _ => None,
            };
            match queued.proposal() {
                Proposal::Add(add) => {
                    changes.adds += 1;
                    added_keys.push(add.key_package().leaf_node().signature_key().as_slice());
                }
                Proposal::Remove(remove) => changes.removes.push(leaf(remove.removed())),
                Proposal::SelfRemove => changes.removes.extend(sender),
                Proposal::Update(_) => changes.updates.extend(sender),
                _ => {}
            }
        }
        for leaves in [&mut changes.removes, &mut changes.updates] {
            leaves.sort_unstable();
            leaves.dedup();
        }
        let Changes { updates, removes, .. } = &mut changes;
        updates.retain(|leaf| *leaf != committer && !removes.contains(leaf));
        Self { changes, added_keys }
    }

    /// Adds that the caller makes by value, after those of others.
    pub(super) fn add(&mut self, signature_key: &'a [u8]) {
        self.changes.adds += 1;
        self.added_keys.push(signature_key);
    }

    /// A member that the caller removes by value.
    pub(super) fn remove(&mut self, removed: LeafIndex) {
        if !self.changes.removes.contains(&removed) {
            self.changes.removes.push(removed);
        }
        self.changes.updates.retain(|leaf| *leaf != removed);
    }

    /// The standing after these proposals, and where the newcomers are.
    pub(super) fn apply(
        &self,
        before: &Standing,
        record: &GroupRecord,
    ) -> Result<(Standing, Vec<LeafIndex>), Error> {
        let (tree, added) = before.tree.after(&self.changes)?.into_parts();
        let stay =
            (before.seats.iter().copied()).filter(|(_, leaf)| !self.changes.removes.contains(leaf));
        let join = self
            .added_keys
            .iter()
            .zip(&added)
            .filter_map(|(key, leaf)| Some((device_of(record, key)?, *leaf)));
        let mut seats: Vec<_> = stay.chain(join).collect();
        seats.sort_by_key(|(_, leaf)| *leaf);
        let own = before.device_at(before.own);
        let mut after = Standing { tree, own: before.own, seats };
        // A refresh takes the own leaf out, and puts it in again where the leftmost blank one is.
        after.own = own.and_then(|own| after.leaf_of(own)).unwrap_or(before.own);
        Ok((after, added))
    }
}

/// Who made a commit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Committer {
    /// The member at this leaf.
    Member(LeafIndex),
    /// A newcomer, by an external commit, who takes this leaf (RFC 9420 section 12.4.3.2).
    External(LeafIndex),
}

/// How a commit of a device of the pairing reached its partners.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// By Notifies, made from the value at this index, if it is known.
    Notified(Option<Index>),
    /// As any other commit.
    Sealed,
    /// This device opened no Notify: it was not covered, or there was none.
    Unknown,
}

/// A commit that is about to be merged.
pub(super) struct Seen {
    pub(super) facts: CommitFacts,
    /// The standing of the new epoch.
    pub(super) after: Standing,
    index: Option<Index>,
}

/// Looks at a staged commit, before it is merged.
pub(super) fn look_at(
    before: &Standing,
    record: &GroupRecord,
    staged: &StagedCommit,
    committer: Committer,
    reach: Reach,
    renewed: &[DeviceId],
) -> Result<Seen, Error> {
    let (Committer::Member(at) | Committer::External(at)) = committer;
    let mut proposals = Proposals::of(staged.queued_proposals(), at);
    let path_leaf = staged.update_path_leaf_node();
    if let (Committer::External(_), Some(own)) = (committer, path_leaf) {
        proposals.add(own.signature_key().as_slice());
    }
    let (mut after, added) = proposals.apply(before, record)?;
    if path_leaf.is_none() {
        // Nothing was sealed to anybody, and nobody was healed.
        let joined: Vec<_> = added.iter().filter_map(|leaf| after.device_at(*leaf)).collect();
        let renewed = renewed.to_vec();
        let facts = CommitFacts { joined, renewed, ..CommitFacts::default() };
        return Ok(Seen { facts, after, index: None });
    }

    let device = after.device_at(at);
    let mut facts = CommitFacts { committer: device, ..CommitFacts::default() };
    let mut sealed_to = after.leaves();
    let mut index = None;
    let anchorage = device.map(|_| after.anchorage(at, &added)).transpose()?;
    let anchor = anchorage.as_ref().and_then(Anchorage::anchor);
    let covered = anchor.map(Anchor::covered).unwrap_or_default();
    let notified = match reach {
        Reach::Notified(index) => Some(index),
        // A device that the commit covers was sent a Notify, or there are none.
        Reach::Unknown if !covered.contains(&before.own) => Some(None),
        Reach::Unknown | Reach::Sealed => None,
    };
    let newcomers = added.iter().filter(|leaf| **leaf != at);
    facts.joined = newcomers.filter_map(|leaf| after.device_at(*leaf)).collect();
    facts.renewed = renewed.to_vec();
    let followers = covered.iter().filter(|leaf| !added.contains(leaf));
    if let Some(used) = notified.filter(|_| !covered.is_empty()) {
        facts.healed = followers.filter_map(|leaf| after.device_at(*leaf)).collect();
        sealed_to.retain(|leaf| !covered.contains(leaf));
        index = used;
    }
    sealed_to.retain(|leaf| *leaf != at);
    facts.sealed_to_leaves = stale_recipients(&after.tree, at, &sealed_to, &added)?;
    after.tree = after.tree.after_path(at)?;
    Ok(Seen { facts, after, index })
}

/// What the application is told about a commit, once it has been merged.
pub(super) fn events(
    before: &Standing,
    seen: &Seen,
    changed: Vec<(DeviceId, EpochSecurity, EpochSecurity)>,
) -> Result<Vec<Event>, Error> {
    let mut events = Vec::new();
    if let (Some(by), false) = (seen.facts.committer, seen.facts.healed.is_empty()) {
        events.push(Event::Healed { by, devices: seen.facts.healed.clone(), index: seen.index });
    }
    if let Some(by) = seen.facts.committer {
        let renewed = seen.facts.renewed.iter();
        events.extend(renewed.map(|device| Event::LeafRenewed { by, device: *device }));
    }
    let devices = before.seats.iter().map(|(device, _)| *device);
    let left = devices.filter(|device| seen.after.leaf_of(*device).is_none());
    events.extend(left.map(|device| Event::DeviceLeft { device }));
    let changed = changed.into_iter().filter(|(_, from, to)| from.name() != to.name());
    events.extend(changed.map(|(device, from, to)| Event::SecurityChanged { device, from, to }));
    if !before.anchor_is_blank()? && seen.after.anchor_is_blank()? {
        events.push(Event::AnchorBlanked);
    }
    let footing = seen.after.footing()?;
    if footing != before.footing()? {
        events.push(match footing {
            Footing::Whole => Event::Restored,
            Footing::Shrunk { left_out } => Event::AnchorShrunk { left_out },
            Footing::Suspended | Footing::Alone => Event::Suspended,
        });
    }
    Ok(events)
}

//! What a commit means for each device of the pairing: the facts that the security table asks for.

use alloc::vec::Vec;

use paired_mls::{
    DeviceId, Event, GroupRecord, Index, Phase,
    anchor::{Anchor, Changes, LeafIndex},
    group::{Act, Authorship, Changed, CommitFacts, NotHealed, Occupant, SecurityTable},
};

use super::{Footing, Standing, device_of};
use crate::{Committer, Error, Proposal, Proposed, StagedCommit};

/// What the proposals of one commit do to the leaves.
pub struct Proposals<'a> {
    changes: Changes,
    /// The signature keys of the members that are added, in the order of the Adds.
    added_keys: Vec<&'a [u8]>,
    /// The signature keys in the leaves of Update proposals.
    updated_keys: Vec<(LeafIndex, &'a [u8])>,
}

impl<'a> Proposals<'a> {
    /// An Update of a leaf that is removed as well does not count (RFC 9420 section 12.2), nor does
    /// one of the committer itself.
    pub fn of(proposals: impl IntoIterator<Item = &'a Proposed>, committer: LeafIndex) -> Self {
        let mut changes = Changes::default();
        let mut added_keys = Vec::new();
        let mut updated_keys = Vec::new();
        for proposed in proposals {
            let sender = proposed.member();
            match &proposed.proposal {
                Proposal::Add { leaf, .. } => {
                    changes.adds += 1;
                    added_keys.push(leaf.signature_key());
                }
                Proposal::Remove(removed) => changes.removes.push(*removed),
                Proposal::SelfRemove => changes.removes.extend(sender),
                Proposal::Update(leaf) => {
                    changes.updates.extend(sender);
                    updated_keys.extend(sender.map(|at| (at, leaf.signature_key())));
                }
                Proposal::Other => {}
            }
        }
        for leaves in [&mut changes.removes, &mut changes.updates] {
            leaves.sort_unstable();
            leaves.dedup();
        }
        let Changes { updates, removes, .. } = &mut changes;
        updates.retain(|leaf| *leaf != committer && !removes.contains(leaf));
        updated_keys.retain(|(leaf, _)| updates.contains(leaf));
        Self { changes, added_keys, updated_keys }
    }

    /// Adds that the caller makes by value, after those of others.
    pub fn add(&mut self, signature_key: &'a [u8]) {
        self.changes.adds += 1;
        self.added_keys.push(signature_key);
    }

    /// The devices whose leaves Update proposals replace.
    fn replaced(&self, before: &Standing) -> Vec<DeviceId> {
        self.changes.updates.iter().filter_map(|leaf| before.device_at(*leaf)).collect()
    }

    /// A member that the caller removes by value.
    pub fn remove(&mut self, removed: LeafIndex) {
        if !self.changes.removes.contains(&removed) {
            self.changes.removes.push(removed);
        }
        self.changes.updates.retain(|leaf| *leaf != removed);
    }

    /// The standing after these proposals, and where the newcomers are.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`] if they do not fit the tree.
    pub fn apply(
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
        let seats: Vec<_> = stay.chain(join).collect();
        let mut after = Standing { tree, own: before.own, seats };
        for (leaf, key) in &self.updated_keys {
            after.reseat(record, *leaf, key);
        }
        after.seats.sort_by_key(|(_, leaf)| *leaf);
        // A refresh takes the own leaf out, and puts it in again where the leftmost blank one is.
        let own = before.device_at(before.own);
        after.own = own.and_then(|own| after.leaf_of(own)).unwrap_or(before.own);
        Ok((after, added))
    }
}

/// How a commit reached this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It is this device's own, and paired if it has used a value of the tape.
    Own(Option<Index>),
    /// By a Notify, made from the value at this index.
    Notified(Index),
    /// By a Welcome to a KeyPackage from the tape.
    Welcomed,
    /// As any other commit: no Notify was opened.
    Plain,
}

/// What a commit means that is about to be merged.
pub struct Meaning {
    facts: CommitFacts,
    /// The standing of the new epoch.
    pub after: Standing,
    /// How safe the new epoch is.
    pub security: SecurityTable,
    changed: Vec<Changed>,
    index: Option<Index>,
    /// What was done in the name of devices.
    pub alarms: Vec<Event>,
    not_healed: Vec<(DeviceId, NotHealed)>,
}

/// Looks at a commit, before it is merged. `renewed` are the devices that it gives leaves from the tape.
///
/// ```text
/// committer   the device whose leaf commits, and whether the tape proves it
///   proven      its own; one with a Notify from its half of the tape; one whose Welcome is from the tape
///   forged      a Notify of another device's half; none although this device is covered; no path, or
///               another signature key than the device's
///   unproven    anything else: who is not covered by a commit cannot tell
/// healed      if it is paired: the devices below the anchor, but for those that it adds
/// ```
///
/// # Errors
///
/// [`Error::Mls`], [`Error::Locate`] if the commit does not fit the tree.
pub fn commit_facts(
    before: &Standing,
    record: &GroupRecord,
    staged: &StagedCommit,
    committer: Committer,
    delivery: Delivery,
    renewed: &[DeviceId],
) -> Result<Meaning, Error> {
    let (Committer::Member(at) | Committer::External(at)) = committer;
    let mut proposals = Proposals::of(&staged.proposals, at);
    let path_key = staged.path.as_ref().map(|own| own.signature_key());
    let (seat, act) = match (committer, path_key) {
        (Committer::Member(at), _) => (before.device_at(at), Act::Commit),
        (Committer::External(_), key) => {
            key.into_iter().for_each(|key| proposals.add(key));
            (key.and_then(|key| device_of(record, key)), Act::ExternalCommit)
        }
    };
    let (mut after, added) = proposals.apply(before, record)?;
    if let (Committer::Member(_), Some(key)) = (committer, path_key) {
        after.reseat(record, at, key);
    }
    // `None` also if the committer's leaf has another key now.
    let here = after.device_at(at).filter(|_| path_key.is_some());
    let anchorage = here.map(|_| after.anchorage(at, &added)).transpose()?;
    let anchor = anchorage.as_ref().and_then(|anchorage| anchorage.anchor());
    let covered = anchor.map(Anchor::covered).unwrap_or_default();

    let authorship = match delivery {
        Delivery::Own(_) | Delivery::Welcomed => Authorship::Proven,
        Delivery::Notified(index) if Some(index.device()) == seat => Authorship::Proven,
        Delivery::Notified(_) => Authorship::Forged,
        // A device that draws nothing more from the tape is sent ordinary commits.
        Delivery::Plain if record.phase == Phase::Ceasing => Authorship::Unproven,
        // A commit of a device always has a path, and a Notify for each partner that it covers.
        Delivery::Plain if path_key.is_none() || here != seat => Authorship::Forged,
        Delivery::Plain if covered.contains(&before.own) => Authorship::Forged,
        Delivery::Plain => Authorship::Unproven,
    };
    let is_paired = match delivery {
        Delivery::Own(index) => index.is_some(),
        Delivery::Notified(_) | Delivery::Welcomed => authorship == Authorship::Proven,
        Delivery::Plain => false,
    };

    let mut facts = CommitFacts {
        committer: seat.map(|device| (device, authorship)),
        renewed: renewed.to_vec(),
        replaced: proposals.replaced(before),
        path: path_key.map(|_| at),
        ..CommitFacts::default()
    };
    let newcomers = added.iter().filter(|leaf| **leaf != at);
    facts.joined = newcomers.filter_map(|leaf| after.device_at(*leaf)).collect();
    if let (Committer::External(_), Some(device), Authorship::Unproven) =
        (committer, seat, authorship)
    {
        // A signature key is enough for it.
        facts.joined.push(device);
    }
    if let Some(anchor) = anchor.filter(|anchor| is_paired && !anchor.covered().is_empty()) {
        let followers = covered.iter().filter(|leaf| !added.contains(leaf));
        facts.healed = followers.filter_map(|leaf| after.device_at(*leaf)).collect();
        facts.notified = Some(anchor.clone());
    }
    let index = match delivery {
        Delivery::Own(index) => index,
        Delivery::Notified(index) => Some(index),
        Delivery::Welcomed | Delivery::Plain => None,
    };
    facts.newcomers = added;

    let mut security = record.security.clone();
    let changed = security.apply(&facts, &after.tree, |device| after.leaf_of(device))?;
    let not_healed = not_healed(record, &facts, &after, &security);
    let mut alarms = Vec::new();
    let mut alarm = |device, act| alarms.push(Event::Impostor { device, act });
    for device in &facts.replaced {
        alarm(*device, Act::UpdateCommitted);
    }
    match facts.committer {
        Some((device, Authorship::Forged)) if path_key.is_some() && here != seat => {
            alarm(device, Act::NewKey);
        }
        Some((device, Authorship::Forged)) => alarm(device, act),
        _ => {}
    }
    if facts.path.is_some() {
        after.tree = after.tree.after_path(at)?;
    }
    Ok(Meaning { facts, after, security, changed, index, alarms, not_healed })
}

/// The partners that a commit of a device has left out, and why.
fn not_healed(
    record: &GroupRecord,
    facts: &CommitFacts,
    after: &Standing,
    security: &SecurityTable,
) -> Vec<(DeviceId, NotHealed)> {
    let Some((by, Authorship::Proven)) = facts.committer else {
        return Vec::new();
    };
    let partners = after.seats.iter().filter(|(device, _)| *device != by);
    let why = |(device, leaf): &(DeviceId, LeafIndex)| {
        if facts.renewed.contains(device) {
            None
        } else if security.occupant(*device) == Some(Occupant::Impostor) {
            Some((*device, NotHealed::Impostor))
        } else if facts.healed.contains(device) {
            None
        } else if facts.newcomers.contains(leaf) {
            Some((*device, NotHealed::Newcomer))
        } else if record.phase == Phase::Ceasing {
            Some((*device, NotHealed::Ceasing))
        } else {
            Some((*device, NotHealed::Placement))
        }
    };
    partners.filter_map(why).collect()
}

impl Meaning {
    /// What the application is told about the commit, once it has been merged: alarms, then what it did
    /// not do, then what it did.
    ///
    /// # Errors
    ///
    /// [`Error::Locate`].
    pub fn events(&self, before: &Standing) -> Result<Vec<Event>, Error> {
        let facts = &self.facts;
        let mut events = self.alarms.clone();
        let by = facts.committer.map(|(device, _)| device);
        if let Some(by) = by {
            let left_out = self.not_healed.iter();
            events.extend(left_out.map(|(device, why)| Event::NotHealed {
                by,
                device: *device,
                why: *why,
            }));
            let mut devices = facts.healed.clone();
            devices.retain(|device| self.not_healed.iter().all(|(other, _)| other != device));
            if !devices.is_empty() {
                events.push(Event::Healed { by, devices, index: self.index });
            }
            let renewed = facts.renewed.iter();
            events.extend(renewed.map(|device| Event::LeafRenewed { by, device: *device }));
        }
        let devices = before.seats.iter().map(|(device, _)| *device);
        let left = devices.filter(|device| self.after.leaf_of(*device).is_none());
        events.extend(left.map(|device| Event::DeviceLeft { device }));
        let changed = self.changed.iter().filter(|(_, from, to)| from.name() != to.name());
        events.extend(changed.map(|&(device, from, to)| Event::SecurityChanged {
            device,
            from,
            to,
        }));
        if !before.anchor_is_blank()? && self.after.anchor_is_blank()? {
            events.push(Event::AnchorBlanked);
        }
        let footing = self.after.footing()?;
        if footing != before.footing()? {
            events.push(match footing {
                Footing::Whole => Event::Restored,
                Footing::Shrunk { left_out } => Event::AnchorShrunk { left_out },
                Footing::Suspended | Footing::Alone => Event::Suspended,
            });
        }
        Ok(events)
    }
}

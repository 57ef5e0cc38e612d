//! How safe an epoch is for a device of the pairing, and what a commit does to that.
//!
//! The thief in question holds the device's complete MLS state from before its last healing, but not its
//! vault. After a paired commit he lacks the init secret of the epoch chain, and the path from the
//! anchor up is new. What lies below, on the device's own direct path, is not: its leaf, and each parent
//! between it and the committer's path. So for each device the nodes are kept whose private keys that
//! thief may have:
//!
//! ```text
//! a commit heals the device          known = what the device knows of the tree after the proposals,
//!                                            without the committer's direct path
//! a commit of the device itself      known = nothing: its leaf and its path are new
//! a proposal blanks a node           it leaves the set
//! a commit renews a node             it leaves the set, unless a path secret of it, or of a node below
//!                                    it, is sealed to a node of the set: then all from there up are known
//! ```
//!
//! A commit that is sealed to a node of the set does not bring him back by itself: he lacks the epoch
//! secrets. With a second leak, of those from before that commit, he follows until the next paired one.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    DeviceId,
    anchor::{Anchor, LeafIndex, LocateError, NodeIndex, Tree, sealed_levels},
};

/// How safe an epoch is for one device against a thief of its MLS state from before its last healing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EpochSecurity {
    /// No commit has healed the device in this group yet, or somebody acts in its name: a thief of its
    /// state reads on.
    Exposed,
    /// Healed, and since then nothing was sealed to a key that the thief may have.
    Secure(LeafKey),
    /// Healed, but since then a commit was sealed to a key that the thief may have: if he also learns
    /// the epoch secrets from before that commit, he follows until the next paired one.
    Weakened,
}

/// Whether a device's leaf key is younger than its last healing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeafKey {
    /// Nobody has any key of its direct path: the device has committed itself, or its leaf was renewed.
    Fresh,
    /// It, and perhaps parents between it and the anchor, are from before the healing.
    Stale,
}

impl EpochSecurity {
    /// One word for reports: `exposed`, `secure` or `weakened`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exposed => "exposed",
            Self::Secure(_) => "secure",
            Self::Weakened => "weakened",
        }
    }
}

/// Who has the private keys of a device's leaf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Occupant {
    /// The device, as far as anybody can tell.
    #[default]
    Device,
    /// Somebody who has acted in its name. The device cannot follow until it has come back, by a rejoin
    /// or by a refresh of its leaf.
    Impostor,
}

/// What this device knows about who made a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Authorship {
    /// It is from the tape: this device was sent a Notify, or has made the commit itself.
    Proven,
    /// No Notify was due to this device, so that it cannot tell.
    Unproven,
    /// A Notify was due to this device, and there was none.
    Forged,
}

/// What a commit did, seen from the pairing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitFacts {
    /// The device in whose seat the commit was made, if it is one of the pairing.
    pub committer: Option<(DeviceId, Authorship)>,
    /// The partners that the commit healed, by a Notify.
    pub healed: Vec<DeviceId>,
    /// The devices that the commit added: whoever has the private keys of their KeyPackages enters
    /// with them.
    pub joined: Vec<DeviceId>,
    /// The devices that the commit added with KeyPackages from the tape: nobody else has their private
    /// keys, and the whole leaf is new.
    pub renewed: Vec<DeviceId>,
    /// The devices into whose seats an Update proposal has put another leaf.
    pub replaced: Vec<DeviceId>,
    /// The leaf of the committer; `None` if the commit has no path.
    pub path: Option<LeafIndex>,
    /// The leaves that the commit adds.
    pub newcomers: Vec<LeafIndex>,
    /// The anchor, if the commit has Notifies.
    pub notified: Option<Anchor>,
}

/// A device whose security has changed: before and after.
pub type Changed = (DeviceId, EpochSecurity, EpochSecurity);

/// How safe the current epoch is, for each device of the pairing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityTable(BTreeMap<DeviceId, Entry>);

/// What is known about one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) state: State,
    /// The nodes whose private keys the thief of the last healing may have. All of them are on the
    /// device's direct path, so that there are 32 at most. Empty while the device is exposed.
    pub(super) known: BTreeSet<NodeIndex>,
    pub(super) occupant: Occupant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Exposed,
    Secure,
    Weakened,
}

impl Entry {
    const EXPOSED: Self =
        Self { state: State::Exposed, known: BTreeSet::new(), occupant: Occupant::Device };

    fn security(&self) -> EpochSecurity {
        match self.state {
            State::Exposed => EpochSecurity::Exposed,
            State::Weakened => EpochSecurity::Weakened,
            State::Secure if self.known.is_empty() => EpochSecurity::Secure(LeafKey::Fresh),
            State::Secure => EpochSecurity::Secure(LeafKey::Stale),
        }
    }

    /// Nobody but the device has any key of its path.
    fn renewed() -> Self {
        Self { state: State::Secure, ..Self::EXPOSED }
    }

    fn usurped() -> Self {
        Self { occupant: Occupant::Impostor, ..Self::EXPOSED }
    }
}

impl SecurityTable {
    /// All devices exposed, as when a pairing begins.
    pub fn exposed(devices: impl IntoIterator<Item = DeviceId>) -> Self {
        Self(devices.into_iter().map(|device| (device, Entry::EXPOSED)).collect())
    }

    pub(super) fn from_entries(entries: impl IntoIterator<Item = (DeviceId, Entry)>) -> Self {
        Self(entries.into_iter().collect())
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (DeviceId, &Entry)> {
        self.0.iter().map(|(device, entry)| (*device, entry))
    }

    /// The devices and how safe the epoch is for each, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (DeviceId, EpochSecurity)> {
        self.0.iter().map(|(device, entry)| (*device, entry.security()))
    }

    /// How safe the current epoch is for `device`; `None` if it is not of the pairing.
    pub fn of(&self, device: DeviceId) -> Option<EpochSecurity> {
        self.0.get(&device).map(Entry::security)
    }

    /// Who has the device's leaf; `None` if it is not of the pairing.
    pub fn occupant(&self, device: DeviceId) -> Option<Occupant> {
        self.0.get(&device).map(|entry| entry.occupant)
    }

    /// The nodes whose private keys the thief of the device's last healing may have. Of an exposed
    /// device he has all, and none are listed.
    pub fn known(&self, device: DeviceId) -> impl Iterator<Item = NodeIndex> {
        self.0.get(&device).into_iter().flat_map(|entry| entry.known.iter().copied())
    }

    /// Somebody has acted in the name of `device`. Returns the change, if it is one.
    pub fn usurp(&mut self, device: DeviceId) -> Option<Changed> {
        let entry = self.0.get_mut(&device)?;
        let before = entry.security();
        *entry = Entry::usurped();
        (before != entry.security()).then_some((device, before, entry.security()))
    }

    /// Applies a commit. `proposed` is the tree after its proposals and before its path; `leaf_of` tells
    /// where a device sits in it.
    ///
    /// Returns the devices whose security changed.
    ///
    /// # Errors
    ///
    /// [`LocateError::NotAMember`] if the facts do not fit the tree; the table is as it was.
    pub fn apply(
        &mut self,
        facts: &CommitFacts,
        proposed: &Tree,
        leaf_of: impl Fn(DeviceId) -> Option<LeafIndex>,
    ) -> Result<Vec<Changed>, LocateError> {
        let path = match facts.path {
            Some(committer) => {
                let (new, anchor) = (&facts.newcomers, facts.notified.as_ref());
                let sealed = sealed_levels(proposed, committer, new, anchor)?;
                let direct = proposed.size().direct_path(committer.node());
                let direct = direct.chain([committer.node()]).collect();
                Some(Path { direct, sealed: sealed.into_iter().map(Sealed::of).collect() })
            }
            None => None,
        };
        let mut changes = Vec::new();
        for (&device, entry) in &mut self.0 {
            let before = entry.security();
            let next = facts.next(device, entry, proposed, path.as_ref(), leaf_of(device));
            *entry = next;
            if entry.security() != before {
                changes.push((device, before, entry.security()));
            }
        }
        Ok(changes)
    }
}

/// What the path of a commit renews, and to whom it is sealed.
struct Path {
    direct: BTreeSet<NodeIndex>,
    sealed: Vec<Sealed>,
}

/// One level of it.
struct Sealed {
    node: NodeIndex,
    recipients: Vec<NodeIndex>,
}

impl Sealed {
    fn of(level: crate::anchor::Level) -> Self {
        Self { node: level.node(), recipients: level.recipients().to_vec() }
    }
}

impl CommitFacts {
    /// What is known about a device after the commit.
    fn next(
        &self,
        device: DeviceId,
        before: &Entry,
        proposed: &Tree,
        path: Option<&Path>,
        leaf: Option<LeafIndex>,
    ) -> Entry {
        if self.committer == Some((device, Authorship::Forged)) || self.replaced.contains(&device) {
            return Entry::usurped();
        }
        let Some(leaf) = leaf else {
            // It is out of the group, and with it whoever has its keys.
            return before.clone();
        };
        if self.renewed.contains(&device) {
            return Entry::renewed();
        }
        if self.joined.contains(&device) {
            return Entry::EXPOSED;
        }
        match self.committer {
            Some((committer, Authorship::Proven)) if committer == device => {
                return if self.path.is_some() { Entry::renewed() } else { before.clone() };
            }
            // Whoever follows can have made it, and then the leaf key is his.
            Some((committer, Authorship::Unproven))
                if committer == device && before.state != State::Secure =>
            {
                return Entry { occupant: before.occupant, ..Entry::EXPOSED };
            }
            _ => {}
        }
        let Some(path) = path else {
            return before.without_blank(proposed);
        };
        if self.healed.contains(&device) {
            let mut known = proposed.known_to(leaf);
            known.retain(|node| !path.direct.contains(node));
            return Entry { state: State::Secure, known, ..before.clone() };
        }
        before.without_blank(proposed).after(path)
    }
}

impl Entry {
    /// After the proposals of a commit.
    fn without_blank(&self, proposed: &Tree) -> Self {
        let mut next = self.clone();
        next.known.retain(|node| !proposed.is_blank(*node));
        next
    }

    /// After the path of a commit of somebody else.
    fn after(mut self, path: &Path) -> Self {
        let is_known = |level: &Sealed| level.recipients.iter().any(|to| self.known.contains(to));
        let learned = path.sealed.iter().skip_while(|level| !is_known(level));
        let learned: Vec<_> = learned.map(|level| level.node).collect();
        if self.state == State::Secure && !learned.is_empty() {
            self.state = State::Weakened;
        }
        self.known.retain(|node| !path.direct.contains(node));
        self.known.extend(learned);
        self
    }
}

#[cfg(test)]
mod tests;

//! How safe an epoch is for a device of the pairing, and what a commit does to that.
//!
//! The thief in question holds the device's complete MLS state of an earlier epoch, but not its
//! vault. After a paired commit he lacks the init secret of the epoch chain, and the path from the
//! anchor up is new; the device's own leaf key is not. So an event that blanks the anchor lets one
//! commit be sealed to a key that he still has. That alone does not bring him back; with a second
//! leak, of the epoch secrets before that commit, he follows until the next paired one.

use std::collections::BTreeMap;

use crate::{DeviceId, anchor::LeafIndex};

/// How safe an epoch is for one device against a thief of its earlier MLS state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EpochSecurity {
    /// No paired commit has healed the device in this group yet: a thief of its state reads on.
    Exposed,
    /// Healed, and since then nothing was sealed to the leaf key that the thief may have.
    Secure(LeafKey),
    /// Healed, but since then a commit was sealed to the stale leaf key: a thief who also learns
    /// the epoch secrets from before that commit follows until the next paired one.
    Weakened,
}

/// Whether a device's leaf key is younger than its last healing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeafKey {
    /// The device renewed it itself, by a commit of its own.
    Fresh,
    /// It is from before the device was healed by its partner.
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

/// What a commit did, seen from the pairing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitFacts {
    /// The device that committed, if it is of the pairing: its leaf key is new.
    pub committer: Option<DeviceId>,
    /// The partners that the commit healed, by a Notify.
    pub healed: Vec<DeviceId>,
    /// The devices that the commit added: whoever has the private keys of their KeyPackages enters
    /// with them.
    pub joined: Vec<DeviceId>,
    /// The devices that the commit added with KeyPackages from the tape: nobody else has their private
    /// keys, and the whole leaf is new.
    pub renewed: Vec<DeviceId>,
    /// The leaves of the tree that a path secret was sealed to directly.
    pub sealed_to_leaves: Vec<LeafIndex>,
}

/// How safe the current epoch is, for each device of the pairing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityTable(BTreeMap<DeviceId, EpochSecurity>);

impl SecurityTable {
    /// All devices exposed, as when a pairing begins.
    pub fn exposed(devices: impl IntoIterator<Item = DeviceId>) -> Self {
        Self(devices.into_iter().map(|device| (device, EpochSecurity::Exposed)).collect())
    }

    pub(super) fn from_entries(
        entries: impl IntoIterator<Item = (DeviceId, EpochSecurity)>,
    ) -> Self {
        Self(entries.into_iter().collect())
    }

    /// The devices and how safe the epoch is for each, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (DeviceId, EpochSecurity)> {
        self.0.iter().map(|(device, security)| (*device, *security))
    }

    /// How safe the current epoch is for `device`; `None` if it is not of the pairing.
    pub fn of(&self, device: DeviceId) -> Option<EpochSecurity> {
        self.0.get(&device).copied()
    }

    /// Applies a commit; `leaf_of` tells where a device sits in the tree after its proposals.
    ///
    /// Returns the devices whose security changed, with the state before and after.
    pub fn apply(
        &mut self,
        facts: &CommitFacts,
        leaf_of: impl Fn(DeviceId) -> Option<LeafIndex>,
    ) -> Vec<(DeviceId, EpochSecurity, EpochSecurity)> {
        let mut changes = Vec::new();
        for (&device, security) in &mut self.0 {
            let before = *security;
            let to_leaf =
                leaf_of(device).is_some_and(|leaf| facts.sealed_to_leaves.contains(&leaf));
            *security = match before {
                _ if facts.committer == Some(device) => EpochSecurity::Secure(LeafKey::Fresh),
                _ if facts.renewed.contains(&device) => EpochSecurity::Secure(LeafKey::Fresh),
                _ if facts.joined.contains(&device) => EpochSecurity::Exposed,
                _ if facts.healed.contains(&device) => EpochSecurity::Secure(LeafKey::Stale),
                EpochSecurity::Secure(LeafKey::Stale) if to_leaf => EpochSecurity::Weakened,
                same => same,
            };
            if *security != before {
                changes.push((device, before, *security));
            }
        }
        changes
    }

    /// A device has renewed its whole state: it joined anew, or its leaf was refreshed.
    pub fn renew(&mut self, device: DeviceId) {
        if let Some(security) = self.0.get_mut(&device) {
            *security = EpochSecurity::Secure(LeafKey::Fresh);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{EpochSecurity::*, LeafKey::*, *};

    const PHONE: DeviceId = DeviceId(0);
    const SENSOR: DeviceId = DeviceId(1);

    fn leaf_of(device: DeviceId) -> Option<LeafIndex> {
        LeafIndex::new(u32::from(device.0))
    }

    fn paired_commit() -> CommitFacts {
        CommitFacts { committer: Some(PHONE), healed: vec![SENSOR], ..CommitFacts::default() }
    }

    fn sealed_to(leaf: u32) -> CommitFacts {
        CommitFacts {
            sealed_to_leaves: LeafIndex::new(leaf).into_iter().collect(),
            ..CommitFacts::default()
        }
    }

    #[test]
    fn a_commit_of_others_heals_nobody() {
        let mut table = SecurityTable::exposed([PHONE, SENSOR]);
        assert_eq!(table.apply(&sealed_to(1), leaf_of), []);
        assert_eq!(table.of(SENSOR), Some(Exposed));
    }

    #[test]
    fn a_paired_commit_heals_both_and_renews_one_leaf() {
        let mut table = SecurityTable::exposed([PHONE, SENSOR]);
        let changes = table.apply(&paired_commit(), leaf_of);
        assert_eq!(changes, [(PHONE, Exposed, Secure(Fresh)), (SENSOR, Exposed, Secure(Stale))]);
    }

    #[test]
    fn a_device_that_is_added_begins_anew() {
        let mut table = SecurityTable::exposed([PHONE, SENSOR]);
        table.apply(&paired_commit(), leaf_of);
        let adds =
            CommitFacts { committer: Some(PHONE), joined: vec![SENSOR], ..CommitFacts::default() };
        assert_eq!(table.apply(&adds, leaf_of), [(SENSOR, Secure(Stale), Exposed)]);
    }

    #[test]
    fn only_a_stale_leaf_key_weakens_and_the_next_paired_commit_heals() {
        let mut table = SecurityTable::exposed([PHONE, SENSOR]);
        table.apply(&paired_commit(), leaf_of);
        assert_eq!(table.apply(&sealed_to(0), leaf_of), [], "the phone's leaf key is fresh");
        assert_eq!(table.apply(&sealed_to(1), leaf_of), [(SENSOR, Secure(Stale), Weakened)]);
        assert_eq!(table.apply(&paired_commit(), leaf_of), [(SENSOR, Weakened, Secure(Stale))]);
    }
}

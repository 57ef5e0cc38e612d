//! Who plays, and where they sit in the tree.

use paired_mls::{anchor::LeafIndex, wire::RatchetTree};

use super::DemoError;

/// A role, in the order of the leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Alice's phone, which can commit.
    Phone,
    /// Alice's sensor, which only receives.
    Sensor,
    /// Bob, on stock OpenMLS.
    Bob,
    /// Carol, on stock mls-rs.
    Carol,
    /// Dave, on our command line, unpaired.
    Dave,
}

/// Alice, where her devices are one member.
pub(crate) const ALICE: &str = "Alice";

/// The thief, where it is listed who reads.
pub(crate) const THIEF: &str = "the thief";

impl Role {
    pub(crate) const ALL: [Self; 5] =
        [Self::Phone, Self::Sensor, Self::Bob, Self::Carol, Self::Dave];

    /// What the story calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Phone => "Alice's phone",
            Self::Sensor => "Alice's sensor",
            Self::Bob => "Bob",
            Self::Carol => "Carol",
            Self::Dave => "Dave",
        }
    }

    /// What its folder and its prompt are called.
    pub(crate) fn short(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Sensor => "sensor",
            Self::Bob => "bob",
            Self::Carol => "carol",
            Self::Dave => "dave",
        }
    }

    /// The user, whose name is the identity in the credential. With a leaf each, Alice's devices have
    /// an identity each: stock mls-rs takes no two leaves with the same one.
    pub(crate) fn user(self, seating: Seating) -> &'static str {
        match (self, seating) {
            (Self::Phone, Seating::Apart) => "alice-phone",
            (Self::Sensor, Seating::Apart) => "alice-sensor",
            (Self::Phone | Self::Sensor, Seating::Together) => "alice",
            (other, _) => other.short(),
        }
    }

    /// A command as it stands at its prompt.
    pub(crate) fn prompt(self, args: &[&str]) -> String {
        format!("{}$ pmls {}", self.short(), args.join(" "))
    }

    /// What it runs on.
    pub(crate) fn runs_on(self) -> &'static str {
        match self {
            Self::Phone => "pmls; it can commit",
            Self::Sensor => "pmls; until act 3 it only receives: pmls sync",
            Self::Bob => "stock OpenMLS",
            Self::Carol => "stock mls-rs",
            Self::Dave => "pmls, never paired",
        }
    }
}

/// Whether Alice's devices have a leaf each, or one for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seating {
    Apart,
    Together,
}

impl Seating {
    /// What folders are called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Apart => "node",
            Self::Together => "leaf",
        }
    }
}

/// The leaf of each role.
#[derive(Clone, Debug)]
pub(crate) struct Seats(Vec<(Role, LeafIndex)>);

impl Seats {
    /// Finds the members of a tree, by their identities.
    pub(crate) fn find(tree: &RatchetTree, seating: Seating) -> Result<Self, DemoError> {
        let leaves = u32::try_from(tree.nodes().len()).unwrap_or(u32::MAX).div_ceil(2);
        let mut seats = Vec::new();
        for role in Role::ALL {
            let theirs = role.user(seating).as_bytes();
            let is_theirs = |leaf: &u32| {
                let leaf = tree.leaf(*leaf).and_then(|leaf| leaf.credential().identity());
                leaf == Some(theirs)
            };
            let leaf = (0..leaves).find(is_theirs).and_then(LeafIndex::new);
            seats.push((role, leaf.ok_or(DemoError::Missing("everybody is in the group"))?));
        }
        Ok(Self(seats))
    }

    /// The leaf of a role.
    pub(crate) fn leaf(&self, role: Role) -> Option<LeafIndex> {
        self.0.iter().find(|(other, _)| *other == role).map(|(_, leaf)| *leaf)
    }

    /// Who sits at a leaf: one of the roles, or both of Alice's devices.
    pub(crate) fn name(&self, leaf: LeafIndex) -> Option<&'static str> {
        let mut roles = self.0.iter().filter(|(_, at)| *at == leaf).map(|(role, _)| role);
        match (roles.next(), roles.next()) {
            (Some(role), None) => Some(role.name()),
            (Some(_), Some(_)) => Some(ALICE),
            (None, _) => None,
        }
    }
}

//! A commit, and the proposals that wait for one, as the engine sees them.

use alloc::{boxed::Box, vec::Vec};

use paired_mls::{anchor::LeafIndex, group::EpochMark, wire::LeafNode};

/// A proposal, and who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// Its reference (RFC 9420 section 5.2), which tells it from others that wait.
    pub reference: Vec<u8>,
    /// Who made it.
    pub by: Proposer,
    /// What it is.
    pub proposal: Proposal,
}

/// Who made a proposal (RFC 9420 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proposer {
    /// The member at this leaf.
    Member(LeafIndex),
    /// The newcomer of an external commit.
    NewMemberCommit,
    /// Somebody else who is no member.
    Other,
}

/// A proposal (RFC 9420 section 12.1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Proposal {
    /// A member comes in.
    Add {
        /// The leaf that it comes in with.
        leaf: Box<LeafNode>,
        /// Its KeyPackage, an `MLSMessage`.
        key_package: Vec<u8>,
    },
    /// The member who proposes it gets this leaf.
    Update(Box<LeafNode>),
    /// The member at this leaf is removed.
    Remove(LeafIndex),
    /// The member who proposes it leaves.
    SelfRemove,
    /// It concerns no leaf.
    Other,
}

impl Proposed {
    /// The member who made it.
    pub fn member(&self) -> Option<LeafIndex> {
        match self.by {
            Proposer::Member(leaf) => Some(leaf),
            Proposer::NewMemberCommit | Proposer::Other => None,
        }
    }

    /// The member that it removes.
    pub fn removed(&self) -> Option<LeafIndex> {
        match self.proposal {
            Proposal::Remove(removed) => Some(removed),
            Proposal::SelfRemove => self.member(),
            _ => None,
        }
    }
}

/// A commit that was processed or made, and not merged yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedCommit {
    /// Its proposals, by value and by reference, in the order in which they take effect.
    pub proposals: Vec<Proposed>,
    /// The committer's new leaf; `None` without a path.
    pub path: Option<LeafNode>,
    /// The epoch that it creates.
    pub next: EpochMark,
    /// The extension types that the group requires of its members in that epoch (RFC 9420 section 11.1).
    pub required_extensions: Vec<u16>,
    /// What becomes of this device's membership.
    pub membership: Membership,
}

/// Whether this device is a member after a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It is.
    Stays,
    /// The commit removes it.
    Removed,
}

/// Who made a commit, and so whose leaf its path renews.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committer {
    /// The member at this leaf.
    Member(LeafIndex),
    /// A newcomer, by an external commit, who takes this leaf (RFC 9420 section 12.4.3.2).
    External(LeafIndex),
}

//! What an application is told about its pairing.

use super::credential::{Cause, Verdict};
use crate::{DeviceId, EpochSecurity, Index, anchor::LeafIndex, wire::Credential};

/// What somebody has done in the name of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Act {
    /// A commit in the device's seat that is not from the tape.
    Commit,
    /// The same, from outside: it has taken the device's seat, or its signature key.
    ExternalCommit,
    /// An Update proposal, which no device of a pairing makes. This device does not commit it.
    UpdateProposed,
    /// An Update proposal in the device's seat, which a member has committed.
    UpdateCommitted,
    /// Another signature key in the device's leaf.
    NewKey,
    /// A proposal in this device's own name that it has not made.
    Proposal,
}

/// Why a commit did not heal a partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotHealed {
    /// Strangers sit between it and the committer: see `relocate`.
    Placement,
    /// The commit itself has added it, with a KeyPackage that was not from the tape: the next one does.
    Newcomer,
    /// Somebody else has its leaf, and it cannot follow: let it rejoin, or refresh its leaf.
    Impostor,
    /// The pairing is ending, and nothing is drawn from its tape.
    Ceasing,
}

/// Something that happened to a pairing in a group, with the commit that was just applied.
///
/// Alarms come first, then what a commit did not do, then what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An alarm: somebody acts in the name of `device`, with its signature key. What it did is not from
    /// the tape, so that it is not the device, unless that does not use the pairing in this group: it
    /// has not begun to, or its pairing is ending.
    ///
    /// The device is exposed. The next paired commit of a partner locks that somebody out, but the
    /// device with him: it comes back by a rejoin or a refresh. Give it another signature key, since
    /// with this one he comes back from outside.
    Impostor {
        /// The device in whose name it was; also this device itself.
        device: DeviceId,
        /// What was done.
        act: Act,
    },
    /// A commit of `by` did not heal this partner.
    NotHealed {
        /// The device that committed.
        by: DeviceId,
        /// The partner.
        device: DeviceId,
        /// What kept it from being healed.
        why: NotHealed,
    },
    /// A paired commit of `by` healed these partners.
    Healed {
        /// The device that committed.
        by: DeviceId,
        /// The partners that a Notify reached.
        devices: Vec<DeviceId>,
        /// The position of the tape that was used; `None` where this device was not notified.
        index: Option<Index>,
    },
    /// A paired commit of `by` has taken the device's leaf out and put a new one in, whose private keys
    /// are from the tape.
    LeafRenewed {
        /// The device that committed.
        by: DeviceId,
        /// The device whose leaf is new.
        device: DeviceId,
    },
    /// How safe the epoch is has changed for a device.
    SecurityChanged {
        /// The device.
        device: DeviceId,
        /// In the epoch before.
        from: EpochSecurity,
        /// In the current epoch.
        to: EpochSecurity,
    },
    /// A proposal below the anchor blanked it: until the next paired commit, commits of others are
    /// sealed to the devices' own leaf keys.
    AnchorBlanked,
    /// A stranger sits under the anchor, which was shrunk: some partners are not reached any more.
    AnchorShrunk {
        /// The partners outside of the smaller anchor.
        left_out: Vec<DeviceId>,
    },
    /// Strangers sit under every node that this device shares with a partner: its commits heal
    /// nobody but itself until the tree changes or the devices are placed anew.
    Suspended,
    /// The anchor stands above all devices of the pairing, and above nobody else, again.
    Restored,
    /// A commit of another device won this epoch: this device's own was discarded, its index burned.
    CommitLost {
        /// The burned index, if the lost commit was a paired one.
        index: Option<Index>,
    },
    /// The vault could not erase the tape value that led to this epoch, which is stored all the same.
    /// The value goes with the next commit that is merged; until then a thief of the vault could
    /// compute this epoch. See what the vault's storage lacks.
    NotSettled,
    /// `HealPolicy::AtOnce` demands a paired commit, and it could not be made: call for one, and see
    /// why it fails.
    HealingFailed,
    /// A device of the pairing left the group.
    DeviceLeft {
        /// The device.
        device: DeviceId,
    },
    /// Another device of a shared leaf may send application messages from now on.
    TokenTaken {
        /// The device, which has made a commit.
        by: DeviceId,
    },
    /// This device was removed from the group.
    Removed,
    /// Alarm: a commit made a leaf say that it is somebody whom the credential policy does not know it
    /// to be. The group went on, and the member is marked: it keeps its last accepted identity.
    IdentityUnverified {
        /// The leaf.
        leaf: LeafIndex,
        /// Who it says that it is.
        claims: Credential,
        /// Whom it was last accepted as; `None` for a newcomer.
        last: Option<Credential>,
        /// How it came to say so.
        cause: Cause,
        /// What the policy answered.
        verdict: Verdict,
    },
    /// A member that was not verified is now: the policy has accepted what it says.
    IdentityVerified {
        /// The leaf.
        leaf: LeafIndex,
        /// Who it is.
        identity: Credential,
    },
    /// Alarm: an external commit took out a member and came in as somebody else. RFC 9420 lets it remove
    /// an old leaf of its own only.
    TakenOut {
        /// The leaf that was taken out.
        leaf: LeafIndex,
        /// Whom it was last accepted as, if it was.
        identity: Option<Credential>,
        /// Who the external committer says that it is.
        by: Credential,
    },
    /// A commit of this device leaves out a proposal of somebody else, since the credential policy does
    /// not accept the leaf that it leads to.
    ProposalLeftOut {
        /// The leaf of an Update; `None` for an Add.
        leaf: Option<LeafIndex>,
        /// Who the leaf would say that it is.
        claims: Credential,
        /// What the policy answered.
        verdict: Verdict,
    },
    /// A member's leaf has a signature key as no client of this library makes it. Stock members take it, so
    /// that the group goes on with it, and this device too.
    OddLeaf {
        /// The leaf.
        leaf: LeafIndex,
        /// What is odd about its key.
        oddity: Oddity,
    },
    /// A commit of this device leaves out somebody's proposal to add a member whose KeyPackage is not valid
    /// any more: nobody could follow a commit with it.
    AddEnded {
        /// Who the KeyPackage says that it is.
        claims: Credential,
        /// The end of its lifetime, in seconds since 1970.
        not_after: u64,
    },
}

/// What is odd about a leaf's signature key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// Another leaf has the same one.
    KeyTwice,
    /// It is neither one key of the usual form, nor several.
    UnusualForm,
    /// It lists a key that its holder has not proven.
    KeyNotProven,
}

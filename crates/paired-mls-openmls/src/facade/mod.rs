//! One group, whichever anchor the device has in it.
//!
//! ```text
//! lifecycle   how a group comes to be on a device, and how it goes
//! messages    what the device sends and receives
//! pairing     what the pairing is in this group
//! rejoin      coming in from outside, in two phases
//! ```

mod lifecycle;
mod messages;
mod pairing;
mod rejoin;

pub use self::rejoin::Rejoin;

use openmls::prelude::MlsGroup;
use paired_mls::{Event, anchor::LeafIndex, group::credential::Identity};

use crate::{Device, Error, LeafGroup, MemberIdentity, PairedGroup, Platform};

/// An MLS group, as a device has it: with a leaf of its own, or behind one that it shares.
///
/// It is used in the same way in both cases. The caller delivers what a call returns, and then says what became
/// of it:
///
/// ```text
/// add, remove, update, commit, …  ->  Outgoing  ->  the delivery service
///                                                     accepted:  confirm
///                                                     refused:   discard, then process the winner
/// ```
///
/// What only one of the two has is reached by [`Group::node`] and [`Group::shared`].
///
/// # Crashes
///
/// The vault is written before a tape value is used, and the MLS state is written as a whole or not at all. After
/// a restart [`Group::load`] finds the group as it was before or after the call that was interrupted; the caller
/// feeds it again whatever the delivery service has.
pub struct Group {
    anchored: Anchored,
}

/// Where the pairing is anchored.
enum Anchored {
    /// At a node: the device has a leaf of its own. So does one that is not paired here.
    Node(Box<PairedGroup>),
    /// At a leaf, which the device shares.
    Leaf(Box<LeafGroup>),
}

/// Calls the same method of both.
macro_rules! on_both {
    ($self:expr, $group:ident => $call:expr) => {
        match $self {
            $crate::facade::Anchored::Node($group) => $call,
            $crate::facade::Anchored::Leaf($group) => $call,
        }
    };
}
use on_both;

impl Group {
    /// What a group has in which the device has a leaf of its own; `None` if it shares its leaf.
    pub fn node(&self) -> Option<&PairedGroup> {
        match &self.anchored {
            Anchored::Node(group) => Some(group),
            Anchored::Leaf(_) => None,
        }
    }

    /// As [`Group::node`], to change something.
    pub fn node_mut(&mut self) -> Option<&mut PairedGroup> {
        match &mut self.anchored {
            Anchored::Node(group) => Some(group),
            Anchored::Leaf(_) => None,
        }
    }

    /// What a group has in which the device shares its leaf; `None` if the leaf is its own.
    pub fn shared(&self) -> Option<&LeafGroup> {
        match &self.anchored {
            Anchored::Node(_) => None,
            Anchored::Leaf(group) => Some(group),
        }
    }

    /// As [`Group::shared`], to change something.
    pub fn shared_mut(&mut self) -> Option<&mut LeafGroup> {
        match &mut self.anchored {
            Anchored::Node(_) => None,
            Anchored::Leaf(group) => Some(group),
        }
    }

    /// The MLS group, to look at. Nothing that changes it is reachable from here.
    pub fn mls(&self) -> &MlsGroup {
        on_both!(&self.anchored, group => group.mls())
    }

    /// The leaf of this device, which it may share.
    pub fn own_leaf(&self) -> LeafIndex {
        crate::view::leaf(self.mls().own_leaf_index())
    }

    /// The group's identifier.
    pub fn group_id(&self) -> &[u8] {
        self.mls().group_id().as_slice()
    }

    /// The current epoch.
    pub fn epoch(&self) -> u64 {
        self.mls().epoch().as_u64()
    }

    /// The GroupInfo of the current epoch, an `MLSMessage`, with the ratchet tree in it: by it somebody
    /// comes in from outside.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`].
    pub fn group_info<P: Platform>(&self, device: &Device<P>) -> Result<Vec<u8>, Error> {
        crate::outgoing::group_info(self.mls(), device)
    }

    /// The members, and who they are: for showing, addressing and counting them.
    pub fn members(&self) -> Vec<MemberIdentity> {
        on_both!(&self.anchored, group => group.members())
    }

    /// Who the member at this leaf is; `None` for a blank leaf.
    pub fn identity(&self, leaf: LeafIndex) -> Option<Identity> {
        on_both!(&self.anchored, group => group.identity(leaf))
    }

    /// Asks the credential policy once more about the members that are not verified: it may know more
    /// by now.
    ///
    /// Returns who is verified now.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`]; [`PeerError::Identity`](crate::PeerError::Identity) under a strict policy.
    pub fn recheck_identities<P: Platform>(
        &mut self,
        device: &Device<P>,
    ) -> Result<Vec<Event>, Error> {
        on_both!(&mut self.anchored, group => group.recheck_identities(device))
    }
}

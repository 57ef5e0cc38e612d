//! How the devices of a pairing stand in the ratchet tree of one epoch.

use alloc::vec::Vec;

use paired_mls::{
    DeviceId, GroupRecord,
    anchor::{Anchorage, LeafIndex, Tree, locate},
};

use crate::{Error, Library};

/// How the devices of a pairing stand in the tree, for commits of this device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Footing {
    /// The anchor stands above all devices and nobody else.
    Whole,
    /// Strangers sit under it; these partners are not reached.
    Shrunk {
        /// The partners outside of the smaller anchor.
        left_out: Vec<DeviceId>,
    },
    /// Strangers sit under every node that this device shares with a partner.
    Suspended,
    /// No partner is in the group.
    Alone,
}

/// A ratchet tree, and the leaves of the devices that are members.
///
/// It is read from the library once, and then follows each commit by the arithmetic of the core.
#[derive(Debug, PartialEq, Eq)]
pub struct Standing {
    /// The tree.
    pub tree: Tree,
    /// This device's leaf.
    pub own: LeafIndex,
    /// The devices of the pairing that are members, and their leaves, from the left.
    pub seats: Vec<(DeviceId, LeafIndex)>,
}

impl Standing {
    /// The standing of the current epoch.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`].
    pub fn of<L: Library>(
        library: &L,
        group: &L::Group,
        record: &GroupRecord,
    ) -> Result<Self, Error> {
        let keys = library.signature_keys(group).into_iter();
        Ok(Self {
            tree: library.tree(group)?,
            own: library.own_leaf(group),
            seats: keys.filter_map(|(at, key)| Some((device_of(record, &key)?, at))).collect(),
        })
    }

    fn leaves(&self) -> Vec<LeafIndex> {
        self.seats.iter().map(|(_, leaf)| *leaf).collect()
    }

    /// The device at this leaf.
    pub fn device_at(&self, leaf: LeafIndex) -> Option<DeviceId> {
        self.seats.iter().find(|seat| seat.1 == leaf).map(|seat| seat.0)
    }

    /// The leaf of this device.
    pub fn leaf_of(&self, device: DeviceId) -> Option<LeafIndex> {
        self.seats.iter().find(|seat| seat.0 == device).map(|seat| seat.1)
    }

    /// The leaf has this signature key now: who sits there is told by it.
    pub(super) fn reseat(&mut self, record: &GroupRecord, leaf: LeafIndex, signature_key: &[u8]) {
        let device = device_of(record, signature_key);
        if self.device_at(leaf) != device {
            self.seats.retain(|(_, other)| *other != leaf);
            self.seats.extend(device.map(|device| (device, leaf)));
            self.seats.sort_by_key(|(_, leaf)| *leaf);
        }
    }

    /// Where `committer`, which adds `newcomers`, finds its partners.
    ///
    /// # Errors
    ///
    /// [`Error::Locate`].
    pub fn anchorage(
        &self,
        committer: LeafIndex,
        newcomers: &[LeafIndex],
    ) -> Result<Anchorage, Error> {
        Ok(locate(&self.tree, committer, &self.leaves(), newcomers)?)
    }

    /// How the devices stand for commits of this device.
    ///
    /// # Errors
    ///
    /// [`Error::Locate`].
    pub fn footing(&self) -> Result<Footing, Error> {
        Ok(match self.anchorage(self.own, &[])? {
            Anchorage::Whole(_) => Footing::Whole,
            Anchorage::Shrunk { left_out, .. } => Footing::Shrunk {
                left_out: left_out.into_iter().filter_map(|leaf| self.device_at(leaf)).collect(),
            },
            Anchorage::Suspended { .. } => Footing::Suspended,
            Anchorage::Alone => Footing::Alone,
        })
    }

    pub(super) fn anchor_is_blank(&self) -> Result<bool, Error> {
        let anchorage = self.anchorage(self.own, &[])?;
        Ok(anchorage.anchor().is_some_and(|anchor| self.tree.is_blank(anchor.node())))
    }
}

/// The device of the pairing that has this signature key.
pub fn device_of(record: &GroupRecord, signature_key: &[u8]) -> Option<DeviceId> {
    let paired = record.devices.iter().find(|paired| paired.signature_key == signature_key)?;
    Some(paired.device)
}

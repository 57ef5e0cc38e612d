//! How the devices of a pairing stand in the ratchet tree of one epoch.

use std::sync::Arc;

use openmls::{
    group::GroupContext,
    prelude::{LeafNodeIndex, MlsGroup},
};
use paired_mls::{
    DeviceId, GroupRecord, VaultError,
    anchor::{Anchorage, LeafIndex, Tree, locate},
    group::EpochMark,
    wire::RatchetTree,
};
use tls_codec::Serialize as _;

use super::{Paired, PairedGroup};
use crate::{Device, Error, Platform, UsageError};

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
/// It is read from OpenMLS once, and then follows each commit by the arithmetic of the core.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) tree: Tree,
    pub(super) own: LeafIndex,
    pub(super) seats: Vec<(DeviceId, LeafIndex)>,
}

impl Standing {
    /// The standing of the current epoch.
    pub(super) fn of(mls: &MlsGroup, record: &GroupRecord) -> Result<Self, Error> {
        Ok(Self {
            tree: ratchet_tree(mls)?,
            own: leaf(mls.own_leaf_index()),
            seats: seats(mls, record),
        })
    }

    pub(super) fn leaves(&self) -> Vec<LeafIndex> {
        self.seats.iter().map(|(_, leaf)| *leaf).collect()
    }

    pub(super) fn device_at(&self, leaf: LeafIndex) -> Option<DeviceId> {
        self.seats.iter().find(|seat| seat.1 == leaf).map(|seat| seat.0)
    }

    pub(super) fn leaf_of(&self, device: DeviceId) -> Option<LeafIndex> {
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
    pub(super) fn anchorage(
        &self,
        committer: LeafIndex,
        newcomers: &[LeafIndex],
    ) -> Result<Anchorage, Error> {
        Ok(locate(&self.tree, committer, &self.leaves(), newcomers)?)
    }

    pub(super) fn footing(&self) -> Result<Footing, Error> {
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

impl PairedGroup {
    /// The devices of the pairing that are members now, and their leaves.
    pub fn devices(&self) -> Vec<(DeviceId, LeafIndex)> {
        self.paired.as_ref().map(|paired| paired.standing.seats.clone()).unwrap_or_default()
    }

    /// The abstract ratchet tree of the current epoch, for placement and for pictures.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`] if OpenMLS exports a tree that does not parse.
    pub fn tree(&self) -> Result<Tree, Error> {
        ratchet_tree(&self.mls)
    }

    /// Where a commit of this device would find its partners, as the tree is now.
    ///
    /// # Errors
    ///
    /// [`UsageError::NotPaired`] if this device is not paired here.
    pub fn anchorage(&self) -> Result<Anchorage, Error> {
        let standing = self.standing()?;
        standing.anchorage(standing.own, &[])
    }

    /// How the devices of the pairing stand in the tree now.
    ///
    /// # Errors
    ///
    /// [`UsageError::NotPaired`] if this device is not paired here.
    pub fn footing(&self) -> Result<Footing, Error> {
        self.standing()?.footing()
    }

    fn standing(&self) -> Result<&Standing, Error> {
        Ok(&self.paired.as_ref().ok_or(UsageError::NotPaired)?.standing)
    }
}

impl Paired {
    /// The pairing of a group that has been loaded, as the vault's record has it.
    ///
    /// The record is not taken at its word: it may be one epoch ahead of the MLS state after a crash, or
    /// of an earlier membership. What it says of another epoch is not believed, and without the tape, or
    /// with another signature key than the record's, this device is not paired here: `None`.
    pub(super) fn load<P: Platform>(
        device: &Device<P>,
        mls: &MlsGroup,
        mut record: GroupRecord,
    ) -> Result<Option<Self>, Error> {
        if mls.is_active() {
            let own = match device.vault().tape_info(&record.tape) {
                Ok(info) => info.own_device,
                Err(VaultError::Missing(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let key = mls.own_leaf_node().map(|own| own.signature_key().as_slice());
            if key.and_then(|key| device_of(&record, key)) != Some(own) {
                return Ok(None);
            }
            record.reconcile(&mark(mls.public_group().group_context()));
        }
        let standing = Arc::new(Standing::of(mls, &record)?);
        Ok(Some(Self { record, standing }))
    }
}

/// What tells an epoch.
pub(super) fn mark(context: &GroupContext) -> EpochMark {
    EpochMark {
        epoch: context.epoch().as_u64(),
        confirmed_transcript_hash: context.confirmed_transcript_hash().to_vec(),
    }
}

pub(crate) fn leaf(index: LeafNodeIndex) -> LeafIndex {
    LeafIndex::new(index.u32()).unwrap_or(LeafIndex::MAX)
}

/// The abstract ratchet tree of a group's current epoch, for placement and for pictures.
///
/// # Errors
///
/// [`Error::Mls`] if OpenMLS exports a tree that does not parse.
pub fn ratchet_tree(mls: &MlsGroup) -> Result<Tree, Error> {
    let bytes = mls
        .export_ratchet_tree()
        .tls_serialize_detached()
        .map_err(Error::mls("serialize the ratchet tree"))?;
    Ok(Tree::from(&RatchetTree::decode(&bytes)?))
}

fn seats(mls: &MlsGroup, record: &GroupRecord) -> Vec<(DeviceId, LeafIndex)> {
    let leaves = mls.treesync().full_leaves();
    leaves
        .filter_map(|(index, node)| {
            let device = device_of(record, node.signature_key().as_slice())?;
            Some((device, leaf(index)))
        })
        .collect()
}

/// The device of the pairing that has this signature key.
pub(super) fn device_of(record: &GroupRecord, signature_key: &[u8]) -> Option<DeviceId> {
    let paired = record.devices.iter().find(|paired| paired.signature_key == signature_key)?;
    Some(paired.device)
}

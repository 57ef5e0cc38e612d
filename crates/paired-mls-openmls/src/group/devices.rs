//! Where the devices of the pairing are.

use paired_mls::{
    DeviceId,
    anchor::{Anchorage, LeafIndex, Tree},
};
use paired_mls_group::node::{Footing, Standing};

use super::PairedGroup;
use crate::{Error, UsageError, view::ratchet_tree};

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

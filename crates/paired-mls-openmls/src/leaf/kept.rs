//! What stays of a leaf's record when the leaf comes into its group anew.

use openmls::prelude::{GroupId, LeafNodeIndex, MlsGroup};
use paired_mls::{
    Phase, TapeId,
    leaf::{Announced, LeafRecord},
};

use crate::{Device, Error, Platform, view::leaf};

/// What a device knew of the leaf that is no matter of the MLS state: a pairing that is ending goes on
/// ending, whoever brings the leaf back, and who was to be removed still is.
pub(super) struct Kept {
    pub(super) phase: Phase,
    announced: Vec<Announced>,
    /// The signature keys of the members that are still to be removed: their leaves may be somebody else's
    /// in the new state.
    removals: Vec<Vec<u8>>,
}

impl Kept {
    /// Reads it before the old state is erased.
    pub(super) fn of<P: Platform>(device: &Device<P>, tape: &TapeId) -> Result<Self, Error> {
        let record = device.vault().load_leaf(&tape.group_id)?;
        let record = record.filter(|record| record.tape == *tape);
        let Some(LeafRecord { phase, announced, removals, .. }) = record else {
            let (announced, removals) = Default::default();
            return Ok(Self { phase: Phase::Active, announced, removals });
        };
        let old = MlsGroup::load(device.provider().storage(), &GroupId::from_slice(&tape.group_id));
        let old = old.map_err(Error::storage("load a group"))?;
        let key = |at: u32| {
            let leaf = old.as_ref()?.public_group().leaf(LeafNodeIndex::new(at))?;
            Some(leaf.signature_key().as_slice().to_vec())
        };
        let removals = removals.iter().filter_map(|at| key(at.value())).collect();
        Ok(Self { phase, announced, removals })
    }

    /// The record of the leaf in its new state.
    pub(super) fn into_record(self, tape: TapeId, mls: &MlsGroup) -> LeafRecord {
        let epoch = mls.epoch().as_u64();
        let wanted = |member: &openmls::prelude::Member| {
            member.index != mls.own_leaf_index() && self.removals.contains(&member.signature_key)
        };
        let removals = mls.members().filter(wanted).map(|member| leaf(member.index)).collect();
        let mut announced = self.announced;
        // Those of the epoch that has ended stay until the new one is stored.
        announced.retain(|known| known.epoch.saturating_add(1) >= epoch);
        LeafRecord { phase: self.phase, announced, removals, ..LeafRecord::new(tape) }
    }
}

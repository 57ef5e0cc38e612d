//! What stays of a leaf's record when the leaf comes into its group anew, or when the vault is an older copy.

use alloc::vec::Vec;

use paired_mls::{
    Freshness, Phase, TapeId, Vault,
    leaf::{Announced, LeafRecord},
};

use crate::{Error, Library};

/// What a device knew of the leaf that is no matter of the MLS state: a pairing that is ending goes on
/// ending, whoever brings the leaf back, and who was to be removed still is.
#[derive(Debug)]
pub struct Kept {
    /// Whether this device still draws from the tape.
    pub phase: Phase,
    announced: Vec<Announced>,
    /// The signature keys of the members that are still to be removed: their leaves may be somebody else's
    /// in the new state.
    removals: Vec<Vec<u8>>,
}

impl Kept {
    /// Reads it before the old state is erased, which is `old`.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`], and that of `old`.
    pub fn of<L: Library>(
        library: &L,
        vault: &Vault,
        tape: &TapeId,
        old: impl FnOnce() -> Result<Option<L::Group>, Error>,
    ) -> Result<Self, Error> {
        let record = vault.load_leaf(&tape.group_id)?;
        let Some(LeafRecord { phase, announced, removals, .. }) =
            record.filter(|record| record.tape == *tape)
        else {
            let (announced, removals) = Default::default();
            return Ok(Self { phase: Phase::Active, announced, removals });
        };
        let old = old()?;
        let keys = old.as_ref().map(|old| library.signature_keys(old)).unwrap_or_default();
        let keys = keys.into_iter().filter(|(at, _)| removals.contains(at));
        let removals = keys.map(|(_, key)| key.into_owned()).collect();
        Ok(Self { phase, announced, removals })
    }

    /// The record of the leaf in its new state.
    pub fn into_record<L: Library>(
        self,
        library: &L,
        tape: TapeId,
        group: &L::Group,
    ) -> LeafRecord {
        let (epoch, own) = (library.epoch_mark(group).epoch, library.own_leaf(group));
        let members = library.signature_keys(group).into_iter().filter(|(at, key)| {
            *at != own && self.removals.iter().any(|removed| **removed == **key)
        });
        let removals = members.map(|(at, _)| at).collect();
        let mut announced = self.announced;
        // Those of the epoch that has ended stay until the new one is stored.
        announced.retain(|known| known.epoch.saturating_add(1) >= epoch);
        LeafRecord { phase: self.phase, announced, removals, ..LeafRecord::new(tape) }
    }
}

/// What is left of a record that is older than the group: nobody has the token, and the leaf does not count as healed.
pub fn outdated(record: &LeafRecord) -> LeafRecord {
    LeafRecord {
        phase: record.phase,
        removals: record.removals.clone(),
        ..LeafRecord::new(record.tape.clone())
    }
}

/// The record as the vault has it; if that is an older copy than the MLS state in `epoch`, without what it says of the
/// token.
pub fn current(vault: &Vault, record: LeafRecord, epoch: u64) -> LeafRecord {
    match vault.freshness(&record.tape, epoch) {
        Ok(Freshness::VaultIsOlder) => outdated(&record),
        // A tape that is not there is said where it is needed.
        _ => record,
    }
}

//! A pairing in one group, anchored at a node above the leaves of its devices.
//!
//! ```text
//! begin      a pairing begins
//! standing   where the devices are in the tree
//! facts      what a commit means for each of them
//! merge      what a commit makes of the pairing, before it is merged, and what remains to be done after it
//! keep       what the vault keeps of the pairing
//! aim        whom a commit of this device reaches, and when one that heals is due
//! own        what an encrypted message of the own leaf is
//! alarm      proposals in the name of a device that it does not make
//! refresh    whose leaf is to be renewed, and by which KeyPackage
//! swap       this device's own leaf is renewed
//! rejoin     the place that an external commit takes, and what it means there
//! ```

mod aim;
mod alarm;
mod begin;
mod facts;
mod keep;
mod merge;
mod own;
mod refresh;
mod rejoin;
mod standing;
mod swap;
#[cfg(test)]
mod tests;

use alloc::sync::Arc;

use paired_mls::{
    Freshness, GroupRecord, Vault, VaultError,
    group::{PendingCommit, SecurityTable},
};

pub use self::{
    aim::Aim,
    facts::{Delivery, Meaning, Proposals, commit_facts},
    merge::{Merged, Outcome, renewed, renews_own_leaf},
    own::OwnPrivate,
    refresh::{Place, Provision, first_renewal},
    rejoin::Seat,
    standing::{Footing, Standing, device_of},
    swap::Swap,
};
use crate::{Error, Library, Membership};

/// A pairing in a group.
#[derive(Clone, Debug)]
pub struct Paired {
    /// What the vault holds about it.
    pub record: GroupRecord,
    /// How the devices stand in the current epoch.
    pub standing: Arc<Standing>,
}

impl Paired {
    /// The pairing of a group that has been loaded, as the vault's record has it.
    ///
    /// The record is not taken at its word: it may be one epoch ahead of the MLS state after a crash, or
    /// of an earlier membership. What it says of another epoch is not believed, and without the tape, or
    /// with another signature key than the record's, this device is not paired here: `None`.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`], [`Error::Mls`].
    pub fn load<L: Library>(
        library: &L,
        vault: &Vault,
        group: &L::Group,
        mut record: GroupRecord,
    ) -> Result<Option<Self>, Error> {
        if library.membership(group) == Membership::Stays {
            let own = match vault.tape_info(&record.tape) {
                Ok(info) => info.own_device,
                Err(VaultError::Missing(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let at = library.own_leaf(group);
            let mut keys = library.signature_keys(group).into_iter();
            let key = keys.find(|(leaf, _)| *leaf == at);
            if key.and_then(|(_, key)| device_of(&record, &key)) != Some(own) {
                return Ok(None);
            }
            record.reconcile(&library.epoch_mark(group));
        }
        let standing = Arc::new(Standing::of(library, group, &record)?);
        Ok(Some(Self { record, standing }))
    }

    /// The record as the vault has it; if that is an older copy than the MLS state in `epoch`, without what
    /// it says of the security.
    pub fn current(vault: &Vault, record: GroupRecord, epoch: u64) -> GroupRecord {
        match vault.freshness(&record.tape, epoch) {
            Ok(Freshness::VaultIsOlder) => Self::outdated(record),
            // A tape that is not there is said where it is needed.
            _ => record,
        }
    }

    /// What is left of a record that is older than the group.
    pub fn outdated(record: GroupRecord) -> GroupRecord {
        let devices = record.devices.iter().map(|paired| paired.device);
        GroupRecord { security: SecurityTable::exposed(devices), ..record }
    }

    /// The same, with another own commit that waits.
    #[must_use]
    pub fn waiting_for(&self, pending: PendingCommit) -> Self {
        let record = GroupRecord { pending: Some(pending), ..self.record.clone() };
        Self { record, standing: self.standing.clone() }
    }
}

//! A commit is merged: what it means for the pairing is worked out first, from the epoch before.

use std::sync::Arc;

use openmls::prelude::{MlsGroup, StagedCommit};
use paired_mls::{EpochSecurity, Event};

use super::{
    Paired,
    facts::{Committer, Reach, events, look_at},
    standing::{Standing, leaf},
};
use crate::{Device, Error, Platform, UsageError, gate::check_signature_keys};

/// What a commit means for the pairing.
pub(super) struct Outcome {
    pub(super) events: Vec<Event>,
    /// Some device is weakened now and was not before.
    pub(super) weakened: bool,
    /// The pairing in the new epoch; `None` without one.
    next: Option<Paired>,
}

impl Outcome {
    pub(super) fn into_parts(self) -> (Vec<Event>, Option<Paired>) {
        (self.events, self.next)
    }

    /// Works out what a staged commit means, before it is merged.
    fn of(
        paired: Option<&Paired>,
        staged: &StagedCommit,
        committer: Committer,
        reach: Reach,
    ) -> Result<Self, Error> {
        let Some(paired) = paired else {
            return Ok(Self { events: Vec::new(), weakened: false, next: None });
        };
        let mut record = paired.record.clone();
        let before = &paired.standing;
        if staged.self_removed() {
            let next = Some(Paired { record, standing: before.clone() });
            return Ok(Self { events: Vec::new(), weakened: false, next });
        }
        let seen = look_at(before, &record, staged, committer, reach)?;
        let changed = record.security.apply(&seen.facts, |device| seen.after.leaf_of(device));
        let weakened = changed.iter().any(|(_, _, to)| *to == EpochSecurity::Weakened);
        let events = events(before, &seen, changed)?;
        let next = Some(Paired { record, standing: Arc::new(seen.after) });
        Ok(Self { events, weakened, next })
    }
}

impl Outcome {
    /// In debug builds: the core's arithmetic has led to the tree that OpenMLS has.
    fn check(&self, mls: &MlsGroup) -> Result<(), Error> {
        if let (true, true, Some(next)) = (cfg!(debug_assertions), mls.is_active(), &self.next) {
            assert_eq!(*next.standing, Standing::of(mls, &next.record)?, "the tree went astray");
        }
        Ok(())
    }
}

/// Merges the own commit that waits.
pub(super) fn merge_own<P: Platform>(
    mls: &mut MlsGroup,
    paired: Option<&Paired>,
    device: &Device<P>,
) -> Result<Outcome, Error> {
    let staged = mls.pending_commit().ok_or(UsageError::NoCommitPending)?;
    let pending = paired.and_then(|paired| paired.record.pending.as_ref());
    let reach = match pending.and_then(|pending| pending.index) {
        Some(index) => Reach::Notified(Some(index)),
        None => Reach::Sealed,
    };
    let committer = Committer::Member(leaf(mls.own_leaf_index()));
    let outcome = Outcome::of(paired, staged, committer, reach)?;
    mls.merge_pending_commit(device.provider()).map_err(Error::storage("merge a commit"))?;
    outcome.check(mls)?;
    Ok(outcome)
}

/// Merges the commit of another member. An own one that waits has lost the epoch.
pub(super) fn merge_other<P: Platform>(
    mls: &mut MlsGroup,
    paired: Option<&Paired>,
    device: &Device<P>,
    staged: StagedCommit,
    committer: Committer,
    reach: Reach,
) -> Result<Outcome, Error> {
    let mut outcome = Outcome::of(paired, &staged, committer, reach)?;
    if mls.pending_commit().is_some() {
        let pending = paired.and_then(|paired| paired.record.pending.as_ref());
        let index = pending.and_then(|pending| pending.index);
        outcome.events.insert(0, Event::CommitLost { index });
    }
    if staged.self_removed() {
        outcome.events.push(Event::Removed);
    }
    mls.merge_staged_commit(device.provider(), staged).map_err(Error::storage("merge a commit"))?;
    if mls.is_active() {
        check_signature_keys(mls)?;
    }
    outcome.check(mls)?;
    Ok(outcome)
}

//! A commit is merged: what it means for the pairing is worked out first, from the epoch before.

use openmls::prelude::{MlsGroup, StagedCommit};
use paired_mls::{Event, group::Identities};
use paired_mls_group::{
    Committer, Library as _,
    gate::{brought_in, check_signature_keys, odd_events},
    identity::Asked,
    node::{Delivery, Merged, Outcome, Paired},
};

use super::receive::Inspection;
use crate::{Device, Error, PeerError, Platform, UsageError, view};

/// Merges the own commit that waits.
pub(super) fn merge_own<P: Platform>(
    mls: &mut MlsGroup,
    paired: Option<&Paired>,
    device: &Device<P>,
    identities: &Identities,
) -> Result<(Merged, Option<Paired>), Error> {
    let staged = mls.pending_commit().ok_or(UsageError::NoCommitPending)?;
    let pending = paired.and_then(|paired| paired.record.pending.as_ref());
    let delivery = Delivery::Own(pending.and_then(|pending| pending.index));
    let committer = Committer::Member(device.own_leaf(mls));
    let (staged, this) = (view::staged(staged)?, device.this());
    let asked = Asked::of(&this, mls, identities, &staged, committer)?;
    let outcome = Outcome::of(paired, &this, &staged, committer, delivery)?;
    mls.merge_pending_commit(device.provider()).map_err(Error::storage("merge a commit"))?;
    outcome.check(device, mls)?;
    Ok(outcome.merged(asked.settle(&this, mls, identities)?))
}

/// Merges the commit of another member. An own one that waits has lost the epoch.
pub(super) fn merge_other<P: Platform>(
    mls: &mut MlsGroup,
    paired: Option<&Paired>,
    device: &Device<P>,
    staged: StagedCommit,
    (committer, delivery): (Committer, Delivery),
    identities: &Identities,
    policy: impl FnOnce(&Inspection<'_>) -> bool,
) -> Result<(Merged, Option<Paired>), Error> {
    let (commit, this) = (view::staged(&staged)?, device.this());
    let asked = Asked::of(&this, mls, identities, &commit, committer)?;
    let mut outcome = Outcome::of(paired, &this, &commit, committer, delivery)?;
    if !policy(&Inspection::new(&staged, &outcome.alarms)) {
        return Err(PeerError::Policy.into());
    }
    if mls.pending_commit().is_some() {
        outcome.lose_pending(paired);
    }
    if staged.self_removed() {
        outcome.events.push(Event::Removed);
    }
    mls.merge_staged_commit(device.provider(), staged).map_err(Error::storage("merge a commit"))?;
    if mls.is_active() {
        let pairing = paired.map(|paired| paired.record.devices.as_slice()).unwrap_or_default();
        let odd = check_signature_keys(device, mls, pairing)?;
        outcome.events.extend(odd_events(device, mls, odd, &brought_in(&commit)));
    }
    outcome.check(device, mls)?;
    Ok(outcome.merged(asked.settle(&this, mls, identities)?))
}

//! A commit is merged: what it means for the pairing is worked out first, from the epoch before.

use std::sync::Arc;

use openmls::prelude::{MlsGroup, StagedCommit};
use paired_mls::{
    DeviceId, Event, GroupRecord, Index,
    group::{Act, Identities},
};

use super::{
    Paired,
    facts::{Committer, Reach, look_at},
    receive::Inspection,
    standing::{Standing, device_of, leaf, mark},
};
use crate::{
    Device, Error, PeerError, Platform, UsageError,
    gate::{brought_in, check_signature_keys, odd_events},
    identity::{Asked, By, Settled},
    outgoing::message_bytes,
    package::authenticate,
};

/// What is told about a commit that was merged, and what remains to be done.
pub(super) struct Merged {
    pub(super) events: Vec<Event>,
    pub(super) used: Vec<Index>,
    pub(super) identities: Identities,
}

/// What a commit means for the pairing.
struct Outcome {
    events: Vec<Event>,
    /// What was done in the name of devices; they are among the events, too.
    alarms: Vec<Event>,
    /// The KeyPackages from the tape that the commit has used.
    used: Vec<Index>,
    /// The pairing in the new epoch; `None` without one.
    next: Option<Paired>,
}

impl From<Committer> for By {
    fn from(committer: Committer) -> Self {
        match committer {
            Committer::Member(leaf) => Self::Member(leaf),
            Committer::External(leaf) => Self::External(leaf),
        }
    }
}

impl Outcome {
    /// What remains to be done, with the members' identities in the new epoch.
    fn into_parts(mut self, settled: Settled) -> (Merged, Option<Paired>) {
        let Settled { identities, events: said } = settled;
        self.events.extend(said);
        let Self { events, used, next, .. } = self;
        (Merged { events, used, identities }, next)
    }

    /// Works out what a staged commit means, before it is merged.
    fn of<P: Platform>(
        paired: Option<&Paired>,
        device: &Device<P>,
        staged: &StagedCommit,
        committer: Committer,
        reach: Reach,
    ) -> Result<Self, Error> {
        let nothing =
            |next| Self { events: Vec::new(), alarms: Vec::new(), used: Vec::new(), next };
        let Some(paired) = paired else {
            return Ok(nothing(None));
        };
        let mut record = paired.record.clone();
        let before = &paired.standing;
        if staged.self_removed() {
            let own = before.device_at(before.own);
            let key = staged.update_path_leaf_node().map(|leaf| leaf.signature_key().as_slice());
            let impostor = own.filter(|_| matches!(committer, Committer::External(_)));
            let impostor = impostor.filter(|_| key == Some(device.signature_key()));
            let alarm = |device| Event::Impostor { device, act: Act::ExternalCommit };
            let alarms: Vec<_> = impostor.map(alarm).into_iter().collect();
            let next = Some(Paired { record, standing: before.clone() });
            return Ok(Self { events: alarms.clone(), alarms, ..nothing(next) });
        }
        let renewed = renewed(device, &record, staged)?;
        let devices: Vec<_> = renewed.iter().map(|(device, _)| *device).collect();
        let seen = look_at(before, &record, staged, committer, reach, &devices)?;
        let events = seen.events(before)?;
        record.advance(mark(staged.group_context()), seen.security);
        let next = Some(Paired { record, standing: Arc::new(seen.after) });
        let used = renewed.into_iter().map(|(_, index)| index).collect();
        Ok(Self { events, alarms: seen.alarms, used, next })
    }

    /// In debug builds: the core's arithmetic has led to the tree that OpenMLS has.
    fn check(&self, mls: &MlsGroup) -> Result<(), Error> {
        if let (true, true, Some(next)) = (cfg!(debug_assertions), mls.is_active(), &self.next) {
            assert_eq!(*next.standing, Standing::of(mls, &next.record)?, "the tree went astray");
        }
        Ok(())
    }
}

/// The devices of the pairing that a commit adds with KeyPackages from the tape.
pub(super) fn renewed<P: Platform>(
    device: &Device<P>,
    record: &GroupRecord,
    staged: &StagedCommit,
) -> Result<Vec<(DeviceId, Index)>, Error> {
    let mut renewed = Vec::new();
    for add in staged.add_proposals() {
        let key_package = add.add_proposal().key_package();
        let signature_key = key_package.leaf_node().signature_key().as_slice();
        let Some(added) = device_of(record, signature_key) else {
            continue;
        };
        let message = message_bytes(key_package.clone().into())?;
        match authenticate(device, record.tape.pairing, &message) {
            Ok(index) => renewed.push((added, index)),
            Err(Error::Peer(PeerError::NotFromTheTape)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(renewed)
}

/// Merges the own commit that waits.
pub(super) fn merge_own<P: Platform>(
    mls: &mut MlsGroup,
    paired: Option<&Paired>,
    device: &Device<P>,
    identities: &Identities,
) -> Result<(Merged, Option<Paired>), Error> {
    let staged = mls.pending_commit().ok_or(UsageError::NoCommitPending)?;
    let pending = paired.and_then(|paired| paired.record.pending.as_ref());
    let reach = Reach::Own(pending.and_then(|pending| pending.index));
    let committer = Committer::Member(leaf(mls.own_leaf_index()));
    let asked = Asked::of(device, mls, identities, staged, committer.into())?;
    let outcome = Outcome::of(paired, device, staged, committer, reach)?;
    mls.merge_pending_commit(device.provider()).map_err(Error::storage("merge a commit"))?;
    outcome.check(mls)?;
    Ok(outcome.into_parts(asked.settle(device, mls, identities)?))
}

/// Merges the commit of another member. An own one that waits has lost the epoch.
pub(super) fn merge_other<P: Platform>(
    mls: &mut MlsGroup,
    paired: Option<&Paired>,
    device: &Device<P>,
    staged: StagedCommit,
    (committer, reach): (Committer, Reach),
    identities: &Identities,
    policy: impl FnOnce(&Inspection<'_>) -> bool,
) -> Result<(Merged, Option<Paired>), Error> {
    let asked = Asked::of(device, mls, identities, &staged, committer.into())?;
    let mut outcome = Outcome::of(paired, device, &staged, committer, reach)?;
    if !policy(&Inspection::new(&staged, &outcome.alarms)) {
        return Err(PeerError::Policy.into());
    }
    if mls.pending_commit().is_some() {
        let pending = paired.and_then(|paired| paired.record.pending.as_ref());
        let index = pending.and_then(|pending| pending.index);
        outcome.events.insert(0, Event::CommitLost { index });
    }
    if staged.self_removed() {
        outcome.events.push(Event::Removed);
    }
    let new = brought_in(&staged);
    mls.merge_staged_commit(device.provider(), staged).map_err(Error::storage("merge a commit"))?;
    if mls.is_active() {
        let pairing = paired.map(|paired| paired.record.devices.as_slice()).unwrap_or_default();
        let odd = check_signature_keys(device.provider().crypto(), mls, pairing)?;
        outcome.events.extend(odd_events(mls, odd, &new));
    }
    outcome.check(mls)?;
    Ok(outcome.into_parts(asked.settle(device, mls, identities)?))
}

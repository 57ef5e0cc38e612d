//! What somebody does in the name of a shared leaf.

use alloc::{vec, vec::Vec};

use paired_mls::{
    DeviceId, EpochSecurity, Event, LeafKey,
    anchor::LeafIndex,
    group::Act,
    leaf::{LeafRecord, Origin, Speaker},
};

use crate::{Proposal, Proposed};

/// How safe the leaf is: a commit from the tape renews everything that it has.
pub fn security(record: &LeafRecord) -> EpochSecurity {
    match record.speaker {
        Some(Speaker { origin: Origin::Commit, .. }) => EpochSecurity::Secure(LeafKey::Fresh),
        _ => EpochSecurity::Exposed,
    }
}

/// What somebody does with a proposal from the leaf at `own` that none of its devices makes: they propose to
/// leave, and nothing else.
pub fn act_in_own_name(own: LeafIndex, proposed: &Proposed) -> Option<Act> {
    if proposed.member() != Some(own) {
        return None;
    }
    match &proposed.proposal {
        Proposal::SelfRemove => None,
        Proposal::Remove(removed) if *removed == own => None,
        Proposal::Update(_) => Some(Act::UpdateProposed),
        _ => Some(Act::Proposal),
    }
}

/// Somebody acts in the name of the leaf; returns what is told.
pub fn doubt(record: &mut LeafRecord, own: DeviceId, devices: &[DeviceId], act: Act) -> Vec<Event> {
    let from = security(record);
    if let Some(speaker) = &mut record.speaker
        && speaker.origin == Origin::Commit
    {
        speaker.origin = Origin::InDoubt;
    }
    let mut events = vec![Event::Impostor { device: own, act }];
    events.extend(security_changed(record, from, devices));
    events
}

/// What is told if the leaf is as safe as `from` no more.
pub fn security_changed(
    record: &LeafRecord,
    from: EpochSecurity,
    devices: &[DeviceId],
) -> Vec<Event> {
    let to = security(record);
    let changed = devices.iter().filter(|_| from != to);
    changed.map(|device| Event::SecurityChanged { device: *device, from, to }).collect()
}

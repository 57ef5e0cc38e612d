//! What a commit makes of the pairing: it is worked out before the commit is merged, from the epoch before.

use alloc::{sync::Arc, vec::Vec};

use paired_mls::{
    DeviceId, Event, GroupRecord, Index, PairingId, TapeId, Vault,
    group::{Act, Identities},
};

use super::{Delivery, Paired, Standing, commit_facts, device_of};
use crate::{
    Committer, Error, Library, Membership, PeerError, Proposal, StagedCommit, ThisDevice,
    identity::Settled,
    packages::{authenticate, spend},
};

/// What a commit means for the pairing.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What is told once it is merged.
    pub events: Vec<Event>,
    /// What was done in the name of devices; they are among the events, too.
    pub alarms: Vec<Event>,
    /// The KeyPackages from the tape that the commit has used.
    pub used: Vec<Index>,
    /// The pairing in the new epoch; `None` without one.
    pub next: Option<Paired>,
}

/// What is told about a commit that was merged, and what remains to be done.
#[derive(Debug)]
pub struct Merged {
    /// What is told.
    pub events: Vec<Event>,
    /// The KeyPackages from the tape that the commit has used.
    pub used: Vec<Index>,
    /// Which members are not verified in the new epoch.
    pub identities: Identities,
}

impl Merged {
    /// The new epoch is stored: the tape value that led to it, and the KeyPackages that it has used, are needed no
    /// more. A failure is an event, since the commit is merged in any case.
    pub fn spend(&mut self, vault: &Vault, tape: &TapeId) {
        let spent = self.used.iter().try_for_each(|index| spend(vault, tape.pairing, *index));
        if vault.settle(tape).is_err() || spent.is_err() {
            self.events.push(Event::NotSettled);
        }
    }
}

impl Outcome {
    /// Works out what a staged commit means, before it is merged.
    ///
    /// # Errors
    ///
    /// [`Error::Vault`]; [`Error::Mls`], [`Error::Locate`] if the commit does not fit the tree.
    pub fn of<L: Library>(
        paired: Option<&Paired>,
        device: &ThisDevice<'_, L>,
        staged: &StagedCommit,
        committer: Committer,
        delivery: Delivery,
    ) -> Result<Self, Error> {
        let Some(paired) = paired else {
            return Ok(Self::default());
        };
        let mut record = paired.record.clone();
        let before = &paired.standing;
        if staged.membership == Membership::Removed {
            let own = before.device_at(before.own);
            let key = staged.path.as_ref().map(|leaf| leaf.signature_key());
            let impostor = own.filter(|_| matches!(committer, Committer::External(_)));
            let impostor = impostor.filter(|_| key == Some(device.signature_key));
            let alarm = |device| Event::Impostor { device, act: Act::ExternalCommit };
            let alarms: Vec<_> = impostor.map(alarm).into_iter().collect();
            let next = Some(Paired { record, standing: before.clone() });
            return Ok(Self { events: alarms.clone(), alarms, next, ..Self::default() });
        }
        let renewed = renewed(device, &record, staged)?;
        let devices: Vec<_> = renewed.iter().map(|(device, _)| *device).collect();
        let meaning = commit_facts(before, &record, staged, committer, delivery, &devices)?;
        let events = meaning.events(before)?;
        record.advance(staged.next.clone(), meaning.security);
        let next = Some(Paired { record, standing: Arc::new(meaning.after) });
        let used = renewed.into_iter().map(|(_, index)| index).collect();
        Ok(Self { events, alarms: meaning.alarms, used, next })
    }

    /// An own commit waits, and has lost the epoch.
    pub fn lose_pending(&mut self, paired: Option<&Paired>) {
        let pending = paired.and_then(|paired| paired.record.pending.as_ref());
        let index = pending.and_then(|pending| pending.index);
        self.events.insert(0, Event::CommitLost { index });
    }

    /// The commit is merged: what is told, with who the members are now, and the pairing in the new epoch.
    pub fn merged(self, settled: Settled) -> (Merged, Option<Paired>) {
        let Self { mut events, used, next, .. } = self;
        let Settled { identities, events: said } = settled;
        events.extend(said);
        (Merged { events, used, identities }, next)
    }

    /// In debug builds: the core's arithmetic has led to the tree that the library has.
    ///
    /// # Errors
    ///
    /// [`Error::Mls`].
    pub fn check<L: Library>(&self, library: &L, group: &L::Group) -> Result<(), Error> {
        let is_member = library.membership(group) == Membership::Stays;
        if let (true, true, Some(next)) = (cfg!(debug_assertions), is_member, &self.next) {
            let found = Standing::of(library, group, &next.record)?;
            assert_eq!(*next.standing, found, "the tree went astray");
        }
        Ok(())
    }
}

/// The devices of the pairing that a commit adds with KeyPackages from the tape.
///
/// # Errors
///
/// [`Error::Vault`].
pub fn renewed<L: Library>(
    device: &ThisDevice<'_, L>,
    record: &GroupRecord,
    staged: &StagedCommit,
) -> Result<Vec<(DeviceId, Index)>, Error> {
    let mut renewed = Vec::new();
    for proposed in &staged.proposals {
        let Proposal::Add { leaf, key_package } = &proposed.proposal else {
            continue;
        };
        if let Some(added) = device_of(record, leaf.signature_key()) {
            let index = from_the_tape(device, record.tape.pairing, key_package)?;
            renewed.extend(index.map(|index| (added, index)));
        }
    }
    Ok(renewed)
}

/// Whether the commit of the member at `committer` renews this device's leaf: it takes the leaf out and puts
/// it in again with a KeyPackage from the tape, and a partner has made it. Nobody else can, so that every
/// other commit that does both is a removal, and a Welcome.
///
/// # Errors
///
/// [`Error::Vault`].
pub fn renews_own_leaf<L: Library>(
    device: &ThisDevice<'_, L>,
    paired: Option<&Paired>,
    staged: &StagedCommit,
    committer: Committer,
) -> Result<bool, Error> {
    let removed = staged.membership == Membership::Removed;
    let (Some(Paired { record, standing }), Committer::Member(by)) =
        (paired.filter(|_| removed), committer)
    else {
        return Ok(false);
    };
    if standing.device_at(by).is_none() || by == standing.own {
        return Ok(false);
    }
    for proposed in &staged.proposals {
        let Proposal::Add { leaf, key_package } = &proposed.proposal else {
            continue;
        };
        if leaf.signature_key() == device.signature_key
            && from_the_tape(device, record.tape.pairing, key_package)?.is_some()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where on the tape a KeyPackage is from; `None` if it is not.
fn from_the_tape<L: Library>(
    device: &ThisDevice<'_, L>,
    pairing: PairingId,
    key_package: &[u8],
) -> Result<Option<Index>, Error> {
    match authenticate(device.library, device.vault, pairing, key_package) {
        Ok(index) => Ok(Some(index)),
        Err(Error::Peer(PeerError::NotFromTheTape)) => Ok(None),
        Err(error) => Err(error),
    }
}

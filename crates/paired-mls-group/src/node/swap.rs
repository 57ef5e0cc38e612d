//! A partner renews this device's own leaf: its old state goes with the commit, and the new one comes by the Welcome.

use alloc::vec::Vec;

use paired_mls::{Event, Index, group::Identities};

use super::{Delivery, Meaning, Merged, Paired, commit_facts, renewed, renews_own_leaf};
use crate::{
    Committer, Error, Library, PeerError, StagedCommit, ThisDevice, UsageError,
    gate::check_signature_keys, identity::Asked,
};

/// What a commit means that renews this device's leaf, worked out before the Welcome is entered by.
pub struct Swap<'a> {
    paired: &'a Paired,
    asked: Asked,
    meaning: Meaning,
    events: Vec<Event>,
    used: Vec<Index>,
}

impl Paired {
    /// Works out what this commit means, which renews this device's leaf.
    ///
    /// # Errors
    ///
    /// [`PeerError::NoRefresh`] if it does not, or no partner has made it; [`Error::Vault`]; [`Error::Mls`],
    /// [`Error::Locate`] if it does not fit the tree.
    pub fn swap<L: Library>(
        &self,
        device: &ThisDevice<'_, L>,
        old: &L::Group,
        identities: &Identities,
        commit: &StagedCommit,
        committer: Committer,
    ) -> Result<Swap<'_>, Error> {
        let Committer::Member(by) = committer else {
            return Err(PeerError::NoRefresh("the committer is no member").into());
        };
        if self.standing.device_at(by).is_none() {
            return Err(PeerError::NoRefresh("the committer is no partner").into());
        }
        if !renews_own_leaf(device, Some(self), commit, committer)? {
            return Err(PeerError::NoRefresh("the commit does not renew this leaf").into());
        }
        let Self { record, standing } = self;
        let asked = Asked::of(device, old, identities, commit, committer)?;
        let renewed = renewed(device, record, commit)?;
        let devices: Vec<_> = renewed.iter().map(|(device, _)| *device).collect();
        let delivery = Delivery::Welcomed;
        let meaning = commit_facts(standing, record, commit, committer, delivery, &devices)?;
        let events = meaning.events(standing)?;
        let used = renewed.into_iter().map(|(_, index)| index).collect();
        Ok(Swap { paired: self, asked, meaning, events, used })
    }
}

impl Swap<'_> {
    /// The Welcome has led into `new`: checks it, and has the vault remember the pairing in its epoch.
    ///
    /// # Errors
    ///
    /// [`Error::Peer`] for a tree that no member takes; [`Error::Vault`], [`Error::Mls`], [`UsageError::NotPaired`].
    pub fn enter<L: Library>(
        self,
        device: &ThisDevice<'_, L>,
        identities: &Identities,
        new: &L::Group,
    ) -> Result<(Paired, Merged), Error> {
        let Self { paired, asked, meaning, mut events, used } = self;
        let (library, vault) = (device.library, device.vault);
        check_signature_keys(library, new, &paired.record.devices)?;
        let settled = asked.settle(device, new, identities)?;
        events.extend(settled.events);
        let mut record = paired.record.clone();
        record.pending = None;
        let mark = library.epoch_mark(new);
        vault.note_epoch(&record.tape, mark.epoch)?;
        record.advance(mark, meaning.security);
        vault.store_group(&record)?;
        let paired = Paired::load(library, vault, new, record)?.ok_or(UsageError::NotPaired)?;
        Ok((paired, Merged { events, used, identities: settled.identities }))
    }
}

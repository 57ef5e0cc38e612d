//! A commit is merged: what it means for the pairing is worked out from the epoch before.

use mls_rs::CryptoProvider;
use paired_mls::{Event, group::Identities};
use paired_mls_group::{
    Error, Membership,
    gate::{brought_in, check_signature_keys, odd_events},
    identity::Asked,
    node::{Delivery, Merged, Outcome, Paired},
};

use crate::{Device, config::MlsState, view::Described};

/// A commit that is merged in a copy of the group.
pub(super) struct Merging<'a, C: CryptoProvider + Clone> {
    pub(super) device: &'a Device<C>,
    pub(super) before: &'a MlsState<C>,
    pub(super) paired: Option<&'a Paired>,
    pub(super) identities: &'a Identities,
}

impl<C: CryptoProvider + Clone> Merging<'_, C> {
    /// This device's own commit.
    pub(super) fn own(
        &self,
        after: &MlsState<C>,
        described: &Described,
    ) -> Result<(Merged, Option<Paired>), Error> {
        let pending = self.paired.and_then(|paired| paired.record.pending.as_ref());
        let delivery = Delivery::Own(pending.and_then(|pending| pending.index));
        let (asked, outcome) = self.judge(described, delivery)?;
        outcome.check(self.device, after)?;
        self.settle(after, asked, outcome)
    }

    /// The commit of another member. An own one that waits has lost the epoch.
    pub(super) fn other(
        &self,
        after: &mut MlsState<C>,
        described: &Described,
        delivery: Delivery,
    ) -> Result<(Merged, Option<Paired>), Error> {
        let (asked, mut outcome) = self.judge(described, delivery)?;
        if self.before.mls.has_pending_commit() {
            outcome.lose_pending(self.paired);
        }
        match described.staged.membership {
            Membership::Removed => {
                after.mls.clear_pending_commit();
                after.membership = Membership::Removed;
                outcome.events.push(Event::Removed);
            }
            Membership::Stays => {
                let pairing = self.paired.map(|paired| paired.record.devices.as_slice());
                let odd = check_signature_keys(self.device, after, pairing.unwrap_or_default())?;
                let brought_in = brought_in(&described.staged);
                outcome.events.extend(odd_events(self.device, after, odd, &brought_in));
            }
        }
        outcome.check(self.device, after)?;
        self.settle(after, asked, outcome)
    }

    fn judge(&self, described: &Described, delivery: Delivery) -> Result<(Asked, Outcome), Error> {
        let (this, Described { staged, committer }) = (self.device.this(), described);
        let asked = Asked::of(&this, self.before, self.identities, staged, *committer)?;
        let outcome = Outcome::of(self.paired, &this, staged, *committer, delivery)?;
        Ok((asked, outcome))
    }

    fn settle(
        &self,
        after: &MlsState<C>,
        asked: Asked,
        outcome: Outcome,
    ) -> Result<(Merged, Option<Paired>), Error> {
        Ok(outcome.merged(asked.settle(&self.device.this(), after, self.identities)?))
    }
}

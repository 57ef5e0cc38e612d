//! The commit that heals, when it is due.

use paired_mls::HealPolicy;
use paired_mls_group::node::first_renewal;

use super::{PairedGroup, send::Prepared};
use crate::{Content, Device, Error, Outgoing, Platform};

impl PairedGroup {
    /// Makes the commit that heals, if the policy demands one and it would heal somebody, or the refresh of a partner
    /// whose leaf ends, whatever the policy is. Returns `None` if nothing is to be done. Deliver the commit, and then say what became of it.
    ///
    /// [`Group::process`](crate::Group::process) calls it after each commit. Call it after [`Group::load`](crate::Group::load), after the
    /// commits that came while a device was off, and from time to time: a commit that the delivery
    /// service has refused is made again so. Not right after [`Group::discard`](crate::Group::discard): first process the
    /// commit that has won.
    ///
    /// # Errors
    ///
    /// As [`Group::add`](crate::Group::add).
    pub(crate) fn heal_if_due<P: Platform>(
        &mut self,
        device: &Device<P>,
    ) -> Result<Option<Outgoing>, Error> {
        if let Some(refresh) = self.renew_if_due(device)? {
            return Ok(Some(refresh));
        }
        match self.due(device)? {
            HealPolicy::Manual => Ok(None),
            HealPolicy::AtOnce => self.commit(device, Content::new()).map(Some),
            HealPolicy::Refresh => self.refresh_or_update(device).map(Some),
        }
    }

    /// The refresh of a partner whose leaf ends, if a KeyPackage is at hand and the tree has a place for it.
    fn renew_if_due<P: Platform>(&mut self, device: &Device<P>) -> Result<Option<Outgoing>, Error> {
        let idle = self.mls.is_active() && self.mls.pending_commit().is_none();
        let Some(paired) = self.paired.as_ref().filter(|_| idle) else { return Ok(None) };
        let overdue = paired.overdue(&device.this(), &self.mls)?;
        first_renewal(overdue, |package| self.refresh(device, package))
    }

    /// How to heal now; [`HealPolicy::Manual`] if nothing is to be done.
    fn due<P: Platform>(&self, device: &Device<P>) -> Result<HealPolicy, Error> {
        let idle = self.mls.is_active() && self.mls.pending_commit().is_none();
        match self.paired.as_ref().filter(|_| idle) {
            Some(paired) => paired.due(|| {
                let waiting = self.kept(&self.left_out(device)?)?;
                self.aim(&Prepared::default(), &waiting)
            }),
            None => Ok(HealPolicy::Manual),
        }
    }
}

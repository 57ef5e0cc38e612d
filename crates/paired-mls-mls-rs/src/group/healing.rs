//! The commit that heals, when it is due.

use mls_rs::CryptoProvider;
use paired_mls::HealPolicy;
use paired_mls_group::{Error, Membership, Outgoing, node::first_renewal};

use super::{Content, Group};
use crate::Device;

impl<C: CryptoProvider + Clone> Group<C> {
    /// Makes the commit that heals, if the policy demands one and it would heal somebody, or the refresh of a partner
    /// whose leaf ends, whatever the policy is. Returns `None` if nothing is to be done. Deliver the commit, and then say what became of it.
    ///
    /// [`Group::process`] calls it after each commit. Call it after [`Group::load`], after the commits that came while a
    /// device was off, and from time to time: a commit that the delivery service has refused is made again so. Not
    /// right after [`Group::discard`]: first process the commit that has won.
    ///
    /// # Errors
    ///
    /// As [`Group::commit`].
    pub fn heal_if_due(&mut self, device: &Device<C>) -> Result<Option<Outgoing>, Error> {
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
    fn renew_if_due(&mut self, device: &Device<C>) -> Result<Option<Outgoing>, Error> {
        let idle = self.state.membership == Membership::Stays && !self.has_pending();
        let Some(paired) = self.paired.as_ref().filter(|_| idle) else { return Ok(None) };
        let overdue = paired.overdue(&device.this(), &self.state)?;
        first_renewal(overdue, |package| self.refresh(device, package))
    }

    /// How to heal now; [`HealPolicy::Manual`] if nothing is to be done.
    fn due(&self, device: &Device<C>) -> Result<HealPolicy, Error> {
        let idle = self.state.membership == Membership::Stays && !self.has_pending();
        match self.paired.as_ref().filter(|_| idle) {
            Some(paired) => paired.due(|| self.aim_of_update(device)),
            None => Ok(HealPolicy::Manual),
        }
    }
}

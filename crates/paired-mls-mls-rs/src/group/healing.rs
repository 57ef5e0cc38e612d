//! The commit that heals, when it is due.

use mls_rs::CryptoProvider;
use paired_mls::HealPolicy;
use paired_mls_group::{Error, Membership, Outgoing};

use super::{Content, Group};
use crate::Device;

impl<C: CryptoProvider + Clone> Group<C> {
    /// Makes the commit that heals, if the policy demands one and it would heal somebody. Returns `None`
    /// if nothing is to be done. Deliver the commit, and then say what became of it.
    ///
    /// [`Group::process`] calls it after each commit. Call it after [`Group::load`], after the commits that came while a
    /// device was off, and from time to time: a commit that the delivery service has refused is made again so. Not
    /// right after [`Group::discard`]: first process the commit that has won.
    ///
    /// # Errors
    ///
    /// As [`Group::commit`].
    pub fn heal_if_due(&mut self, device: &Device<C>) -> Result<Option<Outgoing>, Error> {
        match self.due(device)? {
            HealPolicy::Manual => Ok(None),
            HealPolicy::AtOnce => self.commit(device, Content::new()).map(Some),
            HealPolicy::Refresh => self.refresh_or_update(device).map(Some),
        }
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

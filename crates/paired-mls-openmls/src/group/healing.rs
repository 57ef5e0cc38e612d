//! When a commit that heals is due.
//!
//! It is decided from the state, not from what has just happened: a commit that lost its race, or died
//! with the process, is due again.
//!
//! ```text
//! due   the policy is AtOnce or Refresh, no commit waits, and
//!       a device is exposed or weakened that a commit of this device heals: a partner below the anchor
//!       as the tree is now, or this device itself
//! ```
//!
//! A partner that no commit of this device can heal, by its place or because the pairing is ending, makes
//! none due; nor does a commit that has healed whom it could. So there is no loop.

use paired_mls::{EpochSecurity, HealPolicy, Phase};

use super::{Paired, PairedGroup, send::Content};
use crate::{Device, Error, Outgoing, Platform};

impl PairedGroup {
    /// Makes the commit that heals, if the policy demands one and it would heal somebody. Returns `None`
    /// if nothing is to be done. Deliver the commit, and then say what became of it.
    ///
    /// [`PairedGroup::process`] calls it after each commit. Call it after [`PairedGroup::load`], after the
    /// commits that came while a device was off, and from time to time: a commit that the delivery
    /// service has refused is made again so. Not right after [`PairedGroup::discard`]: first process the
    /// commit that has won.
    ///
    /// # Errors
    ///
    /// As [`PairedGroup::add`].
    pub fn heal_if_due<P: Platform>(
        &mut self,
        device: &Device<P>,
    ) -> Result<Option<Outgoing>, Error> {
        match self.due(device)? {
            HealPolicy::Manual => Ok(None),
            HealPolicy::AtOnce => self.update(device).map(Some),
            HealPolicy::Refresh => self.refresh_or_update(device).map(Some),
        }
    }

    /// How to heal now; [`HealPolicy::Manual`] if nothing is to be done.
    fn due<P: Platform>(&self, device: &Device<P>) -> Result<HealPolicy, Error> {
        let Some(Paired { record, standing }) = &self.paired else {
            return Ok(HealPolicy::Manual);
        };
        let idle = self.mls.is_active() && self.mls.pending_commit().is_none();
        if !idle || record.phase != Phase::Active || record.heal_policy == HealPolicy::Manual {
            return Ok(HealPolicy::Manual);
        }
        let own = standing.device_at(standing.own);
        let aim = self.aim(&Content::default(), &self.left_out(device))?;
        let unsafe_now = (record.security.iter())
            .filter(|(_, security)| !matches!(security, EpochSecurity::Secure(_)))
            .any(|(device, _)| own == Some(device) || aim.heals.contains(&device));
        Ok(if unsafe_now { record.heal_policy } else { HealPolicy::Manual })
    }
}
